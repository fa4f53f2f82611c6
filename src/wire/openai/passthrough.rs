//! Any other path with a JSON body that names a model: images, moderations, rerank,
//! speech. Such a body passes through to OpenAI-compatible servers and is not understood
//! further.

use super::fields::{inline_media_bytes, open};
use crate::wire::error::BadRequest;
use crate::wire::peek::{Peek, estimate_tokens};

/// Fields that hold the text of such requests, whichever the path has.
const TEXT_FIELDS: [&str; 5] = ["input", "prompt", "query", "documents", "instructions"];

/// Reads the model, and what can be known without knowing the path.
///
/// # Errors
/// If the body is not a JSON object or has no model.
pub fn peek_model(body: &[u8]) -> Result<Peek, BadRequest> {
    let (top, mut peek) = open(body)?;
    // Each path has its own idea of these two, so what is not of the expected type is
    // left to the server.
    peek.stream = top.get("stream").is_some_and(|raw| raw.get() == "true");
    peek.user = top.read("user", "a string").ok().flatten();
    let text = TEXT_FIELDS.iter().filter_map(|name| top.get(name));
    let bytes = text.map(|raw| raw.get().len().saturating_sub(inline_media_bytes(raw.get()))).sum();
    peek.prompt_tokens = estimate_tokens(bytes);
    Ok(peek)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_and_the_size_are_enough() {
        let peek = peek_model(br#"{"model":"img","prompt":"a cat on a mat","stream":true,"size":"auto"}"#).unwrap();
        assert_eq!((peek.model.as_str(), peek.stream, peek.prompt_tokens), ("img", true, 4));
        assert!(peek.needs.is_empty());
        assert_eq!(peek_model(b"{}").unwrap_err().path, "model");
    }

    #[test]
    fn fields_of_unexpected_types_are_left_to_the_server() {
        let peek = peek_model(br#"{"model":"x","stream":"yes","user":{"id":1}}"#).unwrap();
        assert!(!peek.stream && peek.user.is_none());
    }
}
