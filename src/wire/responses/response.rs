//! A whole answer as a response object.

use super::echo::RequestEcho;
use super::item::{ContentKind, FunctionCall, Item, ItemStatus, Message, Reasoning};
use super::object::{ResponseObject, outcome, to_json};
use crate::wire::chat::{ChatResponse, Part};
use crate::wire::meta::ReplyMeta;

/// The JSON body of an answer. `echo` is what it repeats of its request.
pub fn encode_response(answer: &ChatResponse, meta: &ReplyMeta, echo: &RequestEcho) -> Vec<u8> {
    let refusal_said = answer.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let outcome = outcome(&answer.finish, refusal_said);
    let mut output = items(&answer.parts, &meta.id);
    // Only the last item can have been cut.
    match output.last_mut() {
        Some(Item::Message(message)) => message.status = outcome.of_open_items(),
        Some(Item::FunctionCall(call)) => call.status = outcome.of_open_items(),
        Some(Item::Reasoning(_)) | None => {}
    }
    to_json(&ResponseObject::new(meta, echo, &answer.model, outcome, &output, &answer.usage))
}

/// Parts of an answer as items: neighbouring text and refusals share a message, and the
/// opaque state of a call goes into a reasoning item before it.
fn items(parts: &[Part], answer: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => say(&mut items, answer, ContentKind::Text, text),
            Part::Refusal(text) => say(&mut items, answer, ContentKind::Refusal, text),
            Part::Reasoning(part) if part.text.is_empty() && part.seal.is_none() => {}
            Part::Reasoning(part) => {
                let mut reasoning = Reasoning::new(answer, items.len());
                if !part.text.is_empty() {
                    reasoning.push(&part.text);
                }
                reasoning.encrypted_content = part.seal.as_ref().map(|seal| seal.to_token());
                items.push(Item::Reasoning(reasoning));
            }
            Part::ToolCall(call) => {
                if let Some(seal) = &call.seal {
                    items.push(Item::Reasoning(Reasoning::sealed(answer, items.len(), seal)));
                }
                let mut item = FunctionCall::new(answer, items.len(), ItemStatus::Completed, &call.id, &call.name);
                item.arguments.clone_from(&call.arguments);
                items.push(Item::FunctionCall(item));
            }
            // Models of the protocols behind us answer in text and calls only.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult(_) => {}
        }
    }
    items
}

fn say(items: &mut Vec<Item>, answer: &str, kind: ContentKind, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Item::Message(message)) = items.last_mut() {
        return message.push(kind, text);
    }
    let mut message = Message::new(answer, items.len(), ItemStatus::Completed);
    message.push(kind, text);
    items.push(Item::Message(message));
}

#[cfg(test)]
mod tests {
    use super::super::echo::echo;
    use super::*;
    use crate::domain::usage::TokenUsage;
    use crate::wire::chat::{Finish, ReasoningPart, Seal, SealOrigin, ToolCall};
    use serde_json::{Value, json};

    fn answer(parts: Vec<Part>, finish: Finish) -> Value {
        let answer = ChatResponse { id: "x".into(), model: "m-1".into(), parts, finish, usage: TokenUsage::default() };
        let meta = ReplyMeta { id: "abc".into(), created: 7, model: "alias".into(), stream_usage: false };
        serde_json::from_slice(&encode_response(&answer, &meta, &echo(b"{}"))).unwrap()
    }

    fn call(id: &str, seal: Option<Seal>) -> Part {
        Part::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into(), seal })
    }

    #[test]
    fn text_is_one_message() {
        let json = answer(vec![Part::Text("a".into()), Part::Text("b".into())], Finish::Stop);
        assert_eq!(json["status"], "completed");
        assert_eq!(
            (&json["id"], &json["object"], &json["model"]),
            (&json!("resp_abc"), &json!("response"), &json!("m-1"))
        );
        assert_eq!(
            json["output"],
            json!([{"type": "message", "id": "msg_abc_0", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "ab", "annotations": [], "logprobs": []}]}])
        );
        assert_eq!(json["usage"], Value::Null);
    }

    #[test]
    fn a_cut_answer_is_incomplete_and_so_is_its_last_item() {
        let json = answer(vec![Part::Text("a".into())], Finish::Length);
        assert_eq!(json["status"], "incomplete");
        assert_eq!(json["incomplete_details"], json!({"reason": "max_output_tokens"}));
        assert_eq!(json["output"][0]["status"], "incomplete");
        let json = answer(vec![Part::Text("a".into())], Finish::ContentFilter);
        assert_eq!(json["incomplete_details"], json!({"reason": "content_filter"}));
    }

    #[test]
    fn a_refusal_is_said_in_its_own_words_or_told_as_a_filter() {
        let json = answer(vec![Part::Refusal("no".into())], Finish::Refusal);
        assert_eq!(json["status"], "completed");
        assert_eq!(json["output"][0]["content"], json!([{"type": "refusal", "refusal": "no"}]));
        assert_eq!(answer(vec![], Finish::Refusal)["incomplete_details"]["reason"], "content_filter");
    }

    #[test]
    fn seals_travel_in_reasoning_items() {
        let signature = Seal { origin: SealOrigin::AnthropicSignature, data: "s".into() };
        let thought = Seal { origin: SealOrigin::Gemini, data: "g".into() };
        let json = answer(
            vec![
                Part::Reasoning(ReasoningPart { text: "hm".into(), seal: Some(signature) }),
                Part::Reasoning(ReasoningPart::default()),
                call("c1", Some(thought)),
                call("c2", None),
            ],
            Finish::ToolCalls,
        );
        assert_eq!(json["status"], "completed");
        assert_eq!(
            json["output"],
            json!([
                {"type": "reasoning", "id": "rs_abc_0", "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "pmseal.anthropic.s"},
                {"type": "reasoning", "id": "rs_abc_1", "summary": [], "encrypted_content": "pmseal.gemini.g"},
                {"type": "function_call", "id": "fc_abc_2", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call", "id": "fc_abc_3", "status": "completed", "call_id": "c2", "name": "f", "arguments": "{}"},
            ])
        );
    }

    #[test]
    fn usage_counts_the_whole_prompt() {
        let usage = TokenUsage { input: 10, cached_input: 4, cache_write: 1, output: 5, reasoning: 2 };
        let answer =
            ChatResponse { id: String::new(), model: String::new(), parts: vec![], finish: Finish::Stop, usage };
        let meta = ReplyMeta { id: "abc".into(), created: 7, model: "alias".into(), stream_usage: false };
        let json: Value = serde_json::from_slice(&encode_response(&answer, &meta, &echo(b"{}"))).unwrap();
        assert_eq!(json["model"], "alias");
        assert_eq!(
            json["usage"],
            json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
                "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15})
        );
    }
}
