//! What can be wrong with bytes from a client or a provider, and what clients are told.

use crate::domain::feature::Feature;

/// A client's request is not of its dialect: a 400.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct BadRequest {
    /// Where, as a JSON path: `messages[2].content`; `body` for the whole.
    pub path: String,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

impl BadRequest {
    /// At a path.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The request cannot be said in a protocol; the endpoint is passed over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the provider's protocol has no {feature}: {detail}")]
pub struct Unsupported {
    /// What it lacks.
    pub feature: Feature,
    /// Which part of the request needs it.
    pub detail: String,
}

/// A provider's answer is not of its protocol.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// An error that a provider reports, in a status other than 200 or inside a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProviderError {
    /// Its words; empty where it has none. May name our account, so callers see it only
    /// where the mistake is their own.
    pub message: String,
    /// Its code or type, `context_length_exceeded`.
    pub code: Option<String>,
    /// What the body says that the status does not.
    pub hint: Option<ErrorHint>,
}

/// What an error body reveals beyond its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorHint {
    /// The prompt does not fit the context window.
    ContextTooLong,
    /// A content policy refused the request.
    ContentPolicy,
    /// Our credential is wrong or may not use this model.
    Credential,
    /// Our account's quota or balance is used up: not a matter of waiting a minute.
    QuotaExhausted,
    /// Too many requests for now.
    RateLimited,
    /// The provider is overloaded or broken.
    ServerError,
    /// The model does not exist there.
    ModelGone,
    /// The request is the caller's mistake.
    CallerMistake,
}

/// What a caller is told when its request failed, before any dialect has put it in shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorBody {
    /// HTTP status.
    pub status: u16,
    /// The class, which each dialect has its own word for.
    pub kind: ErrorKind,
    /// For people. Never holds a secret.
    pub message: String,
    /// A stable word for programs, `model_not_found`.
    pub code: Option<&'static str>,
    /// The field of the request at fault.
    pub param: Option<String>,
}

/// Classes of errors that SDKs tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ErrorKind {
    /// 400, 413, 422.
    InvalidRequest,
    /// 401.
    Authentication,
    /// 403.
    PermissionDenied,
    /// 404.
    NotFound,
    /// 413.
    TooLarge,
    /// 429.
    RateLimited,
    /// 500: our own fault.
    Internal,
    /// 502: every candidate failed.
    BadGateway,
    /// 503: no candidate is available now.
    Overloaded,
    /// 504: no candidate answered in time.
    Timeout,
}
