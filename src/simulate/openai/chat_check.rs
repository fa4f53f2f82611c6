//! Which chat requests does OpenAI refuse? Unknown and missing fields, misplaced tool messages,
//! schemas, parameters that a model does not take.

use serde_json::Value;

use super::{list, reasons, schema_check, text};
use crate::simulate::refusal::Refusal;

const FIELDS: [&str; 41] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
    // Not OpenAI's own, but understood by most servers compatible with it.
    "top_k",
    "min_p",
    "repetition_penalty",
    "reasoning",
];

const MESSAGE_FIELDS: [&str; 11] = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "audio",
    "function_call",
    "annotations",
    // Compatible servers that send it take it back.
    "reasoning_content",
    "reasoning",
];

/// Refuses fields that are not in the list.
pub(super) fn known_fields(body: &Value, fields: &[&str]) -> Result<(), Refusal> {
    let Value::Object(body) = body else {
        return Err(Refusal::invalid("We could not parse the JSON body of your request: expected an object."));
    };
    match body.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(key) => Err(unknown(key)),
        None => Ok(()),
    }
}

pub(super) fn unknown(path: &str) -> Refusal {
    Refusal::invalid(format!("Unknown parameter: '{path}'.")).param(path).code("unknown_parameter")
}

/// Refuses a body without this field.
pub(super) fn required(body: &Value, field: &str) -> Result<(), Refusal> {
    if body.get(field).is_some_and(|value| !value.is_null()) {
        return Ok(());
    }
    if field == "model" {
        return Err(Refusal::invalid("you must provide a model parameter"));
    }
    Err(missing(field))
}

pub(super) fn missing(path: &str) -> Refusal {
    Refusal::invalid(format!("Missing required parameter: '{path}'.")).param(path).code("missing_required_parameter")
}

pub(super) fn invalid_type(path: &str, expected: &str) -> Refusal {
    Refusal::invalid(format!("Invalid type for '{path}': expected {expected}.")).param(path).code("invalid_type")
}

pub(super) fn invalid_value(path: &str, value: &str, supported: &str) -> Refusal {
    let message = format!("Invalid value: '{value}'. Supported values are: {supported}.");
    Refusal::invalid(message).param(path).code("invalid_value")
}

/// Refuses a number outside its range, or one that should be whole and is not.
pub(super) fn number(body: &Value, field: &str, low: f64, high: f64, whole: bool) -> Result<(), Refusal> {
    let value = match body.get(field) {
        None | Some(Value::Null) => return Ok(()),
        Some(value) => value,
    };
    let Some(number) = value.as_f64().filter(|_| !whole || value.is_i64() || value.is_u64()) else {
        return Err(invalid_type(field, if whole { "an integer" } else { "a decimal" }));
    };
    let (code, bound, word) = match number {
        n if n < low => ("integer_below_min_value", low, ">="),
        n if n > high => ("decimal_above_max_value", high, "<="),
        _ => return Ok(()),
    };
    let message = format!("Invalid '{field}': expected a value {word} {bound}, but got {number} instead.");
    Err(Refusal::invalid(message).param(field).code(code))
}

/// Checks a whole request.
pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    known_fields(body, &FIELDS)?;
    required(body, "model")?;
    required(body, "messages")?;
    numbers(body)?;
    if body["stream"] != true && body.get("stream_options").is_some_and(|options| !options.is_null()) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::invalid(message).param("stream_options"));
    }
    if list(body, "stop").len() > 4 {
        let message = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
        return Err(Refusal::invalid(message).param("stop").code("array_above_max_length"));
    }
    let model = text(body, "model");
    if reasons(model) && body.get("max_tokens").is_some_and(|max| !max.is_null()) {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                       'max_completion_tokens' instead.";
        return Err(Refusal::invalid(message).param("max_tokens").code("unsupported_parameter"));
    }
    tools(body)?;
    response_format(body)?;
    messages(body)
}

