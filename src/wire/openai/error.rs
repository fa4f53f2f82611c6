//! Errors: what OpenAI-compatible servers mean by theirs, and how clients are told ours.

use serde_json::{Value, json};

use crate::wire::error::{ErrorBody, ErrorHint, ErrorKind, ProviderError};
use crate::wire::peek::clip;

/// How much of a provider's words is kept, in characters.
const MAX_MESSAGE: usize = 1000;

/// Reads the body of an answer whose status is not 200. Never fails: what cannot be read
/// has no words and no hint.
pub fn decode_error(status: u16, body: &[u8]) -> ProviderError {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) => read_error(Some(status), &body),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            // A page for people: a proxy in between speaks, not the server.
            let message = if text.starts_with('<') { String::new() } else { clip(text, MAX_MESSAGE) };
            let hint = hint(Some(status), &[], &message);
            ProviderError { message, code: None, hint }
        }
    }
}

/// Reads an error object, or a body that has one in it; `status` is missing inside streams.
pub(super) fn read_error(status: Option<u16>, body: &Value) -> ProviderError {
    // Google's compatible server wraps the body in an array.
    let body = body.get(0).unwrap_or(body);
    let error = ["error", "detail"].iter().find_map(|name| body.get(name).filter(|value| !value.is_null()));
    let error = error.unwrap_or(body);
    // A list of faults, as FastAPI has it.
    let error = error.get(0).unwrap_or(error);
    let message = match error {
        Value::String(text) => text.as_str(),
        _ => ["message", "msg", "error"].iter().find_map(|name| error.get(name)?.as_str()).unwrap_or_default(),
    };
    let inner = error.get("innererror").and_then(|inner| inner.get("code"));
    let words: Vec<&str> = [error.get("code"), inner, error.get("type"), error.get("status"), body.get("error_type")]
        .into_iter()
        .filter_map(|value| value?.as_str().filter(|word| !word.is_empty()))
        .collect();
    let number = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    // Inside a stream the number in the body stands for the status that was never sent.
    let status_inside = number.and_then(|number| u16::try_from(number).ok());
    let hint = hint(status, &words, message).or_else(|| match status {
        None | Some(200) => status_inside.and_then(hint_of_status),
        Some(_) => None,
    });
    let code = words.first().map(|&word| clip(word, 100)).or_else(|| number.map(|number| number.to_string()));
    ProviderError { message: clip(message, MAX_MESSAGE), code, hint }
}

