//! Vectors for texts (`:batchEmbedContents`).

use serde::{Deserialize, Serialize};

use super::paths::resource;
use super::request::write;
use crate::wire::error::Malformed;

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    /// The same in each request and in the path; the API wants it so.
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f32>,
}

/// The JSON body for [`Operation::BatchEmbed`](super::Operation::BatchEmbed): one vector per
/// input, of `dimensions` numbers where given.
pub fn encode_embeddings(inputs: &[String], dimensions: Option<u64>, model: &str) -> Vec<u8> {
    let model = resource(model);
    let requests = inputs
        .iter()
        .map(|text| Request {
            model: &model,
            content: Content { parts: [Text { text }] },
            output_dimensionality: dimensions,
        })
        .collect();
    write(&Batch { requests })
}

/// The vectors, in the order of the inputs.
///
/// # Errors
/// If there are none, one is empty, or a number is too large.
pub fn decode_embeddings(body: &[u8]) -> Result<Vec<Vec<f32>>, Malformed> {
    let embedded: Embedded =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("not an answer with embeddings: {error}")))?;
    let vectors: Vec<Vec<f32>> = embedded.embeddings.into_iter().map(|embedding| embedding.values).collect();
    let sound = |vector: &Vec<f32>| !vector.is_empty() && vector.iter().all(|number| number.is_finite());
    if vectors.is_empty() || !vectors.iter().all(sound) {
        return Err(Malformed("an embedding is missing, empty or not of finite numbers".into()));
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_input_is_a_request_of_the_batch() {
        let inputs = ["a".to_owned(), "b".to_owned()];
        let body: Value = serde_json::from_slice(&encode_embeddings(&inputs, Some(3), "gemini-embedding-001")).unwrap();
        assert_eq!(
            body,
            json!({"requests": [
                {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3},
                {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 3}
            ]})
        );
        let body: Value = serde_json::from_slice(&encode_embeddings(&inputs[..1], None, "models/x")).unwrap();
        assert_eq!(body, json!({"requests": [{"model": "models/x", "content": {"parts": [{"text": "a"}]}}]}));
    }

    #[test]
    fn vectors_come_in_order() {
        let body = br#"{"embeddings": [{"values": [0.5, -1]}, {"values": [2, 3e-1], "statistics": {}}]}"#;
        assert_eq!(decode_embeddings(body), Ok(vec![vec![0.5, -1.0], vec![2.0, 0.3]]));
    }

    #[test]
    fn an_answer_without_sound_vectors_is_malformed() {
        for body in [
            r#"{"embeddings": []}"#,
            r#"{"embeddings": [{"values": []}]}"#,
            r#"{"embeddings": [{"values": [1e300]}]}"#,
            r#"{"error": {"code": 400}}"#,
            "[]",
        ] {
            assert!(decode_embeddings(body.as_bytes()).is_err(), "{body}");
        }
    }
}
