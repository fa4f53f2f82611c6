//! How does an OpenAI server refuse, and what headers does it send?

use http::HeaderMap;
use serde_json::{Value, json};

use super::Endpoint;
use crate::simulate::call::put;
use crate::simulate::failing::status;
use crate::simulate::playback::{Beat, Script};
use crate::simulate::quota::Allowances;
use crate::simulate::refusal::{Reason, Refusal, Written};
use crate::simulate::words::id;

/// Status, type, code and words that OpenAI has for a reason.
fn usual(refusal: &Refusal) -> (u16, &'static str, Option<&'static str>, String) {
    let wait = refusal.retry_after.unwrap_or(0.0);
    let invalid = "invalid_request_error";
    match refusal.reason {
        Reason::Invalid => (400, invalid, None, "The request is invalid.".to_owned()),
        Reason::KeyWrong => (
            401,
            invalid,
            Some("invalid_api_key"),
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
                .to_owned(),
        ),
        Reason::KeyMissing => (
            401,
            invalid,
            None,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer \
             auth (i.e. Authorization: Bearer YOUR_KEY)."
                .to_owned(),
        ),
        Reason::Billing => (
            402,
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.".to_owned(),
        ),
        Reason::Forbidden => (
            403,
            invalid,
            Some("unsupported_country_region_territory"),
            "Access to this resource is denied.".to_owned(),
        ),
        Reason::NoModel => (
            404,
            invalid,
            Some("model_not_found"),
            format!("The model `{}` does not exist or you do not have access to it.", refusal.model),
        ),
        Reason::NoPath => (404, invalid, None, "Invalid URL".to_owned()),
        Reason::TooLarge => (413, invalid, None, "The request body is too large.".to_owned()),
        Reason::RequestRate => (
            429,
            "requests",
            Some("rate_limit_exceeded"),
            format!("Rate limit reached on requests per min (RPM). Please try again in {wait:.3}s."),
        ),
        Reason::TokenRate => (
            429,
            "tokens",
            Some("rate_limit_exceeded"),
            format!("Rate limit reached on tokens per min (TPM). Please try again in {wait:.3}s."),
        ),
        Reason::Context => {
            (400, invalid, Some("context_length_exceeded"), "The prompt exceeds the context length.".to_owned())
        }
        Reason::Policy => (
            400,
            invalid,
            Some("content_policy_violation"),
            "Your request was rejected as a result of our safety system.".to_owned(),
        ),
        Reason::Overloaded => (
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "Our servers are currently overloaded. Please try again later.".to_owned(),
        ),
        Reason::Timeout => (504, "server_error", None, "The request timed out.".to_owned()),
        Reason::Internal => (
            500,
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!".to_owned(),
        ),
    }
}

fn object(refusal: &Refusal) -> (u16, Value) {
    let (status, kind, code, message) = usual(refusal);
    let code = refusal.code.as_deref().or(code);
    // A quota that is used up has its own type beside the code.
    let kind = if code == Some("insufficient_quota") { "insufficient_quota" } else { kind };
    let message = refusal.message.as_ref().unwrap_or(&message);
    // The parameter that a context length error blames.
    let param = refusal.param.as_deref().or((refusal.reason == Reason::Context).then_some("messages"));
    let param = param.or((refusal.reason == Reason::NoModel).then_some("model"));
    (status, json!({"message": message, "type": kind, "param": param, "code": code}))
}

/// A refusal as a response.
pub(in crate::simulate) fn refuse(refusal: &Refusal) -> Written {
    let (usual_status, error) = object(refusal);
    let mut headers = HeaderMap::new();
    if let Some(seconds) = refusal.retry_after {
        put(&mut headers, "retry-after", format!("{:.0}", seconds.ceil()));
        put(&mut headers, "retry-after-ms", format!("{:.0}", (seconds * 1000.0).ceil()));
    }
    let body = json!({ "error": error }).to_string().into();
    Written { status: status(refusal, usual_status), headers, body }
}

/// An error within a stream.
pub(in crate::simulate) fn event(endpoint: Endpoint, script: &mut Script, refusal: &Refusal) {
    let (_, error) = object(refusal);
    if endpoint == Endpoint::Responses {
        let sequence = script.frames.len();
        let event = json!({"type": "error", "sequence_number": sequence, "code": error["code"],
            "message": error["message"], "param": null});
        script.event(Beat::Token, Some("error"), &event);
    } else {
        script.event(Beat::Token, None, &json!({ "error": error }));
    }
}

/// The headers of every answer.
pub(in crate::simulate) fn headers(serial: u64, allowances: &Allowances) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    put(&mut headers, "x-request-id", id("req_", serial));
    put(&mut headers, "openai-version", "2020-10-01");
    put(&mut headers, "openai-processing-ms", "1");
    if let Some(requests) = allowances.requests {
        put(&mut headers, "x-ratelimit-limit-requests", requests.limit.to_string());
        put(&mut headers, "x-ratelimit-remaining-requests", requests.remaining.to_string());
        put(&mut headers, "x-ratelimit-reset-requests", span(requests.reset));
    }
    if let Some(tokens) = allowances.tokens {
        put(&mut headers, "x-ratelimit-limit-tokens", tokens.limit.to_string());
        put(&mut headers, "x-ratelimit-remaining-tokens", tokens.remaining.to_string());
        put(&mut headers, "x-ratelimit-reset-tokens", span(tokens.reset));
    }
    headers
}

/// A duration as OpenAI writes it: `6m0s`, `1.5s`, `20ms`.
fn span(duration: std::time::Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}s", ms as f64 / 1000.0),
        _ => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// The words for a prompt that is too long, if it is.
pub(in crate::simulate) fn context_problem(prompt: u64, output: u64, window: u64) -> Option<String> {
    let all = prompt.saturating_add(output);
    if prompt > window {
        Some(format!(
            "This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} \
             tokens. Please reduce the length of the messages."
        ))
    } else if all > window {
        Some(format!(
            "This model's maximum context length is {window} tokens. However, you requested {all} tokens ({prompt} \
             in the messages, {output} in the completion). Please reduce the length of the messages or completion."
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_are_written_as_in_the_headers() {
        assert_eq!(span(Duration::from_millis(20)), "20ms");
        assert_eq!(span(Duration::from_millis(1_500)), "1.5s");
        assert_eq!(span(Duration::from_secs(365)), "6m5s");
    }
}
