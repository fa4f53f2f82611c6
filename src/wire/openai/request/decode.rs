//! A client's chat request, in full.

use serde_json::Value;

use super::messages::read_messages;
use crate::wire::chat::{ChatRequest, Effort, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::wire::error::BadRequest;
use crate::wire::openai::tree::{Object, Path};

/// Reads a request whole.
///
/// # Errors
/// If it is not of the dialect; the path says where.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let tree: Value = serde_json::from_slice(body).map_err(|e| Path::Root.error(format!("not JSON: {e}")))?;
    let mut top = Object::new(tree, Path::Root)?;
    let messages = top.array("messages")?.ok_or_else(|| BadRequest::at("messages", "missing; expected an array"))?;
    let (instructions, messages) = read_messages(messages, &Path::Root.field("messages"))?;
    let (tools, tool_choice) = (read_tools(&mut top)?, read_tool_choice(&mut top)?);
    let max_output_tokens = match top.count("max_completion_tokens")? {
        Some(limit) => Some(limit),
        None => top.count("max_tokens")?,
    };
    let user = match top.string("user")? {
        Some(user) => Some(user),
        None => top.string("safety_identifier")?,
    };
    let stream_usage = match top.take("stream_options") {
        None => false,
        Some(options) => {
            Object::new(options, Path::Root.field("stream_options"))?.bool("include_usage")?.unwrap_or(false)
        }
    };
    Ok(ChatRequest {
        instructions,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: top.bool("parallel_tool_calls")?,
        format: read_format(&mut top)?,
        stop: read_stop(&mut top)?,
        max_output_tokens,
        sampling: Sampling {
            temperature: top.number("temperature")?,
            top_p: top.number("top_p")?,
            top_k: top.count("top_k")?,
            frequency_penalty: top.number("frequency_penalty")?,
            presence_penalty: top.number("presence_penalty")?,
            seed: top.integer("seed")?,
        },
        reasoning: read_reasoning(&mut top)?,
        stream: top.bool("stream")?.unwrap_or(false),
        stream_usage,
        user,
    })
}

fn read_reasoning(top: &mut Object<'_>) -> Result<Option<Reasoning>, BadRequest> {
    let Some(text) = top.string("reasoning_effort")? else { return Ok(None) };
    let effort = Effort::parse(&text).ok_or_else(|| {
        top.at
            .field("reasoning_effort")
            .error(format!("`{text}` is no effort; expected none, minimal, low, medium, high or xhigh"))
    })?;
    // Servers that show their reasoning at all do so unasked.
    Ok(Some(Reasoning { effort: Some(effort), budget_tokens: None, show: effort != Effort::None }))
}

fn read_stop(top: &mut Object<'_>) -> Result<Vec<String>, BadRequest> {
    let at = Path::Root.field("stop");
    match top.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(list)) => list
            .into_iter()
            .enumerate()
            .map(|(i, item)| match item {
                Value::String(text) => Ok(text),
                other => Err(at.index(i).expected("a string", &other)),
            })
            .collect(),
        Some(other) => Err(at.expected("a string or an array of strings", &other)),
    }
}

fn read_tools(top: &mut Object<'_>) -> Result<Vec<Tool>, BadRequest> {
    let mut tools = Vec::new();
    let at = Path::Root.field("tools");
    for (i, item) in top.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let at = at.index(i);
        let mut tool = Object::new(item, at)?;
        // Other kinds are a feature that the peek has reported.
        if tool.required_string("type")? != "function" {
            continue;
        }
        let function =
            tool.take("function").ok_or_else(|| at.field("function").error("missing; expected an object"))?;
        tools.push(read_function(Object::new(function, at.field("function"))?)?);
    }
    let at = Path::Root.field("functions");
    for (i, item) in top.array("functions")?.unwrap_or_default().into_iter().enumerate() {
        tools.push(read_function(Object::new(item, at.index(i))?)?);
    }
    Ok(tools)
}

fn read_function(mut function: Object<'_>) -> Result<Tool, BadRequest> {
    let parameters = match function.take("parameters") {
        None => serde_json::json!({"type": "object", "properties": {}}),
        Some(schema @ Value::Object(_)) => schema,
        Some(other) => return Err(function.at.field("parameters").expected("a JSON schema", &other)),
    };
    Ok(Tool {
        name: function.required_string("name")?,
        description: function.string("description")?,
        parameters,
        strict: function.bool("strict")?,
    })
}

fn read_tool_choice(top: &mut Object<'_>) -> Result<ToolChoice, BadRequest> {
    let at = Path::Root.field("tool_choice");
    let (value, at) = match (top.take("tool_choice"), top.take("function_call")) {
        (Some(value), _) => (value, at),
        (None, Some(value)) => (value, Path::Root.field("function_call")),
        (None, None) => return Ok(ToolChoice::Auto),
    };
    if let Value::String(word) = &value {
        return match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(at.expected("auto, none, required or an object that names a function", &value)),
        };
    }
    let mut choice = Object::new(value, at)?;
    let name = match choice.take("function") {
        Some(function) => Object::new(function, at.field("function"))?.required_string("name")?,
        // The older form has the name at the top.
        None => match choice.string("name")? {
            Some(name) => name,
            None => return Ok(ToolChoice::Auto),
        },
    };
    Ok(ToolChoice::Named(name))
}

fn read_format(top: &mut Object<'_>) -> Result<Format, BadRequest> {
    let at = Path::Root.field("response_format");
    let Some(value) = top.take("response_format") else { return Ok(Format::Text) };
    let mut format = Object::new(value, at)?;
    match format.required_string("type")?.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let at = at.field("json_schema");
            let value = format.take("json_schema").ok_or_else(|| at.error("missing; expected an object"))?;
            let mut schema = Object::new(value, at)?;
            Ok(Format::JsonSchema {
                name: schema.string("name")?,
                description: schema.string("description")?,
                strict: schema.bool("strict")?,
                schema: schema.take("schema").unwrap_or_else(|| serde_json::json!({})),
            })
        }
        other => {
            Err(at.field("type").error(format!("`{other}` is no format; expected text, json_object or json_schema")))
        }
    }
}
