//! One event of an answer (`GenerateContentResponse`) as JSON, and what its values mean.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::usage::TokenUsage;

/// One event of a stream, or a whole answer. Unknown fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk {
    pub candidates: Option<Vec<Candidate>>,
    pub prompt_feedback: Option<PromptFeedback>,
    pub usage_metadata: Option<UsageMetadata>,
    pub model_version: Option<String>,
    pub response_id: Option<String>,
    pub error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    pub content: Option<Content>,
    pub finish_reason: Option<String>,
    pub index: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Content {
    pub parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub text: Option<String>,
    pub thought: Option<bool>,
    pub thought_signature: Option<String>,
    pub function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall {
    pub id: Option<String>,
    pub name: Option<String>,
    pub args: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub block_reason: Option<String>,
}

/// Counts are lenient: a strange one must not cost the answer.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    prompt_token_count: Value,
    cached_content_token_count: Value,
    candidates_token_count: Value,
    thoughts_token_count: Value,
    tool_use_prompt_token_count: Value,
}

/// Why a candidate ended, in classes that are handled alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The model was done.
    Done,
    /// A limit was reached.
    Length,
    /// A filter cut it.
    Filtered,
    /// Something cut it that is not told.
    Unexplained,
    /// The model wrote what cannot be used.
    Failed,
}

impl UsageMetadata {
    /// In our convention: the prompt includes what tools of the provider gave back, the output
    /// includes the thoughts, which the API counts beside it.
    pub(super) fn counted(&self) -> TokenUsage {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let input = count(&self.prompt_token_count).saturating_add(count(&self.tool_use_prompt_token_count));
        let reasoning = count(&self.thoughts_token_count);
        TokenUsage {
            input,
            cached_input: count(&self.cached_content_token_count).min(input),
            cache_write: 0,
            output: count(&self.candidates_token_count).saturating_add(reasoning),
            reasoning,
        }
    }
}

/// Enumerations have a value for "nothing was said".
pub(super) fn is_told(reason: &str) -> bool {
    !reason.is_empty() && !reason.ends_with("_UNSPECIFIED")
}

impl Ending {
    /// A reason that is not known here is treated like the API's own `OTHER`: what has come is not
    /// the whole answer, and why is not told.
    pub(super) fn of(reason: &str) -> Self {
        match reason {
            "STOP" => Self::Done,
            "MAX_TOKENS" | "CONTINUATION" => Self::Length,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "ESCALATION"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Self::Filtered,
            "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MALFORMED_RESPONSE"
            | "MISSING_THOUGHT_SIGNATURE" => Self::Failed,
            _ => Self::Unexplained,
        }
    }
}

/// An id for a call that has none, made of what is unique to the answer: its id, or where even
/// that is missing, a digest of the event. Letters, digits and `_` only, as every dialect has.
pub(super) fn call_id(response_id: &str, json: &[u8], index: u32) -> String {
    let unique: String = response_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    if !unique.is_empty() {
        return format!("call_{unique}_{index}");
    }
    let mut digest = DefaultHasher::new();
    json.hash(&mut digest);
    format!("call_{:016x}_{index}", digest.finish())
}

/// The same JSON without the white space between its tokens: whole answers come indented.
pub(super) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_inside_of_strings_is_kept() {
        assert_eq!(compact("{\n  \"a \\\" b\" : [ 1, \"\\\\\" ]\n}"), r#"{"a \" b":[1,"\\"]}"#);
    }

    #[test]
    fn ids_of_calls_are_made_of_letters_and_digits() {
        assert_eq!(call_id("a-b_Ü9", b"", 3), "call_ab9_3");
        assert_ne!(call_id("", b"x", 0), call_id("-", b"y", 0));
    }
}
