//! Taking other providers' opaque state out of a body that passes through to Anthropic.
//!
//! A conversation that another provider answered for a while carries that provider's state
//! in thinking blocks (see [`message`](crate::wire::anthropic) for how). Anthropic proves
//! each block's signature and refuses the whole request over one that is not its own.

use serde_json::{Map, Value, json};

use crate::wire::anthropic::json::list;
use crate::wire::chat::{SEAL_PREFIX, Seal, SealOrigin};
use crate::wire::error::BadRequest;
use crate::wire::peek::TopLevel;
use crate::wire::splice;

/// The body without thinking that Anthropic would refuse and without messages that held
/// nothing else; `None` where there is nothing to take out. All other fields keep their
/// bytes.
///
/// # Errors
/// If the body is not a JSON object or `messages` is not an array.
pub fn strip_foreign_seals(body: &[u8]) -> Result<Option<Vec<u8>>, BadRequest> {
    if memchr::memmem::find(body, SEAL_PREFIX.as_bytes()).is_none() {
        return Ok(None);
    }
    let top = TopLevel::parse(body)?;
    let Some(messages) = top.read::<Value>("messages", "an array of messages")? else { return Ok(None) };
    let mut changed = false;
    let mut kept = Vec::new();
    for (_, mut message) in list(messages, "messages")? {
        if let Some(Value::Array(blocks)) = message.get_mut("content") {
            let before = blocks.len();
            blocks.retain_mut(|block| {
                let fate = fate(block);
                changed |= fate != Fate::Untouched;
                fate != Fate::Gone
            });
            if blocks.is_empty() && before > 0 {
                continue;
            }
        }
        kept.push(message);
    }
    if !changed {
        return Ok(None);
    }
    let mut patch = Map::new();
    // Within a loop of tool calls, thinking with a budget demands that the turn which made
    // the calls begins with thinking. That turn's thinking is gone, so the rest of the loop
    // goes without.
    let budget = top.read::<Value>("thinking", "an object")?.is_some_and(|thinking| thinking["type"] == "enabled");
    if budget && answers_unsealed_turn(&kept) {
        patch.insert("thinking".to_owned(), json!({"type": "disabled", "budget_tokens": null, "display": null}));
    }
    patch.insert("messages".to_owned(), Value::Array(kept));
    splice::merge(body, &patch).map(|bytes| Some(bytes.into()))
}

#[derive(PartialEq)]
enum Fate {
    Untouched,
    /// Anthropic's own state in the form other dialects carry it, turned back.
    Restored,
    Gone,
}

fn fate(block: &mut Value) -> Fate {
    let (field, origin) = match block.get("type").and_then(Value::as_str) {
        Some("thinking") => ("signature", SealOrigin::AnthropicSignature),
        Some("redacted_thinking") => ("data", SealOrigin::AnthropicRedacted),
        _ => return Fate::Untouched,
    };
    let Some(token) = block.get(field).and_then(Value::as_str).filter(|token| token.starts_with(SEAL_PREFIX)) else {
        return Fate::Untouched;
    };
    match Seal::from_token(token) {
        Some(seal) if seal.origin == origin => {
            block[field] = Value::String(seal.data);
            Fate::Restored
        }
        _ => Fate::Gone,
    }
}

fn answers_unsealed_turn(messages: &[Value]) -> bool {
    let first_kind = |message: &Value| message["content"][0]["type"].as_str().map(str::to_owned);
    let holds_result = |message: &Value| {
        let blocks = message["content"].as_array();
        blocks.is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"))
    };
    let Some(asked) = messages.iter().rposition(|message| message["role"] == "assistant") else { return false };
    let thinks = messages.get(asked).and_then(first_kind).is_some_and(|kind| kind.ends_with("thinking"));
    !thinks && messages.iter().skip(asked).any(holds_result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::anthropic::message::UNSEALED;

    fn stripped(body: Value) -> Option<Value> {
        let bytes = strip_foreign_seals(body.to_string().as_bytes()).unwrap()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    fn token(origin: SealOrigin) -> String {
        Seal { origin, data: "d".into() }.to_token()
    }

    fn thinking(signature: &str) -> Value {
        json!({"type": "thinking", "thinking": "t", "signature": signature})
    }

    #[test]
    fn foreign_thinking_goes_and_the_rest_stays() {
        let text = json!({"type": "text", "text": "x"});
        let redacted = json!({"type": "redacted_thinking", "data": token(SealOrigin::Gemini)});
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [thinking("EqQ"), thinking(&token(SealOrigin::OpenAi)), redacted, text]},
            {"role": "assistant", "content": [thinking(UNSEALED)]},
        ], "max_tokens": 5});
        assert_eq!(
            stripped(body),
            Some(json!({"model": "m", "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [thinking("EqQ"), text]},
            ], "max_tokens": 5}))
        );
    }

    #[test]
    fn nothing_to_take_out_is_none() {
        assert_eq!(stripped(json!({"messages": [{"role": "assistant", "content": [thinking("EqQ")]}]})), None);
        assert_eq!(stripped(json!({"messages": [{"role": "user", "content": "what is pmseal. ?"}]})), None);
    }

    #[test]
    fn anthropics_own_state_gets_its_own_form_back() {
        let own = token(SealOrigin::AnthropicSignature);
        let got = stripped(json!({"messages": [{"role": "assistant", "content": [thinking(&own)]}]})).unwrap();
        assert_eq!(got["messages"][0]["content"][0]["signature"], "d");
    }

    #[test]
    fn a_tool_loop_that_lost_its_thinking_goes_on_without() {
        let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]});
        let foreign = thinking(&token(SealOrigin::Gemini));
        let body = |last: Option<&Value>| {
            let mut messages = vec![json!({"role": "assistant", "content": [foreign, call]})];
            messages.extend(last.cloned());
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": messages})
        };
        assert_eq!(stripped(body(Some(&result))).unwrap()["thinking"], json!({"type": "disabled"}));
        assert_eq!(stripped(body(None)).unwrap()["thinking"]["type"], "enabled");
    }
}
