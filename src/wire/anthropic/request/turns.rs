//! A conversation as Anthropic takes it: system text apart, turns that alternate and begin
//! with the user, results of tools before anything else the user says.

use serde_json::{Value, json};

use super::blocks::plain_text;
use crate::domain::feature::Feature;
use crate::wire::anthropic::message::{input_of, redacted_block};
use crate::wire::chat::{ChatRequest, Media, Part, ReasoningPart, Role, SealOrigin, ToolResult};
use crate::wire::error::Unsupported;
use crate::wire::turn::step;

/// What stands where a turn has to be and nothing was said: Anthropic refuses empty text.
const NOTHING_SAID: &str = "(nothing)";

/// A whole conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// All system text, in order.
    pub(super) system: Vec<String>,
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    assistant: bool,
    blocks: Vec<Value>,
}

impl Conversation {
    /// Sorts and merges the messages. `drop_unsupported`: documents of a kind that
    /// Anthropic does not read are left out instead of refused.
    ///
    /// # Errors
    /// If a document is of such a kind.
    pub(super) fn of(request: &ChatRequest, drop_unsupported: bool) -> Result<Self, Unsupported> {
        let mut this = Self::default();
        this.system.extend(request.instructions.iter().filter(|text| !text.trim().is_empty()).cloned());
        let mut last_speaker_is_user = true;
        for message in &request.messages {
            if message.role == Role::System {
                this.system.extend(texts(&message.parts).map(str::to_owned));
                continue;
            }
            let assistant = message.role == Role::Assistant;
            last_speaker_is_user = !assistant;
            let mut blocks = Vec::with_capacity(message.parts.len());
            for part in &message.parts {
                match block(part, assistant) {
                    Ok(block) => blocks.extend(block),
                    Err(unsupported) if drop_unsupported => drop(unsupported),
                    Err(unsupported) => return Err(unsupported),
                }
            }
            this.add(assistant, blocks);
        }
        for turn in &mut this.turns {
            if !turn.assistant {
                // Stable: results keep their order, and so does the rest.
                turn.blocks.sort_by_key(|block| {
                    step();
                    block["type"] != "tool_result"
                });
            }
        }
        if this.turns.first().is_none_or(|turn| turn.assistant) {
            this.turns.insert(0, Turn { assistant: false, blocks: vec![text(NOTHING_SAID)] });
        }
        // A last user message that came to nothing must not turn the one before it into a prefill.
        if last_speaker_is_user && this.ends_with_assistant() {
            this.add(false, vec![text(NOTHING_SAID)]);
        }
        Ok(this)
    }

    fn add(&mut self, assistant: bool, blocks: Vec<Value>) {
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(last) if last.assistant == assistant => last.blocks.extend(blocks),
            _ => self.turns.push(Turn { assistant, blocks }),
        }
    }

    /// Whether the model is to continue its own last turn.
    pub(super) fn ends_with_assistant(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.assistant)
    }

    /// Whether the last turn answers tool calls of a turn that does not begin with thinking.
    pub(super) fn answers_unsealed_turn(&self) -> bool {
        let [.., asked, answered] = self.turns.as_slice() else { return false };
        let answers = answered.blocks.first().is_some_and(|block| block["type"] == "tool_result");
        let thinks = asked
            .blocks
            .first()
            .is_some_and(|block| block["type"] == "thinking" || block["type"] == "redacted_thinking");
        answers && !thinks
    }

    /// Leaves out the last turn of the assistant.
    pub(super) fn drop_prefill(&mut self) {
        if self.ends_with_assistant() {
            self.turns.pop();
        }
    }

    /// As `messages`. A text to be continued must not end with white space.
    pub(super) fn into_messages(mut self) -> Vec<Value> {
        if self.ends_with_assistant()
            && let Some(last) = self.turns.last_mut()
        {
            trim_end(&mut last.blocks);
            if last.blocks.is_empty() {
                self.turns.pop();
            }
        }
        self.turns
            .into_iter()
            .map(|turn| {
                let role = if turn.assistant { "assistant" } else { "user" };
                // Not by `json!`, which would copy the blocks.
                let fields = [("role", json!(role)), ("content", Value::Array(turn.blocks))];
                Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
            })
            .collect()
    }
}

