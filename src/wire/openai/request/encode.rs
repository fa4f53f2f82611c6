//! A chat request as an OpenAI-compatible provider gets it.

use serde_json::{Map, Value, json};

use crate::domain::feature::{Feature, FeatureSet};
use crate::domain::provider::OutputLimitField;
use crate::wire::chat::{
    ChatRequest, Effort, Format, Media, Message, Part, Reasoning, Role, SealOrigin, ToolCall, ToolChoice, ToolResult,
};
use crate::wire::error::Unsupported;
use crate::wire::meta::EncodeFor;

/// What a translated request may use and still be said here.
pub const EXPRESSIBLE: FeatureSet = FeatureSet::of(&[
    Feature::Tools,
    Feature::Images,
    Feature::ImageUrls,
    Feature::Documents,
    Feature::JsonObject,
    Feature::JsonSchema,
    Feature::Stops,
]);

/// Writes the body.
///
/// # Errors
/// If the request uses what this protocol lacks.
pub fn encode_request(request: &ChatRequest, to: &EncodeFor<'_>) -> Result<Vec<u8>, Unsupported> {
    let mut body = Map::new();
    body.insert("model".into(), to.model.into());
    body.insert("messages".into(), messages(request, to)?.into());
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    };
    if !request.tools.is_empty() {
        put("tools", Some(request.tools.iter().map(tool).collect()));
        put("tool_choice", tool_choice(&request.tool_choice));
        put("parallel_tool_calls", request.parallel_tool_calls.map(Value::from));
    }
    put("response_format", format(&request.format));
    let mut stop = request.stop.clone();
    if stop.len() > 4 {
        if !to.drop_unsupported {
            return Err(unsupported(Feature::ManyStops, "`stop` takes at most four sequences"));
        }
        stop.truncate(4);
    }
    put("stop", (!stop.is_empty()).then(|| stop.into()));
    let limit = match to.quirks.output_limit {
        OutputLimitField::MaxTokens => "max_tokens",
        OutputLimitField::MaxCompletionTokens => "max_completion_tokens",
    };
    // A limit above the model's own is refused, although it could make no difference.
    let most = to.max_output_tokens.unwrap_or(u64::MAX);
    put(limit, request.max_output_tokens.map(|wanted| wanted.min(most).into()));
    let sampling = request.sampling;
    put("temperature", sampling.temperature.map(|t| t.clamp(0.0, 2.0).into()));
    put("top_p", sampling.top_p.map(Value::from));
    put("frequency_penalty", sampling.frequency_penalty.map(Value::from));
    put("presence_penalty", sampling.presence_penalty.map(Value::from));
    put("seed", sampling.seed.map(Value::from));
    put("reasoning_effort", request.reasoning.and_then(effort).map(Value::from));
    put("user", request.user.clone().map(Value::from));
    if request.stream {
        put("stream", Some(true.into()));
        put("stream_options", to.quirks.stream_usage.then(|| json!({"include_usage": true})));
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

fn unsupported(feature: Feature, detail: &str) -> Unsupported {
    Unsupported { feature, detail: detail.into() }
}

/// The effort, or the one that a budget of tokens comes nearest to: up to 2,000 tokens low,
/// up to 12,000 medium, more high.
fn effort(reasoning: Reasoning) -> Option<&'static str> {
    match (reasoning.effort, reasoning.budget_tokens) {
        (Some(Effort::Max), _) => Some("xhigh"),
        (Some(effort), _) => Some(effort.as_str()),
        (None, Some(0..=2_000)) => Some("low"),
        (None, Some(2_001..=12_000)) => Some("medium"),
        (None, Some(_)) => Some("high"),
        (None, None) => None,
    }
}

fn tool(tool: &crate::wire::chat::Tool) -> Value {
    let mut function = json!({"name": tool.name, "parameters": tool.parameters});
    if let Some(description) = &tool.description {
        function["description"] = description.as_str().into();
    }
    if let Some(strict) = tool.strict {
        function["strict"] = strict.into();
    }
    json!({"type": "function", "function": function})
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some("none".into()),
        ToolChoice::Required => Some("required".into()),
        ToolChoice::Named(name) => Some(json!({"type": "function", "function": {"name": name}})),
    }
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({"type": "json_object"})),
        Format::JsonSchema { name, description, schema, strict } => {
            let mut inner = json!({"name": name.as_deref().unwrap_or("response"), "schema": schema});
            if let Some(description) = description {
                inner["description"] = description.as_str().into();
            }
            if let Some(strict) = strict {
                inner["strict"] = (*strict).into();
            }
            Some(json!({"type": "json_schema", "json_schema": inner}))
        }
    }
}

