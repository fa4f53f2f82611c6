//! Where does a node of a cluster send us?

use redis::{RedisError, ServerErrorKind, Value};

use super::super::request::Reply;
use super::super::socket::Place;
use crate::config::redis::HostPort;

/// What a node says instead of answering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::fleet::link) enum Redirect {
    /// The slot lives there.
    Moved(Place),
    /// The slot is on its way there, and this key may be there already.
    Ask(Place),
    /// The keys are on their way.
    Later,
}

impl Redirect {
    /// What `from` says in its reply.
    pub(in crate::fleet::link) fn of(reply: &Reply, from: Option<Place>) -> Option<Self> {
        match reply {
            Reply::One(value) => Self::of_value(value, from),
            Reply::Many(values) => values.iter().find_map(|value| Self::of_value(value, from.clone())),
        }
    }

    /// What `from` says in one of its answers.
    pub(in crate::fleet::link) fn of_value(value: &Value, from: Option<Place>) -> Option<Self> {
        let Value::ServerError(error) = value else { return None };
        let kind = error.kind()?;
        if kind == ServerErrorKind::TryAgain {
            return Some(Self::Later);
        }
        let error = RedisError::from(error.clone());
        let place = place(error.redirect_node()?.0, from)?;
        match kind {
            ServerErrorKind::Moved => Some(Self::Moved(place)),
            ServerErrorKind::Ask => Some(Self::Ask(place)),
            _ => None,
        }
    }
}

/// `host:port`, where no host means that of whoever says so.
fn place(text: &str, from: Option<Place>) -> Option<Place> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match (host, from) {
        ("" | "?", Some(Place::Tcp(from))) => from.host,
        (host, _) => host.trim_matches(['[', ']']).to_owned(),
    };
    Some(Place::Tcp(HostPort { host, port }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Place {
        Place::Tcp(HostPort { host: host.to_owned(), port })
    }

    fn said(error: &str) -> Option<Redirect> {
        let value = redis::parse_redis_value(format!("-{error}\r\n").as_bytes()).unwrap();
        Redirect::of(&Reply::One(value), Some(at("here", 1)))
    }

    #[test]
    fn it_is_read_as_redis_writes_it() {
        assert_eq!(said("MOVED 3999 127.0.0.1:6381"), Some(Redirect::Moved(at("127.0.0.1", 6381))));
        assert_eq!(said("ASK 3999 :6381"), Some(Redirect::Ask(at("here", 6381))));
        assert_eq!(said("MOVED 1 ::1:6381"), Some(Redirect::Moved(at("::1", 6381))));
        assert_eq!(said("TRYAGAIN Multiple keys request during rehashing of slot"), Some(Redirect::Later));
        assert_eq!(said("ERR no"), None);
        assert_eq!(said("CLUSTERDOWN Hash slot not served"), None);
    }
}
