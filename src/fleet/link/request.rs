//! What is asked of a server, and what it answers: one command or several.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, Value};

use crate::fleet::error::LinkError;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) enum Request<'r> {
    One(&'r Cmd),
    Many(&'r Pipeline),
}

/// What came back; what the server refused stands in it as an error.
#[derive(Debug)]
pub(super) enum Reply {
    One(Value),
    Many(Vec<Value>),
}

impl Request<'_> {
    pub(super) async fn send(self, connection: &mut MultiplexedConnection) -> Result<Reply, RedisError> {
        match self {
            Self::One(command) => connection.send_packed_command(command).await.map(Reply::One),
            Self::Many(pipeline) => {
                let (skip, keep) =
                    if pipeline.is_transaction() { (pipeline.len() + 1, 1) } else { (0, pipeline.len()) };
                connection.send_packed_commands(pipeline, skip, keep).await.map(Reply::Many)
            }
        }
    }
}

impl Reply {
    /// Whether the server said that it is a replica.
    pub(super) fn is_read_only(&self) -> bool {
        let one = |value: &Value| match value {
            Value::ServerError(error) => LinkError::of(&error.clone().into()) == LinkError::ReadOnly,
            _ => false,
        };
        match self {
            Self::One(value) => one(value),
            Self::Many(values) => values.iter().any(one),
        }
    }
}

/// A connection that has been answered already, so that a pipeline reads its answers as ever.
pub(super) struct Answered(pub(super) Vec<Value>);

impl ConnectionLike for Answered {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async { Ok(self.0.pop().unwrap_or(Value::Nil)) })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async { Ok(std::mem::take(&mut self.0)) })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