fn messages(request: &ChatRequest, to: &EncodeFor<'_>) -> Result<Vec<Value>, Unsupported> {
    let mut out = Vec::with_capacity(request.messages.len() + 1);
    if !request.instructions.is_empty() {
        out.push(json!({"role": "system", "content": request.instructions.join("\n\n")}));
    }
    for message in &request.messages {
        match message.role {
            Role::System => out.push(json!({"role": "system", "content": content(&message.parts, to)?})),
            Role::User => user(message, to, &mut out)?,
            Role::Assistant => out.extend(assistant(message)),
        }
    }
    Ok(out)
}

/// Results come first, each its own message; what else the turn holds follows. A tool
/// message takes text alone, so pictures and documents in a result go into that user
/// message.
fn user(message: &Message, to: &EncodeFor<'_>, out: &mut Vec<Value>) -> Result<(), Unsupported> {
    let mut rest: Vec<Part> = Vec::new();
    for part in &message.parts {
        match part {
            Part::ToolResult(result) => out.push(tool_result(result, &mut rest)),
            other => rest.push(other.clone()),
        }
    }
    if !rest.is_empty() {
        out.push(json!({"role": "user", "content": content(&rest, to)?}));
    }
    Ok(())
}

fn tool_result(result: &ToolResult, media: &mut Vec<Part>) -> Value {
    let mut texts = Vec::new();
    for part in &result.parts {
        match part {
            Part::Text(text) => texts.push(text.as_str()),
            other => media.push(other.clone()),
        }
    }
    let text = texts.join("\n");
    let text = if result.is_error { format!("Error: {text}") } else { text };
    json!({"role": "tool", "tool_call_id": result.call_id, "content": text})
}

fn assistant(message: &Message) -> Option<Value> {
    let mut text = String::new();
    let mut refusal = None;
    let mut calls = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Refusal(words) => refusal = Some(words.clone()),
            Part::ToolCall(call) => calls.push(tool_call(call)),
            _ => {}
        }
    }
    let mut out = json!({"role": "assistant"});
    if !text.is_empty() || (calls.is_empty() && refusal.is_none()) {
        out["content"] = text.into();
    }
    if let Some(refusal) = refusal {
        out["refusal"] = refusal.into();
    }
    if !calls.is_empty() {
        out["tool_calls"] = calls.into();
    }
    Some(out)
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
    let mut out = json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}});
    if let Some(seal) = call.seal.as_ref().filter(|seal| seal.origin == SealOrigin::Gemini) {
        out["extra_content"] = json!({"google": {"thought_signature": seal.data}});
    }
    out
}

/// Text alone as a string, which every server takes; otherwise a list of parts.
fn content(parts: &[Part], to: &EncodeFor<'_>) -> Result<Value, Unsupported> {
    if let [Part::Text(text)] = parts {
        return Ok(text.as_str().into());
    }
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => out.push(json!({"type": "text", "text": text})),
            Part::Image(media) => out.push(json!({"type": "image_url", "image_url": {"url": url(media)}})),
            Part::Document { media: media @ Media::Inline { .. }, name } => {
                let name = name.as_deref().unwrap_or("document.pdf");
                out.push(json!({"type": "file", "file": {"filename": name, "file_data": url(media)}}));
            }
            Part::Document { media: Media::Url(_), .. } if !to.drop_unsupported => {
                return Err(unsupported(Feature::Documents, "a document by URL"));
            }
            _ => {}
        }
    }
    Ok(out.into())
}

fn url(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Inline { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::provider::OpenAiQuirks;
    use crate::wire::openai::decode_request;

    fn written(body: &Value, most: Option<u64>) -> Value {
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxTokens };
        let to = EncodeFor { model: "up", max_output_tokens: most, quirks, drop_unsupported: false };
        let request = decode_request(body.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&encode_request(&request, &to).unwrap()).unwrap()
    }

    #[test]
    fn a_limit_is_never_above_the_models_own() {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9_000});
        assert_eq!(written(&body, Some(4_096))["max_tokens"], 4_096);
        assert_eq!(written(&body, Some(16_384))["max_tokens"], 9_000);
        assert_eq!(written(&body, None)["max_tokens"], 9_000);
    }

    #[test]
    fn the_users_newer_name_counts_where_the_older_is_missing() {
        let messages = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(written(&json!({"messages": messages, "safety_identifier": "a"}), None)["user"], "a");
        assert_eq!(written(&json!({"messages": messages, "safety_identifier": "a", "user": "b"}), None)["user"], "b");
    }
}