fn trim_end(blocks: &mut Vec<Value>) {
    while let Some(last) = blocks.last_mut().filter(|block| block["type"] == "text") {
        let trimmed = last["text"].as_str().unwrap_or_default().trim_end().to_owned();
        if !trimmed.is_empty() {
            last["text"] = json!(trimmed);
            return;
        }
        blocks.pop();
    }
}

fn texts(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Text(text) if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    })
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// One part as a block; `None` for what says nothing or what its speaker cannot say.
/// Anthropic refuses text of nothing but white space, so that says nothing either.
fn block(part: &Part, assistant: bool) -> Result<Option<Value>, Unsupported> {
    step();
    Ok(match part {
        Part::Text(said) | Part::Refusal(said) => (!said.trim().is_empty()).then(|| text(said)),
        Part::Reasoning(reasoning) if assistant => thinking(reasoning),
        Part::ToolCall(call) if assistant => Some(json!({
            "type": "tool_use", "id": tool_id(&call.id), "name": call.name, "input": input_of(&call.arguments),
        })),
        Part::ToolResult(result) if !assistant => Some(tool_result(result)?),
        Part::Image(media) if !assistant => Some(json!({"type": "image", "source": image_source(media)})),
        Part::Document { media, name } if !assistant => Some(document(media, name.as_deref())?),
        _ => None,
    })
}

/// Thinking goes back only with the proof that it is Anthropic's own.
fn thinking(reasoning: &ReasoningPart) -> Option<Value> {
    let seal = reasoning.seal.as_ref()?;
    match seal.origin {
        SealOrigin::AnthropicSignature => {
            Some(json!({"type": "thinking", "thinking": reasoning.text, "signature": seal.data}))
        }
        SealOrigin::AnthropicRedacted => Some(redacted_block(&seal.data)),
        SealOrigin::Gemini | SealOrigin::OpenAi => None,
    }
}

fn tool_result(result: &ToolResult) -> Result<Value, Unsupported> {
    let mut content = Vec::with_capacity(result.parts.len());
    for part in &result.parts {
        content.extend(block(part, false)?);
    }
    let mut out = json!({"type": "tool_result", "tool_use_id": tool_id(&result.call_id)});
    match content.as_slice() {
        [] => {}
        [only] if only["type"] == "text" => out["content"] = only["text"].clone(),
        _ => out["content"] = Value::Array(content),
    }
    if result.is_error {
        out["is_error"] = json!(true);
    }
    Ok(out)
}

fn base64_source(media_type: &str, base64: &str) -> Value {
    json!({"type": "base64", "media_type": media_type, "data": base64})
}

fn image_source(media: &Media) -> Value {
    match media {
        Media::Url(url) => json!({"type": "url", "url": url}),
        // A common misnomer that Anthropic refuses.
        Media::Inline { media_type, base64 } if media_type == "image/jpg" => base64_source("image/jpeg", base64),
        Media::Inline { media_type, base64 } => base64_source(media_type, base64),
    }
}

fn document(media: &Media, name: Option<&str>) -> Result<Value, Unsupported> {
    let source = match media {
        Media::Url(url) => json!({"type": "url", "url": url}),
        Media::Inline { media_type, base64 } if media_type == "application/pdf" => base64_source(media_type, base64),
        Media::Inline { media_type, base64 } => match plain_text(media_type, base64) {
            Some(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
            None => {
                let detail = format!("a document of type `{media_type}`; it reads PDF and plain text");
                return Err(Unsupported { feature: Feature::Documents, detail });
            }
        },
    };
    let mut out = json!({"type": "document", "source": source});
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        out["title"] = json!(name);
    }
    Ok(out)
}

