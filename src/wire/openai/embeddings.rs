//! Embeddings, `POST /v1/embeddings`: passed through to OpenAI-compatible servers,
//! translated for others as far as the input is text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{error_in_answer, not_an_answer, read_embedded_error};
use super::completions::prompt_tokens;
use super::fields::{note_unknown_fields, open};
use super::usage::UsageIn;
use crate::domain::feature::Feature;
use crate::domain::usage::TokenUsage;
use crate::wire::error::{BadRequest, Malformed, Unsupported};
use crate::wire::native::Seen;
use crate::wire::peek::{Peek, TopLevel};

const KNOWN: [&str; 5] = ["dimensions", "encoding_format", "input", "model", "user"];

/// Texts to be embedded, as every protocol can say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbeddingsRequest {
    /// The texts, in order.
    pub inputs: Vec<String>,
    /// How long the vectors are to be; `None` is the model's own length.
    pub dimensions: Option<u64>,
    /// Whether the client wants the vectors in base64.
    pub base64: bool,
}

/// Reads the facts of a request.
///
/// # Errors
/// If the body is not a JSON object, or has no model or no input of a possible kind.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let (top, mut peek) = open(body)?;
    let input = top.get("input").ok_or_else(|| BadRequest::at("input", "missing; expected a string or an array"))?;
    if !input.get().starts_with(['"', '[']) {
        return Err(BadRequest::at("input", "expected a string, or an array of strings or of tokens"));
    }
    peek.user = top.read("user", "a string")?;
    peek.prompt_tokens = prompt_tokens(input.get());
    note_unknown_fields(&top, &KNOWN, &mut peek);
    Ok(peek)
}

/// Reads a request that has to be translated.
///
/// # Errors
/// If it says what no other protocol can: token ids belong to one model's tokenizer.
pub fn decode_embeddings(body: &[u8]) -> Result<EmbeddingsRequest, Unsupported> {
    let unsupported = |detail: &str| Unsupported { feature: Feature::UnknownField, detail: detail.to_owned() };
    let top = TopLevel::parse(body).map_err(|error| unsupported(&error.to_string()))?;
    let inputs = match top.read::<String>("input", "a string") {
        Ok(Some(input)) => vec![input],
        _ => top
            .read("input", "strings")
            .ok()
            .flatten()
            .ok_or_else(|| unsupported("input is not text; token arrays belong to one tokenizer"))?,
    };
    let dimensions = top.read("dimensions", "a whole number").map_err(|error| unsupported(&error.to_string()))?;
    let format: Option<String> = top.read("encoding_format", "a string").ok().flatten();
    let base64 = match format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(unsupported(&format!("encoding_format {other}"))),
    };
    Ok(EmbeddingsRequest { inputs, dimensions, base64 })
}

#[derive(Serialize)]
struct AnswerOut<'a> {
    object: &'static str,
    data: Vec<EmbeddingOut<'a>>,
    model: &'a str,
    usage: EmbeddingUsageOut,
}

#[derive(Serialize)]
struct EmbeddingOut<'a> {
    object: &'static str,
    index: usize,
    embedding: VectorOut<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum VectorOut<'a> {
    Floats(&'a [f32]),
    Base64(String),
}

#[derive(Serialize)]
struct EmbeddingUsageOut {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Writes an answer for a client; base64 is of little-endian 32-bit floats.
pub fn encode_embeddings_response(vectors: &[Vec<f32>], model: &str, usage: &TokenUsage, base64: bool) -> Vec<u8> {
    let encode = |vector: &[f32]| STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    let data = vectors.iter().enumerate().map(|(index, vector)| EmbeddingOut {
        object: "embedding",
        index,
        embedding: if base64 { VectorOut::Base64(encode(vector)) } else { VectorOut::Floats(vector) },
    });
    let usage =
        EmbeddingUsageOut { prompt_tokens: usage.input, total_tokens: usage.input.saturating_add(usage.output) };
    let out = AnswerOut { object: "list", data: data.collect(), model, usage };
    // Unwrap safety: no map keys but strings, and writing to memory does not fail.
    serde_json::to_vec(&out).expect("embeddings can be written")
}

#[derive(Deserialize)]
struct AnswerIn<'a> {
    #[serde(default, borrow)]
    data: Option<Vec<EmbeddingIn<'a>>>,
    #[serde(default)]
    usage: Option<UsageIn>,
}

