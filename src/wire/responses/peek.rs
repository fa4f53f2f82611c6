//! What routing must know of a request, read without building a tree.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::{BOUND, INCLUDABLE};
use crate::domain::feature::Feature;
use crate::wire::error::BadRequest;
use crate::wire::list::List;
use crate::wire::peek::{MAX_UNKNOWN, Peek, Raw, TopLevel, estimate_tokens, has_token, span_in};
use crate::wire::turn::step;

/// Every field that the official API takes.
const FIELDS: [&str; 34] = [
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
];

/// Prompt tokens that a picture or a document counts as, whatever its size.
const TOKENS_PER_MEDIUM: u64 = 1_000;

/// Reads the facts of a request.
///
/// # Errors
/// If it is not a JSON object, names no model, or a field that routing needs is of
/// another type.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let top = TopLevel::parse(body)?;
    let missing = || BadRequest::at("model", "the field is missing; name an alias or a model");
    let model: String = top.read("model", "a string")?.ok_or_else(missing)?;
    let model_raw = top.get("model").ok_or_else(missing)?;
    let mut peek = Peek {
        values: top.values,
        model,
        model_span: span_in(body, model_raw.get()).ok_or_else(missing)?,
        stream: top.read("stream", "true or false")?.unwrap_or(false),
        max_output_tokens: top.read("max_output_tokens", "a whole number")?,
        user: match top.read("user", "a string")? {
            Some(user) => Some(user),
            None => top.read("safety_identifier", "a string")?,
        },
        ..Peek::default()
    };
    let text_bytes =
        ["instructions", "tools", "text"].iter().filter_map(|name| top.get(name)).map(|raw| raw.get().len());
    let mut survey = Survey { text_bytes: text_bytes.sum(), media: 0, peek: &mut peek };
    survey.settings(&top);
    survey.tools(&top);
    survey.input(top.get("input"));
    for (name, _) in &top.fields {
        if !FIELDS.contains(&name.as_ref()) {
            survey.unknown(name);
        }
    }
    let (text_bytes, media) = (survey.text_bytes, survey.media);
    peek.prompt_tokens = estimate_tokens(text_bytes).saturating_add(media.saturating_mul(TOKENS_PER_MEDIUM));
    Ok(peek)
}

/// Collects features. It judges nothing: what is of a wrong shape is reported by whoever
/// reads it in full, here or at the provider.
struct Survey<'p> {
    text_bytes: usize,
    media: u64,
    peek: &'p mut Peek,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow)]
    file_url: Option<&'a RawValue>,
    #[serde(borrow)]
    file_id: Option<&'a RawValue>,
    #[serde(borrow)]
    input_audio: Option<&'a RawValue>,
}

