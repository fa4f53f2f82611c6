//! The conversation of a client's chat request.

use serde_json::Value;

use crate::wire::chat::{Media, Message, Part, ReasoningPart, Role, Seal, SealOrigin, ToolCall, ToolResult};
use crate::wire::error::BadRequest;
use crate::wire::openai::tree::{Object, Path};

/// Reads all messages: leading system and developer text, and the conversation.
///
/// # Errors
/// If one of them is not of the dialect.
pub(super) fn read_messages(list: Vec<Value>, at: &Path<'_>) -> Result<(Vec<String>, Vec<Message>), BadRequest> {
    let mut instructions = Vec::new();
    let mut messages: Vec<Message> = Vec::new();
    for (i, item) in list.into_iter().enumerate() {
        let here = at.index(i);
        let mut message = Object::new(item, here)?;
        let role = message.required_string("role")?;
        match role.as_str() {
            "system" | "developer" => {
                let parts = content(&mut message)?;
                if messages.is_empty() {
                    instructions.push(text_of(&parts));
                } else {
                    messages.push(Message { role: Role::System, parts });
                }
            }
            "user" => messages.push(Message { role: Role::User, parts: content(&mut message)? }),
            "assistant" => messages.push(assistant(&mut message)?),
            "tool" | "function" => push_result(&mut messages, tool_result(&mut message, role == "function")?),
            other => {
                let words = format!("`{other}` is no role; expected system, developer, user, assistant or tool");
                return Err(here.field("role").error(words));
            }
        }
    }
    Ok((instructions, messages))
}

/// Results that follow one another answer calls of the same turn.
fn push_result(messages: &mut Vec<Message>, result: Part) {
    match messages.last_mut() {
        Some(last) if last.role == Role::User && matches!(last.parts.last(), Some(Part::ToolResult(_))) => {
            last.parts.push(result);
        }
        _ => messages.push(Message { role: Role::User, parts: vec![result] }),
    }
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn tool_result(message: &mut Object<'_>, legacy: bool) -> Result<Part, BadRequest> {
    // The older form has no ids: a call and its result share the function's name.
    let call_id = message.required_string(if legacy { "name" } else { "tool_call_id" })?;
    Ok(Part::ToolResult(ToolResult { call_id, parts: content(message)?, is_error: false }))
}

fn assistant(message: &mut Object<'_>) -> Result<Message, BadRequest> {
    let mut parts = Vec::new();
    for name in ["reasoning_content", "reasoning"] {
        if let Some(Value::String(text)) = message.take(name)
            && !text.is_empty()
            && parts.is_empty()
        {
            parts.push(Part::Reasoning(ReasoningPart { text, seal: None }));
        }
    }
    parts.extend(content(message)?);
    if let Some(refusal) = message.string("refusal")? {
        parts.push(Part::Refusal(refusal));
    }
    let at = message.at;
    let calls_at = at.field("tool_calls");
    for (i, item) in message.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
        parts.push(Part::ToolCall(tool_call(Object::new(item, calls_at.index(i))?)?));
    }
    if let Some(call) = message.take("function_call") {
        let mut call = Object::new(call, at.field("function_call"))?;
        let name = call.required_string("name")?;
        let arguments = call.string("arguments")?.unwrap_or_default();
        parts.push(Part::ToolCall(ToolCall { id: name.clone(), name, arguments, seal: None }));
    }
    Ok(Message { role: Role::Assistant, parts })
}

fn tool_call(mut call: Object<'_>) -> Result<ToolCall, BadRequest> {
    let id = call.required_string("id")?;
    let seal = call.take("extra_content").and_then(|extra| {
        let signature = extra.pointer("/google/thought_signature")?.as_str()?;
        Some(Seal { origin: SealOrigin::Gemini, data: signature.to_owned() })
    });
    let function = call.take("function");
    let at = call.at.field("function");
    let function = function.ok_or_else(|| at.error("missing; expected an object"))?;
    let mut function = Object::new(function, at)?;
    let name = function.required_string("name")?;
    Ok(ToolCall { id, name, arguments: function.string("arguments")?.unwrap_or_default(), seal })
}

/// `content`: text, or a list of parts.
fn content(message: &mut Object<'_>) -> Result<Vec<Part>, BadRequest> {
    let value = message.take("content");
    let at = message.at.field("content");
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text)]),
        Some(Value::Array(list)) => {
            let mut parts = Vec::with_capacity(list.len());
            for (i, item) in list.into_iter().enumerate() {
                parts.extend(part(Object::new(item, at.index(i))?)?);
            }
            Ok(parts)
        }
        Some(other) => Err(at.expected("a string or an array of parts", &other)),
    }
}

/// One part; `None` for what the peek has reported as a feature that no translation has.
fn part(mut item: Object<'_>) -> Result<Option<Part>, BadRequest> {
    let kind = item.required_string("type")?;
    let inner = item.take(&kind);
    let at = item.at.field(&kind);
    Ok(match kind.as_str() {
        "text" => Some(Part::Text(words(inner, &at)?)),
        "refusal" => Some(Part::Refusal(words(inner, &at)?)),
        "image_url" => {
            let image = inner.ok_or_else(|| at.error("missing; expected an object with a url"))?;
            Some(Part::Image(media(&Object::new(image, at)?.required_string("url")?, &at.field("url"))?))
        }
        "file" => {
            let file = inner.ok_or_else(|| at.error("missing; expected an object"))?;
            let mut file = Object::new(file, at)?;
            let name = file.string("filename")?;
            match file.string("file_data")? {
                Some(data) => Some(Part::Document { media: media(&data, &at.field("file_data"))?, name }),
                None => None,
            }
        }
        "input_audio" => None,
        other => {
            let words = format!("`{other}` is no part; expected text, image_url, input_audio, file or refusal");
            return Err(item.at.field("type").error(words));
        }
    })
}

fn words(value: Option<Value>, at: &Path<'_>) -> Result<String, BadRequest> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(at.expected("a string", &other)),
        None => Err(at.error("missing; expected a string")),
    }
}

fn media(url: &str, at: &Path<'_>) -> Result<Media, BadRequest> {
    let Some(data) = url.strip_prefix("data:") else { return Ok(Media::Url(url.to_owned())) };
    let (head, base64) =
        data.split_once(";base64,").ok_or_else(|| at.error("expected `data:<type>;base64,<bytes>`"))?;
    let media_type = head.split(';').next().unwrap_or_default().to_owned();
    Ok(Media::Inline { media_type, base64: base64.to_owned() })
}
