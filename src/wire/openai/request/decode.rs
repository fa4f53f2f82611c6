//! A client's Chat Completions request as every protocol can say it.

use serde_json::{Value, json};

use super::messages::decode_messages;
use crate::wire::chat::{ChatRequest, Effort, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::wire::error::BadRequest;
use crate::wire::openai::tree::{Object, Path};
use crate::wire::tree;

/// Reads a whole request.
///
/// Parameters that [`ChatRequest`] has no place for (`n`, `logprobs`, `logit_bias`, audio
/// output, hosted and custom tools) are left out: [`peek`](super::peek()) reports them, so
/// they come here only where the operator has asked for that. Content is never left out;
/// what cannot be held of it is an error.
///
/// # Errors
/// If the request is not of the dialect, with the path of what is wrong.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let body = tree::read(body)
        .map_err(|error| BadRequest::at("body", format!("not a JSON object that can be read: {error}")))?;
    let mut body = Object::new(body, Path::Root)?;
    let messages = body.array("messages")?;
    let messages = messages.ok_or_else(|| BadRequest::at("messages", "missing; expected an array"))?;
    let conversation = decode_messages(messages, &Path::Root.field("messages"))?;
    let (tools, tool_choice) = decode_tools(&mut body)?;
    let options_at = Path::Root.field("stream_options");
    let stream_options = body.take("stream_options").map(|options| Object::new(options, options_at)).transpose()?;
    let limits = [body.count("max_completion_tokens")?, body.count("max_tokens")?];
    let users = [body.string("user")?, body.string("safety_identifier")?];
    Ok(ChatRequest {
        instructions: conversation.instructions,
        messages: conversation.messages,
        tools,
        tool_choice,
        parallel_tool_calls: body.bool("parallel_tool_calls")?,
        format: decode_format(&mut body)?,
        stop: decode_stop(&mut body)?,
        max_output_tokens: limits.into_iter().flatten().next(),
        sampling: Sampling {
            temperature: body.number("temperature")?,
            top_p: body.number("top_p")?,
            top_k: body.count("top_k")?,
            frequency_penalty: body.number("frequency_penalty")?,
            presence_penalty: body.number("presence_penalty")?,
            seed: body.integer("seed")?,
        },
        reasoning: decode_reasoning(&mut body)?,
        stream: body.bool("stream")?.unwrap_or(false),
        stream_usage: match stream_options {
            Some(mut options) => options.bool("include_usage")?.unwrap_or(false),
            None => false,
        },
        user: users.into_iter().flatten().next(),
    })
}

fn decode_stop(body: &mut Object<'_>) -> Result<Vec<String>, BadRequest> {
    let at = Path::Root.field("stop");
    match body.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop]),
        Some(Value::Array(stops)) => stops
            .into_iter()
            .enumerate()
            .map(|(i, stop)| match stop {
                Value::String(stop) => Ok(stop),
                other => Err(at.index(i).expected("a string", &other)),
            })
            .collect(),
        Some(other) => Err(at.expected("a string or an array of strings", &other)),
    }
}

fn decode_reasoning(body: &mut Object<'_>) -> Result<Option<Reasoning>, BadRequest> {
    let Some(name) = body.string("reasoning_effort")? else { return Ok(None) };
    let effort = Effort::parse(&name).ok_or_else(|| {
        let names: Vec<&str> = Effort::ALL.iter().map(|(name, _)| *name).collect();
        BadRequest::at("reasoning_effort", format!("`{name}` is no effort; expected one of {}", names.join(", ")))
    })?;
    // OpenAI's own server hides the reasoning; who names an effort can use it if it comes.
    Ok(Some(Reasoning { effort: Some(effort), budget_tokens: None, show: effort != Effort::None }))
}

fn decode_format(body: &mut Object<'_>) -> Result<Format, BadRequest> {
    let at = Path::Root.field("response_format");
    let Some(format) = body.take("response_format") else { return Ok(Format::Text) };
    let mut format = Object::new(format, at)?;
    match format.required_string("type")?.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let mut inner = Object::new(format.take("json_schema").unwrap_or_default(), at.field("json_schema"))?;
            let schema = inner.take("schema").filter(Value::is_object).ok_or_else(|| {
                BadRequest::at("response_format.json_schema.schema", "missing; expected a JSON schema")
            })?;
            Ok(Format::JsonSchema {
                name: inner.string("name")?,
                description: inner.string("description")?,
                schema,
                strict: inner.bool("strict")?,
            })
        }
        other => {
            Err(at.field("type").error(format!("`{other}` is not known; expected text, json_object or json_schema")))
        }
    }
}