impl Survey<'_> {
    fn needs(&mut self, feature: Feature) {
        self.peek.needs.insert(feature);
    }

    fn unknown(&mut self, name: &str) {
        self.needs(Feature::UnknownField);
        if self.peek.unknown_fields.len() < MAX_UNKNOWN {
            self.peek.unknown_fields.push(name.to_owned());
        }
    }

    fn settings(&mut self, top: &TopLevel<'_>) {
        for name in BOUND {
            if top.get(name).is_some_and(|raw| raw.get() != "[]") {
                self.needs(if name == "moderation" { Feature::HostedTools } else { Feature::ProviderState });
            }
        }
        if top.get("background").is_some_and(|raw| raw.get() == "true") {
            self.needs(Feature::ProviderState);
        }
        if top.get("top_logprobs").is_some_and(|raw| raw.get() != "0") {
            self.needs(Feature::Logprobs);
        }
        for what in top.get("include").and_then(read::<Vec<Cow<'_, str>>>).unwrap_or_default() {
            match what.as_ref() {
                what if INCLUDABLE.contains(&what) => {}
                "message.output_text.logprobs" => self.needs(Feature::Logprobs),
                _ => self.needs(Feature::HostedTools),
            }
        }
        if let Some(text) = top.get("text").filter(|raw| has_token(raw.get().as_bytes(), "format")) {
            #[derive(Deserialize)]
            struct Text<'a> {
                #[serde(borrow)]
                format: Option<Typed<'a>>,
            }
            match read::<Text<'_>>(text).and_then(|text| text.format?.kind).as_deref() {
                Some("json_schema") => self.needs(Feature::JsonSchema),
                Some("json_object") => self.needs(Feature::JsonObject),
                _ => {}
            }
        }
    }

    fn tools(&mut self, top: &TopLevel<'_>) {
        for tool in top.get("tools").and_then(read::<List<Typed<'_>>>).unwrap_or_default() {
            self.needs(match tool.kind.as_deref() {
                Some("function") => Feature::Tools,
                _ => Feature::HostedTools,
            });
        }
        match top.get("tool_choice").and_then(read::<Typed<'_>>).and_then(|choice| choice.kind).as_deref() {
            None | Some("function") => {}
            Some("allowed_tools") => self.needs(Feature::AllowedTools),
            Some(_) => self.needs(Feature::HostedTools),
        }
    }

    fn input(&mut self, input: Option<Raw<'_>>) {
        let Some(input) = input else { return };
        self.text_bytes += input.get().len();
        if !input.get().starts_with('[') || only_text(input.get().as_bytes()) {
            return;
        }
        let List::<&RawValue>(items) = read(input).unwrap_or_default();
        let last = items.len().saturating_sub(1);
        for (i, item) in items.into_iter().enumerate() {
            step();
            let Some(item) = read::<Item<'_>>(item) else { continue };
            match item.kind.as_deref() {
                Some("message") => {}
                None if item.role.is_some() => {}
                Some("reasoning") => continue,
                Some("function_call" | "function_call_output") => self.needs(Feature::Tools),
                Some("item_reference" | "compaction" | "compaction_trigger" | "configuration_update") => {
                    self.needs(Feature::ProviderState);
                }
                None if item.id.is_some() => self.needs(Feature::ProviderState),
                Some(_) => self.needs(Feature::HostedTools),
                None => self.unknown(&format!("input[{i}].type")),
            }
            if i == last && item.role.as_deref() == Some("assistant") {
                self.needs(Feature::Prefill);
            }
            for (field, raw) in [("content", item.content), ("output", item.output)] {
                let parts: List<Part<'_>> =
                    raw.filter(|raw| raw.get().starts_with('[')).and_then(read).unwrap_or_default();
                for (j, part) in parts.into_iter().enumerate() {
                    self.part(&part, || format!("input[{i}].{field}[{j}].type"));
                }
            }
        }
    }

    fn part(&mut self, part: &Part<'_>, path: impl FnOnce() -> String) {
        match part.kind.as_ref() {
            "input_text" | "output_text" | "text" | "refusal" | "reasoning_text" | "summary_text" => {}
            "input_image" => {
                self.media += 1;
                if let Some(url) = part.image_url {
                    self.needs(Feature::Images);
                    if !self.inline(url) {
                        self.needs(Feature::ImageUrls);
                    }
                } else if part.file_id.is_some() {
                    self.needs(Feature::FileIds);
                }
            }
            "input_file" => {
                self.media += 1;
                if let Some(data) = part.file_data {
                    self.needs(Feature::Documents);
                    self.text_bytes = self.text_bytes.saturating_sub(data.get().len());
                } else if part.file_url.is_some() {
                    self.needs(Feature::Documents);
                } else if part.file_id.is_some() {
                    self.needs(Feature::FileIds);
                }
            }
            "input_audio" => {
                self.needs(Feature::Audio);
                self.media += 1;
                let bytes = part.input_audio.map_or(0, |raw| raw.get().len());
                self.text_bytes = self.text_bytes.saturating_sub(bytes);
            }
            _ => self.unknown(&path()),
        }
    }

    /// Whether a URL holds its bytes itself; they are not text then.
    fn inline(&mut self, url: &RawValue) -> bool {
        let inline = url.get().starts_with("\"data:");
        if inline {
            self.text_bytes = self.text_bytes.saturating_sub(url.get().len());
        }
        inline
    }
}

/// A raw value as a typed one, where it is of that type.
fn read<'a, T: Deserialize<'a>>(raw: impl Into<Raw<'a>>) -> Option<T> {
    serde_json::from_str(raw.into().get()).ok()
}

