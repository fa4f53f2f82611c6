//! A client's content blocks as parts of a message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::decode::bound;
use crate::wire::anthropic::json::{Obj, list, wrong};
use crate::wire::anthropic::message::{arguments_of, seal_of_redacted, seal_of_signature};
use crate::wire::chat::{Media, Part, ReasoningPart, Seal, SealOrigin, ToolCall, ToolResult};
use crate::wire::error::BadRequest;

/// Content, a string or blocks, as parts.
///
/// # Errors
/// If it is neither, or a block is not of the dialect or only Anthropic's.
pub(super) fn parts(content: Value, path: &str) -> Result<Vec<Part>, BadRequest> {
    let items = match content {
        Value::String(text) => return Ok(text_part(text).into_iter().collect()),
        Value::Array(_) => list(content, path)?,
        other => return Err(wrong(path, "a string or an array of content blocks", &other)),
    };
    let mut parts = Vec::with_capacity(items.len());
    // State of a tool call, which travels in the redacted thinking right before it.
    let mut of_next_call: Option<Seal> = None;
    for (path, item) in items {
        let mut block = Obj::new(item, path)?;
        let kind = block.required_text("type")?;
        if kind != "tool_use" {
            parts.extend(of_next_call.take().map(only_seal));
        }
        match kind.as_str() {
            "text" => parts.extend(text_part(block.required_text("text")?)),
            "image" => parts.push(Part::Image(image(&mut block)?)),
            "document" => document(&mut block, &mut parts)?,
            "thinking" => {
                let text = block.text("thinking")?.unwrap_or_default();
                let seal = block.text("signature")?.and_then(seal_of_signature);
                parts.push(Part::Reasoning(ReasoningPart { text, seal }));
            }
            "redacted_thinking" => match seal_of_redacted(block.required_text("data")?) {
                Some(seal) if belongs_to_a_call(&seal) => of_next_call = Some(seal),
                Some(seal) => parts.push(only_seal(seal)),
                None => {}
            },
            "tool_use" => parts.push(Part::ToolCall(ToolCall {
                id: block.required_text("id")?,
                name: block.required_text("name")?,
                arguments: arguments_of(block.take("input")),
                seal: of_next_call.take(),
            })),
            "tool_result" => parts.push(Part::ToolResult(tool_result(&mut block)?)),
            "server_tool_use" | "search_result" | "container_upload" | "compaction" | "fallback" | "tool_reference"
            | "browser_state" | "tool_addition" | "tool_removal" | "mid_conv_system" => {
                return Err(bound(block.at("type")));
            }
            kind if kind.starts_with("mcp_") || kind.ends_with("_tool_result") => return Err(bound(block.at("type"))),
            other => {
                let message = format!("`{other}` is not a content block that can be translated");
                return Err(BadRequest::at(block.at("type"), message));
            }
        }
    }
    parts.extend(of_next_call.map(only_seal));
    Ok(parts)
}

/// A string or text blocks, as `system` takes them.
///
/// # Errors
/// If it is neither.
pub(super) fn texts(content: Value, path: &str) -> Result<Vec<String>, BadRequest> {
    if let Value::String(text) = content {
        return Ok(vec![text]);
    }
    let text = |(path, item)| {
        let mut block = Obj::new(item, path)?;
        match block.required_text("type")?.as_str() {
            "text" => block.required_text("text"),
            other => Err(BadRequest::at(block.at("type"), format!("expected `text`, got `{other}`"))),
        }
    };
    list(content, path)?.into_iter().map(text).collect()
}

fn text_part(text: String) -> Option<Part> {
    (!text.is_empty()).then_some(Part::Text(text))
}

/// Reasoning of which nothing is known but its state.
fn only_seal(seal: Seal) -> Part {
    Part::Reasoning(ReasoningPart { text: String::new(), seal: Some(seal) })
}

/// Whether state in a redacted thinking block is a tool call's: Anthropic's own is not, and
/// other providers' is put there for nothing else.
fn belongs_to_a_call(seal: &Seal) -> bool {
    !matches!(seal.origin, SealOrigin::AnthropicRedacted | SealOrigin::AnthropicSignature)
}

fn tool_result(block: &mut Obj) -> Result<ToolResult, BadRequest> {
    let path = block.at("content");
    Ok(ToolResult {
        call_id: block.required_text("tool_use_id")?,
        parts: block.take("content").map(|content| parts(content, &path)).transpose()?.unwrap_or_default(),
        is_error: block.flag("is_error")?.unwrap_or(false),
    })
}

fn source(block: &mut Obj) -> Result<(Obj, String), BadRequest> {
    let path = block.at("source");
    let mut source = block.object("source")?.ok_or_else(|| BadRequest::at(path, "required, an object"))?;
    let kind = source.required_text("type")?;
    Ok((source, kind))
}

fn image(block: &mut Obj) -> Result<Media, BadRequest> {
    let (mut source, kind) = source(block)?;
    match kind.as_str() {
        "base64" => inline(&mut source),
        "url" => Ok(Media::Url(source.required_text("url")?)),
        "file" => Err(bound(source.at("file_id"))),
        other => Err(BadRequest::at(source.at("type"), format!("expected `base64`, `url` or `file`, got `{other}`"))),
    }
}

