//! A chat answer or a chunk of one, as compatible servers write them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::usage::{GroqIn, UsageIn};
use crate::wire::chat::Finish;
use crate::wire::error::ProviderError;

/// A whole answer or one chunk: they differ only in `message` and `delta`.
#[derive(Debug, Deserialize)]
pub(super) struct AnswerIn<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) choices: Option<Vec<ChoiceIn>>,
    #[serde(default)]
    pub(super) usage: Option<UsageIn>,
    #[serde(default)]
    pub(super) x_groq: Option<GroqIn>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChoiceIn {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(default, alias = "message")]
    pub(super) delta: Option<MessageIn>,
    /// Text completions.
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MessageIn {
    pub(super) content: Option<Value>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning_content: Option<String>,
    /// The word of vLLM and OpenRouter.
    pub(super) reasoning: Option<Value>,
    pub(super) tool_calls: Option<Vec<ToolCallIn>>,
    pub(super) function_call: Option<FunctionIn>,
    pub(super) audio: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolCallIn {
    pub(super) index: Option<u32>,
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionIn>,
    pub(super) extra_content: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionIn {
    pub(super) name: Option<String>,
    /// Text, but some servers send an object.
    pub(super) arguments: Option<Value>,
}

impl FunctionIn {
    /// JSON text of the arguments.
    pub(super) fn arguments(&self) -> String {
        match &self.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

impl ToolCallIn {
    /// Gemini's opaque state, where its OpenAI-compatible form puts it.
    pub(super) fn signature(&self) -> Option<String> {
        Some(self.extra_content.as_ref()?.pointer("/google/thought_signature")?.as_str()?.to_owned())
    }
}

impl MessageIn {
    /// Reasoning, then text: content may be a list of parts, of which some think.
    pub(super) fn texts(&self) -> (String, String) {
        let mut reasoning = self.reasoning_content.clone().unwrap_or_default();
        if reasoning.is_empty()
            && let Some(Value::String(text)) = &self.reasoning
        {
            reasoning.push_str(text);
        }
        let mut text = String::new();
        match &self.content {
            Some(Value::String(whole)) => text.push_str(whole),
            Some(Value::Array(parts)) => {
                for part in parts {
                    match part.get("type").and_then(Value::as_str) {
                        Some("thinking") => reasoning.push_str(&inner_text(part.get("thinking"))),
                        _ => text.push_str(&inner_text(part.get("text"))),
                    }
                }
            }
            _ => {}
        }
        (reasoning, text)
    }

    /// Whether there is anything in it that a caller waits for.
    pub(super) fn has_content(&self) -> bool {
        let (reasoning, text) = self.texts();
        !reasoning.is_empty()
            || !text.is_empty()
            || self.refusal.as_ref().is_some_and(|refusal| !refusal.is_empty())
            || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
            || self.audio.as_ref().is_some_and(|audio| !audio.is_null())
    }
}

/// Text, or the text of a list of text parts.
fn inner_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// What a `finish_reason` means; `None` where it is missing or empty. `calls`: the answer
/// has tool calls, which some servers finish with `stop`.
pub(super) fn finish(reason: Option<&str>, calls: bool) -> Option<Finish> {
    let reason = reason.filter(|reason| !reason.is_empty())?;
    Some(match reason {
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    })
}

/// The error object of an answer or a chunk, if it has one.
pub(super) fn reported(error: Option<&Value>) -> Option<ProviderError> {
    error.filter(|error| !error.is_null()).map(super::error::read_error)
}
