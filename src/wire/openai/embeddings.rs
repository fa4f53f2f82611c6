//! Embeddings: they pass through to OpenAI-compatible servers and are translated for others.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::open;
use super::usage::UsageIn;
use crate::domain::feature::Feature;
use crate::domain::usage::TokenUsage;
use crate::wire::error::{BadRequest, Malformed, Unsupported};
use crate::wire::native::Seen;
use crate::wire::peek::{Peek, TopLevel, estimate_tokens};

/// A request for embeddings that another protocol can serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbeddingsRequest {
    /// The texts.
    pub inputs: Vec<String>,
    /// How long the vectors are to be.
    pub dimensions: Option<u64>,
    /// The client wants the floats as base64.
    pub base64: bool,
}

/// Reads the few fields that routing needs.
///
/// # Errors
/// If the body is no JSON object with a model.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let (top, mut peek) = open(body)?;
    peek.user = top.read("user", "a string").ok().flatten();
    let input = top.get("input").ok_or_else(|| BadRequest::at("input", "missing; expected text or a list of texts"))?;
    peek.prompt_tokens = estimate_tokens(input.get().len());
    Ok(peek)
}

/// Reads a request for translation.
///
/// # Errors
/// If it holds token ids, which belong to one tokenizer, or no text at all.
pub fn decode_embeddings(body: &[u8]) -> Result<EmbeddingsRequest, Unsupported> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Input {
        One(String),
        Many(Vec<String>),
    }
    let unsupported = |detail: &str| Unsupported { feature: Feature::UnknownField, detail: detail.into() };
    let top = TopLevel::parse(body).map_err(|bad| unsupported(&bad.to_string()))?;
    let input: Option<Input> =
        top.read("input", "texts").map_err(|_| unsupported("`input` as token ids, which belong to one tokenizer"))?;
    let inputs = match input {
        Some(Input::One(text)) => vec![text],
        Some(Input::Many(texts)) => texts,
        None => Vec::new(),
    };
    Ok(EmbeddingsRequest {
        inputs,
        dimensions: top.read("dimensions", "a whole number").ok().flatten(),
        base64: top.get("encoding_format").is_some_and(|raw| raw.get() == "\"base64\""),
    })
}

/// Writes the vectors as OpenAI's SDK reads them.
pub fn encode_embeddings_response(vectors: &[Vec<f32>], model: &str, usage: &TokenUsage, base64: bool) -> Vec<u8> {
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|float| float.to_le_bytes()).collect();
                Value::from(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": usage.input, "total_tokens": usage.input});
    json!({"object": "list", "data": data, "model": model, "usage": usage}).to_string().into_bytes()
}

/// Looks at an answer that passes through.
///
/// # Errors
/// If it has no data.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        data: Vec<&'a serde_json::value::RawValue>,
        usage: Option<UsageIn>,
    }
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("not a list of embeddings: {error}")))?;
    if answer.data.is_empty() {
        return Err(Malformed("a list without embeddings".into()));
    }
    let usage = answer.usage.map(|usage| usage.read()).unwrap_or_default();
    Ok(Seen { usage, ..Seen::default() })
}