/// Tools and the choice among them, in the present form and the old one.
fn decode_tools(body: &mut Object<'_>) -> Result<(Vec<Tool>, ToolChoice), BadRequest> {
    let mut tools = Vec::new();
    let at = Path::Root.field("tools");
    for (i, tool) in body.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let at = at.index(i);
        let mut tool = Object::new(tool, at)?;
        if tool.string("type")?.is_none_or(|kind| kind == "function") {
            tools.push(decode_function(tool.take("function").unwrap_or_default(), at.field("function"))?);
        }
    }
    let at = Path::Root.field("functions");
    for (i, function) in body.array("functions")?.unwrap_or_default().into_iter().enumerate() {
        tools.push(decode_function(function, at.index(i))?);
    }
    let choice = match body.take("tool_choice") {
        Some(choice) => decode_choice(choice, Path::Root.field("tool_choice"), &mut tools)?,
        None => match body.take("function_call") {
            Some(named @ Value::Object(_)) => {
                ToolChoice::Named(Object::new(named, Path::Root.field("function_call"))?.required_string("name")?)
            }
            Some(word) => decode_choice(word, Path::Root.field("function_call"), &mut tools)?,
            None => ToolChoice::Auto,
        },
    };
    Ok((tools, choice))
}

fn decode_function(function: Value, at: Path<'_>) -> Result<Tool, BadRequest> {
    let mut function = Object::new(function, at)?;
    let parameters = match function.take("parameters") {
        None => json!({"type": "object", "properties": {}}),
        Some(schema) if schema.is_object() => schema,
        Some(other) => return Err(at.field("parameters").expected("a JSON schema", &other)),
    };
    Ok(Tool {
        name: function.required_string("name")?,
        description: function.string("description")?,
        parameters,
        strict: function.bool("strict")?,
    })
}

fn decode_choice(choice: Value, at: Path<'_>, tools: &mut Vec<Tool>) -> Result<ToolChoice, BadRequest> {
    if let Value::String(word) = &choice {
        return mode(word).ok_or_else(|| at.expected("none, auto, required or an object", &choice));
    }
    let mut choice = Object::new(choice, at)?;
    match choice.required_string("type")?.as_str() {
        "function" => {
            let mut function = Object::new(choice.take("function").unwrap_or_default(), at.field("function"))?;
            Ok(ToolChoice::Named(function.required_string("name")?))
        }
        "allowed_tools" => {
            let at = at.field("allowed_tools");
            let mut allowed = Object::new(choice.take("allowed_tools").unwrap_or_default(), at)?;
            let word = allowed.required_string("mode")?;
            let names: Vec<String> = allowed
                .array("tools")?
                .unwrap_or_default()
                .iter()
                .filter_map(|tool| tool.get("function")?.get("name")?.as_str().map(str::to_owned))
                .collect();
            // Not to offer the others comes to the same as to forbid them.
            tools.retain(|tool| names.contains(&tool.name));
            mode(&word).ok_or_else(|| at.field("mode").error(format!("`{word}` is no mode; expected auto or required")))
        }
        // A custom tool, which has been left out as well.
        "custom" => Ok(ToolChoice::Auto),
        other => Err(at.field("type").error(format!("`{other}` is not known; expected function or allowed_tools"))),
    }
}

