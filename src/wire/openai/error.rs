//! Errors: those of compatible servers read, ours written as OpenAI's own.

use serde_json::{Value, json};

use crate::wire::error::{ErrorBody, ErrorHint, ErrorKind, ProviderError};
use crate::wire::peek::clip;

/// An error's words are kept up to this many characters.
const MAX_WORDS: usize = 1000;

/// Reads the body of an answer other than 2xx.
pub fn decode_error(status: u16, body: &[u8]) -> ProviderError {
    let mut error = match serde_json::from_slice::<Value>(body) {
        Ok(body) => read_error(body.get("error").unwrap_or(&body)),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let html = text.trim_start().starts_with('<');
            ProviderError {
                message: if html { String::new() } else { clip(text.trim(), MAX_WORDS) },
                ..ProviderError::default()
            }
        }
    };
    error.hint = error.hint.or_else(|| hint_of_words(status, &error.message));
    error
}

/// Reads an error object: `{message, type, code}`, a text, or FastAPI's `{detail}`.
pub(super) fn read_error(error: &Value) -> ProviderError {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let message = match error {
        Value::String(text) => text.clone(),
        _ => text("message")
            .or_else(|| text("detail"))
            .map_or_else(|| error.get("detail").map(Value::to_string).unwrap_or_default(), str::to_owned),
    };
    let code = text("code").or_else(|| text("type")).map(str::to_owned);
    let words = [text("code"), text("type")];
    let hint = words.into_iter().flatten().find_map(hint_of_code);
    // Azure says in an inner error which filter it was.
    let filtered = error.pointer("/innererror/code").is_some_and(|code| code == "ResponsibleAIPolicyViolation");
    ProviderError {
        hint: if filtered { Some(ErrorHint::ContentPolicy) } else { hint.or_else(|| hint_of_words(0, &message)) },
        message: clip(&message, MAX_WORDS),
        code: code.map(|code| clip(&code, 100)),
    }
}

fn hint_of_code(code: &str) -> Option<ErrorHint> {
    Some(match code {
        "context_length_exceeded" | "string_above_max_length" => ErrorHint::ContextTooLong,
        "content_filter" | "content_policy_violation" | "moderation_blocked" => ErrorHint::ContentPolicy,
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => ErrorHint::QuotaExhausted,
        "invalid_api_key" | "authentication_error" | "permission_denied" | "account_deactivated" => {
            ErrorHint::Credential
        }
        "model_not_found" | "DeploymentNotFound" | "model_decommissioned" => ErrorHint::ModelGone,
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" => ErrorHint::RateLimited,
        "server_error" | "internal_server_error" | "service_unavailable" | "overloaded_error" | "engine_overloaded" => {
            ErrorHint::ServerError
        }
        _ => return None,
    })
}

/// Servers without codes say it in words.
fn hint_of_words(status: u16, message: &str) -> Option<ErrorHint> {
    let words = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if says(&["maximum context length", "context window", "context length", "too many tokens", "prompt is too long"])
        && !(429..).contains(&status)
    {
        return Some(ErrorHint::ContextTooLong);
    }
    if says(&["insufficient_quota", "exceeded your current quota", "insufficient balance", "insufficient credits"]) {
        return Some(ErrorHint::QuotaExhausted);
    }
    if matches!(status, 400 | 404) && words.contains("model") && says(&["does not exist", "not found", "not exist"]) {
        return Some(ErrorHint::ModelGone);
    }
    None
}

/// Writes an error as OpenAI's SDK expects it.
pub fn encode_error(error: &ErrorBody, _request_id: &str) -> Vec<u8> {
    json!({"error": error_object(error)}).to_string().into_bytes()
}

pub(super) fn error_object(error: &ErrorBody) -> Value {
    let kind = match error.kind {
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::TooLarge => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::PermissionDenied => "permission_error",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Internal | ErrorKind::BadGateway | ErrorKind::Overloaded | ErrorKind::Timeout => "server_error",
    };
    json!({"message": error.message, "type": kind, "param": error.param, "code": error.code})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(status: u16, body: &str) -> Option<ErrorHint> {
        decode_error(status, body.as_bytes()).hint
    }

    #[test]
    fn codes_and_words_tell_what_a_status_does_not() {
        use ErrorHint as H;
        for (status, body, expected) in [
            (
                400,
                r#"{"error":{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
                Some(H::ContextTooLong),
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 8192 tokens."}"#,
                Some(H::ContextTooLong),
            ),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
                Some(H::QuotaExhausted),
            ),
            (
                429,
                r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
                Some(H::RateLimited),
            ),
            (
                404,
                r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
                Some(H::ModelGone),
            ),
            (404, r#"{"error":"model 'x' not found"}"#, Some(H::ModelGone)),
            (400, r#"{"error":{"message":"filtered","code":"content_filter"}}"#, Some(H::ContentPolicy)),
            (422, r#"{"detail":[{"msg":"field required"}]}"#, None),
            (502, "<html>bad gateway</html>", None),
            (500, "", None),
        ] {
            assert_eq!(hint(status, body), expected, "{body}");
        }
    }

    #[test]
    fn pages_and_texts_become_words_that_can_be_logged() {
        assert_eq!(decode_error(502, b"<html>x</html>").message, "");
        assert_eq!(decode_error(500, b" upstream died ").message, "upstream died");
        assert!(decode_error(500, "ä".repeat(5000).as_bytes()).message.chars().count() <= MAX_WORDS + 1);
    }
}
