//! A client's request as a [`ChatRequest`].
//!
//! Read with the path of every field, since the error goes to a person. Fields that are
//! hints to Anthropic (`cache_control`, `service_tier`, `speed` …) are left out; what binds
//! a request to Anthropic ([`peek`](super::peek()) reports it) is refused, not lost.

use serde_json::{Value, json};

use super::blocks::{self, texts};
use crate::wire::anthropic::json::{Obj, wrong};
use crate::wire::chat::{ChatRequest, Effort, Format, Message, Reasoning, Role, Sampling, Tool, ToolChoice};
use crate::wire::error::BadRequest;
use crate::wire::tree;

/// Fields that no other provider could honour; see the list of the same fields in `peek`.
const BOUND_TO_ANTHROPIC: [&str; 7] =
    ["container", "context_management", "compaction", "thread", "inference_geo", "user_profile_id", "mcp_servers"];

/// Reads a whole request. `max_tokens` may be missing, as it does where tokens are counted.
///
/// # Errors
/// If the body is not of the dialect, or uses what only Anthropic has.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let tree =
        tree::read(body).map_err(|error| BadRequest::at("body", format!("not JSON that can be read: {error}")))?;
    let mut top = Obj::new(tree, String::new())?;
    for field in BOUND_TO_ANTHROPIC {
        if top.take(field).is_some_and(|value| value != json!([])) {
            return Err(bound(field));
        }
    }
    let mut request = ChatRequest {
        instructions: top.take("system").map(|system| texts(system, "system")).transpose()?.unwrap_or_default(),
        max_output_tokens: top.count("max_tokens")?,
        sampling: Sampling {
            temperature: top.number("temperature")?,
            top_p: top.number("top_p")?,
            top_k: top.count("top_k")?,
            ..Sampling::default()
        },
        stream: top.flag("stream")?.unwrap_or(false),
        user: top.object("metadata")?.map(|mut metadata| metadata.text("user_id")).transpose()?.flatten(),
        ..ChatRequest::default()
    };
    request.instructions.retain(|text| !text.is_empty());
    for (path, item) in top.list("messages")?.ok_or_else(|| BadRequest::at("messages", "required, an array"))? {
        request.messages.push(message(item, path)?);
    }
    for (path, item) in top.list("tools")?.unwrap_or_default() {
        request.tools.push(tool(item, path)?);
    }
    for (path, item) in top.list("stop_sequences")?.unwrap_or_default() {
        match item {
            Value::String(stop) => request.stop.push(stop),
            other => return Err(wrong(&path, "a string", &other)),
        }
    }
    if let Some(choice) = top.object("tool_choice")? {
        (request.tool_choice, request.parallel_tool_calls) = tool_choice(choice)?;
    }
    let mut config = top.object("output_config")?;
    let effort = match &mut config {
        Some(config) => effort(config)?,
        None => None,
    };
    request.reasoning = reasoning(top.object("thinking")?, effort)?;
    let format = match &mut config {
        Some(config) => config.object("format")?,
        None => None,
    };
    // The older name of the same field.
    if let Some(format) = format.or(top.object("output_format")?) {
        request.format = json_format(format)?;
    }
    Ok(request)
}

/// The error for what binds a request to Anthropic.
pub(super) fn bound(path: impl Into<String>) -> BadRequest {
    BadRequest::at(path, "only Anthropic has this, and no target of this protocol could serve the request")
}

fn message(item: Value, path: String) -> Result<Message, BadRequest> {
    let mut item = Obj::new(item, path)?;
    let role = match item.required_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            let message = format!("expected `user`, `assistant` or `system`, got `{other}`");
            return Err(BadRequest::at(item.at("role"), message));
        }
    };
    let path = item.at("content");
    let content = item.take("content").ok_or_else(|| BadRequest::at(&path, "required, a string or content blocks"))?;
    Ok(Message { role, parts: blocks::parts(content, &path)? })
}

fn tool(item: Value, path: String) -> Result<Tool, BadRequest> {
    let mut item = Obj::new(item, path)?;
    if item.text("type")?.is_some_and(|kind| kind != "custom") {
        return Err(bound(item.at("type")));
    }
    let parameters = match item.take("input_schema") {
        None => json!({"type": "object", "properties": {}}),
        Some(schema @ Value::Object(_)) => schema,
        Some(other) => return Err(wrong(&item.at("input_schema"), "a JSON schema", &other)),
    };
    Ok(Tool {
        name: item.required_text("name")?,
        description: item.text("description")?,
        parameters,
        strict: item.flag("strict")?,
    })
}

fn tool_choice(mut choice: Obj) -> Result<(ToolChoice, Option<bool>), BadRequest> {
    let parallel = choice.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let choice = match choice.required_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.required_text("name")?),
        other => {
            let message = format!("expected `auto`, `any`, `tool` or `none`, got `{other}`");
            return Err(BadRequest::at(choice.at("type"), message));
        }
    };
    Ok((choice, parallel))
}

fn effort(config: &mut Obj) -> Result<Option<Effort>, BadRequest> {
    let Some(name) = config.text("effort")? else { return Ok(None) };
    let effort = Effort::parse(&name).ok_or_else(|| {
        BadRequest::at(config.at("effort"), format!("expected `low`, `medium`, `high`, `xhigh` or `max`, got `{name}`"))
    })?;
    Ok(Some(effort))
}

