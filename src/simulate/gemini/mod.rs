//! How does Google's Gemini API answer? Paths, and which file speaks for each.

mod check;
pub(super) mod error;
pub(super) mod generate;
mod names;
pub(super) mod plain;

use http::Method;
use serde_json::Value;

use super::answer::Ask;
use super::protocol::Route;
use super::refusal::Refusal;

/// The kinds of path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    Generate,
    StreamGenerate,
    CountTokens,
    Embed,
    BatchEmbed,
    Models,
    Model,
}

impl Endpoint {
    pub fn path(self) -> &'static str {
        match self {
            Self::Generate => "/v1beta/models/{model}:generateContent",
            Self::StreamGenerate => "/v1beta/models/{model}:streamGenerateContent",
            Self::CountTokens => "/v1beta/models/{model}:countTokens",
            Self::Embed => "/v1beta/models/{model}:embedContent",
            Self::BatchEmbed => "/v1beta/models/{model}:batchEmbedContents",
            Self::Models => "/v1beta/models",
            Self::Model => "/v1beta/models/{model}",
        }
    }

    pub fn generates(self) -> bool {
        matches!(self, Self::Generate | Self::StreamGenerate)
    }
}

/// Finds the endpoint and the model in its path.
pub(super) fn route(method: &Method, path: &str) -> Option<(Endpoint, Option<String>)> {
    let rest = path.strip_prefix("/v1beta/").or_else(|| path.strip_prefix("/v1/"))?;
    if method == Method::GET {
        return match rest.strip_prefix("models/") {
            Some(model) => Some((Endpoint::Model, Some(model.to_owned()))),
            None => (rest == "models").then_some((Endpoint::Models, None)),
        };
    }
    let (model, action) = rest.strip_prefix("models/")?.rsplit_once(':')?;
    let endpoint = match (method.as_str(), action) {
        ("POST", "generateContent") => Endpoint::Generate,
        ("POST", "streamGenerateContent") => Endpoint::StreamGenerate,
        ("POST", "countTokens") => Endpoint::CountTokens,
        ("POST", "embedContent") => Endpoint::Embed,
        ("POST", "batchEmbedContents") => Endpoint::BatchEmbed,
        _ => return None,
    };
    Some((endpoint, Some(model.to_owned())))
}

/// Reads a request for content.
pub(super) fn read(endpoint: Endpoint, route: &Route, body: Value, validate: bool) -> Result<Ask, Refusal> {
    let model = route.model.as_deref().unwrap_or_default();
    let body = names::canonical(body);
    if validate {
        check::check(model, &body)?;
    }
    let mut ask = generate::read(model, body);
    ask.stream = endpoint == Endpoint::StreamGenerate;
    ask.flag = route.query.split('&').any(|pair| pair == "alt=sse");
    Ok(ask)
}

/// A field that is text; empty where it is not.
fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A field that is a list; empty where it is not.
fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}