/// Codes and types of OpenAI, Azure, Mistral, Groq, OpenRouter, DeepSeek, vLLM, llama.cpp
/// and Google's compatible server, in lower case.
const WORDS: [(ErrorHint, &[&str]); 8] = [
    (ErrorHint::ContextTooLong, &["context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"]),
    (
        ErrorHint::ContentPolicy,
        &[
            "content_filter",
            "content_policy_violation",
            "responsibleaipolicyviolation",
            "moderation_blocked",
            "data_inspection_failed",
        ],
    ),
    (
        ErrorHint::QuotaExhausted,
        &["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"],
    ),
    (
        ErrorHint::Credential,
        &[
            "invalid_api_key",
            "incorrect_api_key",
            "invalid_authentication",
            "invalid_authentication_error",
            "authentication_error",
            "account_deactivated",
            "permission_denied",
            "permissiondenied",
            "unauthorized",
            "unauthenticated",
            "unsupported_country_region_territory",
        ],
    ),
    (
        ErrorHint::ModelGone,
        &[
            "model_not_found",
            "model_not_available",
            "model_decommissioned",
            "deploymentnotfound",
            "invalid_model",
            "unknown_model",
        ],
    ),
    (
        ErrorHint::RateLimited,
        &["rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "resource_exhausted"],
    ),
    (
        ErrorHint::ServerError,
        &[
            "server_error",
            "internal_server_error",
            "internalservererror",
            "internal_error",
            "service_unavailable",
            "overloaded_error",
            "engine_overloaded",
            "unavailable",
        ],
    ),
    (
        ErrorHint::CallerMistake,
        &[
            "invalid_request_error",
            "badrequesterror",
            "bad_request_error",
            "bad_request",
            "invalid_argument",
            "validation",
        ],
    ),
];

/// Sentences, in lower case, for servers whose codes say nothing.
const SENTENCES: [(ErrorHint, &[&str]); 7] = [
    (
        ErrorHint::ContextTooLong,
        &[
            "maximum context length",
            "model's context length",
            "context window",
            "context size",
            "maximum input length",
            "prompt is too long",
            "prompt too long",
            "reduce the length of the",
            "exceeds the context",
            "longer than the model's context",
            "`max_new_tokens` must be <=",
        ],
    ),
    (ErrorHint::ContentPolicy, &["content management policy", "content policy", "safety system", "was flagged"]),
    (ErrorHint::QuotaExhausted, &["insufficient balance", "insufficient credits", "insufficient funds"]),
    (
        ErrorHint::Credential,
        &["incorrect api key", "invalid api key", "api key not valid", "api key is invalid", "invalid_api_key"],
    ),
    (
        ErrorHint::ModelGone,
        &["is not a valid model id", "try pulling it first", "no endpoints found for", "model has been decommissioned"],
    ),
    (ErrorHint::RateLimited, &["rate limit", "too many requests"]),
    (ErrorHint::ServerError, &["overloaded", "internal server error", "service unavailable"]),
];

fn hint(status: Option<u16>, words: &[&str], message: &str) -> Option<ErrorHint> {
    // These two say enough by their status, and the words of a limit on tokens per minute
    // ("reduce the length of the messages") would be taken for a full context window.
    let by_status = match status {
        Some(429) => Some(ErrorHint::RateLimited),
        Some(402) => Some(ErrorHint::QuotaExhausted),
        _ => None,
    };
    let allowed = |hint: ErrorHint| match status {
        Some(429) => matches!(hint, ErrorHint::QuotaExhausted | ErrorHint::RateLimited),
        // `invalid_request_error` is also the type of a wrong key or an unknown model,
        // of which the status says more.
        Some(status) if !matches!(status, 200 | 400 | 413 | 422) => hint != ErrorHint::CallerMistake,
        _ => true,
    };
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let message = message.to_lowercase();
    // Codes before types, and the specific before the general.
    let by_word = |specific: bool| {
        lower.iter().find_map(|word| {
            let (hint, _) = WORDS.iter().find(|(_, known)| known.contains(&word.as_str()))?;
            let general = matches!(hint, ErrorHint::ServerError | ErrorHint::CallerMistake);
            (general != specific && allowed(*hint)).then_some(*hint)
        })
    };
    let by_sentence = || {
        let found = SENTENCES.iter().find(|(hint, known)| allowed(*hint) && known.iter().any(|s| message.contains(s)));
        found.map(|(hint, _)| *hint)
    };
    let model_missing = || {
        let missing =
            message.contains("model") && (message.contains("does not exist") || message.contains("not found"));
        (status == Some(404) && missing).then_some(ErrorHint::ModelGone)
    };
    by_word(true).or_else(by_sentence).or_else(model_missing).or(by_status).or_else(|| by_word(false))
}

fn hint_of_status(status: u16) -> Option<ErrorHint> {
    match status {
        401 | 403 => Some(ErrorHint::Credential),
        402 => Some(ErrorHint::QuotaExhausted),
        404 => Some(ErrorHint::ModelGone),
        429 => Some(ErrorHint::RateLimited),
        400 | 413 | 422 => Some(ErrorHint::CallerMistake),
        500..=599 => Some(ErrorHint::ServerError),
        _ => None,
    }
}

/// Writes an error as OpenAI's own server does, with the id of the request beside it.
pub fn encode_error(error: &ErrorBody, request_id: &str) -> Vec<u8> {
    let mut value = error_object(error);
    if let Some(Value::Object(inner)) = value.get_mut("error") {
        inner.insert("request_id".into(), request_id.into());
    }
    value.to_string().into_bytes()
}

/// `{"error": {…}}`, in a body or inside a stream.
pub(super) fn error_object(error: &ErrorBody) -> Value {
    json!({"error": {
        "message": error.message,
        "type": type_word(error.kind),
        "param": error.param,
        "code": error.code,
    }})
}

fn type_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::TooLarge => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::PermissionDenied => "permission_error",
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::Internal | ErrorKind::BadGateway | ErrorKind::Overloaded | ErrorKind::Timeout => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn servers_say_it_in_many_ways() {
        use ErrorHint::*;
        let openai =
            |kind: &str, code: &str| json!({"error": {"message": "m", "type": kind, "param": null, "code": code}});
        let says = |message: &str| json!({"error": {"message": message, "type": "BadRequestError", "code": 400}});
        for (status, body, expected) in [
            (400, openai("invalid_request_error", "context_length_exceeded"), Some(ContextTooLong)),
            (
                400,
                says("This model's maximum context length is 8192 tokens. However, you requested …"),
                Some(ContextTooLong),
            ),
            (400, says("However, the model's context length is only 1024 tokens"), Some(ContextTooLong)),
            (
                400,
                json!({"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}}),
                Some(ContextTooLong),
            ),
            (
                400,
                json!({"object": "error", "message": "Prompt is too long", "type": "x", "code": "3051"}),
                Some(ContextTooLong),
            ),
            (
                422,
                json!({"error": "`inputs` tokens + `max_new_tokens` must be <= 4096", "error_type": "validation"}),
                Some(ContextTooLong),
            ),
            (400, openai("image_generation_user_error", "moderation_blocked"), Some(ContentPolicy)),
            (
                400,
                json!({"error": {"message": "x", "type": null, "code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
                Some(ContentPolicy),
            ),
            (429, openai("insufficient_quota", "insufficient_quota"), Some(QuotaExhausted)),
            (
                402,
                json!({"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}}),
                Some(QuotaExhausted),
            ),
            (429, openai("tokens", "rate_limit_exceeded"), Some(RateLimited)),
            (
                429,
                json!({"error": {"message": "Request too large, reduce the length of the messages", "type": "tokens"}}),
                Some(RateLimited),
            ),
            (401, openai("invalid_request_error", "invalid_api_key"), Some(Credential)),
            (
                400,
                json!([{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}]),
                Some(Credential),
            ),
            (404, openai("invalid_request_error", "model_not_found"), Some(ModelGone)),
            (403, openai("invalid_request_error", "model_not_found"), Some(ModelGone)),
            (404, json!({"error": {"code": "DeploymentNotFound", "message": "m"}}), Some(ModelGone)),
            (
                404,
                json!({"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}),
                Some(ModelGone),
            ),
            (
                404,
                json!({"error": {"message": "model \"x\" not found, try pulling it first", "type": "api_error"}}),
                Some(ModelGone),
            ),
            (404, json!({"detail": "Not Found"}), None),
            (500, openai("server_error", ""), Some(ServerError)),
            (503, json!({"error": {"message": "The engine is currently overloaded", "type": "x"}}), Some(ServerError)),
            (400, openai("invalid_request_error", "unsupported_parameter"), Some(CallerMistake)),
            (403, openai("invalid_request_error", "something"), None),
            (422, json!({"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}), None),
        ] {
            assert_eq!(decode_error(status, body.to_string().as_bytes()).hint, expected, "{status} {body}");
        }
    }

    #[test]
    fn the_words_are_found_wherever_they_are() {
        for (body, message, code) in [
            (r#"{"error":{"message":"m","type":"t","code":"c"}}"#, "m", Some("c")),
            (r#"{"error":{"message":"m","type":"t","code":null}}"#, "m", Some("t")),
            (r#"{"error":{"message":"m","code":404}}"#, "m", Some("404")),
            (r#"{"error":"m"}"#, "m", None),
            (r#"{"detail":"m"}"#, "m", None),
            (r#"{"detail":[{"msg":"m","type":"missing"}]}"#, "m", Some("missing")),
            (r#"{"message":"m","type":"t"}"#, "m", Some("t")),
            (" plain text ", "plain text", None),
            ("<html><body>502</body></html>", "", None),
            ("", "", None),
        ] {
            let error = decode_error(400, body.as_bytes());
            assert_eq!((error.message.as_str(), error.code.as_deref()), (message, code), "{body}");
        }
    }

    #[test]
    fn a_number_inside_a_stream_stands_for_the_status() {
        let hint = |code| read_error(None, &json!({"error": {"code": code, "message": "x"}})).hint;
        assert_eq!(hint(502), Some(ErrorHint::ServerError));
        assert_eq!(hint(429), Some(ErrorHint::RateLimited));
        assert_eq!(hint(70_000), None);
    }

    #[test]
    fn clients_get_the_official_shape() {
        let error = ErrorBody {
            status: 404,
            kind: ErrorKind::NotFound,
            message: "no \"x\"".into(),
            code: Some("model_not_found"),
            param: Some("model".into()),
        };
        let got: Value = serde_json::from_slice(&encode_error(&error, "req-1")).unwrap();
        let expected = json!({"error": {
            "message": "no \"x\"", "type": "invalid_request_error", "param": "model", "code": "model_not_found",
            "request_id": "req-1",
        }});
        assert_eq!(got, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_without_panic(status in 0u16..999, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode_error(status, &bytes);
        }
    }
}
