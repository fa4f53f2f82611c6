//! A whole answer, read from a provider and written for a client.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ErrorObject;
use super::json::bytes;
use super::message::{Block, input_of, redacted_block, thinking_block};
use super::usage::{self, Held, Usage};
use crate::wire::chat::{ChatResponse, Finish, Part};
use crate::wire::error::Malformed;
use crate::wire::meta::ReplyMeta;

/// A message, or the beginning of one in a stream, or an error in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    content: Option<Vec<Block>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    stop_details: Option<StopDetails>,
    pub(super) usage: Option<Usage>,
    error: Option<ErrorObject>,
}

/// More on a stop; only refusals have it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StopDetails {
    /// Why, for people.
    pub(super) explanation: Option<String>,
}

/// Reads a provider's answer. What its own tools did is left out.
///
/// # Errors
/// If it is no message, or one that says nothing and does not say why.
pub fn decode_response(body: &[u8]) -> Result<ChatResponse, Malformed> {
    let message: Message =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("the answer is not a message: {error}")))?;
    if let Some(error) = message.error {
        return Err(Malformed(format!("an error in place of a message: {}", error.message)));
    }
    let Some(content) = message.content else {
        return Err(Malformed("the answer has no `content`".to_owned()));
    };
    let mut calls = 0;
    let mut parts: Vec<Part> = content.into_iter().filter_map(|block| block.into_part(&mut calls)).collect();
    if parts.is_empty() && is_silent(message.stop_reason.as_deref()) {
        return Err(Malformed("the answer is empty".to_owned()));
    }
    let finish = match message.stop_reason.as_deref() {
        None if calls > 0 => Finish::ToolCalls,
        reason => usage::finish(reason.unwrap_or_default(), message.stop_sequence),
    };
    if finish == Finish::Refusal && parts.is_empty() {
        parts.extend(message.stop_details.and_then(|details| details.explanation).map(Part::Refusal));
    }
    Ok(ChatResponse {
        id: message.id.unwrap_or_default(),
        model: message.model.unwrap_or_default(),
        parts,
        finish,
        usage: message.usage.unwrap_or_default().counted(),
    })
}

/// Whether an answer without content that ended so tells its reader nothing at all.
pub(super) fn is_silent(stop_reason: Option<&str>) -> bool {
    matches!(stop_reason, None | Some("end_turn" | "tool_use"))
}

/// Writes an answer as a client's SDK reads it.
pub fn encode_response(answer: &ChatResponse, meta: &ReplyMeta) -> Vec<u8> {
    let mut held = Held::default();
    let mut content = Vec::with_capacity(answer.parts.len());
    for part in &answer.parts {
        match part {
            Part::Text(text) if !text.is_empty() => content.push(json!({"type": "text", "text": text})),
            Part::Refusal(text) => {
                held.refusal = true;
                content.push(json!({"type": "text", "text": text}));
            }
            Part::Reasoning(reasoning) => content.push(thinking_block(reasoning)),
            Part::ToolCall(call) => {
                held.tool_call = true;
                content.extend(call.seal.as_ref().map(|seal| redacted_block(&seal.to_token())));
                content.push(json!({
                    "type": "tool_use", "id": call.id, "name": call.name, "input": input_of(&call.arguments),
                }));
            }
            // No protocol's answers hold these.
            Part::Text(_) | Part::Image(_) | Part::Document { .. } | Part::ToolResult(_) => {}
        }
    }
    let model = if answer.model.is_empty() { &meta.model } else { &answer.model };
    let (stop_reason, stop_sequence) = usage::stop_reason(&answer.finish, held);
    let mut message = skeleton(meta, model, usage::encode(&answer.usage));
    message["content"] = Value::Array(content);
    message["stop_reason"] = json!(stop_reason);
    message["stop_sequence"] = json!(stop_sequence);
    bytes(&message)
}

