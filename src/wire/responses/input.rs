//! The conversation: a flat list of items, as turns of a chat.
//!
//! Neighbouring items of the model (its messages, calls and reasoning) are one turn of
//! the assistant, neighbouring results of tools one turn of the user. Items of hosted
//! tools, references to what a provider stores and audio have no place in a chat.

use super::fields::{Object, bound};
use crate::wire::chat::{Media, Message, Part, ReasoningPart, Role, Seal, SealOrigin, ToolCall, ToolResult};
use crate::wire::error::BadRequest;
use crate::wire::peek::clip;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// System and developer text before the first turn.
    pub(super) instructions: Vec<String>,
    /// The turns.
    pub(super) messages: Vec<Message>,
}

/// Reads `instructions` and `input`.
pub(super) fn decode(top: &Object<'_>) -> Result<Conversation, BadRequest> {
    let mut conversation = Conversation::default();
    conversation.instructions.extend(top.text("instructions")?);
    let Some(raw) = top.raw("input") else { return Ok(conversation) };
    if raw.get().starts_with('"') {
        let text = top.required_text("input")?;
        conversation.messages.push(Message { role: Role::User, parts: vec![Part::Text(text)] });
        return Ok(conversation);
    }
    if !raw.get().starts_with('[') {
        let got = clip(raw.get(), 60);
        return Err(BadRequest::at("input", format!("expected a string or an array of items, got {got}")));
    }
    let mut seal_of_next_call = None;
    for item in top.objects("input")? {
        let kind = item.text("type")?;
        let seal = seal_of_next_call.take();
        match kind.as_deref() {
            Some("function_call") => {
                let call = tool_call(&item, seal)?;
                conversation.by_model(Part::ToolCall(call));
                continue;
            }
            Some("reasoning") => {
                conversation.unclaimed(seal);
                match reasoning(&item)? {
                    Some(ReasoningPart { text, seal: Some(seal) })
                        if text.is_empty() && seal.origin == SealOrigin::Gemini =>
                    {
                        seal_of_next_call = Some(seal);
                    }
                    Some(part) => conversation.by_model(Part::Reasoning(part)),
                    None => {}
                }
                continue;
            }
            _ => conversation.unclaimed(seal),
        }
        match kind.as_deref() {
            Some("message") => conversation.message(&item)?,
            None if item.raw("role").is_some() => conversation.message(&item)?,
            Some("function_call_output") => conversation.result(tool_result(&item)?),
            // Hosted tools, references (whose type may be missing), opaque state.
            Some(_) => return Err(bound(item.at("type"))),
            None if item.raw("id").is_some() => return Err(bound(item.at("id"))),
            None => return Err(BadRequest::at(item.at("type"), "the field is missing; it names the kind of item")),
        }
    }
    conversation.unclaimed(seal_of_next_call);
    Ok(conversation)
}

impl Conversation {
    /// State of Gemini's that no call followed belongs to the turn as such.
    fn unclaimed(&mut self, seal: Option<Seal>) {
        if seal.is_some() {
            self.by_model(Part::Reasoning(ReasoningPart { text: String::new(), seal }));
        }
    }

    /// Something the model said, in its present turn or a new one.
    fn by_model(&mut self, part: Part) {
        match self.messages.last_mut() {
            Some(Message { role: Role::Assistant, parts }) => parts.push(part),
            _ => self.messages.push(Message { role: Role::Assistant, parts: vec![part] }),
        }
    }

    /// What a tool returned, beside the results before it.
    fn result(&mut self, result: ToolResult) {
        let part = Part::ToolResult(result);
        match self.messages.last_mut() {
            Some(Message { role: Role::User, parts }) if parts.iter().all(|p| matches!(p, Part::ToolResult(_))) => {
                parts.push(part);
            }
            _ => self.messages.push(Message { role: Role::User, parts: vec![part] }),
        }
    }

