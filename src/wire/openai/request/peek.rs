//! What routing must know of a Chat Completions request, without building it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::glance::glance_at_messages;
use crate::domain::feature::Feature;
use crate::wire::error::BadRequest;
use crate::wire::openai::fields::{
    TOKENS_PER_MEDIUM, given, inline_media_bytes, note_unknown, note_unknown_fields, open, read_limit, read_stream,
};
use crate::wire::peek::{Peek, TopLevel, estimate_tokens};

/// Every parameter of the official API that translation understands or may drop.
///
/// `moderation` is missing on purpose: it can block an answer, no other protocol has it,
/// and so a request with it must stay where the client sent it.
const KNOWN: [&str; 37] = [
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
    // Not of the official API, but of so many servers that it is understood.
    "top_k",
];

/// Reads the facts of a request.
///
/// # Errors
/// If the body is not a JSON object, has no model or no messages, or has a field of a
/// type that could not be understood anywhere.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let (top, mut peek) = open(body)?;
    read_stream(&top, &mut peek)?;
    peek.max_output_tokens = match read_limit(&top, "max_completion_tokens")? {
        Some(limit) => Some(limit),
        None => read_limit(&top, "max_tokens")?,
    };
    peek.user = match top.read("user", "a string")? {
        Some(user) => Some(user),
        None => top.read("safety_identifier", "a string")?,
    };
    note_unknown_fields(&top, &KNOWN, &mut peek);
    note_parameters(&top, &mut peek)?;
    note_tools(&top, &mut peek)?;
    note_format(&top, &mut peek)?;

    let messages = top.get("messages").ok_or_else(|| BadRequest::at("messages", "missing; expected an array"))?;
    let seen = glance_at_messages(messages, &mut peek)?;
    let tools = ["tools", "functions"].iter().filter_map(|name| top.get(name)).map(|raw| raw.get().len());
    let inline = if seen.inline { inline_media_bytes(messages.get()) } else { 0 };
    let text = messages.get().len().saturating_sub(seen.media_bytes.max(inline));
    peek.prompt_tokens = estimate_tokens(text + tools.sum::<usize>()) + seen.media * TOKENS_PER_MEDIUM;
    Ok(peek)
}