fn numbers(body: &Value) -> Result<(), Refusal> {
    number(body, "temperature", 0.0, 2.0, false)?;
    number(body, "top_p", 0.0, 1.0, false)?;
    number(body, "frequency_penalty", -2.0, 2.0, false)?;
    number(body, "presence_penalty", -2.0, 2.0, false)?;
    number(body, "max_tokens", 1.0, 1e9, true)?;
    number(body, "max_completion_tokens", 1.0, 1e9, true)?;
    number(body, "n", 1.0, 128.0, true)?;
    number(body, "top_logprobs", 0.0, 20.0, true)
}

/// Letters, digits, dashes and underscores, at most 64 of them.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

pub(super) fn bad_name(path: &str) -> Refusal {
    let message = format!(
        "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern \
         '^[a-zA-Z0-9_-]+$'."
    );
    Refusal::invalid(message).param(path).code("invalid_value")
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = list(body, "tools");
    if body.get("tools").is_some_and(Value::is_array) && tools.is_empty() {
        let message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array \
                       instead.";
        return Err(Refusal::invalid(message).param("tools").code("empty_array"));
    }
    for (index, tool) in tools.iter().enumerate() {
        match text(tool, "type") {
            "function" => {}
            "custom" => continue,
            "" => return Err(missing(&format!("tools[{index}].type"))),
            other => return Err(invalid_value(&format!("tools[{index}].type"), other, "'function' and 'custom'")),
        }
        let function = &tool["function"];
        if !function.is_object() {
            return Err(missing(&format!("tools[{index}].function")));
        }
        let name = text(function, "name");
        if !is_name(name) {
            return Err(bad_name(&format!("tools[{index}].function.name")));
        }
        if function["strict"] == true {
            schema_check::strict(&function["parameters"], &format!("function '{name}'"), "tools")?;
        }
    }
    for field in ["tool_choice", "parallel_tool_calls"] {
        let given = body.get(field).is_some_and(|value| !value.is_null() && value != "none");
        if given && tools.is_empty() {
            let message = format!("Invalid value for '{field}': '{field}' is only allowed when 'tools' are specified.");
            return Err(Refusal::invalid(message).param(field));
        }
    }
    let choice = &body["tool_choice"];
    if let Value::String(word) = choice
        && !matches!(word.as_str(), "none" | "auto" | "required")
    {
        return Err(invalid_value("tool_choice", word, "'none', 'auto', and 'required'"));
    }
    let named = text(&choice["function"], "name");
    if choice["type"] == "function" && !tools.iter().any(|tool| text(&tool["function"], "name") == named) {
        let message = format!("Invalid value for 'tool_choice': no tool named '{named}' in 'tools'.");
        return Err(Refusal::invalid(message).param("tool_choice"));
    }
    Ok(())
}

fn response_format(body: &Value) -> Result<(), Refusal> {
    let format = &body["response_format"];
    match text(format, "type") {
        "json_schema" => {
            let named = &format["json_schema"];
            let name = text(named, "name");
            if named.get("name").is_none() {
                return Err(missing("response_format.json_schema.name"));
            }
            if !is_name(name) {
                return Err(bad_name("response_format.json_schema.name"));
            }
            if !named["schema"].is_object() {
                return Err(missing("response_format.json_schema.schema"));
            }
            if named["strict"] == true {
                let what = format!("response_format '{name}'");
                schema_check::strict(&named["schema"], &what, "response_format")?;
            }
            Ok(())
        }
        "json_object" => {
            let said = list(body, "messages").iter().any(|m| m["content"].to_string().to_lowercase().contains("json"));
            if said {
                return Ok(());
            }
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                           'json_object'.";
            Err(Refusal::invalid(message).param("messages"))
        }
        "" if !format.is_null() => Err(missing("response_format.type")),
        "" | "text" => Ok(()),
        other => Err(invalid_value("response_format.type", other, "'json_object', 'json_schema', and 'text'")),
    }
}

