//! Whole chat answers: read from providers, written for clients.

use serde_json::{Map, Value, json};

use super::answer::{AnswerIn, finish, reported};
use super::usage::UsageOut;
use crate::wire::chat::{ChatResponse, Finish, Part, ReasoningPart, Seal, SealOrigin, ToolCall};
use crate::wire::error::Malformed;
use crate::wire::meta::ReplyMeta;

/// Reads an answer.
///
/// # Errors
/// If it is an error, empty, or not of the protocol.
pub fn decode_response(body: &[u8]) -> Result<ChatResponse, Malformed> {
    let answer: AnswerIn<'_> =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("not a chat completion: {error}")))?;
    if let Some(error) = reported(answer.error.as_ref()) {
        return Err(Malformed(format!("an error with status 200: {}", error.message)));
    }
    let id = answer.id.as_deref().unwrap_or_default().to_owned();
    let usage = answer.usage.map(|usage| usage.read()).unwrap_or_default();
    let choice = answer
        .choices
        .and_then(|choices| choices.into_iter().min_by_key(|choice| choice.index.unwrap_or(0)))
        .ok_or_else(|| Malformed("an answer without choices".into()))?;
    let message = choice.delta.unwrap_or_default();
    let mut parts = Vec::new();
    let (reasoning, text) = message.texts();
    if !reasoning.is_empty() {
        parts.push(Part::Reasoning(ReasoningPart { text: reasoning, seal: None }));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts.extend(message.refusal.filter(|refusal| !refusal.is_empty()).map(Part::Refusal));
    let mut calls = false;
    for (i, call) in message.tool_calls.iter().flatten().enumerate() {
        let Some(function) = &call.function else { continue };
        calls = true;
        parts.push(Part::ToolCall(ToolCall {
            id: call.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| made_up_id(&id, i)),
            name: function.name.clone().unwrap_or_default(),
            arguments: function.arguments(),
            seal: call.signature().map(|data| Seal { origin: SealOrigin::Gemini, data }),
        }));
    }
    if let Some(function) = &message.function_call {
        calls = true;
        let name = function.name.clone().unwrap_or_default();
        parts.push(Part::ToolCall(ToolCall {
            id: made_up_id(&id, 0),
            name,
            arguments: function.arguments(),
            seal: None,
        }));
    }
    let finish = finish(choice.finish_reason.as_deref(), calls);
    let cut = matches!(finish, Some(Finish::Length | Finish::ContentFilter));
    if parts.is_empty() && !cut && (finish.is_none() || usage.output == 0) {
        return Err(Malformed("the answer is empty".into()));
    }
    let finish = finish.unwrap_or(if calls { Finish::ToolCalls } else { Finish::Stop });
    let model = answer.model.as_deref().unwrap_or_default().to_owned();
    Ok(ChatResponse { id, model, parts, finish, usage })
}

/// An id for a call that came without one: of this answer and this place in it.
pub(super) fn made_up_id(answer: &str, index: usize) -> String {
    let answer: String = answer.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("call_{answer}{index}")
}

/// Writes an answer.
pub fn encode_response(answer: &ChatResponse, meta: &ReplyMeta) -> Vec<u8> {
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    let (mut text, mut refusal, mut reasoning) = (None::<String>, None::<String>, String::new());
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text(more) => text.get_or_insert_default().push_str(more),
            Part::Refusal(more) => refusal.get_or_insert_default().push_str(more),
            Part::Reasoning(part) => reasoning.push_str(&part.text),
            Part::ToolCall(call) => calls.push(tool_call(call)),
            Part::Image(_) | Part::Document { .. } | Part::ToolResult(_) => {}
        }
    }
    let finish = finish_reason(&answer.finish, refusal.is_some());
    message.insert("content".into(), text.into());
    message.insert("refusal".into(), refusal.into());
    if !reasoning.is_empty() {
        message.insert("reasoning_content".into(), reasoning.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    let choice = json!({
        "index": 0, "message": message, "logprobs": null, "finish_reason": finish,
    });
    json!({
        "id": answer_id(meta),
        "object": "chat.completion",
        "created": meta.created,
        "model": model_of(&answer.model, meta),
        "choices": [choice],
        "usage": UsageOut::from(&answer.usage),
    })
    .to_string()
    .into_bytes()
}

fn tool_call(call: &ToolCall) -> Value {
    let mut out = json!({
        "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments},
    });
    if let Some(extra) = extra_content(call.seal.as_ref()) {
        out["extra_content"] = extra;
    }
    out
}

/// Gemini's state travels where its own OpenAI-compatible form has it; no other seal has a
/// place in this dialect.
pub(super) fn extra_content(seal: Option<&Seal>) -> Option<Value> {
    let seal = seal.filter(|seal| seal.origin == SealOrigin::Gemini)?;
    Some(json!({"google": {"thought_signature": seal.data}}))
}

/// A refusal that is said in words of its own is a whole answer here; one that is not has
/// cut whatever was said.
pub(super) fn finish_reason(finish: &Finish, refusal_said: bool) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Refusal if refusal_said => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal | Finish::ContentFilter => "content_filter",
    }
}

pub(super) fn answer_id(meta: &ReplyMeta) -> String {
    format!("chatcmpl-{}", meta.id)
}

pub(super) fn model_of<'a>(said: &'a str, meta: &'a ReplyMeta) -> &'a str {
    if said.is_empty() { &meta.model } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_words_of_its_own_is_a_cut_answer() {
        assert_eq!(finish_reason(&Finish::Refusal, true), "stop");
        assert_eq!(finish_reason(&Finish::Refusal, false), "content_filter");
    }
}