/// Parameters that ask for something not every endpoint has.
fn note_parameters(top: &TopLevel<'_>, peek: &mut Peek) -> Result<(), BadRequest> {
    let needs = &mut peek.needs;
    if top.read::<serde_json::Number>("n", "a whole number")?.is_some_and(|n| n.as_f64() != Some(1.0)) {
        needs.insert(Feature::MultipleChoices);
    }
    if given(top.get("logprobs")) || top.get("top_logprobs").is_some_and(|raw| raw.get() != "0") {
        needs.insert(Feature::Logprobs);
    }
    if given(top.get("logit_bias")) {
        needs.insert(Feature::LogitBias);
    }
    if top.get("web_search_options").is_some() {
        needs.insert(Feature::HostedTools);
    }
    if given(top.get("audio")) {
        needs.insert(Feature::Audio);
    }
    let modalities: Vec<String> = top.read("modalities", "an array of strings")?.unwrap_or_default();
    for modality in &modalities {
        match modality.as_str() {
            "text" => {}
            "audio" => peek.needs.insert(Feature::Audio),
            other => note_unknown(peek, format!("modalities: {other}")),
        }
    }
    let stops = match top.get("stop") {
        None => 0,
        Some(raw) if raw.get().starts_with('"') => 1,
        Some(_) => top.read::<Vec<&RawValue>>("stop", "a string or an array of strings")?.unwrap_or_default().len(),
    };
    if stops > 0 {
        peek.needs.insert(Feature::Stops);
    }
    if stops > 4 {
        peek.needs.insert(Feature::ManyStops);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Typed {
    r#type: Option<String>,
}

fn note_tools(top: &TopLevel<'_>, peek: &mut Peek) -> Result<(), BadRequest> {
    let tools: Vec<Typed> = top.read("tools", "an array of tools")?.unwrap_or_default();
    for (i, tool) in tools.iter().enumerate() {
        match tool.r#type.as_deref() {
            None | Some("function") => peek.needs.insert(Feature::Tools),
            Some("custom") => peek.needs.insert(Feature::HostedTools),
            // A tool that some compatible server runs itself.
            Some(_) => {
                peek.needs.insert(Feature::HostedTools);
                note_unknown(peek, format!("tools[{i}].type"));
            }
        }
    }
    if given(top.get("functions")) {
        peek.needs.insert(Feature::Tools);
    }
    if top.get("tool_choice").is_some_and(|raw| raw.get().starts_with('{')) {
        let choice: Option<Typed> = top.read("tool_choice", "a string or an object")?;
        match choice.and_then(|choice| choice.r#type).as_deref() {
            Some("allowed_tools") => peek.needs.insert(Feature::AllowedTools),
            Some("custom") => peek.needs.insert(Feature::HostedTools),
            _ => {}
        }
    }
    Ok(())
}

fn note_format(top: &TopLevel<'_>, peek: &mut Peek) -> Result<(), BadRequest> {
    let format: Option<Typed> = top.read("response_format", "an object with a type")?;
    match format.and_then(|format| format.r#type).as_deref() {
        None | Some("text") => {}
        Some("json_object") => peek.needs.insert(Feature::JsonObject),
        Some("json_schema") => peek.needs.insert(Feature::JsonSchema),
        Some(_) => note_unknown(peek, "response_format.type"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feature::FeatureSet;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn peeked(extra: Value) -> Peek {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let (Value::Object(target), Value::Object(extra)) = (&mut body, extra) else { panic!("objects") };
        target.extend(extra);
        peek(body.to_string().as_bytes()).unwrap()
    }

    fn user(content: Value) -> Value {
        json!({"messages": [{"role": "user", "content": content}]})
    }

    #[test]
    fn each_feature_is_reported() {
        use Feature::*;
        let function = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
        let call = json!({"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {}}]});
        for (extra, needs) in [
            (json!({}), vec![]),
            (json!({"tools": []}), vec![]),
            (json!({"tools": [function]}), vec![Tools]),
            (json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]}), vec![HostedTools]),
            (json!({"functions": [{"name": "f"}]}), vec![Tools]),
            (json!({"tools": [function], "tool_choice": {"type": "allowed_tools"}}), vec![Tools, AllowedTools]),
            (json!({"tools": [function], "tool_choice": "required"}), vec![Tools]),
            (json!({"web_search_options": {}}), vec![HostedTools]),
            (json!({"n": 1}), vec![]),
            (json!({"n": 2}), vec![MultipleChoices]),
            (json!({"logprobs": false, "logit_bias": {}}), vec![]),
            (json!({"logprobs": true, "top_logprobs": 3}), vec![Logprobs]),
            (json!({"logit_bias": {"50256": -100}}), vec![LogitBias]),
            (json!({"modalities": ["text"]}), vec![]),
            (json!({"modalities": ["text", "audio"], "audio": {"voice": "a"}}), vec![Audio]),
            (json!({"modalities": ["image"]}), vec![UnknownField]),
            (json!({"stop": "x"}), vec![Stops]),
            (json!({"stop": []}), vec![]),
            (json!({"stop": ["1", "2", "3", "4", "5"]}), vec![Stops, ManyStops]),
            (json!({"response_format": {"type": "text"}}), vec![]),
            (json!({"response_format": {"type": "json_object"}}), vec![JsonObject]),
            (json!({"response_format": {"type": "json_schema", "json_schema": {}}}), vec![JsonSchema]),
            (json!({"response_format": {"type": "grammar"}}), vec![UnknownField]),
            (json!({"moderation": {"model": "m"}}), vec![UnknownField]),
            (json!({"store": true, "metadata": {}, "seed": 1, "verbosity": "low", "service_tier": "flex"}), vec![]),
            (user(json!([{"type": "text", "text": "hi"}])), vec![]),
            (user(json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])), vec![Images]),
            (user(json!([{"type": "image_url", "image_url": {"url": "https://x/y"}}])), vec![Images, ImageUrls]),
            (user(json!([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}])), vec![Audio]),
            (user(json!([{"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}])), vec![Documents]),
            (user(json!([{"type": "file", "file": {"file_id": "file-1"}}])), vec![FileIds]),
            (user(json!([{"type": "video_url", "video_url": {"url": "https://x"}}])), vec![UnknownField]),
            (json!({"messages": [{"role": "assistant", "content": "so"}]}), vec![Prefill]),
            (json!({"messages": [call, {"role": "tool", "tool_call_id": "1", "content": "x"}]}), vec![Tools]),
            (json!({"messages": [{"role": "function", "name": "f", "content": "x"}]}), vec![Tools]),
            (
                json!({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]}]}),
                vec![HostedTools, Prefill],
            ),
            (
                json!({"messages": [{"role": "assistant", "audio": {"id": "a"}, "tool_calls": []}, {"role": "user", "content": ""}]}),
                vec![Audio],
            ),
        ] {
            assert_eq!(peeked(extra.clone()).needs, FeatureSet::of(&needs), "{extra}");
        }
    }

    #[test]
    fn the_last_role_is_found_in_plain_conversations() {
        let ends_with = |role: &str, content: &str| {
            let history = json!({"messages": [{"role": "assistant", "content": "\"role\": \"user\""}, {"content": content, "role": role}]});
            peeked(history).needs.contains(Feature::Prefill)
        };
        assert!(ends_with("assistant", "x"));
        assert!(!ends_with("user", "x"));
        assert!(!ends_with("user", "role"), "a text that is the word itself is not a key");
        assert!(ends_with("assistant", "\"role\":\"user\""), "quoted text is not a key either");
    }

    #[test]
    fn unknown_fields_are_named_and_nulls_are_not_given() {
        let peek = peeked(json!({"min_p": 0.1, "repetition_penalty": null, "top_k": 5}));
        assert_eq!(peek.unknown_fields, ["min_p"]);
        assert!(peek.needs.contains(Feature::UnknownField));
        let tool = peeked(json!({"tools": [{"type": "builtin_function"}]}));
        assert_eq!(tool.unknown_fields, ["tools[0].type"]);
    }

    #[test]
    fn media_count_as_media_and_not_as_text() {
        let image = format!("data:image/png;base64,{}", "A".repeat(400_000));
        let peek = peeked(user(json!([{"type": "image_url", "image_url": {"url": image}}])));
        assert!((1000..1100).contains(&peek.prompt_tokens), "{}", peek.prompt_tokens);
        let audio = "A".repeat(400_000);
        let peek = peeked(user(json!([{"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}}])));
        assert!((1000..1100).contains(&peek.prompt_tokens), "{}", peek.prompt_tokens);
        assert!((2500..2600).contains(&peeked(user(json!("x".repeat(10_000)))).prompt_tokens));
    }

    #[test]
    fn the_rest_is_read() {
        let peek = peeked(json!({
            "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 7, "max_completion_tokens": 9,
            "safety_identifier": "u-1",
        }));
        assert!(peek.stream && peek.stream_usage);
        assert_eq!((peek.max_output_tokens, peek.user.as_deref()), (Some(9), Some("u-1")));
        assert_eq!(peeked(json!({"max_tokens": -1})).max_output_tokens, None);
    }

    #[test]
    fn what_nobody_could_understand_is_refused() {
        for (body, path) in [
            (json!({"model": "m"}), "messages"),
            (json!({"model": "m", "messages": "hi"}), "messages"),
            (json!({"model": "m", "messages": [{"type": 1}, 7]}), "messages"),
            (json!({"model": "m", "messages": [], "stream": "yes"}), "stream"),
            (json!({"model": "m", "messages": [], "stop": 7}), "stop"),
        ] {
            assert_eq!(peek(body.to_string().as_bytes()).unwrap_err().path, path, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_peeked_at_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = peek(&bytes);
        }

        #[test]
        fn any_messages_are_peeked_at_without_panic(messages in "[\\[\\]{}\":,a-z ]{0,60}") {
            let _ = peek(format!(r#"{{"model":"m","messages":{messages}}}"#).as_bytes());
        }
    }
}