fn reasoning(thinking: Option<Obj>, effort: Option<Effort>) -> Result<Option<Reasoning>, BadRequest> {
    let Some(mut thinking) = thinking else {
        // Effort without a word on thinking still says how hard to try.
        return Ok(effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }));
    };
    let show = thinking.text("display")?.as_deref() != Some("omitted");
    Ok(Some(match thinking.required_text("type")?.as_str() {
        "enabled" => {
            let budget_tokens = thinking.count("budget_tokens")?;
            if budget_tokens.is_none() {
                return Err(BadRequest::at(thinking.at("budget_tokens"), "required with `enabled`, in tokens"));
            }
            Reasoning { effort, budget_tokens, show }
        }
        "adaptive" => Reasoning { effort, budget_tokens: None, show },
        // `between_tools` is the name of newer models for thinking turned off.
        "disabled" | "between_tools" => Reasoning { effort: Some(Effort::None), ..Reasoning::default() },
        other => {
            let message = format!("expected `enabled`, `adaptive`, `between_tools` or `disabled`, got `{other}`");
            return Err(BadRequest::at(thinking.at("type"), message));
        }
    }))
}

fn json_format(mut format: Obj) -> Result<Format, BadRequest> {
    match format.required_text("type")?.as_str() {
        "json_schema" => {
            let schema =
                format.take("schema").ok_or_else(|| BadRequest::at(format.at("schema"), "required, a schema"))?;
            // Anthropic always holds the answer to the schema.
            Ok(Format::JsonSchema { name: None, description: None, schema, strict: Some(true) })
        }
        other => Err(BadRequest::at(format.at("type"), format!("expected `json_schema`, got `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(mut fields: Value) -> Result<ChatRequest, BadRequest> {
        if fields.get("messages").is_none() {
            fields["messages"] = json!([{"role": "user", "content": "hi"}]);
        }
        decode_request(fields.to_string().as_bytes())
    }

    #[test]
    fn limits_sampling_and_the_rest_of_the_top_level() {
        let request = decoded(json!({
            "model": "m", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "stream": true,
            "system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}],
            "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "service_tier": "auto",
        }))
        .unwrap();
        assert_eq!(request.instructions, ["a", "b"]);
        assert_eq!((request.max_output_tokens, request.stream, request.user.as_deref()), (Some(5), true, Some("u")));
        assert_eq!(request.sampling.top_k, Some(40));
        assert_eq!(request.stop, ["END"]);
        assert_eq!(decoded(json!({"system": "s"})).unwrap().instructions, ["s"]);
    }

    #[test]
    fn tools_and_tool_choice() {
        let request = decoded(json!({
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true}, {"name": "g"}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        }))
        .unwrap();
        assert_eq!(request.tools[0].strict, Some(true));
        assert_eq!(request.tools[1].parameters, json!({"type": "object", "properties": {}}));
        assert_eq!(request.tool_choice, ToolChoice::Named("f".into()));
        assert_eq!(request.parallel_tool_calls, Some(false));
    }

    #[test]
    fn thinking_in_all_its_forms() {
        let reasoning = |fields: Value| decoded(fields).unwrap().reasoning;
        assert_eq!(reasoning(json!({})), None);
        assert_eq!(
            reasoning(json!({"thinking": {"type": "enabled", "budget_tokens": 2048}})),
            Some(Reasoning { effort: None, budget_tokens: Some(2048), show: true })
        );
        assert_eq!(
            reasoning(
                json!({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}})
            ),
            Some(Reasoning { effort: Some(Effort::Max), budget_tokens: None, show: false })
        );
        let off = Some(Reasoning { effort: Some(Effort::None), budget_tokens: None, show: false });
        assert_eq!(reasoning(json!({"thinking": {"type": "disabled"}})), off);
        assert_eq!(reasoning(json!({"thinking": {"type": "between_tools"}})), off);
        assert_eq!(reasoning(json!({"output_config": {"effort": "low"}})).unwrap().effort, Some(Effort::Low));
    }

    #[test]
    fn a_schema_by_either_name() {
        let format = json!({"type": "json_schema", "schema": {"type": "object"}});
        let new = decoded(json!({"output_config": {"format": format}})).unwrap();
        let old = decoded(json!({"output_format": format})).unwrap();
        assert_eq!(new.format, old.format);
        assert!(matches!(new.format, Format::JsonSchema { schema, .. } if schema == json!({"type": "object"})));
    }

    #[test]
    fn errors_name_the_field() {
        let path = |fields: Value| decoded(fields).unwrap_err().path;
        assert_eq!(path(json!({"messages": [{"role": "user", "content": "a"}, {"role": "bot"}]})), "messages[1].role");
        assert_eq!(path(json!({"messages": [{"role": "user"}]})), "messages[0].content");
        assert_eq!(
            path(json!({"messages": [{"role": "user", "content": [{"type": "nonsense"}]}]})),
            "messages[0].content[0].type"
        );
        assert_eq!(path(json!({"tools": [{"type": "bash_20250124", "name": "bash"}]})), "tools[0].type");
        assert_eq!(path(json!({"tools": [{}]})), "tools[0].name");
        assert_eq!(path(json!({"thinking": {"type": "enabled"}})), "thinking.budget_tokens");
        assert_eq!(path(json!({"output_config": {"effort": "huge"}})), "output_config.effort");
        assert_eq!(path(json!({"stop_sequences": [1]})), "stop_sequences[0]");
        assert_eq!(path(json!({"container": {"id": "c"}})), "container");
        assert_eq!(path(json!({"max_tokens": -1})), "max_tokens");
        assert_eq!(decode_request(b"[]").unwrap_err().path, "body");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_request(&bytes);
        }
    }
}
