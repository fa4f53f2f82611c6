//! Why an attempt failed: the one table that fallback, health and accounting follow.

use std::fmt;

/// The class of a failed attempt. What follows from each is decided in
/// [`crate::routing::retry`] (what to try next) and [`crate::health`] (what to believe
/// of the endpoint afterwards).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FailureKind {
    /// No connection: name resolution, TCP, TLS.
    Connect,
    /// No first content before the attempt's deadline.
    Timeout,
    /// 429: the provider asks us to wait.
    RateLimited,
    /// 500, 502, 503, 504, 529 and other answers that blame the provider.
    ServerError,
    /// 401, 402, 403 of *our* credential, or its quota used up.
    Credential,
    /// The provider does not know the model (any more).
    ModelGone,
    /// 400, 413, 422 and other answers that blame the caller's request.
    CallerMistake,
    /// The prompt is longer than the model's context window.
    ContextTooLong,
    /// The provider refused the content.
    ContentPolicy,
    /// 200, but empty, not of the protocol, or an error event before any content.
    Malformed,
    /// The stream broke after content had been sent to the caller.
    BrokenStream,
    /// The caller went away.
    ClientGone,
    /// Another attempt at the same request was faster.
    Superseded,
    /// Nobody was asked: this machine has no descriptor or memory left for a connection.
    NoSocket,
}

impl FailureKind {
    /// Every class, for tables and metrics.
    pub const ALL: [Self; 14] = [
        Self::Connect,
        Self::Timeout,
        Self::RateLimited,
        Self::ServerError,
        Self::Credential,
        Self::ModelGone,
        Self::CallerMistake,
        Self::ContextTooLong,
        Self::ContentPolicy,
        Self::Malformed,
        Self::BrokenStream,
        Self::ClientGone,
        Self::Superseded,
        Self::NoSocket,
    ];

    /// The stable name in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Credential => "credential",
            Self::ModelGone => "model_gone",
            Self::CallerMistake => "invalid_request",
            Self::ContextTooLong => "context_too_long",
            Self::ContentPolicy => "content_policy",
            Self::Malformed => "malformed",
            Self::BrokenStream => "broken_stream",
            Self::ClientGone => "client_gone",
            Self::Superseded => "superseded",
            Self::NoSocket => "no_socket",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