fn inline(source: &mut Obj) -> Result<Media, BadRequest> {
    Ok(Media::Inline { media_type: source.required_text("media_type")?, base64: source.required_text("data")? })
}

/// A document of text becomes text, headed by its title and context: every protocol can
/// say that, and models that read documents read them so.
fn document(block: &mut Obj, parts: &mut Vec<Part>) -> Result<(), BadRequest> {
    let name = block.text("title")?;
    let context = block.text("context")?;
    let (mut source, kind) = source(block)?;
    let media = match kind.as_str() {
        "base64" => inline(&mut source)?,
        "url" => Media::Url(source.required_text("url")?),
        "text" => {
            let text = source.required_text("data")?;
            let head = [name, context].into_iter().flatten();
            parts.extend(text_part(head.chain([text]).collect::<Vec<_>>().join("\n\n")));
            return Ok(());
        }
        "content" => {
            let path = source.at("content");
            let content = source.take("content").ok_or_else(|| BadRequest::at(&path, "required"))?;
            parts.extend([name, context].into_iter().flatten().filter_map(text_part));
            parts.extend(self::parts(content, &path)?);
            return Ok(());
        }
        "file" => return Err(bound(source.at("file_id"))),
        other => {
            let message = format!("expected `base64`, `url`, `text`, `content` or `file`, got `{other}`");
            return Err(BadRequest::at(source.at("type"), message));
        }
    };
    parts.extend(context.and_then(text_part));
    parts.push(Part::Document { media, name });
    Ok(())
}

/// The text of an inline document that is plain text; `None` for any other.
pub(super) fn plain_text(media_type: &str, base64: &str) -> Option<String> {
    if !media_type.starts_with("text/") {
        return None;
    }
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(blocks: Value) -> Vec<Part> {
        parts(blocks, "content").unwrap()
    }

    #[test]
    fn text_images_and_documents() {
        let inline = Media::Inline { media_type: "image/png".into(), base64: "AA==".into() };
        assert_eq!(
            of(json!([
                {"type": "text", "text": "look", "citations": null},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "title": "t.pdf", "source": {"type": "url", "url": "https://x/y.pdf"}},
            ])),
            [
                Part::Text("look".into()),
                Part::Image(inline),
                Part::Image(Media::Url("https://x/y.png".into())),
                Part::Document { media: Media::Url("https://x/y.pdf".into()), name: Some("t.pdf".into()) },
            ]
        );
        assert_eq!(of(json!("")), []);
    }

    #[test]
    fn documents_of_text_become_text() {
        assert_eq!(
            of(
                json!([{"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}}])
            ),
            [Part::Text("Notes\n\nabc".into())]
        );
        assert_eq!(
            of(
                json!([{"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}}])
            ),
            [Part::Text("x".into())]
        );
    }

    #[test]
    fn tool_calls_and_results() {
        assert_eq!(
            of(json!([{"type": "tool_use", "id": "t1", "name": "f", "input": {"z": 1, "a": 2}}])),
            [Part::ToolCall(ToolCall {
                id: "t1".into(),
                name: "f".into(),
                arguments: r#"{"z":1,"a":2}"#.into(),
                seal: None
            })]
        );
        assert_eq!(
            of(json!([{"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": "boom"}])),
            [Part::ToolResult(ToolResult {
                call_id: "t1".into(),
                parts: vec![Part::Text("boom".into())],
                is_error: true
            })]
        );
    }

    #[test]
    fn state_of_a_call_is_found_before_it_and_nowhere_else() {
        let token = Seal { origin: SealOrigin::Gemini, data: "sig".into() }.to_token();
        let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
        let got = of(json!([{"type": "redacted_thinking", "data": token}, call, call]));
        let seals: Vec<_> = got.iter().map(|p| matches!(p, Part::ToolCall(ToolCall { seal: Some(_), .. }))).collect();
        assert_eq!(seals, [true, false]);
        let apart = of(json!([{"type": "redacted_thinking", "data": token}, {"type": "text", "text": "x"}, call]));
        assert!(matches!(&apart[0], Part::Reasoning(r) if r.seal.is_some()));
        assert!(matches!(&apart[2], Part::ToolCall(c) if c.seal.is_none()));
    }

    #[test]
    fn anthropics_own_state_stays_reasoning() {
        let got = of(json!([
            {"type": "thinking", "thinking": "hm", "signature": "EqQ"},
            {"type": "redacted_thinking", "data": "Emw"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        ]));
        let seal = |origin, data: &str| Some(Seal { origin, data: data.into() });
        assert_eq!(
            got[..2],
            [
                Part::Reasoning(ReasoningPart { text: "hm".into(), seal: seal(SealOrigin::AnthropicSignature, "EqQ") }),
                Part::Reasoning(ReasoningPart {
                    text: String::new(),
                    seal: seal(SealOrigin::AnthropicRedacted, "Emw")
                }),
            ]
        );
    }

    #[test]
    fn blocks_of_the_providers_own_tools_are_refused() {
        for kind in ["server_tool_use", "web_search_tool_result", "mcp_tool_use", "search_result", "container_upload"] {
            assert_eq!(parts(json!([{"type": kind}]), "c").unwrap_err().path, "c[0].type", "{kind}");
        }
    }
}