/// Whether a list of items surely holds nothing but messages of text, the last of them
/// not the model's: every `type` is a harmless one, and no item might be a mere reference.
/// Costs a search instead of a parse.
fn only_text(input: &[u8]) -> bool {
    const TYPE: &[u8] = b"\"type\"";
    const HARMLESS: [&[u8]; 8] = [
        b"message",
        b"input_text",
        b"output_text",
        b"text",
        b"refusal",
        b"reasoning",
        b"reasoning_text",
        b"summary_text",
    ];
    if has_token(input, "id") || !has_token(input, "role") || ends_with_assistant(input) {
        return false;
    }
    memmem::find_iter(input, TYPE).all(|at| {
        // Inside of a string both quotes would be escaped, so this is a key or a value.
        match value_after(&input[at + TYPE.len()..]) {
            Some(word) => HARMLESS.contains(&word),
            None => false,
        }
    })
}

/// Whether the last `role` is the model's.
fn ends_with_assistant(input: &[u8]) -> bool {
    const ROLE: &[u8] = b"\"role\"";
    memmem::rfind(input, ROLE).is_some_and(|at| value_after(&input[at + ROLE.len()..]) == Some(b"assistant"))
}

/// The string that follows a key and its colon, up to its closing quote; `None` where
/// none follows.
fn value_after(rest: &[u8]) -> Option<&[u8]> {
    let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    value.get(..memchr::memchr(b'"', value)?)
}

#[cfg(test)]
mod tests {
    use super::super::request::decode_request;
    use super::*;
    use crate::domain::feature::FeatureSet;
    use serde_json::{Value, json};

    fn body(fields: &Value) -> Vec<u8> {
        let mut body = json!({"model": "m", "input": "hi"});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string().into_bytes()
    }

    fn peeked(fields: Value) -> Peek {
        peek(&body(&fields)).unwrap()
    }

