//! The conversation as a Chat Completions client sends it.

use serde_json::Value;

use super::content::{decode_content, decode_texts};
use crate::wire::chat::{Message, Part, ReasoningPart, Role, Seal, SealOrigin, ToolCall, ToolResult};
use crate::wire::error::BadRequest;
use crate::wire::openai::tree::{Object, Path};

/// What the messages come to.
#[derive(Default)]
pub(super) struct Conversation {
    /// System and developer text before anything else was said.
    pub(super) instructions: Vec<String>,
    /// Everything after it.
    pub(super) messages: Vec<Message>,
    /// Name and made-up id of each call in the old form, which has no ids.
    legacy_calls: Vec<(String, String)>,
    /// The last message holds results of tools only, so that more may join them.
    collects_results: bool,
}

/// Reads all messages.
///
/// # Errors
/// At the first that is not of the dialect.
pub(super) fn decode_messages(messages: Vec<Value>, at: &Path<'_>) -> Result<Conversation, BadRequest> {
    let mut conversation = Conversation::default();
    for (i, message) in messages.into_iter().enumerate() {
        let mut message = Object::new(message, at.index(i))?;
        let role = message.required_string("role")?;
        match role.as_str() {
            "system" | "developer" => conversation.system(message)?,
            "user" => conversation.user(message)?,
            "assistant" => conversation.assistant(message)?,
            "tool" => conversation.tool(message)?,
            "function" => conversation.function(message)?,
            other => {
                let message = format!("`{other}` is no role; expected system, developer, user, assistant or tool");
                return Err(at.index(i).field("role").error(message));
            }
        }
    }
    Ok(conversation)
}

impl Conversation {
    fn push(&mut self, role: Role, parts: Vec<Part>) {
        self.collects_results = false;
        self.messages.push(Message { role, parts });
    }

    fn system(&mut self, mut message: Object<'_>) -> Result<(), BadRequest> {
        let at = message.at;
        let texts = decode_texts(message.take("content"), &at.field("content"))?;
        if self.messages.is_empty() {
            self.instructions.extend(texts);
        } else {
            self.push(Role::System, texts.into_iter().map(Part::Text).collect());
        }
        Ok(())
    }

    fn user(&mut self, mut message: Object<'_>) -> Result<(), BadRequest> {
        let at = message.at;
        let content = at.field("content");
        if !message.has("content") {
            return Err(content.error("missing; expected a string or an array of parts"));
        }
        let parts = decode_content(message.take("content"), &content)?;
        if let Some(i) = parts.iter().position(|part| matches!(part, Part::Refusal(_) | Part::Reasoning(_))) {
            return Err(content.index(i).field("type").error("only an assistant message holds such a part"));
        }
        self.push(Role::User, parts);
        Ok(())
    }

    fn assistant(&mut self, mut message: Object<'_>) -> Result<(), BadRequest> {
        let at = message.at;
        let mut parts = Vec::new();
        // Not of the official API: DeepSeek's and vLLM's name, and OpenRouter's.
        let reasoning = match message.string("reasoning_content")? {
            Some(text) => Some(text),
            None => message.string("reasoning")?,
        };
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            parts.push(Part::Reasoning(ReasoningPart { text, seal: None }));
        }
        let content = decode_content(message.take("content"), &at.field("content"))?;
        // Beside tool calls many clients send an empty text, which other protocols refuse.
        parts.extend(content.into_iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty())));
        if let Some(refusal) = message.string("refusal")? {
            parts.push(Part::Refusal(refusal));
        }
        let calls = at.field("tool_calls");
        for (i, call) in message.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
            parts.push(Part::ToolCall(decode_call(call, calls.index(i))?));
        }
        if let Some(call) = message.take("function_call") {
            let mut call = Object::new(call, at.field("function_call"))?;
            let name = call.required_string("name")?;
            let arguments = call.string("arguments")?.unwrap_or_default();
            let id = format!("call_function_{}", self.legacy_calls.len());
            self.legacy_calls.push((name.clone(), id.clone()));
            parts.push(Part::ToolCall(ToolCall { id, name, arguments, seal: None }));
        }
        self.push(Role::Assistant, parts);
        Ok(())
    }

    fn tool(&mut self, mut message: Object<'_>) -> Result<(), BadRequest> {
        let at = message.at;
        let call_id = message.required_string("tool_call_id")?;
        let parts = decode_content(message.take("content"), &at.field("content"))?;
        self.result(ToolResult { call_id, parts, is_error: false });
        Ok(())
    }

    /// The result of a call in the old form, which belongs to the latest call of its name.
    fn function(&mut self, mut message: Object<'_>) -> Result<(), BadRequest> {
        let at = message.at;
        let name = message.required_string("name")?;
        let parts = decode_content(message.take("content"), &at.field("content"))?;
        let call = self.legacy_calls.iter().rev().find(|(called, _)| *called == name);
        let (_, id) = call.ok_or_else(|| at.field("name").error("no function_call of this name goes before"))?;
        let call_id = id.clone();
        self.result(ToolResult { call_id, parts, is_error: false });
        Ok(())
    }

    fn result(&mut self, result: ToolResult) {
        let part = Part::ToolResult(result);
        match self.messages.last_mut() {
            Some(last) if self.collects_results => last.parts.push(part),
            _ => {
                self.push(Role::User, vec![part]);
                self.collects_results = true;
            }
        }
    }
}

