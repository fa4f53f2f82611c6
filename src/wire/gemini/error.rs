//! What a refusal means, from Google's error model: `{"error": {code, message, status,
//! details}}`, sometimes as the only element of an array.

use std::time::Duration;

use serde_json::Value;

use crate::wire::error::{ErrorHint, ProviderError};
use crate::wire::peek::clip;

/// How much of a body that is not of the protocol is kept, in characters.
const CLIP: usize = 300;

/// Reads the body of an answer whose status is not a success. Never fails: a body that is not
/// of the protocol gives its own beginning as the message and no hint.
pub fn decode_error(status: u16, body: &[u8]) -> ProviderError {
    match find(body) {
        Some(error) => provider_error(&error, Some(status)),
        None => {
            let text = String::from_utf8_lossy(body);
            ProviderError { message: clip(text.trim(), CLIP), code: None, hint: None }
        }
    }
}

/// How long the provider asks us to wait, from `google.rpc.RetryInfo`.
pub fn retry_delay(body: &[u8]) -> Option<Duration> {
    let error = find(body)?;
    let delay = details(&error).find_map(|detail| detail.get("retryDelay")?.as_str())?;
    // A protobuf duration in JSON: decimal seconds with an `s`.
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The `error` of a body, wherever it stands.
pub(super) fn find(body: &[u8]) -> Option<Value> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    if let Value::Array(elements) = &mut body {
        body = elements.first_mut()?.take();
    }
    body.get_mut("error").map(Value::take).filter(|error| !error.is_null())
}

/// What an `error` says; `status` is the HTTP one, where there was one of its own.
pub(super) fn provider_error(error: &Value, status: Option<u16>) -> ProviderError {
    let message = error.get("message").or(Some(error)).and_then(Value::as_str).unwrap_or_default();
    let canonical = error.get("status").and_then(Value::as_str);
    let reason = details(error).find_map(|detail| detail.get("reason")?.as_str());
    let number = error.get("code").and_then(Value::as_u64).or(status.map(u64::from));
    ProviderError {
        message: message.to_owned(),
        code: reason.or(canonical).map(str::to_owned),
        hint: hint(error, message, canonical, reason, number),
    }
}

fn hint(
    error: &Value,
    message: &str,
    canonical: Option<&str>,
    reason: Option<&str>,
    number: Option<u64>,
) -> Option<ErrorHint> {
    // `google.api.ErrorReason`: a bad key comes as INVALID_ARGUMENT, so this goes first.
    const CREDENTIAL_REASONS: [&str; 7] =
        ["API_KEY_", "ACCESS_TOKEN_", "CREDENTIALS_", "CONSUMER_", "SERVICE_DISABLED", "BILLING_DISABLED", "ACCOUNT_"];
    if reason.is_some_and(|reason| CREDENTIAL_REASONS.iter().any(|known| reason.starts_with(known))) {
        return Some(ErrorHint::Credential);
    }
    let words = message.to_ascii_lowercase();
    let has = |phrase: &str| words.contains(phrase);
    Some(match (canonical, number) {
        (Some("INVALID_ARGUMENT" | "OUT_OF_RANGE"), _) | (None, Some(400)) => {
            if has("token count") && has("exceed") {
                ErrorHint::ContextTooLong
            } else if has("api key not valid") || has("api key expired") || has("api key not found") {
                ErrorHint::Credential
            } else {
                ErrorHint::CallerMistake
            }
        }
        // The place of our servers or the plan of our account: not the caller's doing.
        (Some("FAILED_PRECONDITION"), _) if has("location is not supported") || has("billing") || has("free tier") => {
            ErrorHint::Credential
        }
        (Some("FAILED_PRECONDITION" | "UNIMPLEMENTED" | "ALREADY_EXISTS"), _) | (None, Some(413 | 422)) => {
            ErrorHint::CallerMistake
        }
        (Some("PERMISSION_DENIED" | "UNAUTHENTICATED"), _) | (None, Some(401 | 403)) => ErrorHint::Credential,
        (Some("NOT_FOUND"), _) | (None, Some(404)) => ErrorHint::ModelGone,
        (Some("RESOURCE_EXHAUSTED"), _) | (None, Some(429)) => {
            if is_used_up(error, &words) {
                ErrorHint::QuotaExhausted
            } else {
                ErrorHint::RateLimited
            }
        }
        (
            Some("UNAVAILABLE" | "INTERNAL" | "DEADLINE_EXCEEDED" | "UNKNOWN" | "ABORTED" | "CANCELLED" | "DATA_LOSS"),
            _,
        )
        | (None, Some(500..=599)) => ErrorHint::ServerError,
        _ => return None,
    })
}

