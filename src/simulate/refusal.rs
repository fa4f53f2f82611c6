//! Why is a call refused? One value for all protocols; each folder writes it in its own form.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// What is wrong, in the classes that the providers' error types tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// The request breaks a rule of the API.
    Invalid,
    /// A key was sent and is wrong.
    KeyWrong,
    /// No key was sent.
    KeyMissing,
    /// The account has no money left.
    Billing,
    /// The key may not do this.
    Forbidden,
    /// There is no such model.
    NoModel,
    /// There is no such path.
    NoPath,
    /// The body is too large.
    TooLarge,
    /// Too many requests in a minute.
    RequestRate,
    /// Too many tokens in a minute.
    TokenRate,
    /// The prompt exceeds the context window.
    Context,
    /// The prompt offends a policy.
    Policy,
    /// The provider is overloaded.
    Overloaded,
    /// The provider took too long.
    Timeout,
    /// Something broke inside.
    Internal,
}

/// A refusal: what is wrong, and the words for it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub reason: Reason,
    /// The status, where it is not the usual one for the reason.
    pub status: Option<u16>,
    /// Absent: the protocol's usual words for the reason.
    pub message: Option<String>,
    /// The parameter at fault (OpenAI).
    pub param: Option<String>,
    /// The machine-readable code or type, where it is not the usual one for the reason.
    pub code: Option<Cow<'static, str>>,
    /// Seconds until it is worth trying again.
    pub retry_after: Option<f64>,
    /// The model asked for.
    pub model: String,
}

impl Refusal {
    pub fn new(reason: Reason) -> Self {
        let (status, message, param, code, retry_after) = (None, None, None, None, None);
        Self { reason, status, message, param, code, retry_after, model: String::new() }
    }

    /// An invalid request, in the real API's words.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(Reason::Invalid) }
    }

    /// What a bare status stands for.
    pub fn of_status(status: u16) -> Self {
        let reason = match status {
            401 => Reason::KeyWrong,
            402 => Reason::Billing,
            403 => Reason::Forbidden,
            404 => Reason::NoModel,
            408 | 504 => Reason::Timeout,
            413 => Reason::TooLarge,
            429 => Reason::RequestRate,
            503 | 529 => Reason::Overloaded,
            400..=499 => Reason::Invalid,
            _ => Reason::Internal,
        };
        Self { status: Some(status), ..Self::new(reason) }
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// A refusal in a protocol's own form.
pub(super) struct Written {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}
