//! Errors in Anthropic's shape: read from a provider, written for a client.

use serde::Deserialize;
use serde_json::{Value, json};

use super::json::bytes;
use crate::wire::error::{ErrorBody, ErrorHint, ErrorKind, ProviderError};
use crate::wire::peek::clip;

/// The longest part kept of a body that is not of the protocol, in characters.
const CLIP: usize = 300;

/// `error` of an error body or event.
#[derive(Debug, Default)]
pub(super) struct ErrorObject {
    kind: Option<String>,
    pub(super) message: String,
    /// `details.error_code`, finer than the type.
    code: Option<String>,
}

impl<'de> Deserialize<'de> for ErrorObject {
    /// Takes an object of the protocol, and what compatible servers put in its place.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(match Value::deserialize(deserializer)? {
            Value::String(message) => Self { message, ..Self::default() },
            other => Self {
                kind: text(&other["type"]),
                message: text(&other["message"]).unwrap_or_default(),
                code: text(&other["details"]["error_code"]),
            },
        })
    }
}

impl ErrorObject {
    /// As the provider's error, with what its words reveal.
    pub(super) fn into_provider_error(self) -> ProviderError {
        let hint = self.hint();
        ProviderError { message: self.message, code: self.code.or(self.kind), hint }
    }

    fn hint(&self) -> Option<ErrorHint> {
        let message = self.message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        let limit_reached = self.code.as_deref().is_some_and(|code| code.ends_with("spend_limit_reached"));
        // These come under several types, most often `invalid_request_error`.
        if limit_reached || says(&["credit balance is too low", "usage limits", "spend limit"]) {
            return Some(ErrorHint::QuotaExhausted);
        }
        match self.kind.as_deref()? {
            "authentication_error" | "permission_error" => Some(ErrorHint::Credential),
            "billing_error" => Some(ErrorHint::QuotaExhausted),
            "not_found_error" => says(&["model"]).then_some(ErrorHint::ModelGone),
            "rate_limit_error" => Some(ErrorHint::RateLimited),
            "overloaded_error" | "api_error" | "timeout_error" => Some(ErrorHint::ServerError),
            "request_too_large" => Some(ErrorHint::CallerMistake),
            "invalid_request_error" => {
                Some(if says(&["prompt is too long", "input is too long", "exceed context limit", "context window"]) {
                    ErrorHint::ContextTooLong
                } else if says(&["content filtering policy", "usage policy"]) {
                    ErrorHint::ContentPolicy
                } else if says(&["organization has been disabled"]) {
                    ErrorHint::Credential
                } else {
                    ErrorHint::CallerMistake
                })
            }
            _ => None,
        }
    }
}

#[derive(Default, Deserialize)]
struct ErrorDocument {
    error: Option<ErrorObject>,
    /// Where servers before the API itself put their words.
    message: Option<String>,
}

/// Reads a provider's error. Whatever the body is, there is something to report.
pub fn decode_error(status: u16, body: &[u8]) -> ProviderError {
    let document: ErrorDocument = serde_json::from_slice(body).unwrap_or_default();
    if let Some(error) = document.error {
        return error.into_provider_error();
    }
    let text = String::from_utf8_lossy(body);
    let message = match document.message {
        Some(message) => message,
        // A page for browsers says nothing that the status does not.
        None if text.trim_start().starts_with('<') || text.trim().is_empty() => format!("status {status}"),
        None => clip(text.trim(), CLIP),
    };
    ProviderError { message, code: None, hint: None }
}

/// Writes an error as a client's SDK reads it.
pub fn encode_error(error: &ErrorBody, request_id: &str) -> Vec<u8> {
    let mut body = body(error);
    body["request_id"] = json!(request_id);
    bytes(&body)
}

