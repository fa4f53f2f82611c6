//! All that reads here what servers say by themselves, in one call: for those who try it with
//! anything.

use redis::{PushInfo, PushKind, Value};

use super::cluster::{Redirect, Table};
use super::heartbeat;
use super::node::Origin;
use super::read;
use super::request::Reply;
use super::sentinel::MasterAddress;
use super::socket::Place;
use super::subscription::{Signal, signal};
use crate::config::redis::HostPort;
use crate::domain::time::UnixMillis;
use crate::fleet::error::LinkError;

/// What an answer was taken for, by each who may have asked.
#[derive(Debug)]
pub struct Heard {
    /// A message to subscribers.
    pub signal: Option<Signal>,
    /// Where a node of a cluster sends us.
    pub sent_to: Option<String>,
    /// The owners of these slots, where it was the table of all.
    pub owners: Option<Vec<Option<String>>>,
    /// Whose the ranges of that table are.
    pub nodes: usize,
    /// Where a sentinel says that the master is.
    pub master: Option<(String, u16)>,
    /// What a single server, a node of a cluster and a master answer to a heartbeat.
    pub beats: [Result<Option<UnixMillis>, String>; 3],
    /// As one that was asked for numbers, and for texts.
    pub numbers: Result<Vec<u64>, LinkError>,
    /// As one that was asked for texts that need not be any.
    pub texts: Result<Vec<(String, u64, Vec<u8>)>, LinkError>,
}

/// Reads bytes as an answer, and that as all that may be asked for; `None` where it is none.
pub fn heard(bytes: &[u8], slots: &[u16]) -> Option<Heard> {
    let value = redis::parse_redis_value(bytes).ok()?;
    let here = HostPort { host: "here".to_owned(), port: 1 };
    let place = Place::Tcp(here.clone());
    let many = match &value {
        Value::Array(values) => values.clone(),
        _ => Vec::new(),
    };
    let origins = [
        Origin::Fixed(place.clone()),
        Origin::OfCluster(place.clone()),
        Origin::Sentinels { sentinels: vec![here.clone()], master: "m".to_owned() },
    ];
    let signal = match &value {
        Value::Push { data, .. } => signal(PushInfo { kind: PushKind::Message, data: data.clone() }),
        _ => None,
    };
    let reply = Reply::One(value.clone());
    let _ = (reply.is_read_only(), Reply::Many(many.clone()).is_read_only());
    let redirect = Redirect::of(&reply, Some(place.clone())).or_else(|| Redirect::of(&Reply::Many(many.clone()), None));
    let table = Table::read(value.clone(), &here);
    Some(Heard {
        signal,
        sent_to: redirect.map(|redirect| match redirect {
            Redirect::Moved(place) | Redirect::Ask(place) => place.to_string(),
            Redirect::Later => "later".to_owned(),
        }),
        nodes: table.as_ref().map_or(0, |table| table.owners().count()),
        owners: table.map(|table| slots.iter().map(|slot| table.owner(*slot).map(ToString::to_string)).collect()),
        master: redis::from_redis_value::<MasterAddress>(value.clone()).ok().flatten(),
        beats: origins.each_ref().map(|origin| heartbeat::read(origin, many.clone())),
        numbers: read(value.clone()),
        texts: read(value),
    })
}
