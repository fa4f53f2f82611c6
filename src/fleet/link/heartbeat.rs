//! Is the server still the one we want, and what time has it? What is asked again and again
//! on every connection, and what its answers mean.

use redis::{Pipeline, Value, pipe};

use super::node::{Origin, reason};
use crate::domain::time::UnixMillis;
use crate::fleet::error::LinkError;

/// What is asked.
pub(super) fn question(origin: &Origin) -> Pipeline {
    let mut question = pipe();
    // A server that loads its data tells the time, and does nothing else.
    question.cmd("PING").cmd("TIME");
    match origin {
        Origin::Fixed(_) => {}
        Origin::Sentinels { .. } => {
            question.cmd("ROLE");
        }
        Origin::OfCluster(_) => {
            question.cmd("CLUSTER").arg("INFO");
        }
    }
    question
}

/// What time it is there, if we may know; `Err` says why the server is of no use now.
///
/// What a user may not ask for stays unknown, and is no reason to do without the server.
pub(super) fn read(origin: &Origin, answers: Vec<Value>) -> Result<Option<UnixMillis>, String> {
    let mut answers = answers.into_iter();
    if let Some(Value::ServerError(error)) = answers.next() {
        match LinkError::of(&error.into()) {
            LinkError::Denied(_) | LinkError::Refused(_) => {}
            error => return Err(reason(&error).to_string()),
        }
    }
    let time = answers.next().and_then(time_of);
    let why = match (origin, answers.next()) {
        (Origin::Sentinels { .. }, Some(role)) => {
            is_replica(role).then_some("it is a replica, and the sentinels know of no master yet")
        }
        (Origin::OfCluster(_), Some(info)) => is_down(info).then_some("the cluster is down"),
        _ => None,
    };
    why.map_or(Ok(time), |why| Err(why.to_owned()))
}

/// What `ROLE` answers says so.
fn is_replica(role: Value) -> bool {
    let Value::Array(role) = role else { return false };
    let role = role.into_iter().next().and_then(|role| redis::from_redis_value::<String>(role).ok());
    role.is_some_and(|role| role != "master")
}

/// What `CLUSTER INFO` answers says that slots are without a node.
fn is_down(info: Value) -> bool {
    redis::from_redis_value::<String>(info).is_ok_and(|info| info.contains("cluster_state:fail"))
}

/// What `TIME` answers: seconds, and the microseconds of the running one.
fn time_of(answer: Value) -> Option<UnixMillis> {
    let (seconds, micros): (u64, u64) = redis::from_redis_value(answer).ok()?;
    Some(UnixMillis(seconds.checked_mul(1000)?.checked_add(micros / 1000)?))
}

#[cfg(test)]
mod tests {
    use super::super::socket::Place;
    use super::*;

    fn read_as(origin: &Origin, answers: &[&str]) -> Result<Option<UnixMillis>, String> {
        let parsed = answers.iter().map(|text| redis::parse_redis_value(text.as_bytes()).unwrap());
        read(origin, parsed.collect())
    }

    const TIME: &str = "*2\r\n$10\r\n1795699501\r\n$6\r\n233071\r\n";

    #[test]
    fn a_server_that_answers_tells_the_time() {
        let alone = Origin::Fixed(Place::Unix("/x".into()));
        assert_eq!(read_as(&alone, &["+PONG\r\n", TIME]), Ok(Some(UnixMillis(1_795_699_501_233))));
        let denied = "-NOPERM this user has no permissions to run the 'time' command\r\n";
        assert_eq!(read_as(&alone, &["+PONG\r\n", denied]), Ok(None));
        assert_eq!(read_as(&alone, &[denied, TIME]), Ok(Some(UnixMillis(1_795_699_501_233))));
        let never = format!("*2\r\n:{}\r\n:999999\r\n", u64::MAX / 1000);
        assert_eq!(read_as(&alone, &["+PONG\r\n", &never]), Ok(None));
    }

    #[test]
    fn a_server_of_no_use_says_why() {
        let alone = Origin::Fixed(Place::Unix("/x".into()));
        let loading = "-LOADING Redis is loading the dataset in memory\r\n";
        assert_eq!(read_as(&alone, &[loading, TIME]), Err("Redis is still loading its data".into()));
        let watched = Origin::Sentinels { sentinels: Vec::new(), master: String::new() };
        let (master, replica) = ("*1\r\n$6\r\nmaster\r\n", "*1\r\n$5\r\nslave\r\n");
        assert!(read_as(&watched, &["+PONG\r\n", TIME, master]).is_ok());
        assert!(read_as(&watched, &["+PONG\r\n", TIME, replica]).unwrap_err().starts_with("it is a replica"));
        let node = Origin::OfCluster(Place::Unix("/x".into()));
        let (well, ill) = ("$16\r\ncluster_state:ok\r\n", "$18\r\ncluster_state:fail\r\n");
        assert!(read_as(&node, &["+PONG\r\n", TIME, well]).is_ok());
        assert_eq!(read_as(&node, &["+PONG\r\n", TIME, ill]), Err("the cluster is down".into()));
    }
}
