//! A request as the chat that every protocol can say.
//!
//! Hints that other protocols lack are left out. What binds a request to a provider of
//! this API ([`peek`](super::peek()) reports it) is refused, not lost.

use serde_json::{Value, json};

use super::fields::{Object, bound};
use super::input::{self, Conversation};
use crate::wire::chat::{ChatRequest, Effort, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::wire::error::BadRequest;

/// Settings that lean on what a provider stores or runs; `peek` reports them.
pub(super) const BOUND: [&str; 5] =
    ["previous_response_id", "conversation", "prompt", "context_management", "moderation"];

/// What may be asked to be included in an answer and means nothing, or something that is
/// there anyway, in a translated one.
pub(super) const INCLUDABLE: [&str; 2] = ["reasoning.encrypted_content", "message.input_image.image_url"];

/// Reads a request in full.
///
/// # Errors
/// Where it is not of the dialect or cannot be said in another one, by path:
/// `input[2].content[0].type: …`.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let top = Object::body(body)?;
    refuse_bound(&top)?;
    let Conversation { instructions, messages } = input::decode(&top)?;
    if instructions.is_empty() && messages.is_empty() {
        return Err(BadRequest::at("input", "there is nothing to answer; send a string or a list of items"));
    }
    let mut tools = tools(&top)?;
    let tool_choice = tool_choice(&top, &mut tools)?;
    Ok(ChatRequest {
        instructions,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: top.read("parallel_tool_calls", "true or false")?,
        format: format(&top)?,
        stop: Vec::new(),
        max_output_tokens: top.read("max_output_tokens", "a whole number")?,
        sampling: Sampling {
            temperature: top.read("temperature", "a number")?,
            top_p: top.read("top_p", "a number")?,
            ..Sampling::default()
        },
        reasoning: reasoning(&top)?,
        stream: top.read("stream", "true or false")?.unwrap_or(false),
        stream_usage: false,
        user: match top.text("user")? {
            Some(user) => Some(user),
            None => top.text("safety_identifier")?,
        },
    })
}

/// Settings that only a provider of this API can honour.
fn refuse_bound(top: &Object<'_>) -> Result<(), BadRequest> {
    for name in BOUND {
        if top.raw(name).is_some_and(|raw| raw.get() != "[]") {
            return Err(bound(name));
        }
    }
    if top.read("background", "true or false")? == Some(true) {
        return Err(bound("background"));
    }
    if top.read::<u64>("top_logprobs", "a whole number")?.is_some_and(|n| n > 0) {
        return Err(bound("top_logprobs"));
    }
    let include: Vec<String> = top.read("include", "an array of strings")?.unwrap_or_default();
    match include.iter().position(|what| !INCLUDABLE.contains(&what.as_str())) {
        Some(i) => Err(bound(format!("include[{i}]"))),
        None => Ok(()),
    }
}

/// The function tools.
fn tools(top: &Object<'_>) -> Result<Vec<Tool>, BadRequest> {
    let mut tools = Vec::new();
    for tool in top.objects("tools")? {
        if tool.required_text("type")? != "function" {
            return Err(bound(tool.at("type")));
        }
        if tool.raw("function").is_some() {
            let message = "tools are flat in this API: put name, description and parameters beside type";
            return Err(BadRequest::at(tool.at("function"), message));
        }
        tools.push(Tool {
            name: tool.required_text("name")?,
            description: tool.text("description")?,
            parameters: tool
                .read::<serde_json::Map<String, Value>>("parameters", "a JSON schema")?
                .map_or_else(|| json!({"type": "object", "properties": {}}), Value::Object),
            strict: tool.read("strict", "true or false")?,
        });
    }
    Ok(tools)
}

/// The tool choice. A subset of the tools is said by offering only that subset.
fn tool_choice(top: &Object<'_>, tools: &mut Vec<Tool>) -> Result<ToolChoice, BadRequest> {
    const EXPECTED: &str = "expected \"auto\", \"none\", \"required\" or an object";
    let Some(raw) = top.raw("tool_choice") else { return Ok(ToolChoice::Auto) };
    if !raw.get().starts_with('{') {
        let word = top.text("tool_choice").map_err(|error| BadRequest { message: EXPECTED.into(), ..error })?;
        return mode(word.as_deref().unwrap_or("auto"))
            .ok_or_else(|| BadRequest::at("tool_choice", format!("{EXPECTED}, got {}", raw.get())));
    }
    let choice = Object::inner("tool_choice".into(), raw)?;
    match choice.required_text("type")?.as_str() {
        "function" => Ok(ToolChoice::Named(choice.required_text("name")?)),
        "allowed_tools" => {
            let mut allowed = Vec::new();
            for tool in choice.objects("tools")? {
                if tool.required_text("type")? != "function" {
                    return Err(bound(tool.at("type")));
                }
                allowed.push(tool.required_text("name")?);
            }
            tools.retain(|tool| allowed.contains(&tool.name));
            let word = choice.required_text("mode")?;
            mode(&word).ok_or_else(|| {
                BadRequest::at(choice.at("mode"), format!("expected \"auto\" or \"required\", got {word:?}"))
            })
        }
        _ => Err(bound(choice.at("type"))),
    }
}