#[derive(Deserialize)]
struct EmbeddingIn<'a> {
    #[serde(default, borrow)]
    embedding: Option<&'a RawValue>,
}

/// Looks through an answer that passes through.
///
/// # Errors
/// If it holds an error, no vectors, or is not of the dialect.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    if let Some(error) = read_embedded_error(body) {
        return Err(error_in_answer(&error));
    }
    let answer: AnswerIn<'_> = serde_json::from_slice(body).map_err(|error| not_an_answer(body, &error))?;
    let data = answer.data.unwrap_or_default();
    if data.is_empty() || data.iter().any(|item| item.embedding.is_none()) {
        return Err(Malformed("an answer without embeddings".to_owned()));
    }
    Ok(Seen { usage: answer.usage.map(UsageIn::read).unwrap_or_default(), finish: None, pieces: data.len() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn body(extra: &str) -> Vec<u8> {
        format!(r#"{{"model":"m",{extra}}}"#).into_bytes()
    }

    #[test]
    fn texts_are_understood_and_token_ids_are_not() {
        let decode = |extra: &str| decode_embeddings(&body(extra));
        let expected = EmbeddingsRequest { inputs: vec!["a".into()], dimensions: None, base64: false };
        assert_eq!(decode(r#""input":"a""#), Ok(expected));
        let expected = EmbeddingsRequest { inputs: vec!["a".into(), "b".into()], dimensions: Some(8), base64: true };
        assert_eq!(decode(r#""input":["a","b"],"dimensions":8,"encoding_format":"base64""#), Ok(expected));
        for tokens in [r#""input":[1,2]"#, r#""input":[[1],[2]]"#, r#""input":"a","encoding_format":"int8""#] {
            assert_eq!(decode(tokens).unwrap_err().feature, Feature::UnknownField, "{tokens}");
        }
    }

    #[test]
    fn peeking_does_not_mind_token_ids() {
        let peeked = peek(&body(r#""input":[1,2,3],"user":"u""#)).unwrap();
        assert_eq!((peeked.prompt_tokens, peeked.user.as_deref()), (3, Some("u")));
        assert!(peeked.needs.is_empty());
        let peeked = peek(&body(r#""input":"x","input_type":"query""#)).unwrap();
        assert_eq!(peeked.unknown_fields, ["input_type"]);
        assert_eq!(peek(&body(r#""input":7"#)).unwrap_err().path, "input");
        assert_eq!(peek(br#"{"model":"m"}"#).unwrap_err().path, "input");
    }

    #[test]
    fn vectors_as_numbers_and_as_base64() {
        let usage = TokenUsage { input: 3, ..TokenUsage::default() };
        let read = |base64| -> Value {
            serde_json::from_slice(&encode_embeddings_response(&[vec![0.5, -1.0]], "m", &usage, base64)).unwrap()
        };
        let expected = json!({
            "object": "list", "model": "m",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        });
        assert_eq!(read(false), expected);
        assert_eq!(read(true)["data"][0]["embedding"], "AAAAPwAAgL8=");
    }

    #[test]
    fn answers_without_vectors_are_failures() {
        let seen =
            inspect_answer(br#"{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#).unwrap();
        assert_eq!((seen.usage.input, seen.usage.output), (4, 0));
        for bad in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{}]}"#, r#"{"error":{"message":"x"}}"#] {
            assert!(inspect_answer(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = peek(&bytes);
            let _ = decode_embeddings(&bytes);
            let _ = inspect_answer(&bytes);
        }
    }
}