    #[test]
    fn the_model_and_where_it_stands() {
        let body = br#"{"input":"hi", "model" : "a\u0062", "stream":true,"max_output_tokens":5,"user":"u"}"#;
        let peek = peek(body).unwrap();
        assert_eq!((peek.model.as_str(), &body[peek.model_span.clone()]), ("ab", br#""a\u0062""#.as_slice()));
        assert_eq!((peek.stream, peek.max_output_tokens, peek.user.as_deref()), (true, Some(5), Some("u")));
        assert_eq!(super::peek(b"{}").unwrap_err().path, "model");
        assert_eq!(super::peek(br#"{"model":1}"#).unwrap_err().path, "model");
        assert_eq!(super::peek(br#"{"model":"m","stream":"yes"}"#).unwrap_err().path, "stream");
    }

    #[test]
    fn a_plain_conversation_needs_nothing() {
        for input in [
            json!("the input_image type"),
            json!([{"role": "user", "content": "say \"type\": \"input_image\""}]),
            json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]),
            json!([{"role": "assistant", "content": "hi", "id": "msg_1"}, {"role": "user", "content": "hi"}]),
            json!([{"type": "reasoning", "id": "rs", "summary": []}, {"role": "user", "content": "hi"}]),
        ] {
            let peek = peeked(json!({"input": input, "store": true, "include": ["reasoning.encrypted_content"],
                "metadata": {"a": "b"}, "truncation": "auto", "text": {"verbosity": "low"}, "top_logprobs": 0,
                "background": false, "tool_choice": "auto", "tools": []}));
            assert_eq!((peek.needs, peek.unknown_fields.len()), (FeatureSet::EMPTY, 0), "{input}");
        }
    }

    #[test]
    fn each_feature_is_seen_and_none_is_lost_in_translation() {
        // What a chat has no word for.
        let untranslatable =
            [Feature::HostedTools, Feature::ProviderState, Feature::FileIds, Feature::Audio, Feature::Logprobs];
        let user = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
        let item = |item: Value| json!({"input": [item, {"role": "user", "content": "x"}]});
        let function = json!({"type": "function", "name": "f", "parameters": {}, "strict": true});
        for (fields, needs) in [
            (json!({"tools": [function]}), &[Feature::Tools] as &[Feature]),
            (json!({"tools": [{"type": "web_search"}]}), &[Feature::HostedTools]),
            (json!({"tools": [{"type": "custom", "name": "c"}]}), &[Feature::HostedTools]),
            (json!({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}), &[Feature::AllowedTools]),
            (json!({"tool_choice": {"type": "file_search"}}), &[Feature::HostedTools]),
            (json!({"tool_choice": {"type": "function", "name": "f"}}), &[]),
            (item(json!({"type": "function_call_output", "call_id": "c", "output": "x"})), &[Feature::Tools]),
            (item(json!({"type": "web_search_call", "id": "x"})), &[Feature::HostedTools]),
            (item(json!({"type": "custom_tool_call", "call_id": "x"})), &[Feature::HostedTools]),
            (item(json!({"type": "item_reference", "id": "x"})), &[Feature::ProviderState]),
            (item(json!({"id": "x"})), &[Feature::ProviderState]),
            (item(json!({"type": "compaction", "encrypted_content": "x"})), &[Feature::ProviderState]),
            (user(json!({"type": "input_image", "image_url": "data:image/png;base64,AA"})), &[Feature::Images]),
            (user(json!({"type": "input_image", "image_url": "https://x"})), &[Feature::Images, Feature::ImageUrls]),
            (user(json!({"type": "input_image", "file_id": "x"})), &[Feature::FileIds]),
            (user(json!({"type": "input_file", "file_data": "AA"})), &[Feature::Documents]),
            (user(json!({"type": "input_file", "file_url": "https://x"})), &[Feature::Documents]),
            (user(json!({"type": "input_file", "file_id": "x"})), &[Feature::FileIds]),
            (user(json!({"type": "input_audio", "input_audio": {"data": "AA"}})), &[Feature::Audio]),
            (
                item(json!({"type": "function_call_output", "call_id": "c", "output":
                    [{"type": "input_image", "image_url": "data:image/png;base64,AA"}]})),
                &[Feature::Tools, Feature::Images],
            ),
            (json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}), &[Feature::JsonSchema]),
            (json!({"text": {"format": {"type": "json_object"}}}), &[Feature::JsonObject]),
            (json!({"text": {"format": {"type": "text"}}}), &[]),
            (json!({"top_logprobs": 2}), &[Feature::Logprobs]),
            (json!({"include": ["message.output_text.logprobs"]}), &[Feature::Logprobs]),
            (json!({"include": ["file_search_call.results"]}), &[Feature::HostedTools]),
            (json!({"previous_response_id": "x"}), &[Feature::ProviderState]),
            (json!({"conversation": {"id": "x"}}), &[Feature::ProviderState]),
            (json!({"prompt": {"id": "x"}}), &[Feature::ProviderState]),
            (json!({"background": true}), &[Feature::ProviderState]),
            (json!({"context_management": [{"type": "compaction"}]}), &[Feature::ProviderState]),
            (json!({"moderation": {"model": "x"}}), &[Feature::HostedTools]),
            (
                json!({"input": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}),
                &[Feature::Prefill],
            ),
        ] {
            assert_eq!(peeked(fields.clone()).needs, FeatureSet::of(needs), "{fields}");
            let refused = needs.iter().any(|feature| untranslatable.contains(feature));
            assert_eq!(decode_request(&body(&fields)).is_err(), refused, "{fields}");
        }
    }

    #[test]
    fn unknown_fields_are_named() {
        let peek = peeked(json!({"stop": ["x"], "input": [{"role": "user", "content": [{"type": "input_video"}]}]}));
        assert_eq!(peek.unknown_fields, ["input[0].content[0].type", "stop"]);
        assert!(peek.needs.contains(Feature::UnknownField));
    }

    #[test]
    fn media_count_by_number_and_not_by_size() {
        let data = format!("data:image/png;base64,{}", "A".repeat(400_000));
        let peek =
            peeked(json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": data}]}]}));
        assert!((1_000..1_100).contains(&peek.prompt_tokens), "{}", peek.prompt_tokens);
        let peek = peeked(json!({"input": "x".repeat(4_000), "instructions": "y".repeat(400)}));
        assert_eq!(peek.prompt_tokens, 1_101);
    }
}