fn messages(body: &Value) -> Result<(), Refusal> {
    let Value::Array(messages) = &body["messages"] else {
        return Err(invalid_type("messages", "an array of objects"));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty \
                       array instead.";
        return Err(Refusal::invalid(message).param("messages").code("empty_array"));
    }
    // The calls still without an answer, and where they were made.
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        let Value::Object(fields) = message else {
            return Err(invalid_type(&path, "an object"));
        };
        if let Some(key) = fields.keys().find(|key| !MESSAGE_FIELDS.contains(&key.as_str())) {
            return Err(unknown(&format!("{path}.{key}")));
        }
        let role = text(message, "role");
        if role == "tool" {
            let id = text(message, "tool_call_id");
            if id.is_empty() {
                return Err(missing(&format!("{path}.tool_call_id")));
            }
            let Some(at) = open.iter().position(|open| *open == id) else {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with \
                     'tool_calls'.";
                return Err(Refusal::invalid(message).param(format!("messages.[{index}].role")));
            };
            open.remove(at);
        } else {
            all_answered(&open, index)?;
            open = list(message, "tool_calls").iter().map(|call| text(call, "id")).collect();
        }
        match role {
            "assistant" => assistant(message, &path)?,
            "system" | "developer" | "user" | "tool" | "function" => content(&message["content"], role, &path)?,
            "" => return Err(missing(&format!("{path}.role"))),
            other => {
                let supported = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'";
                return Err(invalid_value(&format!("{path}.role"), other, supported));
            }
        }
    }
    all_answered(&open, messages.len())
}

fn all_answered(open: &[&str], index: usize) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Refusal::invalid(message).param(format!("messages.[{index}].role")))
}

fn assistant(message: &Value, path: &str) -> Result<(), Refusal> {
    for (index, call) in list(message, "tool_calls").iter().enumerate() {
        let path = format!("{path}.tool_calls[{index}]");
        if text(call, "id").is_empty() {
            return Err(missing(&format!("{path}.id")));
        }
        if text(call, "type").is_empty() {
            return Err(missing(&format!("{path}.type")));
        }
        if call["type"] == "function" && !call["function"]["arguments"].is_string() {
            return Err(invalid_type(&format!("{path}.function.arguments"), "a string"));
        }
    }
    let has_calls = !list(message, "tool_calls").is_empty() || message.get("function_call").is_some();
    let has_refusal = message["refusal"].is_string();
    if message["content"].is_null() && (has_calls || has_refusal) {
        return Ok(());
    }
    content(&message["content"], "assistant", path)
}

fn content(content: &Value, role: &str, path: &str) -> Result<(), Refusal> {
    let path = format!("{path}.content");
    let parts = match content {
        Value::String(_) => return Ok(()),
        Value::Null => {
            let message = format!("Invalid value for 'content': expected a string, got null. (in '{path}')");
            return Err(Refusal::invalid(message).param(path));
        }
        Value::Array(parts) => parts,
        _ => return Err(invalid_type(&path, "one of a string or array of objects")),
    };
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match (text(part, "type"), role) {
            ("text", _) if part["text"].is_string() => {}
            ("text", _) => return Err(missing(&format!("{path}.text"))),
            ("image_url", "user") => image(text(&part["image_url"], "url"), &path)?,
            ("input_audio" | "file", "user") | ("refusal", "assistant") => {}
            ("", _) => return Err(missing(&format!("{path}.type"))),
            (other, "user") => {
                let supported = "'text', 'image_url', 'input_audio', and 'file'";
                return Err(invalid_value(&format!("{path}.type"), other, supported));
            }
            (other, _) => return Err(invalid_value(&format!("{path}.type"), other, "'text'")),
        }
    }
    Ok(())
}

/// Refuses an image that is neither an address nor a data URL of an image.
pub(super) fn image(url: &str, path: &str) -> Result<(), Refusal> {
    use base64::Engine;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    let data = url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    let readable = data.is_some_and(|(kind, data)| {
        matches!(kind, "png" | "jpeg" | "jpg" | "gif" | "webp")
            && base64::engine::general_purpose::STANDARD.decode(data).is_ok()
    });
    if readable {
        return Ok(());
    }
    let message = "You uploaded an unsupported image. Please make sure your image has of one the following formats: \
                   ['png', 'jpeg', 'gif', 'webp'].";
    Err(Refusal::invalid(message).param(path).code("invalid_image_format"))
}
