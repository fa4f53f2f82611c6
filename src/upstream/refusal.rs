//! Why did an attempt fail? From a status and an error body to a class of the failure table.

use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::retry_after::retry_after;
use crate::domain::failure::FailureKind;
use crate::domain::provider::Protocol;
use crate::domain::time::UnixMillis;
use crate::transport::answer::AnswerBody;
use crate::transport::collect::collect;
use crate::wire::error::{ErrorHint, ProviderError};
use crate::wire::relay::StreamFailure;
use crate::wire::{anthropic, gemini, openai};

/// An attempt that failed before anything reached the client.
#[derive(Clone, Debug)]
pub struct AttemptError {
    /// How.
    pub kind: FailureKind,
    /// The provider's status, if it answered.
    pub status: Option<u16>,
    /// What it asked to wait.
    pub retry_after: Option<Duration>,
    /// For logs; and for the caller where the mistake is its own.
    pub message: String,
    /// The message is not in our own words, and may quote what was asked or answered.
    pub quotes: bool,
    /// The provider's own error body in the client's dialect, where the mistake is the
    /// caller's and the protocols are the same.
    pub native_body: Option<Bytes>,
}

impl AttemptError {
    /// A failure in our own words.
    pub fn new(kind: FailureKind, message: String) -> Self {
        Self { kind, status: None, retry_after: None, message, quotes: false, native_body: None }
    }

    /// An answer that is not of its protocol.
    pub fn malformed(message: String) -> Self {
        Self { quotes: true, ..Self::new(FailureKind::Malformed, message) }
    }

    /// An error that came with status 200. Where it does not say what it is, it is one
    /// more way of not answering.
    pub fn reported(error: &ProviderError) -> Self {
        let kind = match error.hint.map(of_hint) {
            Some(FailureKind::ServerError) | None => FailureKind::Malformed,
            Some(kind) => kind,
        };
        Self { kind, ..Self::malformed(error.message.clone()) }
    }

    /// A stream that failed before its first content.
    pub fn in_stream(failure: &StreamFailure) -> Self {
        match failure {
            StreamFailure::Provider(error) => Self::reported(error),
            StreamFailure::Malformed(why) => Self::malformed(why.clone()),
            StreamFailure::Broken(why) => Self::new(FailureKind::Malformed, why.clone()),
        }
    }
}

/// Bytes read of an error's body.
pub const ERROR_BODY: usize = 64 * 1024;

/// An answer other than 2xx.
pub async fn refusal(protocol: Protocol, response: Response<AnswerBody>, now: UnixMillis) -> AttemptError {
    let (head, body) = response.into_parts();
    let bytes = collect(body, ERROR_BODY).await.unwrap_or_default();
    let status = head.status;
    let error = decode_error(protocol, status.as_u16(), &bytes);
    let kind = classify(status, error.hint);
    let asked = retry_after(&head.headers, now);
    let wait = match protocol {
        Protocol::Gemini => asked.or_else(|| gemini::retry_delay(&bytes)),
        Protocol::OpenAi | Protocol::Anthropic => asked,
    };
    let callers = matches!(kind, FailureKind::CallerMistake | FailureKind::ContextTooLong | FailureKind::ContentPolicy);
    AttemptError {
        kind,
        status: Some(status.as_u16()),
        retry_after: if head.headers.contains_key(RETRY_AFTER) || kind == FailureKind::RateLimited {
            wait
        } else {
            None
        },
        message: error.message,
        quotes: true,
        native_body: (callers && serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok()).then_some(bytes),
    }
}

/// What a provider's error body says.
pub fn decode_error(protocol: Protocol, status: u16, body: &[u8]) -> ProviderError {
    match protocol {
        Protocol::OpenAi => openai::decode_error(status, body),
        Protocol::Anthropic => anthropic::decode_error(status, body),
        Protocol::Gemini => gemini::decode_error(status, body),
    }
}

/// The class of an error answer: what its body says, else what its status says.
fn classify(status: StatusCode, hint: Option<ErrorHint>) -> FailureKind {
    match hint {
        Some(hint) => of_hint(hint),
        None => match status.as_u16() {
            401..=403 => FailureKind::Credential,
            404 => FailureKind::ModelGone,
            429 => FailureKind::RateLimited,
            // 408 and 425 are the server's to mend, like all above 500.
            408 | 425 | 500.. => FailureKind::ServerError,
            // A redirect is not followed: it would carry the credential along.
            // Nor did anybody ask for another protocol.
            ..=399 => FailureKind::Malformed,
            _ => FailureKind::CallerMistake,
        },
    }
}

fn of_hint(hint: ErrorHint) -> FailureKind {
    match hint {
        ErrorHint::ContextTooLong => FailureKind::ContextTooLong,
        ErrorHint::ContentPolicy => FailureKind::ContentPolicy,
        ErrorHint::Credential | ErrorHint::QuotaExhausted => FailureKind::Credential,
        ErrorHint::RateLimited => FailureKind::RateLimited,
        ErrorHint::ServerError => FailureKind::ServerError,
        ErrorHint::ModelGone => FailureKind::ModelGone,
        ErrorHint::CallerMistake => FailureKind::CallerMistake,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_says_more_than_the_status_and_the_status_more_than_nothing() {
        use FailureKind as F;
        let of = |status: u16, hint| classify(StatusCode::from_u16(status).unwrap(), hint);
        for (status, hint, expected) in [
            (400, None, F::CallerMistake),
            (400, Some(ErrorHint::ContextTooLong), F::ContextTooLong),
            (400, Some(ErrorHint::Credential), F::Credential),
            (401, None, F::Credential),
            (404, None, F::ModelGone),
            (408, None, F::ServerError),
            (413, None, F::CallerMistake),
            (429, None, F::RateLimited),
            (429, Some(ErrorHint::QuotaExhausted), F::Credential),
            (101, None, F::Malformed),
            (307, None, F::Malformed),
            (500, None, F::ServerError),
            (529, None, F::ServerError),
        ] {
            assert_eq!(of(status, hint), expected, "{status} {hint:?}");
        }
    }

    #[test]
    fn an_error_with_status_200_is_never_the_servers_alone_to_retry() {
        let reported = |hint| AttemptError::reported(&ProviderError { hint, ..ProviderError::default() }).kind;
        assert_eq!(reported(None), FailureKind::Malformed);
        assert_eq!(reported(Some(ErrorHint::ServerError)), FailureKind::Malformed);
        assert_eq!(reported(Some(ErrorHint::RateLimited)), FailureKind::RateLimited);
        assert_eq!(reported(Some(ErrorHint::ContentPolicy)), FailureKind::ContentPolicy);
    }
}
