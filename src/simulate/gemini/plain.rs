//! Calls that make no text: counting, embeddings, lists of models.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Endpoint, check, generate, list, names, text};
use crate::simulate::protocol::{Meta, Route};
use crate::simulate::refusal::{Reason, Refusal};
use crate::simulate::words::{hash, mix};

const DIMENSIONS: u64 = 16;

/// Answers such a call: content type and body.
pub(in crate::simulate) fn answer(
    endpoint: Endpoint,
    route: &Route,
    body: &Value,
    validate: bool,
    meta: &Meta<'_>,
) -> Result<(&'static str, Bytes), Refusal> {
    let model = route.model.as_deref().unwrap_or_default();
    let body = &names::canonical(body.clone());
    let value = match endpoint {
        Endpoint::CountTokens => {
            let inner = body.get("generateContentRequest").unwrap_or(body).clone();
            if validate && body.get("generateContentRequest").is_none() {
                check::check(model, &inner)?;
            }
            json!({"totalTokens": generate::read(model, inner).prompt_tokens()})
        }
        Endpoint::Embed => json!({"embedding": {"values": vector(body)}}),
        Endpoint::BatchEmbed => {
            let requests: Vec<&Value> = list(body, "requests").collect();
            if validate && requests.is_empty() {
                return Err(Refusal::invalid("* BatchEmbedContentsRequest.requests: at least one request is required"));
            }
            if let Some(other) = requests
                .iter()
                .map(|request| text(request, "model"))
                .find(|name| validate && name.strip_prefix("models/").unwrap_or(name) != model)
            {
                return Err(Refusal::invalid(format!("model {other} does not match the one in the path, {model}")));
            }
            let embeddings: Vec<Value> = requests.iter().map(|request| json!({"values": vector(request)})).collect();
            json!({ "embeddings": embeddings })
        }
        Endpoint::Model => {
            if meta.models.is_some_and(|models| !models.iter().any(|m| m == model)) {
                return Err(Refusal { model: model.to_owned(), ..Refusal::new(Reason::NoModel) });
            }
            describe(model, meta)
        }
        Endpoint::Models | Endpoint::Generate | Endpoint::StreamGenerate => {
            let names = meta.models.map(<[String]>::to_vec).unwrap_or_else(|| vec!["sim-large".into()]);
            let models: Vec<Value> = names.iter().map(|name| describe(name, meta)).collect();
            json!({ "models": models })
        }
    };
    Ok(("application/json; charset=UTF-8", value.to_string().into()))
}

fn describe(name: &str, meta: &Meta<'_>) -> Value {
    json!({
        "name": format!("models/{name}"), "displayName": format!("{name} by {}", meta.name), "version": "001",
        "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    })
}

/// A unit-free vector that is the same for the same text.
fn vector(request: &Value) -> Vec<f64> {
    let words: String = list(&request["content"], "parts").map(|part| text(part, "text")).collect();
    let seed = hash(7, &[words.as_bytes()]);
    let size = request["outputDimensionality"].as_u64().unwrap_or(DIMENSIONS).clamp(1, 4096);
    (0..size).map(|i| (mix(seed ^ i) % 2001) as f64 / 1000.0 - 1.0).collect()
}
