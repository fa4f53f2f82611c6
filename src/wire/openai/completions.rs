//! Text completions: they pass through to OpenAI-compatible servers.

use super::fields::{open, read_limit, read_stream};
use crate::wire::error::BadRequest;
use crate::wire::peek::{Peek, estimate_tokens};

pub use super::native::{Inspector, inspect_answer};

/// Reads the few fields that routing needs.
///
/// # Errors
/// If the body is no JSON object, or one of these fields is not what it should be.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let (top, mut peek) = open(body)?;
    read_stream(&top, &mut peek)?;
    peek.max_output_tokens = read_limit(&top, "max_tokens")?;
    peek.user = top.read("user", "a string").ok().flatten();
    peek.prompt_tokens = estimate_tokens(top.get("prompt").map_or(0, |raw| raw.get().len()));
    Ok(peek)
}
