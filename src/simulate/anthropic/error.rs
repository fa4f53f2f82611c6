//! How does Anthropic's server refuse, and what headers does it send?

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use crate::simulate::call::put;
use crate::simulate::failing::status;
use crate::simulate::playback::{Beat, Script};
use crate::simulate::quota::{Allowance, Allowances};
use crate::simulate::refusal::{Reason, Refusal, Written};
use crate::simulate::words::id;

/// Status, type and words that Anthropic has for a reason.
fn usual(refusal: &Refusal) -> (u16, &'static str, String) {
    let invalid = "invalid_request_error";
    let (status, kind, words) = match refusal.reason {
        Reason::Invalid => (400, invalid, "The request is invalid."),
        Reason::KeyWrong => (401, "authentication_error", "invalid x-api-key"),
        Reason::KeyMissing => (401, "authentication_error", "x-api-key header is required"),
        Reason::Billing => (402, "billing_error", "Your credit balance is too low to access the API."),
        Reason::Forbidden => (403, "permission_error", "Your API key does not have permission to use this resource."),
        Reason::NoModel => return (404, "not_found_error", format!("model: {}", refusal.model)),
        Reason::NoPath => (404, "not_found_error", "Not found"),
        Reason::TooLarge => (413, "request_too_large", "Request exceeds the maximum size"),
        Reason::RequestRate => (
            429,
            "rate_limit_error",
            "This request would exceed the rate limit for your organization of requests per minute.",
        ),
        Reason::TokenRate => (
            429,
            "rate_limit_error",
            "This request would exceed the rate limit for your organization of tokens per minute.",
        ),
        Reason::Context => (400, invalid, "prompt is too long"),
        Reason::Policy => (400, invalid, "Output blocked by content filtering policy"),
        Reason::Overloaded => (529, "overloaded_error", "Overloaded"),
        Reason::Timeout => (504, "timeout_error", "Request timed out"),
        Reason::Internal => (500, "api_error", "Internal server error"),
    };
    (status, kind, words.to_owned())
}

fn object(refusal: &Refusal) -> (u16, Value) {
    let (status, kind, words) = usual(refusal);
    let kind = refusal.code.as_deref().unwrap_or(kind);
    (status, json!({"type": kind, "message": refusal.message.as_ref().unwrap_or(&words)}))
}

/// A refusal as a response.
pub(in crate::simulate) fn refuse(refusal: &Refusal, serial: u64) -> Written {
    let (usual_status, error) = object(refusal);
    let mut headers = HeaderMap::new();
    if let Some(seconds) = refusal.retry_after {
        put(&mut headers, "retry-after", format!("{:.0}", seconds.ceil()));
    }
    let body = json!({"type": "error", "error": error, "request_id": id("req_", serial)}).to_string().into();
    Written { status: status(refusal, usual_status), headers, body }
}

/// An error within a stream.
pub(in crate::simulate) fn event(script: &mut Script, refusal: &Refusal) {
    let (_, error) = object(refusal);
    script.event(Beat::Token, Some("error"), &json!({"type": "error", "error": error}));
}

/// The headers of every answer.
pub(in crate::simulate) fn headers(serial: u64, allowances: &Allowances, unix_s: u64) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(10);
    put(&mut headers, "request-id", id("req_", serial));
    put(&mut headers, "anthropic-organization-id", "simulated");
    let at = |allowance: &Allowance| timestamp(unix_s + allowance.reset.as_secs_f64().ceil() as u64);
    if let Some(requests) = &allowances.requests {
        put(&mut headers, "anthropic-ratelimit-requests-limit", requests.limit.to_string());
        put(&mut headers, "anthropic-ratelimit-requests-remaining", requests.remaining.to_string());
        put(&mut headers, "anthropic-ratelimit-requests-reset", at(requests));
    }
    if let Some(tokens) = &allowances.tokens {
        put(&mut headers, "anthropic-ratelimit-tokens-limit", tokens.limit.to_string());
        put(&mut headers, "anthropic-ratelimit-tokens-remaining", tokens.remaining.to_string());
        put(&mut headers, "anthropic-ratelimit-tokens-reset", at(tokens));
    }
    headers
}

/// Seconds since the Unix epoch as RFC 3339.
fn timestamp(unix_s: u64) -> String {
    // An HTTP date has the same fields in another order: `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(unix_s.min(u64::from(u32::MAX))));
    let mut fields = date.split(' ').skip(1);
    let mut next = || fields.next().unwrap_or_default();
    let (day, month, year, time) = (next(), next(), next(), next());
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month).unwrap_or_default() + 1;
    format!("{year}-{month:02}-{day}T{time}Z")
}

/// The words for a prompt that is too long, if it is.
pub(in crate::simulate) fn context_problem(prompt: u64, output: u64, window: u64) -> Option<String> {
    if prompt > window {
        return Some(format!("prompt is too long: {prompt} tokens > {window} maximum"));
    }
    (prompt.saturating_add(output) > window).then(|| {
        format!(
            "input length and `max_tokens` exceed context limit: {prompt} + {output} > {window}, decrease input length \
             or `max_tokens` and try again"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(timestamp(784_111_777), "1994-11-06T08:49:37Z");
    }
}
