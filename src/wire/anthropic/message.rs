//! What an answer is made of: the blocks of a message and of a stream's `content_block_start`,
//! and the rules by which opaque state of other providers travels in them.
//!
//! A client of this dialect gives thinking blocks back unchanged, so that is where state of
//! other providers travels: as the `signature` of the thinking it belongs to, or, where it
//! belongs to a tool call, as the `data` of a redacted thinking block right before the call.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::wire::chat::{Part, ReasoningPart, SEAL_PREFIX, Seal, SealOrigin, ToolCall};

/// The signature of thinking that nobody has sealed. It begins like our other tokens, so
/// that Anthropic, which would refuse it, never sees it again.
pub(super) const UNSEALED: &str = "pmseal.none.";

/// The one field of a tool's input that holds arguments which are not a JSON object.
/// Anthropic's `input` must be an object, and the model should see what was really written.
pub(super) const RAW_ARGUMENTS: &str = "arguments";

/// A content block of an answer. Which fields are there depends on `kind`; unknown kinds
/// have none of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) input: Option<Value>,
}

/// The state in a thinking block's signature: ours if it is a token of ours, otherwise
/// Anthropic's own.
pub(super) fn seal_of_signature(signature: String) -> Option<Seal> {
    seal_of(signature, SealOrigin::AnthropicSignature)
}

/// The state in a redacted thinking block's data.
pub(super) fn seal_of_redacted(data: String) -> Option<Seal> {
    seal_of(data, SealOrigin::AnthropicRedacted)
}

fn seal_of(data: String, native: SealOrigin) -> Option<Seal> {
    if data.starts_with(SEAL_PREFIX) {
        return Seal::from_token(&data);
    }
    (!data.is_empty()).then_some(Seal { origin: native, data })
}

/// The signature under which a client keeps thinking with this state.
pub(super) fn signature_of(seal: Option<&Seal>) -> String {
    match seal {
        Some(seal) if seal.origin == SealOrigin::AnthropicSignature => seal.data.clone(),
        Some(seal) => seal.to_token(),
        None => UNSEALED.to_owned(),
    }
}

/// A thinking block for a client; redacted where that is what the state says.
pub(super) fn thinking_block(part: &ReasoningPart) -> Value {
    match &part.seal {
        Some(seal) if seal.origin == SealOrigin::AnthropicRedacted => redacted_block(&seal.data),
        seal => json!({"type": "thinking", "thinking": part.text, "signature": signature_of(seal.as_ref())}),
    }
}

/// A block that carries opaque data and shows nothing.
pub(super) fn redacted_block(data: &str) -> Value {
    json!({"type": "redacted_thinking", "data": data})
}

/// Arguments as the object that `input` has to be; see [`RAW_ARGUMENTS`].
pub(super) fn input_of(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str(arguments) {
        Ok(object @ Value::Object(_)) => object,
        Ok(Value::Null) => json!({}),
        _ => json!({RAW_ARGUMENTS: arguments}),
    }
}

/// Arguments as text from the `input` that came; the other way round of [`input_of`].
pub(super) fn arguments_of(input: Option<Value>) -> String {
    match input {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::String(text)) => text,
        Some(input) => input.to_string(),
    }
}

/// The id of a tool call, invented from its number where the server gave none.
pub(super) fn call_id(id: Option<String>, index: u32) -> String {
    id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("toolu_{index}"))
}

impl Block {
    /// As a part of an answer; `None` for what has no place in a translated answer: the
    /// provider's own tools, and kinds that came after this was written. `calls` counts
    /// the tool calls so far.
    pub(super) fn into_part(self, calls: &mut u32) -> Option<Part> {
        match self.kind.as_deref()? {
            "text" => self.text.filter(|text| !text.is_empty()).map(Part::Text),
            "thinking" => {
                let seal = self.signature.and_then(seal_of_signature);
                let text = self.thinking.unwrap_or_default();
                (seal.is_some() || !text.is_empty()).then_some(Part::Reasoning(ReasoningPart { text, seal }))
            }
            "redacted_thinking" => {
                let seal = Some(seal_of_redacted(self.data?)?);
                Some(Part::Reasoning(ReasoningPart { text: String::new(), seal }))
            }
            "tool_use" => {
                let id = call_id(self.id, *calls);
                *calls = calls.saturating_add(1);
                let name = self.name.unwrap_or_default();
                Some(Part::ToolCall(ToolCall { id, name, arguments: arguments_of(self.input), seal: None }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_anthropics_own_unless_it_is_a_token_of_ours() {
        assert_eq!(
            seal_of_signature("EqQB".into()),
            Some(Seal { origin: SealOrigin::AnthropicSignature, data: "EqQB".into() })
        );
        let gemini = Seal { origin: SealOrigin::Gemini, data: "x".into() };
        assert_eq!(seal_of_signature(gemini.to_token()), Some(gemini.clone()));
        assert_eq!(seal_of_redacted(gemini.to_token()), Some(gemini));
        assert_eq!(seal_of_signature(UNSEALED.into()), None);
        assert_eq!(seal_of_signature(String::new()), None);
    }

    #[test]
    fn input_is_always_an_object_and_loses_nothing() {
        assert_eq!(input_of(" "), json!({}));
        assert_eq!(input_of(r#"{"b":1,"a":2}"#).to_string(), r#"{"b":1,"a":2}"#);
        assert_eq!(input_of("[1]"), json!({"arguments": "[1]"}));
        assert_eq!(input_of(r#"{"a":"#), json!({"arguments": "{\"a\":"}));
    }
}