/// A message without content that has not ended, as a stream begins.
pub(super) fn skeleton(meta: &ReplyMeta, model: &str, usage: Value) -> Value {
    json!({
        "id": format!("msg_{}", meta.id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::TokenUsage;
    use crate::wire::chat::{ReasoningPart, Seal, SealOrigin, ToolCall};
    use proptest::prelude::*;

    fn meta() -> ReplyMeta {
        ReplyMeta { id: "abc".into(), created: 1, model: "alias".into(), stream_usage: false }
    }

    fn decoded(body: Value) -> Result<ChatResponse, Malformed> {
        decode_response(body.to_string().as_bytes())
    }

    fn sealed(origin: SealOrigin, data: &str) -> Option<Seal> {
        Some(Seal { origin, data: data.into() })
    }

    fn answer() -> ChatResponse {
        ChatResponse {
            id: "msg_abc".into(),
            model: "claude".into(),
            parts: vec![
                Part::Reasoning(ReasoningPart { text: "hm".into(), seal: sealed(SealOrigin::AnthropicSignature, "s") }),
                Part::Reasoning(ReasoningPart {
                    text: String::new(),
                    seal: sealed(SealOrigin::AnthropicRedacted, "r"),
                }),
                Part::Text("so".into()),
                Part::ToolCall(ToolCall {
                    id: "t".into(),
                    name: "f".into(),
                    arguments: r#"{"z":1,"a":2}"#.into(),
                    seal: None,
                }),
            ],
            finish: Finish::ToolCalls,
            usage: TokenUsage { input: 30, cached_input: 20, cache_write: 0, output: 9, reasoning: 4 },
        }
    }

    #[test]
    fn an_answer_survives_both_ways() {
        assert_eq!(decode_response(&encode_response(&answer(), &meta())).unwrap(), answer());
    }

    #[test]
    fn foreign_state_travels_where_clients_return_it() {
        let gemini = sealed(SealOrigin::Gemini, "g");
        let call = ToolCall { id: "t".into(), name: "f".into(), arguments: String::new(), seal: gemini.clone() };
        let reasoning = ReasoningPart { text: "x".into(), seal: gemini };
        let bare = ReasoningPart { text: "y".into(), seal: None };
        let parts = vec![Part::Reasoning(reasoning), Part::Reasoning(bare), Part::ToolCall(call)];
        let body: Value =
            serde_json::from_slice(&encode_response(&ChatResponse { parts, ..answer() }, &meta())).unwrap();
        assert_eq!(
            body["content"],
            json!([
                {"type": "thinking", "thinking": "x", "signature": "pmseal.gemini.g"},
                {"type": "thinking", "thinking": "y", "signature": "pmseal.none."},
                {"type": "redacted_thinking", "data": "pmseal.gemini.g"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            ])
        );
    }

    #[test]
    fn refusals_are_text_with_their_stop_reason() {
        let parts = vec![Part::Refusal("no".into())];
        let refusal = ChatResponse { parts, finish: Finish::Stop, model: String::new(), ..answer() };
        let body: Value = serde_json::from_slice(&encode_response(&refusal, &meta())).unwrap();
        assert_eq!((&body["stop_reason"], &body["model"]), (&json!("refusal"), &json!("alias")));
        assert_eq!(body["content"], json!([{"type": "text", "text": "no"}]));
        let explained = json!({"content": [], "stop_reason": "refusal", "stop_details": {"explanation": "policy"}});
        assert_eq!(decoded(explained).unwrap().parts, [Part::Refusal("policy".into())]);
    }

    #[test]
    fn blocks_of_the_providers_own_tools_are_left_out() {
        let got = decoded(json!({"content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "found", "citations": [{"type": "page_location"}]},
        ], "stop_reason": "end_turn"}))
        .unwrap();
        assert_eq!(got.parts, [Part::Text("found".into())]);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in [
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            json!({"id": "msg_1", "stop_reason": "end_turn"}),
            json!({"content": [], "stop_reason": "end_turn"}),
            json!({"content": [{"type": "text", "text": ""}], "stop_reason": "end_turn"}),
            json!({"choices": []}),
            json!([]),
        ] {
            assert!(decoded(body.clone()).is_err(), "{body}");
        }
        assert!(decoded(json!({"content": [], "stop_reason": "max_tokens"})).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_response(&bytes);
        }
    }
}