/// Whether waiting a minute would not help: a quota by the day, one of zero (a model that the
/// account's tier does not have), or no money left. The message alone cannot tell days from
/// minutes; the quota's id can.
fn is_used_up(error: &Value, words: &str) -> bool {
    let by_day_or_zero =
        details(error).filter_map(|detail| detail.get("violations")?.as_array()).flatten().any(|violation| {
            let says = |field: &str, wanted: &dyn Fn(&str) -> bool| {
                violation.get(field).and_then(Value::as_str).is_some_and(wanted)
            };
            says("quotaId", &|id| id.contains("PerDay")) || says("quotaValue", &|value| value == "0")
        });
    by_day_or_zero
        || words.contains("limit: 0,")
        || words.contains("credits are depleted")
        || words.contains("spending cap")
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn body(status: &str, message: &str, details: Value) -> Vec<u8> {
        json!({"error": {"code": 400, "message": message, "status": status, "details": details}})
            .to_string()
            .into_bytes()
    }

    fn quota(id: &str) -> Value {
        json!([
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
                {"quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests", "quotaId": id}
            ]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "47s"}
        ])
    }

    #[test]
    fn each_status_has_its_meaning() {
        let key = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
        let none = json!([]);
        for (status, message, details, expected) in [
            ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", &key, ErrorHint::Credential),
            ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", &none, ErrorHint::Credential),
            (
                "INVALID_ARGUMENT",
                "The input token count (134123) exceeds the maximum number of tokens allowed (131072).",
                &none,
                ErrorHint::ContextTooLong,
            ),
            ("INVALID_ARGUMENT", "Invalid value at 'contents'", &none, ErrorHint::CallerMistake),
            ("FAILED_PRECONDITION", "User location is not supported for the API use.", &none, ErrorHint::Credential),
            ("FAILED_PRECONDITION", "The file is not in an ACTIVE state", &none, ErrorHint::CallerMistake),
            ("PERMISSION_DENIED", "no", &none, ErrorHint::Credential),
            ("UNAUTHENTICATED", "no", &none, ErrorHint::Credential),
            ("NOT_FOUND", "models/x is not found for API version v1beta", &none, ErrorHint::ModelGone),
            ("RESOURCE_EXHAUSTED", "Resource has been exhausted", &none, ErrorHint::RateLimited),
            ("UNAVAILABLE", "The model is overloaded.", &none, ErrorHint::ServerError),
            ("INTERNAL", "An internal error has occurred.", &none, ErrorHint::ServerError),
            ("DEADLINE_EXCEEDED", "", &none, ErrorHint::ServerError),
        ] {
            let error = decode_error(400, &body(status, message, details.clone()));
            assert_eq!(error.hint, Some(expected), "{status}: {message}");
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn a_quota_by_the_day_is_not_a_matter_of_waiting() {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        for (id, expected) in [
            ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", ErrorHint::RateLimited),
            ("GenerateRequestsPerDayPerProjectPerModel", ErrorHint::QuotaExhausted),
        ] {
            let error = decode_error(429, &body("RESOURCE_EXHAUSTED", message, quota(id)));
            assert_eq!(error.hint, Some(expected), "{id}");
            assert_eq!(error.code.as_deref(), Some("RESOURCE_EXHAUSTED"));
        }
        let zero = "Quota exceeded for metric: x, limit: 0, model: gemini-3-pro";
        assert_eq!(
            decode_error(429, &body("RESOURCE_EXHAUSTED", zero, json!([]))).hint,
            Some(ErrorHint::QuotaExhausted)
        );
    }

    #[test]
    fn an_error_in_an_array_is_found() {
        let error = decode_error(503, br#"[{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]"#);
        assert_eq!(
            error,
            ProviderError {
                message: "busy".into(),
                code: Some("UNAVAILABLE".into()),
                hint: Some(ErrorHint::ServerError)
            }
        );
    }

    #[test]
    fn without_a_status_the_number_tells() {
        assert_eq!(decode_error(429, br#"{"error": {"message": "slow"}}"#).hint, Some(ErrorHint::RateLimited));
        assert_eq!(decode_error(500, br#"{"error": "broken"}"#).message, "broken");
        assert_eq!(decode_error(418, br#"{"error": {}}"#).hint, None);
    }

    #[test]
    fn a_foreign_body_is_the_message() {
        let error = decode_error(502, b"<html>Bad Gateway</html>\n");
        assert_eq!(error, ProviderError { message: "<html>Bad Gateway</html>".into(), code: None, hint: None });
        assert_eq!(decode_error(500, b""), ProviderError::default());
    }

    #[test]
    fn the_wait_is_in_the_details() {
        let with = |delay: &str| {
            body("RESOURCE_EXHAUSTED", "", json!([{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": delay}]))
        };
        assert_eq!(retry_delay(&with("17s")), Some(Duration::from_secs(17)));
        assert_eq!(retry_delay(&with("0.5s")), Some(Duration::from_millis(500)));
        assert_eq!(retry_delay(&body("RESOURCE_EXHAUSTED", "", quota("x"))), Some(Duration::from_secs(47)));
        for bad in ["-1s", "1e400s", "soon", "NaNs", ""] {
            assert_eq!(retry_delay(&with(bad)), None, "{bad}");
        }
        assert_eq!(retry_delay(b"{}"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_error(status in any::<u16>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode_error(status, &bytes);
            retry_delay(&bytes);
        }
    }
}
