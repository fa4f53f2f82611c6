//! How does Anthropic's server answer? Paths, and which file speaks for each.

mod check;
pub(super) mod error;
pub(super) mod messages;
mod turns_check;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::answer::Ask;
use super::protocol::Meta;
use super::refusal::{Reason, Refusal};

/// The kinds of path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    Messages,
    CountTokens,
    Models,
    Model,
}

impl Endpoint {
    pub fn path(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Models => "/v1/models",
            Self::Model => "/v1/models/{model}",
        }
    }
}

/// Finds the endpoint.
pub(super) fn route(method: &Method, path: &str) -> Option<(Endpoint, Option<String>)> {
    match (method.as_str(), path.strip_prefix("/v1/")?) {
        ("POST", "messages") => Some((Endpoint::Messages, None)),
        ("POST", "messages/count_tokens") => Some((Endpoint::CountTokens, None)),
        ("GET", "models") => Some((Endpoint::Models, None)),
        ("GET", path) => Some((Endpoint::Model, Some(path.strip_prefix("models/")?.to_owned()))),
        _ => None,
    }
}

/// Reads a request for a message.
pub(super) fn read(headers: &HeaderMap, body: Value, validate: bool) -> Result<Ask, Refusal> {
    if validate {
        check::check(headers, &body, true)?;
    }
    Ok(messages::read(body))
}

/// Answers a call that makes no text.
pub(super) fn plain(
    endpoint: Endpoint,
    model: Option<&str>,
    headers: &HeaderMap,
    body: &Value,
    validate: bool,
    meta: &Meta<'_>,
) -> Result<(&'static str, Bytes), Refusal> {
    let describe = |name: &str| {
        json!({"type": "model", "id": name, "display_name": format!("{name} by {}", meta.name),
            "created_at": "2026-01-31T00:00:00Z", "lifecycle": "active", "max_input_tokens": 200_000,
            "max_tokens": 64_000})
    };
    let value = match endpoint {
        Endpoint::CountTokens => {
            if validate {
                check::check(headers, body, false)?;
            }
            json!({"input_tokens": messages::read(body.clone()).prompt_tokens()})
        }
        Endpoint::Model => {
            let model = model.unwrap_or_default();
            if meta.models.is_some_and(|models| !models.iter().any(|m| m == model)) {
                return Err(Refusal { model: model.to_owned(), ..Refusal::new(Reason::NoModel) });
            }
            describe(model)
        }
        Endpoint::Models | Endpoint::Messages => {
            let names =
                meta.models.map_or_else(|| vec!["sim-large", "sim-small"], |m| m.iter().map(String::as_str).collect());
            let data: Vec<Value> = names.iter().map(|name| describe(name)).collect();
            json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
        }
    };
    Ok(("application/json", value.to_string().into()))
}

/// Text of a field that may be missing.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a field that may be missing.
fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