fn mode(word: &str) -> Option<ToolChoice> {
    match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" => Some(ToolChoice::Required),
        _ => None,
    }
}

fn format(top: &Object<'_>) -> Result<Format, BadRequest> {
    let Some(text) = top.object("text")? else { return Ok(Format::Text) };
    let Some(format) = text.object("format")? else { return Ok(Format::Text) };
    match format.required_text("type")?.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => Ok(Format::JsonSchema {
            name: format.text("name")?,
            description: format.text("description")?,
            schema: format
                .read::<serde_json::Map<String, Value>>("schema", "a JSON schema")?
                .map(Value::Object)
                .ok_or_else(|| BadRequest::at(format.at("schema"), "the field is missing; it must be a JSON schema"))?,
            strict: format.read("strict", "true or false")?,
        }),
        other => Err(BadRequest::at(
            format.at("type"),
            format!("expected \"text\", \"json_object\" or \"json_schema\", got {other:?}"),
        )),
    }
}

/// Effort, and whether the client wants to see something of the reasoning: a summary, or
/// the sealed state with which later turns go on.
fn reasoning(top: &Object<'_>) -> Result<Option<Reasoning>, BadRequest> {
    let Some(reasoning) = top.object("reasoning")? else { return Ok(None) };
    let effort = match reasoning.text("effort")? {
        None => None,
        Some(name) => Some(Effort::parse(&name).ok_or_else(|| {
            let known: Vec<&str> = Effort::ALL.iter().map(|(name, _)| *name).collect();
            BadRequest::at(reasoning.at("effort"), format!("expected one of {}, got {name:?}", known.join(", ")))
        })?),
    };
    let include: Vec<String> = top.read("include", "an array of strings")?.unwrap_or_default();
    let show = reasoning.raw("summary").is_some()
        || reasoning.raw("generate_summary").is_some()
        || include.iter().any(|what| what == "reasoning.encrypted_content");
    Ok(Some(Reasoning { effort, budget_tokens: None, show }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::chat::{Message, Part, Role};
    use proptest::prelude::*;

    fn decode(fields: Value) -> Result<ChatRequest, BadRequest> {
        let mut body = json!({"model": "m", "input": "hi"});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        decode_request(body.to_string().as_bytes())
    }

    #[test]
    fn a_string_is_one_turn_of_the_user() {
        let request = decode(json!({"instructions": "be kind", "stream": true, "max_output_tokens": 9})).unwrap();
        assert_eq!(request.instructions, ["be kind"]);
        assert_eq!(request.messages, [Message { role: Role::User, parts: vec![Part::Text("hi".into())] }]);
        assert_eq!((request.stream, request.max_output_tokens), (true, Some(9)));
    }

    #[test]
    fn nulls_are_as_good_as_nothing() {
        let nulls = json!({"instructions": null, "tools": null, "tool_choice": null, "text": null, "reasoning": null,
            "temperature": null, "user": null, "stream": null, "max_output_tokens": null, "include": null});
        assert_eq!(decode(nulls).unwrap(), decode(json!({})).unwrap());
    }

    #[test]
    fn function_tools_are_flat() {
        let request = decode(json!({"tools": [
            {"type": "function", "name": "a", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "function", "name": "b", "parameters": null, "strict": null},
        ]}))
        .unwrap();
        assert_eq!(request.tools[0].strict, Some(true));
        assert_eq!(request.tools[1].parameters, json!({"type": "object", "properties": {}}));
        let error = decode(json!({"tools": [{"type": "function", "function": {"name": "a"}}]})).unwrap_err();
        assert_eq!(error.path, "tools[0].function");
    }

    #[test]
    fn tool_choices() {
        let tools = json!([{"type": "function", "name": "a"}, {"type": "function", "name": "b"}]);
        let choose = |choice: Value| decode(json!({"tools": tools, "tool_choice": choice}));
        for (choice, expected) in [
            (json!("auto"), ToolChoice::Auto),
            (json!("none"), ToolChoice::None),
            (json!("required"), ToolChoice::Required),
            (json!({"type": "function", "name": "b"}), ToolChoice::Named("b".into())),
        ] {
            assert_eq!(choose(choice).unwrap().tool_choice, expected);
        }
        let allowed = choose(json!({"type": "allowed_tools", "mode": "required",
            "tools": [{"type": "function", "name": "b"}]}))
        .unwrap();
        assert_eq!(allowed.tool_choice, ToolChoice::Required);
        assert_eq!(allowed.tools.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(choose(json!("any")).unwrap_err().path, "tool_choice");
        assert_eq!(choose(json!(7)).unwrap_err().path, "tool_choice");
        assert_eq!(choose(json!({"type": "function"})).unwrap_err().path, "tool_choice.name");
    }

    #[test]
    fn formats() {
        let format = |format: Value| decode(json!({"text": {"format": format, "verbosity": "low"}})).map(|r| r.format);
        assert_eq!(format(json!({"type": "text"})).unwrap(), Format::Text);
        assert_eq!(format(json!({"type": "json_object"})).unwrap(), Format::JsonObject);
        assert_eq!(
            format(json!({"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": true})).unwrap(),
            Format::JsonSchema {
                name: Some("n".into()),
                description: None,
                schema: json!({"a": 1}),
                strict: Some(true)
            }
        );
        assert_eq!(format(json!({"type": "json_schema"})).unwrap_err().path, "text.format.schema");
        assert_eq!(format(json!({"type": "xml"})).unwrap_err().path, "text.format.type");
    }

    #[test]
    fn reasoning_is_shown_where_a_summary_or_its_state_is_wanted() {
        let of = |fields: Value| decode(fields).map(|r| r.reasoning);
        let reasoning = |effort, show| Some(Reasoning { effort, budget_tokens: None, show });
        assert_eq!(of(json!({})).unwrap(), None);
        assert_eq!(of(json!({"reasoning": {"effort": "high"}})).unwrap(), reasoning(Some(Effort::High), false));
        assert_eq!(of(json!({"reasoning": {"summary": "auto"}})).unwrap(), reasoning(None, true));
        let with_state = json!({"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]});
        assert_eq!(of(with_state).unwrap(), reasoning(Some(Effort::Low), true));
        assert_eq!(of(json!({"reasoning": {"effort": "huge"}})).unwrap_err().path, "reasoning.effort");
    }

    #[test]
    fn the_user_has_two_names() {
        assert_eq!(decode(json!({"safety_identifier": "s"})).unwrap().user.as_deref(), Some("s"));
        assert_eq!(decode(json!({"safety_identifier": "s", "user": "u"})).unwrap().user.as_deref(), Some("u"));
    }

    #[test]
    fn a_request_without_input_is_refused() {
        assert_eq!(decode(json!({"input": []})).unwrap_err().path, "input");
        assert_eq!(decode(json!({"input": 7})).unwrap_err().path, "input");
        assert_eq!(decode_request(b"{\"model\":\"m\"}").unwrap_err().path, "input");
    }

    /// Text with the words of the dialect in it, so that it gets past the first check.
    fn almost_a_request() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "1",
            "\"model\"",
            "\"m\"",
            "\"input\"",
            "\"type\"",
            "\"role\"",
            "\"user\"",
            "\"assistant\"",
            "\"content\"",
            "\"message\"",
            "\"input_image\"",
            "\"image_url\"",
            "\"data:,;base64\"",
            "\"reasoning\"",
            "\"encrypted_content\"",
            "\"pmseal.gemini.\"",
            "\"id\"",
            "\"tools\"",
            "\"tool_choice\"",
            "\"text\"",
            "\"",
        ]);
        prop::collection::vec(word, 0..30)
            .prop_map(|words| format!("{{\"model\":\"m\",\"input\":[{{{}", words.concat()))
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in almost_a_request()) {
            for body in [bytes.as_slice(), text.as_bytes(), format!("{text}}}]}}").as_bytes()] {
                let _ = decode_request(body);
                let _ = super::super::peek(body);
                let _ = super::super::strip_foreign_seals(body);
                let _ = super::super::echo(body);
            }
        }
    }
}
