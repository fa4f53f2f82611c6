//! What must be known of a Messages request before anything is decided, in one pass over
//! the body and a second over the messages only where they hold more than text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::feature::{Feature, FeatureSet};
use crate::wire::error::BadRequest;
use crate::wire::list::List;
use crate::wire::peek::{MAX_UNKNOWN, Peek, TopLevel, estimate_tokens, has_token, span_in};
use crate::wire::strings::has_any_token;

/// Fields that can be translated or are hints.
const TRANSLATED: [&str; 16] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "service_tier",
];

/// Fields that only Anthropic understands and an answer can do without.
const HINTS: [&str; 7] =
    ["cache_control", "speed", "diagnostics", "billing_policy", "fallbacks", "fallback_credit_token", "workspace_id"];

/// Fields that bind the request to Anthropic: state and identities it keeps, and where it
/// may compute.
const STATE: [&str; 6] =
    ["container", "context_management", "compaction", "thread", "inference_geo", "user_profile_id"];

/// Tools that run at Anthropic, by server.
const MCP_SERVERS: &str = "mcp_servers";

/// Types of blocks and sources that make a second look worthwhile.
const SPECIAL: [&str; 22] = [
    "image",
    "document",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "advisor_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
    "mcp_tool_listing",
    "search_result",
    "container_upload",
    "tool_reference",
    "browser_state",
    "tool_addition",
    "tool_removal",
    "compaction",
    "fallback",
    "mid_conv_system",
];

/// Tokens counted for an image or a document, whatever its size.
const MEDIA_TOKENS: u64 = 1_000;

/// Reads the facts of a `POST /v1/messages`.
///
/// # Errors
/// If the body is not a JSON object, or `model`, `messages` or `max_tokens` is missing, or
/// a field that routing reads is of the wrong type.
pub fn peek(body: &[u8]) -> Result<Peek, BadRequest> {
    let peek = peek_any(body)?;
    if peek.max_output_tokens.is_none() {
        return Err(BadRequest::at("max_tokens", "required, the longest answer wanted, in tokens"));
    }
    Ok(peek)
}

/// The facts of a request that may lack `max_tokens`, as token counting does.
pub(in crate::wire::anthropic) fn peek_any(body: &[u8]) -> Result<Peek, BadRequest> {
    let top = TopLevel::parse(body)?;
    let model_raw = top.get("model").ok_or_else(|| BadRequest::at("model", "required, the name of an alias"))?;
    let mut peek = Peek {
        values: top.values,
        model: top.read("model", "a string")?.unwrap_or_default(),
        model_span: span_in(body, model_raw.get()).unwrap_or_default(),
        stream: top.read("stream", "true or false")?.unwrap_or(false),
        max_output_tokens: top.read("max_tokens", "a whole number")?,
        user: top.read::<Metadata>("metadata", "an object with `user_id`")?.and_then(|metadata| metadata.user_id),
        ..Peek::default()
    };
    for (name, raw) in top.fields.iter().filter(|(_, raw)| raw.get() != "null") {
        if STATE.contains(&name.as_ref()) {
            peek.needs.insert(Feature::ProviderState);
        } else if name == MCP_SERVERS {
            if raw.get() != "[]" {
                peek.needs.insert(Feature::HostedTools);
            }
        } else if !TRANSLATED.contains(&name.as_ref()) && !HINTS.contains(&name.as_ref()) {
            peek.needs.insert(Feature::UnknownField);
            if peek.unknown_fields.len() < MAX_UNKNOWN {
                peek.unknown_fields.push(name.to_string());
            }
        }
    }
    let mut scan = Scan::default();
    scan.messages(&top)?;
    scan.tools(&top)?;
    let stops: Vec<Cow<'_, str>> = top.read("stop_sequences", "an array of strings")?.unwrap_or_default();
    if !stops.is_empty() {
        scan.needs.insert(Feature::Stops);
    }
    if stops.len() > 4 {
        scan.needs.insert(Feature::ManyStops);
    }
    let config: Option<OutputConfig<'_>> = top.read("output_config", "an object")?;
    if config.is_some_and(|config| config.format.is_some()) || top.get("output_format").is_some() {
        scan.needs.insert(Feature::JsonSchema);
    }
    peek.needs = peek.needs.union(scan.needs);
    let text: usize =
        ["messages", "system", "tools"].iter().filter_map(|f| top.get(f)).map(|raw| raw.get().len()).sum();
    peek.prompt_tokens =
        estimate_tokens(text.saturating_sub(scan.media_bytes)).saturating_add(scan.media.saturating_mul(MEDIA_TOKENS));
    Ok(peek)
}

#[derive(Deserialize)]
struct Metadata {
    user_id: Option<String>,
}

