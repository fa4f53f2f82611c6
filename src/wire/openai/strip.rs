//! What must a chat's history leave behind before it passes through to OpenAI itself?
//!
//! Answers of other providers reach chat clients with fields that OpenAI's own API does not
//! have (`reasoning_content`, `extra_content`). Clients send them back with the history, and
//! a strict server refuses the whole request for them. Compatible servers keep them: some
//! want their reasoning back.

use serde_json::{Map, Value};

use crate::wire::error::BadRequest;
use crate::wire::peek::TopLevel;
use crate::wire::splice;
use crate::wire::strings::has_any_token;

/// Fields of an assistant message that OpenAI's own API does not have.
const OF_MESSAGES: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_details"];
/// A field of a tool call that it does not have.
const OF_CALLS: &str = "extra_content";

/// The body without them; `None` where there is nothing to leave behind.
///
/// # Errors
/// If the body is not a JSON object.
pub fn strip_foreign_fields(body: &[u8]) -> Result<Option<Vec<u8>>, BadRequest> {
    if !has_any_token(body, &[OF_MESSAGES.as_slice(), &[OF_CALLS]].concat()) {
        return Ok(None);
    }
    let Some(mut messages) = TopLevel::parse(body)?.read::<Vec<Value>>("messages", "an array")? else {
        return Ok(None);
    };
    let mut changed = false;
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        if message.get("role").is_none_or(|role| role != "assistant") {
            continue;
        }
        for name in OF_MESSAGES {
            changed |= message.shift_remove(name).is_some();
        }
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
            changed |= call.shift_remove(OF_CALLS).is_some();
        }
    }
    if !changed {
        return Ok(None);
    }
    let patch = Map::from_iter([("messages".to_owned(), Value::Array(messages))]);
    splice::merge(body, &patch).map(|body| Some(body.to_vec()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_other_providers_are_left_behind() {
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "the reasoning field", "name": "reasoning"},
            {"role": "assistant", "reasoning_content": "hm", "content": null, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"},
                 "extra_content": {"google": {"thought_signature": "x"}}}]},
        ], "seed": 1.50});
        let stripped = strip_foreign_fields(body.to_string().as_bytes()).unwrap().unwrap();
        let stripped: Value = serde_json::from_slice(&stripped).unwrap();
        let mut expected = body;
        expected["messages"][1] = json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        assert_eq!(stripped, expected);
    }

    #[test]
    fn a_history_of_its_own_is_not_touched() {
        for body in [
            r#"{"model":"m","messages":[{"role":"user","content":"reasoning_content"}]}"#,
            r#"{"model":"m","reasoning":"x","messages":[{"role":"assistant","content":"y"}]}"#,
        ] {
            assert_eq!(strip_foreign_fields(body.as_bytes()).unwrap(), None, "{body}");
        }
    }
}
