//! `POST /v1/messages/count_tokens`: a request without a limit, an answer of one number.

use serde::Deserialize;
use serde_json::json;

use super::json::bytes;
use super::request::peek_any;
use crate::wire::error::{BadRequest, Malformed};
use crate::wire::peek::Peek;

/// Reads the facts of a request; it is decoded like any other.
///
/// # Errors
/// If the body is not a JSON object or lacks `model` or `messages`.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    peek_any(body)
}

/// Writes the answer.
pub fn encode_count(input_tokens: u64) -> Vec<u8> {
    bytes(&json!({"input_tokens": input_tokens}))
}

/// Reads a provider's answer, in tokens.
///
/// # Errors
/// If it holds no count.
pub fn decode_count(body: &[u8]) -> Result<u64, Malformed> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    serde_json::from_slice::<Count>(body)
        .map(|count| count.input_tokens)
        .map_err(|error| Malformed(format!("the answer is not a count of tokens: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_comes_back() {
        assert_eq!(decode_count(&encode_count(2095)), Ok(2095));
        assert!(decode_count(br#"{"input_tokens":null}"#).is_err());
    }

    #[test]
    fn a_request_needs_no_limit() {
        let peek = peek(br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#).unwrap();
        assert_eq!((peek.model.as_str(), peek.max_output_tokens), ("m", None));
    }
}