fn mode(word: &str) -> Option<ToolChoice> {
    match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        // `any` is Mistral's word.
        "required" | "any" => Some(ToolChoice::Required),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(extra: Value) -> Result<ChatRequest, BadRequest> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let (Value::Object(target), Value::Object(extra)) = (&mut body, extra) else { panic!("objects") };
        target.extend(extra);
        decode_request(body.to_string().as_bytes())
    }

    #[test]
    fn every_parameter_finds_its_place() {
        let request = decode(json!({
            "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 5, "max_completion_tokens": 6,
            "temperature": 0.5, "top_p": 0.9, "top_k": 40, "frequency_penalty": 1, "presence_penalty": -1, "seed": -3,
            "reasoning_effort": "high", "stop": ["a", "b"], "user": "u", "parallel_tool_calls": false,
            "store": true, "metadata": {"a": "b"}, "n": 3, "logprobs": true,
        }))
        .unwrap();
        assert!(request.stream && request.stream_usage);
        assert_eq!(request.max_output_tokens, Some(6));
        let sampling = Sampling {
            temperature: Some(0.5),
            top_p: Some(0.9),
            top_k: Some(40),
            frequency_penalty: Some(1.0),
            presence_penalty: Some(-1.0),
            seed: Some(-3),
        };
        assert_eq!(request.sampling, sampling);
        let reasoning = Reasoning { effort: Some(Effort::High), budget_tokens: None, show: true };
        assert_eq!(request.reasoning, Some(reasoning));
        assert_eq!(request.stop, ["a", "b"]);
        assert_eq!((request.user.as_deref(), request.parallel_tool_calls), (Some("u"), Some(false)));
        assert_eq!(decode(json!({"stop": "x"})).unwrap().stop, ["x"]);
    }

    #[test]
    fn tools_and_the_choice_among_them() {
        let function = |name: &str| json!({"type": "function", "function": {"name": name, "strict": true}});
        let with = |choice: Value| {
            let request = decode(json!({"tools": [function("f"), function("g")], "tool_choice": choice})).unwrap();
            let names: Vec<String> = request.tools.into_iter().map(|tool| tool.name).collect();
            (names.join(" "), request.tool_choice)
        };
        for (choice, tools, expected) in [
            (json!("auto"), "f g", ToolChoice::Auto),
            (json!("none"), "f g", ToolChoice::None),
            (json!("required"), "f g", ToolChoice::Required),
            (json!({"type": "function", "function": {"name": "g"}}), "f g", ToolChoice::Named("g".into())),
            (
                json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function("g")]}}),
                "g",
                ToolChoice::Required,
            ),
        ] {
            assert_eq!(with(choice.clone()), (tools.to_owned(), expected), "{choice}");
        }
        let tool = decode(json!({"tools": [function("f")]})).unwrap().tools.remove(0);
        assert_eq!(tool.parameters, json!({"type": "object", "properties": {}}));
        assert_eq!(tool.strict, Some(true));
    }

    #[test]
    fn functions_in_the_old_form_are_tools() {
        let schema = json!({"type": "object"});
        let functions = json!([{"name": "f", "description": "d", "parameters": schema}]);
        let request = decode(json!({"functions": functions, "function_call": {"name": "f"}})).unwrap();
        let expected = Tool { name: "f".into(), description: Some("d".into()), parameters: schema, strict: None };
        assert_eq!(request.tools, [expected]);
        assert_eq!(request.tool_choice, ToolChoice::Named("f".into()));
        let request = decode(json!({"functions": functions, "function_call": "none"})).unwrap();
        assert_eq!(request.tool_choice, ToolChoice::None);
    }

    #[test]
    fn formats() {
        let format = |format: Value| decode(json!({"response_format": format})).unwrap().format;
        assert_eq!(format(json!({"type": "text"})), Format::Text);
        assert_eq!(format(json!({"type": "json_object"})), Format::JsonObject);
        let schema = json!({"type": "object"});
        let inner = json!({"name": "n", "schema": schema, "strict": true});
        let expected = Format::JsonSchema { name: Some("n".into()), description: None, schema, strict: Some(true) };
        assert_eq!(format(json!({"type": "json_schema", "json_schema": inner})), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (extra, path) in [
            (json!({"messages": null}), "messages"),
            (json!({"messages": "x"}), "messages"),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"max_tokens": -1}), "max_tokens"),
            (json!({"stop": ["a", 1]}), "stop[1]"),
            (json!({"reasoning_effort": "extreme"}), "reasoning_effort"),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
            (json!({"tools": [{"type": "function", "function": {}}]}), "tools[0].function.name"),
            (
                json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}),
                "tools[0].function.parameters",
            ),
            (json!({"tool_choice": "maybe"}), "tool_choice"),
            (json!({"tool_choice": {"type": "function"}}), "tool_choice.function"),
            (json!({"response_format": {"type": "grammar"}}), "response_format.type"),
            (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
                "response_format.json_schema.schema",
            ),
        ] {
            assert_eq!(decode(extra.clone()).unwrap_err().path, path, "{extra}");
        }
        assert_eq!(decode_request(b"[]").unwrap_err().path, "body");
        assert_eq!(decode_request(b"{").unwrap_err().path, "body");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_request(&bytes);
        }
    }
}
