//! How do the OpenAI paths answer that make no text? Embeddings, models, images, moderations,
//! speech, rerank: each as simple as its SDK accepts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::chat_check::{known_fields, required};
use super::{Endpoint, list, text};
use crate::simulate::protocol::Meta;
use crate::simulate::refusal::{Reason, Refusal};
use crate::simulate::words::{hash, mix, prompt_tokens};

const JSON: &str = "application/json";
/// The models listed when the behaviour names none.
const MODELS: [&str; 2] = ["sim-large", "sim-small"];
/// Dimensions of an embedding unless the request says otherwise.
const DIMENSIONS: u64 = 16;
/// One transparent pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// Answers a call that makes no text.
pub(in crate::simulate) fn answer(
    endpoint: Endpoint,
    model: Option<&str>,
    _headers: &HeaderMap,
    body: &Value,
    validate: bool,
    meta: &Meta<'_>,
) -> Result<(&'static str, Bytes), Refusal> {
    if validate && !endpoint.generates() && !matches!(endpoint, Endpoint::Models | Endpoint::Model) {
        check(endpoint, model.is_some(), body)?;
    }
    let value = match endpoint {
        Endpoint::Models => {
            let data: Vec<Value> = names(meta).iter().map(|name| description(name, meta)).collect();
            json!({"object": "list", "data": data})
        }
        Endpoint::Model => {
            let model = model.unwrap_or_default();
            if meta.models.is_some_and(|models| !models.iter().any(|m| m == model)) {
                return Err(Refusal { model: model.to_owned(), ..Refusal::new(Reason::NoModel) });
            }
            description(model, meta)
        }
        Endpoint::Embeddings => embeddings(model.unwrap_or(text(body, "model")), body),
        Endpoint::Images => images(body, meta),
        Endpoint::Moderations => moderations(body, meta),
        Endpoint::Speech => return Ok(("audio/mpeg", Bytes::from_static(b"ID3\x04\0\0\0\0\0\0simulated speech"))),
        Endpoint::Rerank => rerank(body, meta),
        Endpoint::Chat | Endpoint::Responses | Endpoint::Completions => Value::Null,
    };
    Ok((JSON, value.to_string().into()))
}

fn check(endpoint: Endpoint, deployed: bool, body: &Value) -> Result<(), Refusal> {
    let needed: &[&str] = match endpoint {
        Endpoint::Embeddings => {
            known_fields(body, &["dimensions", "encoding_format", "input", "model", "user", "input_type"])?;
            &["model", "input"]
        }
        Endpoint::Images => &["prompt"],
        Endpoint::Moderations => &["input"],
        Endpoint::Speech => &["model", "input", "voice"],
        Endpoint::Rerank => &["model", "query", "documents"],
        _ => &[],
    };
    needed.iter().filter(|field| !(deployed && **field == "model")).try_for_each(|field| required(body, field))
}

fn names<'a>(meta: &Meta<'a>) -> Vec<&'a str> {
    meta.models.map_or(MODELS.to_vec(), |models| models.iter().map(String::as_str).collect())
}

fn description(name: &str, meta: &Meta<'_>) -> Value {
    json!({"id": name, "object": "model", "created": 1_760_000_000, "owned_by": meta.name})
}

/// A unit vector that depends on the text alone.
pub(in crate::simulate) fn vector(input: &str, dimensions: u64) -> Vec<f32> {
    let seed = hash(0, &[input.as_bytes()]);
    let raw: Vec<f32> =
        (0..dimensions.clamp(1, 8_192)).map(|at| (mix(seed ^ at) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / length).collect()
}

fn embeddings(model: &str, body: &Value) -> Value {
    let inputs: Vec<String> = match &body["input"] {
        Value::String(input) => vec![input.clone()],
        // A flat list of numbers is one input given as tokens.
        Value::Array(tokens) if tokens.first().is_some_and(Value::is_number) => vec![body["input"].to_string()],
        Value::Array(inputs) => {
            inputs.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let dimensions = body["dimensions"].as_u64().unwrap_or(DIMENSIONS);
    let base64 = body["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                Value::String(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens = prompt_tokens(inputs.iter().map(String::len).sum());
    json!({"object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

fn images(body: &Value, meta: &Meta<'_>) -> Value {
    let count = body["n"].as_u64().unwrap_or(1).clamp(1, 10);
    let image = json!({"b64_json": PIXEL});
    let data: Vec<Value> = (0..count).map(|_| image.clone()).collect();
    json!({"created": meta.created, "data": data})
}

fn moderations(body: &Value, meta: &Meta<'_>) -> Value {
    let count = list(body, "input").len().max(1);
    let names = [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/instructions",
        "self-harm/intent",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ];
    let each = |value: Value| -> Value {
        names.iter().map(|name| ((*name).to_owned(), value.clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let result = json!({"flagged": false, "categories": each(json!(false)), "category_scores": each(json!(0.001)),
        "category_applied_input_types": each(json!(["text"]))});
    let results: Vec<Value> = (0..count).map(|_| result.clone()).collect();
    json!({"id": meta.id("modr-"), "model": body["model"], "results": results})
}

fn rerank(body: &Value, meta: &Meta<'_>) -> Value {
    let count = list(body, "documents").len();
    let top = body["top_n"].as_u64().map_or(count, |n| usize::try_from(n).unwrap_or(count)).min(count);
    let results: Vec<Value> =
        (0..top).map(|index| json!({"index": index, "relevance_score": 1.0 / (index as f64 + 1.0)})).collect();
    json!({"id": meta.id("rerank-"), "model": body["model"], "results": results})
}