#[derive(Deserialize)]
struct OutputConfig<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct RawBlock<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawSource<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawTool<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
}

/// What a look into messages and tools has found.
#[derive(Default)]
struct Scan {
    needs: FeatureSet,
    /// Images and documents.
    media: u64,
    /// Bytes of inline base64 among the messages.
    media_bytes: usize,
}

impl Scan {
    fn messages(&mut self, top: &TopLevel<'_>) -> Result<(), BadRequest> {
        let raw = top.get("messages").ok_or_else(|| BadRequest::at("messages", "required, an array of messages"))?;
        let bytes = raw.get().as_bytes();
        if has_any_token(bytes, &["tool_use", "tool_result"]) {
            self.needs.insert(Feature::Tools);
        }
        let special = has_any_token(bytes, &SPECIAL);
        // A conversation without a turn of the assistant can neither end with one.
        if !special && !has_token(bytes, "assistant") {
            return match bytes.first() {
                Some(b'[') => Ok(()),
                _ => Err(BadRequest::at("messages", "expected an array of messages")),
            };
        }
        let List::<RawMessage<'_>>(messages) = serde_json::from_str(raw.get()).map_err(|error| {
            BadRequest::at("messages", format!("expected an array of objects with `role` and `content`: {error}"))
        })?;
        if messages.iter().rfind(|message| message.role != "system").is_some_and(|last| last.role == "assistant") {
            self.needs.insert(Feature::Prefill);
        }
        if special {
            for (i, message) in messages.iter().enumerate() {
                self.blocks(message.content, &format!("messages[{i}].content"))?;
            }
        }
        Ok(())
    }

    /// Looks at content; anything but an array is left to others.
    fn blocks(&mut self, content: &RawValue, path: &str) -> Result<(), BadRequest> {
        if !content.get().starts_with('[') {
            return Ok(());
        }
        let blocks: List<RawBlock<'_>> = serde_json::from_str(content.get())
            .map_err(|error| BadRequest::at(path, format!("expected an array of content blocks: {error}")))?;
        for block in blocks {
            match block.kind.as_ref() {
                "text" | "thinking" | "redacted_thinking" | "tool_use" => {}
                "image" => self.image(&source(&block, path)?),
                "document" => self.document(&source(&block, path)?, path)?,
                "tool_result" => {
                    if let Some(content) = block.content {
                        self.blocks(content, path)?;
                    }
                }
                _ => self.needs.insert(Feature::HostedTools),
            }
        }
        Ok(())
    }

    fn image(&mut self, source: &RawSource<'_>) {
        self.media = self.media.saturating_add(1);
        match source.kind.as_ref() {
            "url" => self.needs.insert(Feature::ImageUrls),
            "file" => self.needs.insert(Feature::FileIds),
            _ => {
                self.needs.insert(Feature::Images);
                self.inline(source);
            }
        }
    }

    fn document(&mut self, source: &RawSource<'_>, path: &str) -> Result<(), BadRequest> {
        match source.kind.as_ref() {
            // Text in the shape of a document: every protocol can say it.
            "text" => {}
            "content" => {
                if let Some(content) = source.content {
                    self.blocks(content, path)?;
                }
            }
            "file" => self.needs.insert(Feature::FileIds),
            _ => {
                self.media = self.media.saturating_add(1);
                self.needs.insert(Feature::Documents);
                self.inline(source);
            }
        }
        Ok(())
    }

    fn inline(&mut self, source: &RawSource<'_>) {
        self.media_bytes = self.media_bytes.saturating_add(source.data.map_or(0, |data| data.get().len()));
    }

    fn tools(&mut self, top: &TopLevel<'_>) -> Result<(), BadRequest> {
        let tools: List<RawTool<'_>> = top.read("tools", "an array of tools")?.unwrap_or_default();
        for tool in tools {
            let custom = tool.kind.is_none_or(|kind| kind == "custom");
            self.needs.insert(if custom { Feature::Tools } else { Feature::HostedTools });
        }
        Ok(())
    }
}

