//! Why did a call to Redis not work, and who has to do something about it? Told apart where
//! callers act differently; above all whether it may have happened all the same.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a call did not work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no connection. Nothing was sent.
    #[error("Redis is out of reach: {0}")]
    Down(Arc<str>),
    /// Redis answers, but later than this call can wait. Nothing was sent.
    #[error("Redis takes {} ms to answer, and this call has {} ms", .round_trip.as_millis(), .limit.as_millis())]
    Slow {
        /// What an answer takes.
        round_trip: Duration,
        /// What this call may take.
        limit: Duration,
    },
    /// No answer within the call's limit. It may have happened, now or later.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke before the answer. It may have happened.
    #[error("the connection to Redis broke: {0}")]
    Lost(Arc<str>),
    /// The server is a replica and takes no writes.
    #[error("Redis takes no writes: it is a replica")]
    ReadOnly,
    /// The server has used up its memory and takes no writes that need more.
    #[error("Redis takes no writes: it has used up its memory")]
    OutOfMemory,
    /// The server is reading its data from the disk.
    #[error("Redis is still loading its data")]
    Loading,
    /// The server cannot do it for now: the cluster has no node for the key, a script runs for
    /// too long, too few replicas are there, or the disk is full.
    #[error("Redis cannot do that now: {0}")]
    Unavailable(Arc<str>),
    /// Wrong password, or a user that may not do it.
    #[error("Redis does not let us: {0}")]
    Denied(Arc<str>),
    /// The server refused the command for good: it is wrong, or a script failed.
    #[error("Redis refused: {0}")]
    Refused(Arc<str>),
    /// The answer is not what the caller can read.
    #[error("Redis gave an unexpected answer: {0}")]
    Answer(Arc<str>),
}

impl LinkError {
    /// Whether what was asked for may have happened all the same: the caller has to be able to
    /// ask for it twice, or to look.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Lost(_) | Self::Answer(_))
    }

    /// Whether it may work later without anybody changing the call.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Denied(_) | Self::Refused(_) | Self::Answer(_))
    }

    /// A word for it, as a label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Down(_) => "down",
            Self::Slow { .. } => "slow",
            Self::Timeout(_) => "timeout",
            Self::Lost(_) => "lost",
            Self::ReadOnly => "read_only",
            Self::OutOfMemory => "out_of_memory",
            Self::Loading => "loading",
            Self::Unavailable(_) => "unavailable",
            Self::Denied(_) => "denied",
            Self::Refused(_) => "refused",
            Self::Answer(_) => "answer",
        }
    }

    /// The first of what the server said to several commands.
    pub(super) fn of_first(error: &RedisError) -> Self {
        let said = error.clone().into_server_errors();
        match said.as_deref().and_then(<[_]>::first) {
            Some((_, first)) => Self::of(&first.clone().into()),
            None => Self::of(error),
        }
    }

    /// What the server said, or what happened to the connection.
    pub(super) fn of(error: &RedisError) -> Self {
        let said = || text_of(error).into();
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Server(ServerErrorKind::BusyLoading) => Self::Loading,
            ErrorKind::Server(
                ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask,
            ) => Self::Unavailable(said()),
            ErrorKind::Server(ServerErrorKind::NoPerm) | ErrorKind::AuthenticationFailed => Self::Denied(said()),
            ErrorKind::Server(_) | ErrorKind::Extension => of_code(error),
            ErrorKind::Io => Self::Lost(said()),
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Self::Answer(said()),
            _ => Self::Refused(said()),
        }
    }
}

impl From<redis::ParsingError> for LinkError {
    fn from(error: redis::ParsingError) -> Self {
        Self::Answer(error.to_string().into())
    }
}

/// Errors that the library does not know by name.
fn of_code(error: &RedisError) -> LinkError {
    let said: Arc<str> = text_of(error).into();
    match error.code() {
        Some("OOM") => LinkError::OutOfMemory,
        Some("BUSY" | "NOREPLICAS" | "MISCONF" | "UNBLOCKED") => LinkError::Unavailable(said),
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => LinkError::Denied(said),
        // Before version 7 the error of a command within a script stands inside that of the
        // script.
        _ if said.contains("OOM command not allowed") => LinkError::OutOfMemory,
        _ if said.contains("READONLY You can't write") => LinkError::ReadOnly,
        _ => LinkError::Refused(said),
    }
}

/// In one line, as the server said it.
fn text_of(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}
