//! Which conversations does Anthropic refuse? Tool results without their calls, calls without
//! results, thinking that it did not sign, empty texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::messages::signature;
use super::{list, text};
use crate::simulate::refusal::Refusal;

/// Checks `messages` and `system`.
pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    let Value::Array(messages) = &body["messages"] else {
        return Err(Refusal::invalid("messages: Input should be a valid list"));
    };
    if messages.is_empty() {
        return Err(Refusal::invalid("messages: at least one message is required"));
    }
    for (index, block) in list(body, "system").iter().enumerate() {
        if block["type"] != "text" {
            return Err(Refusal::invalid(format!("system.{index}.type: Input should be 'text'")));
        }
        if text(block, "text").is_empty() {
            return Err(Refusal::invalid("system: text content blocks must be non-empty"));
        }
    }
    let mut uses_tools = false;
    let mut open: Vec<&str> = Vec::new();
    let mut open_at = 0;
    for (index, message) in messages.iter().enumerate() {
        let last = index + 1 == messages.len();
        shape(message, index, last)?;
        let blocks = list(message, "content");
        for (at, block) in blocks.iter().enumerate() {
            let path = format!("messages.{index}.content.{at}");
            self::block(block, text(message, "role"), &path)?;
            uses_tools |= matches!(text(block, "type"), "tool_use" | "tool_result");
        }
        results_match(blocks, index, &mut open, open_at)?;
        open_at = index;
        open = blocks.iter().filter(|b| b["type"] == "tool_use").map(|block| text(block, "id")).collect();
    }
    unanswered(&open, open_at)?;
    if uses_tools && list(body, "tools").is_empty() {
        return Err(Refusal::invalid("Requests which include `tool_use` or `tool_result` blocks must define tools"));
    }
    if body["thinking"]["type"] == "enabled" {
        thinking_first(messages)?;
    }
    Ok(())
}

fn shape(message: &Value, index: usize, last: bool) -> Result<(), Refusal> {
    let Value::Object(fields) = message else {
        return Err(Refusal::invalid(format!("messages.{index}: Input should be a valid dictionary")));
    };
    if let Some(key) = fields.keys().find(|key| !matches!(key.as_str(), "role" | "content")) {
        return Err(Refusal::invalid(format!("messages.{index}.{key}: Extra inputs are not permitted")));
    }
    let role = text(message, "role");
    if !matches!(role, "user" | "assistant") {
        let message = match role {
            "system" => "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` \
                         parameter, not \"system\" as an input message role."
                .to_owned(),
            _ => format!("messages.{index}.role: Input should be 'user' or 'assistant'"),
        };
        return Err(Refusal::invalid(message));
    }
    let empty = match &message["content"] {
        Value::String(text) => text.is_empty(),
        Value::Array(blocks) => blocks.is_empty(),
        _ => return Err(Refusal::invalid(format!("messages.{index}.content: Field required"))),
    };
    if empty && !(last && role == "assistant") {
        return Err(Refusal::invalid(format!(
            "messages.{index}: all messages must have non-empty content except for the optional final assistant message"
        )));
    }
    if last && role == "assistant" {
        let said = message["content"].as_str().or_else(|| Some(text(list(message, "content").last()?, "text")));
        if said.is_some_and(|said| said.ends_with(char::is_whitespace)) {
            return Err(Refusal::invalid("messages: final assistant content cannot end with trailing whitespace"));
        }
    }
    Ok(())
}

fn block(block: &Value, role: &str, path: &str) -> Result<(), Refusal> {
    let kind = text(block, "type");
    let known: &[&str] = match kind {
        "" => return Err(Refusal::invalid(format!("{path}.type: Field required"))),
        "text" => &["text", "citations"],
        "image" => &["source", "transformations"],
        "tool_use" => &["id", "name", "input", "caller", "toolset_name"],
        "tool_result" => &["tool_use_id", "content", "is_error", "toolset_name"],
        "thinking" => &["thinking", "signature"],
        "redacted_thinking" => &["data"],
        "document" | "search_result" | "server_tool_use" | "container_upload" | "compaction" => return Ok(()),
        other if other.ends_with("_tool_result") => return Ok(()),
        other => {
            return Err(Refusal::invalid(format!(
                "{path}: Input tag '{other}' found using 'type' does not match any of the expected tags"
            )));
        }
    };
    let is_known = |key: &str| matches!(key, "type" | "cache_control") || known.contains(&key);
    if let Some(key) = block.as_object().and_then(|block| block.keys().find(|key| !is_known(key))) {
        return Err(Refusal::invalid(format!("{path}.{kind}.{key}: Extra inputs are not permitted")));
    }
    let wrong_place = match kind {
        "tool_use" | "thinking" | "redacted_thinking" => role != "assistant",
        "tool_result" | "image" => role != "user",
        _ => false,
    };
    if wrong_place {
        return Err(Refusal::invalid(format!("{path}: `{kind}` blocks are not allowed in `{role}` messages")));
    }
    match kind {
        "text" if text(block, "text").is_empty() => {
            Err(Refusal::invalid("messages: text content blocks must be non-empty"))
        }
        "image" => image(&block["source"], path),
        "tool_use" => {
            let id = text(block, "id");
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if id.is_empty() || !id.bytes().all(fits) {
                let message = format!("{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
                return Err(Refusal::invalid(message));
            }
            if !block["input"].is_object() {
                return Err(Refusal::invalid(format!("{path}.tool_use.input: Input should be a valid dictionary")));
            }
            Ok(())
        }
        "thinking" if text(block, "signature") != signature(text(block, "thinking")) => {
            Err(Refusal::invalid(format!("{path}: Invalid `signature` in `thinking` block")))
        }
        _ => Ok(()),
    }
}

fn image(source: &Value, path: &str) -> Result<(), Refusal> {
    let problem = match text(source, "type") {
        "base64" if !matches!(text(source, "media_type"), "image/jpeg" | "image/png" | "image/gif" | "image/webp") => {
            "base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
        }
        "base64" if STANDARD.decode(text(source, "data")).is_err() => "base64.data: Invalid base64 data",
        "url" if !text(source, "url").starts_with("https://") => "url.url: Only HTTPS URLs are supported.",
        "base64" | "url" | "file" => return Ok(()),
        _ => "type: Field required",
    };
    Err(Refusal::invalid(format!("{path}.image.source.{problem}")))
}

/// The results that open this message must be those of the calls that closed the one before.
fn results_match<'a>(
    blocks: &'a [Value],
    index: usize,
    open: &mut Vec<&'a str>,
    open_at: usize,
) -> Result<(), Refusal> {
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block["type"] == "tool_result") {
        let id = text(block, "tool_use_id");
        let Some(found) = open.iter().position(|open| *open == id) else {
            return Err(Refusal::invalid(format!(
                "messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        };
        open.remove(found);
    }
    unanswered(open, open_at)
}

fn unanswered(open: &[&str], index: usize) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
        open.join(", ")
    )))
}

/// With thinking on, an assistant turn that called tools must start with its thoughts.
fn thinking_first(messages: &[Value]) -> Result<(), Refusal> {
    let Some(index) = messages.iter().rposition(|message| message["role"] == "assistant") else { return Ok(()) };
    let blocks = list(&messages[index], "content");
    let calls = blocks.iter().any(|block| block["type"] == "tool_use");
    let first = blocks.first().map_or("text", |block| text(block, "type"));
    if calls && !matches!(first, "thinking" | "redacted_thinking") {
        return Err(Refusal::invalid(format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When \
             `thinking` is enabled, a final `assistant` message must start with a thinking block."
        )));
    }
    Ok(())
}
