//! Which message requests does Anthropic refuse? Unknown and missing fields, numbers, tools,
//! thinking; [`super::turns_check`] looks at the conversation.

use http::HeaderMap;
use serde_json::Value;

use super::{list, text, turns_check};
use crate::simulate::refusal::Refusal;

const FIELDS: [&str; 23] = [
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
    "temperature",
    "top_k",
    "top_p",
    "fallback_model",
];
/// Fields that a beta header opens.
const BETA_FIELDS: [&str; 4] = ["context_management", "mcp_servers", "betas", "output_format"];
const COUNT_FIELDS: [&str; 11] = [
    "cache_control",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
];

/// Checks a whole request, for a message or only for its tokens.
pub(super) fn check(headers: &HeaderMap, body: &Value, message: bool) -> Result<(), Refusal> {
    if !headers.contains_key("anthropic-version") {
        return Err(Refusal::invalid("anthropic-version: header is required"));
    }
    let Value::Object(fields) = body else {
        return Err(Refusal::invalid("Input should be a valid dictionary"));
    };
    let beta = headers.contains_key("anthropic-beta");
    let known = |key: &str| {
        let own = if message { FIELDS.contains(&key) } else { COUNT_FIELDS.contains(&key) };
        own || (beta && BETA_FIELDS.contains(&key))
    };
    if let Some(key) = fields.keys().find(|key| !known(key)) {
        return Err(Refusal::invalid(format!("{key}: Extra inputs are not permitted")));
    }
    let needed: &[&str] = if message { &["model", "max_tokens", "messages"] } else { &["model", "messages"] };
    if let Some(missing) = needed.iter().find(|field| !fields.contains_key(**field)) {
        return Err(Refusal::invalid(format!("{missing}: Field required")));
    }
    if message {
        numbers(body)?;
    }
    tools(body)?;
    thinking(body)?;
    format(&body["output_config"])?;
    turns_check::check(body)
}