    fn message(&mut self, item: &Object<'_>) -> Result<(), BadRequest> {
        let role = match item.required_text("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            other => {
                let expected = "expected \"user\", \"assistant\", \"system\" or \"developer\"";
                return Err(BadRequest::at(item.at("role"), format!("{expected}, got {other:?}")));
            }
        };
        let parts = content(item, "content", role)?;
        match role {
            Role::Assistant => parts.into_iter().for_each(|part| self.by_model(part)),
            Role::System if self.messages.is_empty() => {
                let texts =
                    parts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
                self.instructions.extend(texts);
            }
            Role::System | Role::User => self.messages.push(Message { role, parts }),
        }
        Ok(())
    }
}

/// Content in a field: a string, or an array of parts that this role may say.
fn content(item: &Object<'_>, field: &str, role: Role) -> Result<Vec<Part>, BadRequest> {
    let Some(raw) = item.raw(field) else {
        return Err(BadRequest::at(item.at(field), "the field is missing; it must be a string or an array"));
    };
    if raw.get().starts_with('"') {
        return Ok(vec![Part::Text(item.required_text(field)?)]);
    }
    let mut parts = Vec::new();
    for part in item.objects(field)? {
        let kind = part.required_text("type")?;
        match (kind.as_str(), role) {
            ("input_text" | "output_text" | "text", _) => parts.push(Part::Text(part.required_text("text")?)),
            ("refusal", Role::Assistant) => parts.push(Part::Refusal(part.required_text("refusal")?)),
            ("input_image", Role::User) => parts.push(image(&part)?),
            ("input_file", Role::User) => parts.push(document(&part)?),
            ("input_audio", Role::User) => return Err(bound(part.at("type"))),
            (_, role) => {
                let expected = match role {
                    Role::User => "input_text, input_image or input_file",
                    Role::Assistant => "output_text or refusal",
                    Role::System => "input_text",
                };
                return Err(BadRequest::at(part.at("type"), format!("expected {expected} here, got {kind:?}")));
            }
        }
    }
    Ok(parts)
}

fn image(part: &Object<'_>) -> Result<Part, BadRequest> {
    match part.text("image_url")? {
        Some(url) => media(part, "image_url", url).map(Part::Image),
        None if part.raw("file_id").is_some() => Err(bound(part.at("file_id"))),
        None => Err(BadRequest::at(part.at("image_url"), "the field is missing; it must be a URL or a data: URL")),
    }
}

fn document(part: &Object<'_>) -> Result<Part, BadRequest> {
    let name = part.text("filename")?;
    let media = if let Some(data) = part.text("file_data")? {
        if data.starts_with("data:") {
            media(part, "file_data", data)?
        } else {
            Media::Inline { media_type: media_type_of(name.as_deref()).to_owned(), base64: data }
        }
    } else if let Some(url) = part.text("file_url")? {
        media(part, "file_url", url)?
    } else if part.raw("file_id").is_some() {
        return Err(bound(part.at("file_id")));
    } else {
        return Err(BadRequest::at(part.at("file_data"), "one of file_data, file_url and file_id must be there"));
    };
    Ok(Part::Document { media, name })
}

/// Bytes in a `data:` URL, or a URL to be fetched.
fn media(part: &Object<'_>, field: &str, url: String) -> Result<Media, BadRequest> {
    let Some(data) = url.strip_prefix("data:") else {
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(Media::Url(url));
        }
        let got = clip(&url, 60);
        return Err(BadRequest::at(part.at(field), format!("expected an http(s) URL or a data: URL, got {got:?}")));
    };
    // Between type and `;base64` there may be parameters, which no protocol has room for.
    let inline = data.split_once(',').and_then(|(head, base64)| {
        let media_type = head.strip_suffix(";base64")?.split(';').next()?;
        (!media_type.is_empty()).then(|| Media::Inline { media_type: media_type.to_owned(), base64: base64.to_owned() })
    });
    inline.ok_or_else(|| BadRequest::at(part.at(field), "a data: URL must look like data:image/png;base64,…"))
}

/// What bytes are whose type only their file's name tells; PDF is what the API is for.
fn media_type_of(filename: Option<&str>) -> &'static str {
    let extension =
        filename.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("html" | "htm") => "text/html",
        Some("json") => "application/json",
        _ => "application/pdf",
    }
}