fn decode_call(call: Value, at: Path<'_>) -> Result<ToolCall, BadRequest> {
    let mut call = Object::new(call, at)?;
    if call.string("type")?.is_some_and(|kind| kind != "function") {
        return Err(at.field("type").error("only function calls can be translated for the provider of this request"));
    }
    let id = call.required_string("id")?;
    let seal = call.take("extra_content").as_ref().and_then(gemini_seal);
    let mut function = Object::new(call.take("function").unwrap_or_default(), at.field("function"))?;
    let name = function.required_string("name")?;
    let arguments = function.string("arguments")?.unwrap_or_default();
    Ok(ToolCall { id, name, arguments, seal })
}

/// The thought signature where Gemini's OpenAI-compatible API documents it.
pub(in crate::wire::openai) fn gemini_seal(extra_content: &Value) -> Option<Seal> {
    let data = extra_content.get("google")?.get("thought_signature")?.as_str()?;
    Some(Seal { origin: SealOrigin::Gemini, data: data.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(messages: Value) -> Result<Conversation, BadRequest> {
        let Value::Array(messages) = messages else { panic!("an array") };
        decode_messages(messages, &Path::Root.field("messages"))
    }

    fn text(role: Role, text: &str) -> Message {
        Message { role, parts: vec![Part::Text(text.into())] }
    }

    #[test]
    fn leading_instructions_stand_apart_and_later_ones_stay() {
        let conversation = decode(json!([
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
            {"role": "user", "content": "hi", "name": "Ann"},
            {"role": "system", "content": "d"},
        ]))
        .unwrap();
        assert_eq!(conversation.instructions, ["a", "b", "c"]);
        assert_eq!(conversation.messages, [text(Role::User, "hi"), text(Role::System, "d")]);
    }

    #[test]
    fn results_of_one_turn_are_one_message() {
        let conversation = decode(json!([
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"},
                 "extra_content": {"google": {"thought_signature": "sig"}}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "1", "content": "x"},
            {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "y"}]},
            {"role": "user", "content": "go on"},
            {"role": "tool", "tool_call_id": "3", "content": "z"},
        ]))
        .unwrap();
        let result = |id: &str, text: &str| {
            let parts = vec![Part::Text(text.into())];
            Part::ToolResult(ToolResult { call_id: id.into(), parts, is_error: false })
        };
        let seal = Some(Seal { origin: SealOrigin::Gemini, data: "sig".into() });
        assert_eq!(
            conversation.messages[0].parts,
            [
                Part::ToolCall(ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), seal }),
                Part::ToolCall(ToolCall { id: "2".into(), name: "g".into(), arguments: String::new(), seal: None }),
            ]
        );
        assert_eq!(conversation.messages[1].parts, [result("1", "x"), result("2", "y")]);
        assert_eq!(conversation.messages[2], text(Role::User, "go on"));
        assert_eq!(conversation.messages[3].parts, [result("3", "z")]);
    }

    #[test]
    fn calls_in_the_old_form_get_ids() {
        let conversation = decode(json!([
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "2"},
        ]))
        .unwrap();
        let ids: Vec<&str> = conversation
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .map(|part| match part {
                Part::ToolCall(call) => call.id.as_str(),
                Part::ToolResult(result) => result.call_id.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, ["call_function_0", "call_function_0", "call_function_1", "call_function_1"]);
        let orphan = decode(json!([{"role": "function", "name": "f", "content": "1"}]));
        assert_eq!(orphan.err().unwrap().path, "messages[0].name");
    }

    #[test]
    fn reasoning_and_refusals_of_the_history_are_kept() {
        let conversation = decode(json!([
            {"role": "assistant", "content": "b", "reasoning_content": "a"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "reasoning": "c"},
            {"role": "assistant", "content": null, "refusal": "never"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "d"}]}]},
        ]))
        .unwrap();
        let reasoning = |text: &str| Part::Reasoning(ReasoningPart { text: text.into(), seal: None });
        assert_eq!(conversation.messages[0].parts, [reasoning("a"), Part::Text("b".into())]);
        assert_eq!(conversation.messages[1].parts, [reasoning("c"), Part::Refusal("no".into())]);
        assert_eq!(conversation.messages[2].parts, [Part::Refusal("never".into())]);
        assert_eq!(conversation.messages[3].parts, [reasoning("d")]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (message, path) in [
            (json!("hi"), "messages[0]"),
            (json!({"content": "hi"}), "messages[0].role"),
            (json!({"role": "robot", "content": "hi"}), "messages[0].role"),
            (json!({"role": "user"}), "messages[0].content"),
            (json!({"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}), "messages[0].content[0].type"),
            (json!({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
            (json!({"role": "assistant", "tool_calls": {}}), "messages[0].tool_calls"),
            (json!({"role": "assistant", "tool_calls": [{"function": {}}]}), "messages[0].tool_calls[0].id"),
            (
                json!({"role": "assistant", "tool_calls": [{"id": "1", "function": {}}]}),
                "messages[0].tool_calls[0].function.name",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {}}]}),
                "messages[0].tool_calls[0].type",
            ),
        ] {
            assert_eq!(decode(json!([message])).err().unwrap().path, path, "{message}");
        }
    }
}