/// The error without an id of the request, as streams have it.
pub(super) fn body(error: &ErrorBody) -> Value {
    let kind = match error.kind {
        _ if error.status == 402 => "billing_error",
        ErrorKind::InvalidRequest => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::PermissionDenied => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Internal | ErrorKind::BadGateway => "api_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
    };
    let mut object = json!({"type": kind, "message": error.message});
    if let Some(code) = error.code {
        object["details"] = json!({"error_code": code});
    }
    json!({"type": "error", "error": object})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(kind: &str, message: &str) -> Option<ErrorHint> {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
        let error = decode_error(400, body.to_string().as_bytes());
        assert_eq!((error.code.as_deref(), error.message.as_str()), (Some(kind), message));
        error.hint
    }

    #[test]
    fn what_the_words_reveal() {
        use ErrorHint::*;
        let bad = "invalid_request_error";
        let table = [
            (bad, "prompt is too long: 208310 tokens > 200000 maximum", ContextTooLong),
            (bad, "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000", ContextTooLong),
            (bad, "Your credit balance is too low to access the Anthropic API.", QuotaExhausted),
            (bad, "You have reached your specified API usage limits.", QuotaExhausted),
            (bad, "Output blocked by content filtering policy", ContentPolicy),
            (bad, "This organization has been disabled.", Credential),
            (bad, "messages.0: all messages must have non-empty content", CallerMistake),
            ("authentication_error", "invalid x-api-key", Credential),
            ("permission_error", "no", Credential),
            ("billing_error", "pay", QuotaExhausted),
            ("not_found_error", "model: claude-9", ModelGone),
            ("rate_limit_error", "slow down", RateLimited),
            ("overloaded_error", "Overloaded", ServerError),
            ("api_error", "Internal server error", ServerError),
            ("timeout_error", "late", ServerError),
            ("request_too_large", "too large", CallerMistake),
        ];
        for (kind, message, expected) in table {
            assert_eq!(hint(kind, message), Some(expected), "{kind}: {message}");
        }
        assert_eq!(hint("not_found_error", "Not found"), None);
        assert_eq!(hint("new_error", "x"), None);
    }

    #[test]
    fn a_spend_limit_is_told_by_its_code() {
        let body = br#"{"error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        let error = decode_error(429, body);
        assert_eq!(error.hint, Some(ErrorHint::QuotaExhausted));
        assert_eq!(error.code.as_deref(), Some("enforced_spend_limit_reached"));
    }

    #[test]
    fn any_body_gives_an_error() {
        assert_eq!(decode_error(502, b"<html>").message, "status 502");
        assert_eq!(decode_error(502, b"").message, "status 502");
        assert_eq!(decode_error(500, b"upstream died").message, "upstream died");
        assert_eq!(decode_error(500, br#"{"error":"boom"}"#).message, "boom");
        assert_eq!(decode_error(500, br#"{"message":"boom"}"#).message, "boom");
        assert_eq!(decode_error(500, b"[1]").message, "[1]");
        assert_eq!(decode_error(500, b"\xff").hint, None);
    }

    #[test]
    fn every_class_has_a_type() {
        use ErrorKind::*;
        for (status, kind, expected) in [
            (400, InvalidRequest, "invalid_request_error"),
            (401, Authentication, "authentication_error"),
            (402, PermissionDenied, "billing_error"),
            (403, PermissionDenied, "permission_error"),
            (404, NotFound, "not_found_error"),
            (413, TooLarge, "request_too_large"),
            (429, RateLimited, "rate_limit_error"),
            (500, Internal, "api_error"),
            (502, BadGateway, "api_error"),
            (503, Overloaded, "overloaded_error"),
            (504, Timeout, "timeout_error"),
        ] {
            let error = ErrorBody { status, kind, message: "m".into(), code: Some("c"), param: None };
            let body: Value = serde_json::from_slice(&encode_error(&error, "req_1")).unwrap();
            let object = json!({"type": expected, "message": "m", "details": {"error_code": "c"}});
            assert_eq!(body, json!({"type": "error", "error": object, "request_id": "req_1"}));
        }
    }
}
