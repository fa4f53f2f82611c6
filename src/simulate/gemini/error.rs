//! How does the Gemini API refuse?

use http::HeaderMap;
use serde_json::{Value, json};

use crate::simulate::failing::status;
use crate::simulate::playback::{Beat, Script};
use crate::simulate::refusal::{Reason, Refusal, Written};

/// HTTP status, RPC status and words that the API has for a reason.
fn usual(refusal: &Refusal) -> (u16, &'static str, String) {
    let words = |text: &str| text.to_owned();
    match refusal.reason {
        Reason::Invalid => (400, "INVALID_ARGUMENT", words("Request contains an invalid argument.")),
        Reason::KeyWrong => (400, "INVALID_ARGUMENT", words("API key not valid. Please pass a valid API key.")),
        Reason::KeyMissing => (
            403,
            "PERMISSION_DENIED",
            words("Method doesn't allow unregistered callers (callers without established identity)."),
        ),
        Reason::Billing => (429, "RESOURCE_EXHAUSTED", words("Your prepayment credits are depleted.")),
        Reason::Forbidden => (403, "PERMISSION_DENIED", words("The caller does not have permission")),
        Reason::NoModel => (
            404,
            "NOT_FOUND",
            format!(
                "models/{} is not found for API version v1beta, or is not supported for generateContent.",
                refusal.model
            ),
        ),
        Reason::NoPath => (404, "NOT_FOUND", words("Requested entity was not found.")),
        Reason::TooLarge => {
            (400, "INVALID_ARGUMENT", words("Request payload size exceeds the limit: 104857600 bytes."))
        }
        Reason::RequestRate | Reason::TokenRate => (
            429,
            "RESOURCE_EXHAUSTED",
            words("You exceeded your current quota, please check your plan and billing details."),
        ),
        Reason::Context => {
            (400, "INVALID_ARGUMENT", words("The input token count exceeds the maximum number of tokens allowed."))
        }
        Reason::Policy => (400, "INVALID_ARGUMENT", words("Content blocked.")),
        Reason::Overloaded => (503, "UNAVAILABLE", words("The model is overloaded. Please try again later.")),
        Reason::Timeout => (504, "DEADLINE_EXCEEDED", words("Deadline expired before operation could complete.")),
        Reason::Internal => (500, "INTERNAL", words("An internal error has occurred. Please retry.")),
    }
}

/// Structured details, as `google.rpc` names them.
fn details(refusal: &Refusal) -> Vec<Value> {
    let mut details = Vec::new();
    if refusal.reason == Reason::KeyWrong {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
            "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"},
        }));
    }
    if matches!(refusal.reason, Reason::RequestRate | Reason::TokenRate) {
        let quota = match refusal.reason {
            Reason::RequestRate => "GenerateRequestsPerMinutePerProjectPerModel",
            _ => "GenerateContentInputTokensPerModelPerMinute",
        };
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": quota, "quotaValue": "10"}],
        }));
    }
    // The wait is in the body alone: there is no header for it.
    if let Some(seconds) = refusal.retry_after {
        details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}));
    }
    details
}

fn object(refusal: &Refusal) -> (u16, Value) {
    let (code, rpc, words) = usual(refusal);
    let code = status(refusal, code).as_u16();
    let rpc = refusal.code.as_deref().unwrap_or(rpc);
    let mut error = json!({"code": code, "message": refusal.message.as_ref().unwrap_or(&words), "status": rpc});
    let details = details(refusal);
    if !details.is_empty() {
        error["details"] = details.into();
    }
    (code, json!({ "error": error }))
}

/// A refusal as a response.
pub(in crate::simulate) fn refuse(refusal: &Refusal) -> Written {
    let (code, body) = object(refusal);
    Written { status: status(refusal, code), headers: HeaderMap::new(), body: body.to_string().into() }
}

/// An error within a stream.
pub(in crate::simulate) fn event(script: &mut Script, refusal: &Refusal) {
    script.event(Beat::Token, None, &object(refusal).1);
}

/// The words for a prompt that is too long, if it is. Asking for too much output is not
/// refused: it ends at the window.
pub(in crate::simulate) fn context_problem(prompt: u64, window: u64) -> Option<String> {
    (prompt > window)
        .then(|| format!("The input token count ({prompt}) exceeds the maximum number of tokens allowed ({window})."))
}