fn tool_call(item: &Object<'_>, seal: Option<Seal>) -> Result<ToolCall, BadRequest> {
    Ok(ToolCall {
        id: item.required_text("call_id")?,
        name: item.required_text("name")?,
        arguments: item.required_text("arguments")?,
        seal,
    })
}

fn tool_result(item: &Object<'_>) -> Result<ToolResult, BadRequest> {
    Ok(ToolResult {
        call_id: item.required_text("call_id")?,
        parts: content(item, "output", Role::User)?,
        is_error: false,
    })
}

/// Reasoning of an earlier turn; `None` where nothing of it is there.
fn reasoning(item: &Object<'_>) -> Result<Option<ReasoningPart>, BadRequest> {
    let seal = item
        .text("encrypted_content")?
        .filter(|token| !token.is_empty())
        .map(|token| Seal::from_token(&token).unwrap_or(Seal { origin: SealOrigin::OpenAi, data: token }));
    let mut texts = Vec::new();
    for field in ["content", "summary"] {
        for part in item.objects(field)? {
            texts.push(part.required_text("text")?);
        }
        // The summary only stands in for the reasoning itself.
        if !texts.is_empty() {
            break;
        }
    }
    let text = texts.join("\n\n");
    Ok((!text.is_empty() || seal.is_some()).then_some(ReasoningPart { text, seal }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn decoded(input: Value) -> Result<Conversation, BadRequest> {
        let body = json!({"input": input}).to_string();
        decode(&Object::body(body.as_bytes())?)
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    fn user(parts: Vec<Part>) -> Message {
        Message { role: Role::User, parts }
    }

    fn assistant(parts: Vec<Part>) -> Message {
        Message { role: Role::Assistant, parts }
    }

    fn call(id: &str, seal: Option<Seal>) -> Part {
        Part::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into(), seal })
    }

    fn call_item(id: &str) -> Value {
        json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}", "id": "fc_1", "status": "completed"})
    }

    fn gemini(data: &str) -> Seal {
        Seal { origin: SealOrigin::Gemini, data: data.into() }
    }

    #[test]
    fn leading_system_messages_are_instructions() {
        let conversation = decoded(json!([
            {"role": "system", "content": "a"},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "b"}]},
            {"role": "user", "content": "c"},
            {"role": "developer", "content": "d"},
        ]))
        .unwrap();
        assert_eq!(conversation.instructions, ["a", "b"]);
        assert_eq!(
            conversation.messages,
            [user(vec![text("c")]), Message { role: Role::System, parts: vec![text("d")] }]
        );
    }

    #[test]
    fn parallel_calls_are_one_turn_and_so_are_their_results() {
        let conversation = decoded(json!([
            {"role": "user", "content": "go"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "so", "annotations": []}]},
            call_item("a"),
            call_item("b"),
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": [
                {"type": "input_text", "text": "2"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
            {"role": "user", "content": "and?"},
        ]))
        .unwrap();
        let result = |id: &str, parts| Part::ToolResult(ToolResult { call_id: id.into(), parts, is_error: false });
        let png = Part::Image(Media::Inline { media_type: "image/png".into(), base64: "AAAA".into() });
        assert_eq!(
            conversation.messages,
            [
                user(vec![text("go")]),
                assistant(vec![text("so"), call("a", None), call("b", None)]),
                user(vec![result("a", vec![text("1")]), result("b", vec![text("2"), png])]),
                user(vec![text("and?")]),
            ]
        );
    }

    #[test]
    fn images_and_documents() {
        let conversation = decoded(json!([{"role": "user", "content": [
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            {"type": "input_file", "file_data": "data:application/pdf;name=a;base64,QQ==", "filename": "a.pdf"},
            {"type": "input_file", "file_data": "QQ==", "filename": "a.TXT"},
            {"type": "input_file", "file_url": "https://x/y.pdf"},
        ]}]))
        .unwrap();
        let inline = |kind: &str| Media::Inline { media_type: kind.into(), base64: "QQ==".into() };
        assert_eq!(
            conversation.messages[0].parts,
            [
                Part::Image(Media::Url("https://x/y.png".into())),
                Part::Document { media: inline("application/pdf"), name: Some("a.pdf".into()) },
                Part::Document { media: inline("text/plain"), name: Some("a.TXT".into()) },
                Part::Document { media: Media::Url("https://x/y.pdf".into()), name: None },
            ]
        );
    }

    #[test]
    fn what_a_chat_cannot_hold_is_refused() {
        let said = |part: Value| json!({"role": "user", "content": [part]});
        for (item, path) in [
            (json!({"type": "item_reference", "id": "msg_1"}), "input[0].type"),
            (json!({"id": "msg_2"}), "input[0].id"),
            (json!({"type": "web_search_call", "id": "ws_1"}), "input[0].type"),
            (said(json!({"type": "input_image", "file_id": "f", "detail": "auto"})), "input[0].content[0].file_id"),
            (said(json!({"type": "input_file", "file_id": "f"})), "input[0].content[0].file_id"),
            (said(json!({"type": "input_audio", "input_audio": {}})), "input[0].content[0].type"),
        ] {
            let error = decoded(json!([item])).unwrap_err();
            assert_eq!(error.path, path);
            assert!(error.message.contains("cannot be translated"), "{error}");
        }
        assert_eq!(decoded(json!([{}])).unwrap_err().path, "input[0].type");
    }

    #[test]
    fn a_gemini_seal_finds_back_to_its_call() {
        let seal = |token: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": token});
        let conversation =
            decoded(json!([seal("pmseal.gemini.x"), call_item("a"), call_item("b"), seal("pmseal.gemini.y")])).unwrap();
        let unclaimed = Part::Reasoning(ReasoningPart { text: String::new(), seal: Some(gemini("y")) });
        assert_eq!(conversation.messages, [assistant(vec![call("a", Some(gemini("x"))), call("b", None), unclaimed])]);
    }

    #[test]
    fn reasoning_keeps_its_text_and_its_seal() {
        let conversation = decoded(json!([
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "pmseal.anthropic.s"},
            {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
                "encrypted_content": "gAAAA", "status": null},
            {"type": "reasoning", "id": "rs_3", "summary": [{"type": "summary_text", "text": "short"}],
                "content": [{"type": "reasoning_text", "text": "long"}], "encrypted_content": null},
            {"type": "reasoning", "id": "rs_4", "summary": []},
        ]))
        .unwrap();
        let part = |text: &str, seal: Option<(SealOrigin, &str)>| {
            let seal = seal.map(|(origin, data)| Seal { origin, data: data.into() });
            Part::Reasoning(ReasoningPart { text: text.into(), seal })
        };
        assert_eq!(
            conversation.messages,
            [assistant(vec![
                part("a", Some((SealOrigin::AnthropicSignature, "s"))),
                part("a\n\nb", Some((SealOrigin::OpenAi, "gAAAA"))),
                part("long", None),
            ])]
        );
    }

    #[test]
    fn mistakes_are_named_by_path() {
        for (input, path) in [
            (json!([1]), "input[0]"),
            (json!([{"role": "boss", "content": "x"}]), "input[0].role"),
            (json!([{"role": "user"}]), "input[0].content"),
            (json!([{"role": "user", "content": 1}]), "input[0].content"),
            (json!([{"role": "user", "content": [{"type": "image_url"}]}]), "input[0].content[0].type"),
            (
                json!([{"role": "assistant", "content": [{"type": "input_image", "image_url": "https://x"}]}]),
                "input[0].content[0].type",
            ),
            (json!([{"role": "user", "content": [{"type": "input_image"}]}]), "input[0].content[0].image_url"),
            (
                json!([{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]),
                "input[0].content[0].image_url",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,x"}]}]),
                "input[0].content[0].image_url",
            ),
            (json!([{"role": "user", "content": [{"type": "input_file"}]}]), "input[0].content[0].file_data"),
            (json!([{"type": "function_call", "name": "f", "arguments": "{}"}]), "input[0].call_id"),
            (json!([{"type": "function_call_output", "call_id": "c"}]), "input[0].output"),
        ] {
            assert_eq!(decoded(input).unwrap_err().path, path);
        }
    }
}