fn numbers(body: &Value) -> Result<(), Refusal> {
    match body["max_tokens"].as_i64() {
        Some(1..) => {}
        Some(_) => return Err(Refusal::invalid("max_tokens: Input should be greater than or equal to 1")),
        None => return Err(Refusal::invalid("max_tokens: Input should be a valid integer")),
    }
    for field in ["temperature", "top_p"] {
        match body.get(field) {
            None => {}
            Some(value) if value.as_f64().is_some_and(|value| (0.0..=1.0).contains(&value)) => {}
            Some(value) if value.is_number() => return Err(Refusal::invalid(format!("{field}: range: 0..1"))),
            Some(_) => return Err(Refusal::invalid(format!("{field}: Input should be a valid number"))),
        }
    }
    if body.get("stream").is_some_and(|stream| !stream.is_boolean()) {
        return Err(Refusal::invalid("stream: Input should be a valid boolean"));
    }
    for (index, stop) in list(body, "stop_sequences").iter().enumerate() {
        match stop.as_str() {
            None => return Err(Refusal::invalid(format!("stop_sequences.{index}: Input should be a valid string"))),
            Some(stop) if stop.trim().is_empty() => {
                return Err(Refusal::invalid("stop_sequences: each stop sequence must contain non-whitespace"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = list(body, "tools");
    let mut names = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        // Tools that Anthropic runs itself have a type with a date and no schema.
        if !matches!(text(tool, "type"), "" | "custom") {
            continue;
        }
        let path = format!("tools.{index}.custom");
        let name = text(tool, "name");
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if tool.get("name").is_none() {
            return Err(Refusal::invalid(format!("{path}.name: Field required")));
        }
        if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
            return Err(Refusal::invalid(format!(
                "{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )));
        }
        let known = [
            "type",
            "name",
            "description",
            "input_schema",
            "cache_control",
            "strict",
            "input_examples",
            "eager_input_streaming",
            "allowed_callers",
            "defer_loading",
        ];
        if let Some(key) = tool.as_object().and_then(|t| t.keys().find(|key| !known.contains(&key.as_str()))) {
            return Err(Refusal::invalid(format!("{path}.{key}: Extra inputs are not permitted")));
        }
        if !tool["input_schema"].is_object() {
            return Err(Refusal::invalid(format!("{path}.input_schema: Field required")));
        }
        match text(&tool["input_schema"], "type") {
            "object" => {}
            "" => return Err(Refusal::invalid(format!("{path}.input_schema.type: Field required"))),
            _ => return Err(Refusal::invalid(format!("{path}.input_schema.type: Input should be 'object'"))),
        }
        if names.contains(&name) {
            return Err(Refusal::invalid("tools: Tool names must be unique."));
        }
        names.push(name);
    }
    let choice = &body["tool_choice"];
    match text(choice, "type") {
        "" if choice.is_null() => Ok(()),
        "auto" | "none" if !tools.is_empty() => Ok(()),
        "any" if !tools.is_empty() => Ok(()),
        "tool" if names.contains(&text(choice, "name")) => Ok(()),
        "tool" if !tools.is_empty() => {
            Err(Refusal::invalid(format!("Tool '{}' not found in provided tools", text(choice, "name"))))
        }
        "auto" | "any" | "tool" | "none" => {
            Err(Refusal::invalid("tool_choice may only be specified while providing tools."))
        }
        other => Err(Refusal::invalid(format!(
            "tool_choice: Input tag '{other}' found using 'type' does not match any of the expected tags: 'auto', \
             'any', 'tool', 'none'"
        ))),
    }
}

fn thinking(body: &Value) -> Result<(), Refusal> {
    let thinking = &body["thinking"];
    match text(thinking, "type") {
        "enabled" => {
            let Some(budget) = thinking["budget_tokens"].as_i64() else {
                return Err(Refusal::invalid("thinking.enabled.budget_tokens: Field required"));
            };
            if budget < 1_024 {
                return Err(Refusal::invalid(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if body["max_tokens"].as_i64().is_some_and(|max| max <= budget) {
                return Err(Refusal::invalid("`max_tokens` must be greater than `thinking.budget_tokens`."));
            }
        }
        "adaptive" => {}
        "disabled" | "between_tools" => return Ok(()),
        "" if thinking.is_null() => return Ok(()),
        other => {
            return Err(Refusal::invalid(format!(
                "thinking: Input tag '{other}' found using 'type' does not match any of the expected tags: 'adaptive', \
                 'between_tools', 'disabled', 'enabled'"
            )));
        }
    }
    if matches!(text(&body["tool_choice"], "type"), "any" | "tool") {
        return Err(Refusal::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if body.get("temperature").is_some_and(|t| t.as_f64() != Some(1.0)) {
        return Err(Refusal::invalid("`temperature` may only be set to 1 when thinking is enabled."));
    }
    if body.get("top_k").is_some_and(|k| !k.is_null()) {
        return Err(Refusal::invalid("`top_k` must be unset when thinking is enabled."));
    }
    Ok(())
}

fn format(config: &Value) -> Result<(), Refusal> {
    if let Some(key) = config.as_object().and_then(|c| c.keys().find(|k| !matches!(k.as_str(), "effort" | "format"))) {
        return Err(Refusal::invalid(format!("output_config.{key}: Extra inputs are not permitted")));
    }
    if let Some(effort) = config.get("effort").filter(|effort| !effort.is_null())
        && !matches!(effort.as_str(), Some("low" | "medium" | "high" | "xhigh" | "max"))
    {
        return Err(Refusal::invalid(
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ));
    }
    let format = &config["format"];
    if format.is_null() {
        return Ok(());
    }
    if format["type"] != "json_schema" || !format["schema"].is_object() {
        return Err(Refusal::invalid("output_config.format.schema: Field required"));
    }
    closed(&format["schema"])
}

/// Every object in the schema must be closed. The JSON reader bounds the depth.
fn closed(schema: &Value) -> Result<(), Refusal> {
    match schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "object")
                && fields.get("additionalProperties") != Some(&Value::Bool(false))
            {
                return Err(Refusal::invalid(
                    "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to \
                     false",
                ));
            }
            fields.values().try_for_each(closed)
        }
        Value::Array(items) => items.iter().try_for_each(closed),
        _ => Ok(()),
    }
}
