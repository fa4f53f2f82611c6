//! Which requests does OpenAI's Responses API refuse?

use serde_json::Value;

use super::chat_check::{
    bad_name, image, invalid_type, invalid_value, is_name, known_fields, missing, number, required,
};
use super::{list, schema_check, text};
use crate::simulate::refusal::Refusal;

const FIELDS: [&str; 35] = [
    "access_programs",
    "background",
    "background_options",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "verbosity",
];

/// Checks a whole request.
pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    known_fields(body, &FIELDS)?;
    required(body, "model")?;
    required(body, "input")?;
    number(body, "temperature", 0.0, 2.0, false)?;
    number(body, "top_p", 0.0, 1.0, false)?;
    number(body, "max_output_tokens", 16.0, 1e9, true)?;
    if !body["previous_response_id"].is_null() {
        let id = text(body, "previous_response_id");
        let message = format!("Previous response with id '{id}' not found.");
        return Err(Refusal::invalid(message).param("previous_response_id").code("previous_response_not_found"));
    }
    tools(body)?;
    format(&body["text"]["format"])?;
    match &body["input"] {
        Value::String(_) => Ok(()),
        Value::Array(items) => input(items),
        _ => Err(invalid_type("input", "one of an array of objects or string")),
    }
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = list(body, "tools");
    for (index, tool) in tools.iter().enumerate() {
        let path = format!("tools[{index}]");
        match text(tool, "type") {
            "function" => {}
            "" => return Err(missing(&format!("{path}.type"))),
            _ => continue,
        }
        let name = text(tool, "name");
        if tool.get("name").is_none() {
            return Err(missing(&format!("{path}.name")));
        }
        if !is_name(name) {
            return Err(bad_name(&format!("{path}.name")));
        }
        if tool["strict"] == true {
            schema_check::strict(&tool["parameters"], &format!("function '{name}'"), "tools")?;
        }
    }
    let choice = &body["tool_choice"];
    let named = text(choice, "name");
    if choice["type"] == "function" && !tools.iter().any(|tool| text(tool, "name") == named) {
        let message = format!("Tool choice 'function' with name '{named}' not found in 'tools' parameter.");
        return Err(Refusal::invalid(message).param("tool_choice"));
    }
    match choice {
        Value::String(word) if !matches!(word.as_str(), "none" | "auto" | "required") => {
            Err(invalid_value("tool_choice", word, "'none', 'auto', and 'required'"))
        }
        Value::String(word) if word == "required" && tools.is_empty() => {
            let message = "Tool choice 'required' must be specified with 'tools' parameter.";
            Err(Refusal::invalid(message).param("tool_choice"))
        }
        _ => Ok(()),
    }
}

fn format(format: &Value) -> Result<(), Refusal> {
    match text(format, "type") {
        "json_schema" => {
            let name = text(format, "name");
            if format.get("name").is_none() {
                return Err(missing("text.format.name"));
            }
            if !is_name(name) {
                return Err(bad_name("text.format.name"));
            }
            if !format["schema"].is_object() {
                return Err(missing("text.format.schema"));
            }
            if format["strict"] == true {
                let what = format!("response_format '{name}'");
                schema_check::strict(&format["schema"], &what, "text.format.schema")?;
            }
            Ok(())
        }
        "" if format.is_null() => Ok(()),
        "" => Err(missing("text.format.type")),
        "text" | "json_object" => Ok(()),
        other => Err(invalid_value("text.format.type", other, "'json_object', 'json_schema', and 'text'")),
    }
}

fn input(items: &[Value]) -> Result<(), Refusal> {
    let mut open: Vec<&str> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("input[{index}]");
        match text(item, "type") {
            "function_call" => {
                for field in ["call_id", "name", "arguments"] {
                    if !item[field].is_string() {
                        return Err(missing(&format!("{path}.{field}")));
                    }
                }
                open.push(text(item, "call_id"));
            }
            "function_call_output" => {
                let id = text(item, "call_id");
                let Some(at) = open.iter().position(|open| *open == id) else {
                    let message = format!("No tool call found for function call output with call_id {id}.");
                    return Err(Refusal::invalid(message).param("input"));
                };
                open.remove(at);
            }
            "message" | "" => message(item, &path)?,
            "reasoning" if !item["summary"].is_array() => return Err(missing(&format!("{path}.summary"))),
            _ => {}
        }
    }
    match open.first() {
        Some(id) => Err(Refusal::invalid(format!("No tool output found for function call {id}.")).param("input")),
        None => Ok(()),
    }
}

fn message(item: &Value, path: &str) -> Result<(), Refusal> {
    let role = text(item, "role");
    let expected = match role {
        "assistant" => "output_text",
        "user" | "system" | "developer" => "input_text",
        "" => return Err(missing(&format!("{path}.role"))),
        other => {
            let supported = "'assistant', 'system', 'developer', and 'user'";
            return Err(invalid_value(&format!("{path}.role"), other, supported));
        }
    };
    let parts = match &item["content"] {
        Value::String(_) => return Ok(()),
        Value::Array(parts) => parts,
        _ => return Err(missing(&format!("{path}.content"))),
    };
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{path}.content[{index}]");
        match (text(part, "type"), role) {
            (kind, _) if kind == expected && part["text"].is_string() => {}
            (kind, _) if kind == expected => return Err(missing(&format!("{path}.text"))),
            ("input_image", "user") if part["image_url"].is_string() => image(text(part, "image_url"), &path)?,
            ("input_image" | "input_file" | "input_audio", "user") | ("refusal", "assistant") => {}
            ("", _) => return Err(missing(&format!("{path}.type"))),
            (other, "assistant") => {
                return Err(invalid_value(&path, other, "'output_text' and 'refusal'"));
            }
            (other, _) => return Err(invalid_value(&path, other, "'input_text', 'input_image', and 'input_file'")),
        }
    }
    Ok(())
}