fn source<'a>(block: &RawBlock<'a>, path: &str) -> Result<RawSource<'a>, BadRequest> {
    let raw = block.source.map_or("null", RawValue::get);
    serde_json::from_str(raw)
        .map_err(|_| BadRequest::at(path, format!("the `source` of a `{}` block is an object with `type`", block.kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn of(mut fields: Value) -> Peek {
        for (name, value) in [
            ("model", json!("fast")),
            ("max_tokens", json!(10)),
            ("messages", json!([{"role": "user", "content": "hi"}])),
        ] {
            if fields.get(name).is_none() {
                fields[name] = value;
            }
        }
        peek(fields.to_string().as_bytes()).unwrap()
    }

    fn needs(fields: Value) -> Vec<Feature> {
        of(fields).needs.iter().collect()
    }

    fn says(block: Value) -> Value {
        json!({"messages": [{"role": "user", "content": [block]}]})
    }

    #[test]
    fn the_facts_of_a_plain_request() {
        let body = br#"{"model":"prod-chat","max_tokens":64,"stream":true,"metadata":{"user_id":"u1"},
            "messages":[{"role":"user","content":"hello"}]}"#;
        let peek = peek(body).unwrap();
        assert_eq!(&body[peek.model_span.clone()], br#""prod-chat""#);
        assert!(peek.stream && peek.needs.is_empty() && peek.unknown_fields.is_empty());
        assert_eq!(
            (peek.model.as_str(), peek.user.as_deref(), peek.max_output_tokens),
            ("prod-chat", Some("u1"), Some(64))
        );
    }

    #[test]
    fn each_field_and_block_tells_its_feature() {
        use Feature::*;
        let table: Vec<(Value, Vec<Feature>)> = vec![
            (json!({"tools": [{"name": "f", "input_schema": {}}]}), vec![Tools]),
            (json!({"tools": [{"type": "custom", "name": "f", "input_schema": {}}]}), vec![Tools]),
            (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), vec![HostedTools]),
            (json!({"mcp_servers": [{"type": "url"}]}), vec![HostedTools]),
            (json!({"mcp_servers": []}), vec![]),
            (json!({"container": "c_1"}), vec![ProviderState]),
            (json!({"context_management": {"edits": []}}), vec![ProviderState]),
            (json!({"inference_geo": "us"}), vec![ProviderState]),
            (json!({"service_tier": "auto", "cache_control": {"type": "ephemeral"}, "speed": "fast"}), vec![]),
            (json!({"stop_sequences": ["a"]}), vec![Stops]),
            (json!({"stop_sequences": ["a", "b", "c", "d", "e"]}), vec![ManyStops, Stops]),
            (json!({"output_config": {"effort": "low"}}), vec![]),
            (json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}}), vec![JsonSchema]),
            (json!({"output_format": {"type": "json_schema", "schema": {}}}), vec![JsonSchema]),
            (
                says(json!({"type": "image", "source": {"type": "base64", "data": "AA", "media_type": "image/png"}})),
                vec![Images],
            ),
            (says(json!({"type": "image", "source": {"type": "url", "url": "https://x"}})), vec![ImageUrls]),
            (says(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})), vec![FileIds]),
            (says(json!({"type": "document", "source": {"type": "base64", "data": "AA"}})), vec![Documents]),
            (says(json!({"type": "document", "source": {"type": "text", "data": "AA"}})), vec![]),
            (says(json!({"type": "document", "source": {"type": "file", "file_id": "f"}})), vec![FileIds]),
            (
                says(json!({"type": "tool_result", "tool_use_id": "t", "content": [
                    {"type": "image", "source": {"type": "url", "url": "https://x"}}]})),
                vec![Tools, ImageUrls],
            ),
            (says(json!({"type": "search_result", "content": []})), vec![HostedTools]),
            (says(json!({"type": "container_upload", "file_id": "f"})), vec![HostedTools]),
            (
                json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
                vec![Prefill],
            ),
            (json!({"x_new": 1}), vec![UnknownField]),
        ];
        for (fields, expected) in table {
            assert_eq!(needs(fields.clone()), expected, "{fields}");
        }
    }

    #[test]
    fn inline_media_do_not_count_as_text() {
        let image = |data: &str| {
            of(says(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})))
        };
        let (small, large) = (image("AAAA").prompt_tokens, image(&"A".repeat(100_000)).prompt_tokens);
        assert!((1_000..1_100).contains(&small));
        assert!(large.abs_diff(small) <= 1);
    }

    #[test]
    fn text_that_talks_of_images_is_text() {
        assert!(needs(says(json!({"type": "text", "text": "the \"image\" and the \"document\""}))).is_empty());
        // A string that happens to be the name of a block's type is looked at and left alone.
        assert!(needs(says(json!({"type": "text", "text": "image"}))).is_empty());
    }

    #[test]
    fn what_is_missing_is_named() {
        let path = |body: Value| peek(body.to_string().as_bytes()).unwrap_err().path;
        assert_eq!(path(json!({"max_tokens": 1, "messages": []})), "model");
        assert_eq!(path(json!({"model": "m", "max_tokens": 1})), "messages");
        assert_eq!(path(json!({"model": "m", "messages": []})), "max_tokens");
        assert_eq!(path(json!({"model": "m", "messages": "hi", "max_tokens": 1})), "messages");
        assert_eq!(path(json!({"model": "m", "messages": [], "max_tokens": "1"})), "max_tokens");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = peek(&bytes);
        }
    }
}
