//! Text completions, `POST /v1/completions`: only ever served by OpenAI-compatible
//! servers, so nothing of the request needs translation and no feature is reported.

use super::fields::{open, read_limit, read_stream};
use crate::wire::error::BadRequest;
use crate::wire::peek::{Peek, estimate_tokens};

pub use super::native::{Inspector, inspect_answer};

/// Reads the facts of a request.
///
/// # Errors
/// If the body is not a JSON object, has no model, or says of its stream what is not of
/// the dialect.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let (top, mut peek) = open(body)?;
    read_stream(&top, &mut peek)?;
    peek.max_output_tokens = read_limit(&top, "max_tokens")?;
    peek.user = top.read("user", "a string")?;
    peek.prompt_tokens = top.get("prompt").map_or(0, |raw| prompt_tokens(raw.get()));
    Ok(peek)
}

/// Tokens of a text or texts; arrays of token ids are counted.
pub(super) fn prompt_tokens(raw: &str) -> u64 {
    if raw.contains('"') {
        return estimate_tokens(raw.len());
    }
    let has_ids = raw.bytes().any(|byte| byte.is_ascii_digit());
    raw.bytes().filter(|byte| *byte == b',').count() as u64 + u64::from(has_ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::native::Signal;

    #[test]
    fn what_routing_needs_is_read() {
        let body = br#"{"model":"m","prompt":"once upon","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"n":3,"suffix":"x","echo":true}"#;
        let peek = peek(body).unwrap();
        assert!(peek.stream && peek.stream_usage && peek.needs.is_empty());
        assert_eq!((peek.max_output_tokens, peek.prompt_tokens), (Some(7), 3));
    }

    #[test]
    fn prompts_of_token_ids_are_counted() {
        assert_eq!(prompt_tokens("[1, 2, 3]"), 3);
        assert_eq!(prompt_tokens("[[1,2],[3]]"), 3);
        assert_eq!(prompt_tokens("[]"), 0);
        assert_eq!(prompt_tokens("[\"aaaa\",\"bb\"]"), 4);
    }

    #[test]
    fn pieces_of_text_commit() {
        let mut inspector = Inspector::new();
        let empty = b"data: {\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":null}]}\n\n";
        let text = b"data: {\"choices\":[{\"text\":\" a\",\"index\":0,\"finish_reason\":null}]}\n\n";
        assert_eq!(inspector.inspect(empty), Ok(Signal::Noise));
        assert_eq!(inspector.inspect(text), Ok(Signal::Content));
        assert!(inspect_answer(br#"{"choices":[{"text":"x","finish_reason":"stop"}]}"#).is_ok());
    }
}
