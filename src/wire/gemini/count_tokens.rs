//! How many tokens a request has, asked of the provider (`:countTokens`).

use serde::{Deserialize, Serialize};

use super::paths::resource;
use super::request::{Body, body, write};
use crate::wire::chat::ChatRequest;
use crate::wire::error::{Malformed, Unsupported};
use crate::wire::meta::EncodeFor;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountTokens<'a> {
    /// The form that counts instructions and tools as well; it names the model once more.
    generate_content_request: Body<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    total_tokens: u64,
}

/// The JSON body for [`Operation::CountTokens`](super::Operation::CountTokens).
///
/// # Errors
/// As [`encode_request`](super::encode_request).
pub fn encode_count_tokens(request: &ChatRequest, to: &EncodeFor<'_>) -> Result<Vec<u8>, Unsupported> {
    let model = resource(to.model);
    let mut generate_content_request = body(request, to)?;
    generate_content_request.model = Some(&model);
    Ok(write(&CountTokens { generate_content_request }))
}

/// The tokens of the whole prompt.
///
/// # Errors
/// If the answer does not say it.
pub fn decode_count_tokens(body: &[u8]) -> Result<u64, Malformed> {
    let counted: Counted =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("not a count of tokens: {error}")))?;
    Ok(counted.total_tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::provider::{OpenAiQuirks, OutputLimitField};

    #[test]
    fn the_whole_request_is_counted() {
        let request = ChatRequest { instructions: vec!["be brief".into()], ..ChatRequest::default() };
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: false, output_limit: OutputLimitField::MaxTokens };
        let to = EncodeFor { model: "gemini-x", max_output_tokens: None, quirks, drop_unsupported: false };
        let body: Value = serde_json::from_slice(&encode_count_tokens(&request, &to).unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"generateContentRequest": {
                "model": "models/gemini-x",
                "contents": [{"role": "user", "parts": [{"text": "be brief"}]}],
                "generationConfig": {}
            }})
        );
    }

    #[test]
    fn the_total_is_read() {
        assert_eq!(decode_count_tokens(br#"{"totalTokens": 31, "cachedContentTokenCount": 3}"#), Ok(31));
        assert!(decode_count_tokens(br#"{"error": {}}"#).is_err());
        assert!(decode_count_tokens(b"").is_err());
    }
}