/// Ids of other providers with the characters that Anthropic takes: letters, digits, `_`
/// and `-`. Others become their code, so that different ids stay different.
fn tool_id(id: &str) -> String {
    if id.is_empty() {
        return "call".to_owned();
    }
    let mut out = String::with_capacity(id.len());
    for c in id.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => out.push(c),
            c => out.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::chat::{Message, Seal, ToolCall};

    fn says(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts }
    }

    fn word(text: &str) -> Part {
        Part::Text(text.into())
    }

    fn conversation(messages: Vec<Message>) -> Conversation {
        Conversation::of(&ChatRequest { messages, ..ChatRequest::default() }, false).unwrap()
    }

    fn written(messages: Vec<Message>) -> Value {
        Value::Array(conversation(messages).into_messages())
    }

    fn result(id: &str) -> Part {
        Part::ToolResult(ToolResult { call_id: id.into(), parts: vec![word("ok")], is_error: false })
    }

    #[test]
    fn turns_alternate_and_results_come_first() {
        let call = Part::ToolCall(ToolCall { id: "a.1".into(), name: "f".into(), arguments: "{}".into(), seal: None });
        let got = written(vec![
            says(Role::User, vec![word("x")]),
            says(Role::User, vec![word("y")]),
            says(Role::Assistant, vec![call]),
            says(Role::User, vec![word("z")]),
            says(Role::User, vec![result("a.1")]),
        ]);
        assert_eq!(
            got,
            json!([
                {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a_2e_1", "name": "f", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a_2e_1", "content": "ok"},
                    {"type": "text", "text": "z"},
                ]},
            ])
        );
    }

    #[test]
    fn the_user_begins_and_nobody_says_nothing() {
        let got = written(vec![says(Role::Assistant, vec![word("hello")]), says(Role::User, vec![word(" ")])]);
        assert_eq!(
            got,
            json!([
                {"role": "user", "content": [{"type": "text", "text": "(nothing)"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
                {"role": "user", "content": [{"type": "text", "text": "(nothing)"}]},
            ])
        );
        assert_eq!(written(vec![])[0]["role"], "user");
    }

    #[test]
    fn system_messages_move_to_the_system_text() {
        let got = conversation(vec![says(Role::System, vec![word("be brief")]), says(Role::User, vec![word("x")])]);
        assert_eq!(got.system, ["be brief"]);
        assert_eq!(got.into_messages().len(), 1);
    }

    #[test]
    fn a_prefill_loses_its_last_white_space() {
        let got = conversation(vec![
            says(Role::User, vec![word("x")]),
            says(Role::Assistant, vec![word("so: "), word("\n")]),
        ]);
        assert!(got.ends_with_assistant());
        assert_eq!(got.into_messages()[1]["content"], json!([{"type": "text", "text": "so:"}]));
    }

    #[test]
    fn only_anthropics_own_thinking_goes_back() {
        let part = |origin, text: &str| {
            Part::Reasoning(ReasoningPart { text: text.into(), seal: Some(Seal { origin, data: "d".into() }) })
        };
        let got = written(vec![
            says(Role::User, vec![word("x")]),
            says(
                Role::Assistant,
                vec![
                    part(SealOrigin::AnthropicSignature, "t"),
                    part(SealOrigin::AnthropicRedacted, ""),
                    part(SealOrigin::Gemini, "g"),
                    Part::Reasoning(ReasoningPart { text: "bare".into(), seal: None }),
                    Part::Refusal("no".into()),
                ],
            ),
            says(Role::User, vec![word("y")]),
        ]);
        assert_eq!(
            got[1]["content"],
            json!([
                {"type": "thinking", "thinking": "t", "signature": "d"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "no"},
            ])
        );
    }

    #[test]
    fn documents_by_their_kind() {
        let doc = |media_type: &str, base64: &str| {
            let media = Media::Inline { media_type: media_type.into(), base64: base64.into() };
            block(&Part::Document { media, name: Some("n".into()) }, false)
        };
        let pdf = doc("application/pdf", "AA==").unwrap().unwrap();
        assert_eq!((&pdf["source"]["type"], &pdf["title"]), (&json!("base64"), &json!("n")));
        assert_eq!(doc("text/csv", "YSxi").unwrap().unwrap()["source"]["data"], "a,b");
        assert_eq!(doc("application/msword", "AA==").unwrap_err().feature, Feature::Documents);
    }
}
