//! How a conversation becomes Gemini's `contents`: turns that alternate between `user` and
//! `model`, instructions apart from them.
//!
//! - Consecutive turns of one side are merged. System turns in the middle join the other
//!   instructions, in order.
//! - The API matches a tool's result by the function's *name*, so it is looked up from the
//!   nearest earlier call with the result's id. A result of a call that the conversation does
//!   not have gets the id as its name: the API will refuse it, and say which one it was.
//! - Results come before whatever else their turn holds, as the API wants them right after
//!   the calls. Pictures and documents that a tool returned follow as parts of their own.
//! - A thought signature belongs on the part that came after the thought: a call has its own,
//!   one that a reasoning part carries goes to the next text or call of that turn, and where
//!   there is none, to an empty text, which is how the API itself sends it in streams. The
//!   text of thoughts is not sent back; the signature stands for it.

use std::collections::HashMap;

use super::model::Model;
use super::parts::{Content, Part, PartKind, Side, arguments, mime_type_of, response};
use super::request::Refusal;
use crate::domain::feature::Feature;
use crate::wire::chat::{ChatRequest, Media, Part as ChatPart, Role, SealOrigin, ToolCall, ToolResult};
use crate::wire::error::Unsupported;
use crate::wire::peek::clip;
use crate::wire::turn::step;

/// Stands for the signature of a call that Gemini did not make itself, as when another
/// provider answered earlier. Gemini 3 refuses a call of the current turn without one; this
/// value is documented for the purpose (<https://ai.google.dev/gemini-api/docs/thought-signatures>,
/// FAQ on history from another model). Only the first call of a turn carries a signature.
const FOREIGN_CALL_SIGNATURE: &str = "skip_thought_signature_validator";

/// Instructions and turns.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    /// Parts of `systemInstruction`.
    pub system: Vec<Part<'a>>,
    /// The turns; never empty.
    pub contents: Vec<Content<'a>>,
}

/// Builds the turns of a request.
///
/// # Errors
/// If it holds a picture or document that the model cannot be given.
pub(super) fn build<'a>(
    request: &'a ChatRequest,
    model: Model<'_>,
    refusal: Refusal,
) -> Result<Conversation<'a>, Unsupported> {
    let mut conversation = Conversation::default();
    let mut turns = Turns { contents: Vec::new(), names: HashMap::new(), signature: None, model, refusal };
    conversation.system.extend(texts(request.instructions.iter()));
    for message in &request.messages {
        match message.role {
            Role::System => {
                let said = message.parts.iter().filter_map(|part| match part {
                    ChatPart::Text(text) => Some(text),
                    _ => None,
                });
                conversation.system.extend(texts(said));
            }
            Role::User => turns.user(&message.parts)?,
            Role::Assistant => turns.assistant(&message.parts)?,
        }
    }
    conversation.contents = turns.finish();
    if conversation.contents.is_empty() {
        // The API refuses a conversation of instructions alone, which other protocols have;
        // the user says them then.
        let mut parts = std::mem::take(&mut conversation.system);
        if parts.is_empty() {
            parts.push(Part::text(""));
        }
        conversation.contents.push(Content { role: Side::User, parts });
    }
    Ok(conversation)
}

/// Empty texts are refused, so they are left out.
fn texts<'a>(texts: impl Iterator<Item = &'a String>) -> impl Iterator<Item = Part<'a>> {
    texts.filter(|text| !text.is_empty()).map(|text| Part::text(text))
}

/// The turns so far.
struct Turns<'a, 'm> {
    contents: Vec<Content<'a>>,
    /// Names of functions by the ids of their calls; a later call replaces an earlier one.
    names: HashMap<&'a str, &'a str>,
    /// A signature that waits for the part it belongs to.
    signature: Option<&'a str>,
    model: Model<'m>,
    refusal: Refusal,
}

impl<'a> Turns<'a, '_> {
    fn push(&mut self, role: Side, part: Part<'a>) {
        step();
        match self.contents.last_mut() {
            Some(last) if last.role == role => last.parts.push(part),
            _ => self.contents.push(Content { role, parts: vec![part] }),
        }
    }

    fn user(&mut self, parts: &'a [ChatPart]) -> Result<(), Unsupported> {
        self.flush_signature();
        for part in parts {
            match part {
                ChatPart::ToolResult(result) => self.tool_result(result)?,
                other => self.common(Side::User, other)?,
            }
        }
        Ok(())
    }

    fn assistant(&mut self, parts: &'a [ChatPart]) -> Result<(), Unsupported> {
        for part in parts {
            match part {
                ChatPart::Reasoning(reasoning) => {
                    let seal = reasoning.seal.as_ref().filter(|seal| seal.origin == SealOrigin::Gemini);
                    if let Some(seal) = seal {
                        self.flush_signature();
                        self.signature = Some(&seal.data);
                    }
                }
                ChatPart::ToolCall(call) => self.tool_call(call),
                other => self.common(Side::Model, other)?,
            }
        }
        Ok(())
    }

    /// What both sides may say.
    fn common(&mut self, role: Side, part: &'a ChatPart) -> Result<(), Unsupported> {
        match part {
            ChatPart::Text(text) | ChatPart::Refusal(text) if !text.is_empty() => {
                let thought_signature = self.signature.take();
                self.push(role, Part { kind: PartKind::Text(text), thought_signature });
            }
            ChatPart::Image(media) => {
                if let Some(part) = self.media(media, Feature::ImageUrls)? {
                    self.push(role, part);
                }
            }
            ChatPart::Document { media, .. } => {
                if let Some(part) = self.media(media, Feature::Documents)? {
                    self.push(role, part);
                }
            }
            // Empty texts are refused; the other kinds belong to one side and are said there.
            ChatPart::Text(_)
            | ChatPart::Refusal(_)
            | ChatPart::Reasoning(_)
            | ChatPart::ToolCall(_)
            | ChatPart::ToolResult(_) => {}
        }
        Ok(())
    }

    fn tool_call(&mut self, call: &'a ToolCall) {
        let own = call.seal.as_ref().filter(|seal| seal.origin == SealOrigin::Gemini).map(|seal| seal.data.as_str());
        if own.is_some() {
            self.flush_signature();
        }
        self.names.insert(&call.id, &call.name);
        let kind = PartKind::FunctionCall { id: &call.id, name: &call.name, args: arguments(&call.arguments) };
        let thought_signature = own.or_else(|| self.signature.take());
        self.push(Side::Model, Part { kind, thought_signature });
    }

    fn tool_result(&mut self, result: &'a ToolResult) -> Result<(), Unsupported> {
        let name = self.names.get(result.call_id.as_str()).copied().unwrap_or(&result.call_id);
        let said: Vec<&str> = result
            .parts
            .iter()
            .filter_map(|part| match part {
                ChatPart::Text(text) | ChatPart::Refusal(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let kind = PartKind::FunctionResponse { id: &result.call_id, name, response: response(&said, result.is_error) };
        self.push(Side::User, kind.into());
        for part in &result.parts {
            if matches!(part, ChatPart::Image(_) | ChatPart::Document { .. }) {
                self.common(Side::User, part)?;
            }
        }
        Ok(())
    }

    fn media(&self, media: &'a Media, feature: Feature) -> Result<Option<Part<'a>>, Unsupported> {
        let kind = match media {
            Media::Inline { media_type, base64 } => {
                // A common misnomer that the API refuses.
                let mime_type = if media_type == "image/jpg" { "image/jpeg" } else { media_type };
                PartKind::InlineData { mime_type, data: base64 }
            }
            // Public and signed HTTPS URLs are fetched by every model from 2.5 on:
            // https://ai.google.dev/gemini-api/docs/file-input-methods (external URLs).
            Media::Url(url) if url.starts_with("https://") && self.model.fetches_urls() => {
                PartKind::FileData { mime_type: mime_type_of(url), file_uri: url }
            }
            Media::Url(url) => {
                let why = if self.model.fetches_urls() { "only https is fetched" } else { "this model fetches none" };
                self.refusal.of(feature, format!("`{}`: {why}", clip(url, 80)))?;
                return Ok(None);
            }
        };
        Ok(Some(kind.into()))
    }

    /// Says a signature that nothing came after.
    fn flush_signature(&mut self) {
        if let Some(signature) = self.signature.take() {
            self.push(Side::Model, Part { kind: PartKind::Text(""), thought_signature: Some(signature) });
        }
    }

    fn finish(mut self) -> Vec<Content<'a>> {
        self.flush_signature();
        let stand_in = self.model.wants_signatures().then_some(FOREIGN_CALL_SIGNATURE);
        for content in &mut self.contents {
            match content.role {
                Side::User => content.parts.sort_by_key(|part| !matches!(part.kind, PartKind::FunctionResponse { .. })),
                Side::Model => {
                    let first_call =
                        content.parts.iter_mut().find(|part| matches!(part.kind, PartKind::FunctionCall { .. }));
                    if let Some(call) = first_call {
                        call.thought_signature = call.thought_signature.or(stand_in);
                    }
                }
            }
        }
        self.contents
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::provider::{OpenAiQuirks, OutputLimitField};
    use crate::wire::chat::{Message, ReasoningPart, Seal};
    use crate::wire::gemini::encode_request;
    use crate::wire::meta::EncodeFor;

    fn encode(messages: Vec<Message>, model: &str, drop_unsupported: bool) -> Result<Value, Unsupported> {
        let request = ChatRequest { instructions: vec!["be brief".into()], messages, ..ChatRequest::default() };
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: false, output_limit: OutputLimitField::MaxTokens };
        let to = EncodeFor { model, max_output_tokens: None, quirks, drop_unsupported };
        Ok(serde_json::from_slice(&encode_request(&request, &to)?).unwrap())
    }

    fn contents(messages: Vec<Message>) -> Value {
        encode(messages, "gemini-2.5-flash", false).unwrap()["contents"].clone()
    }

    fn user(parts: Vec<ChatPart>) -> Message {
        Message { role: Role::User, parts }
    }

    fn model(parts: Vec<ChatPart>) -> Message {
        Message { role: Role::Assistant, parts }
    }

    fn text(text: &str) -> ChatPart {
        ChatPart::Text(text.into())
    }

    fn gemini(data: &str) -> Option<Seal> {
        Some(Seal { origin: SealOrigin::Gemini, data: data.into() })
    }

    fn call(id: &str, name: &str, arguments: &str, seal: Option<Seal>) -> ChatPart {
        ChatPart::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), seal })
    }

    fn result(id: &str, parts: Vec<ChatPart>) -> ChatPart {
        ChatPart::ToolResult(ToolResult { call_id: id.into(), parts, is_error: false })
    }

    fn thought(seal: Option<Seal>) -> ChatPart {
        ChatPart::Reasoning(ReasoningPart { text: "hm".into(), seal })
    }

    #[test]
    fn turns_alternate_and_instructions_stand_apart() {
        let body = encode(
            vec![
                user(vec![text("a"), text("")]),
                user(vec![text("b")]),
                Message { role: Role::System, parts: vec![text("and polite")] },
                user(vec![text("c")]),
                model(vec![text("d"), ChatPart::Refusal("e".into())]),
            ],
            "gemini-2.5-flash",
            false,
        )
        .unwrap();
        assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "be brief"}, {"text": "and polite"}]}));
        assert_eq!(
            body["contents"],
            json!([
                {"role": "user", "parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
                {"role": "model", "parts": [{"text": "d"}, {"text": "e"}]}
            ])
        );
    }

    #[test]
    fn instructions_alone_are_said_by_the_user() {
        let body = encode(vec![], "gemini-2.5-flash", false).unwrap();
        assert_eq!(body["contents"], json!([{"role": "user", "parts": [{"text": "be brief"}]}]));
        assert_eq!(body.get("systemInstruction"), None);
    }

    #[test]
    fn a_result_has_the_name_of_the_nearest_call_with_its_id() {
        let got = contents(vec![
            user(vec![text("?")]),
            model(vec![call("1", "old", "{}", None)]),
            user(vec![result("1", vec![text("x")])]),
            model(vec![call("1", "f", r#"{"n": 12345678901234567890}"#, None), call("2", "g", "", None)]),
            user(vec![text("here"), result("2", vec![text("y"), text("z")]), result("1", vec![text(r#"{"k":1}"#)])]),
            user(vec![result("9", vec![])]),
        ]);
        assert_eq!(
            got[3],
            json!({"role": "model", "parts": [
                {"functionCall": {"id": "1", "name": "f", "args": {"n": 12345678901234567890u64}}},
                {"functionCall": {"id": "2", "name": "g", "args": {}}}
            ]})
        );
        assert_eq!(
            got[4],
            json!({"role": "user", "parts": [
                {"functionResponse": {"id": "2", "name": "g", "response": {"result": "y\nz"}}},
                {"functionResponse": {"id": "1", "name": "f", "response": {"k": 1}}},
                {"functionResponse": {"id": "9", "name": "9", "response": {"result": ""}}},
                {"text": "here"}
            ]})
        );
    }

    #[test]
    fn pictures_that_tools_return_follow_the_results() {
        let image = ChatPart::Image(Media::Inline { media_type: "image/jpg".into(), base64: "AAAA".into() });
        let got = contents(vec![user(vec![result("1", vec![text("a"), image]), result("2", vec![text("b")])])]);
        assert_eq!(got[0]["parts"][1]["functionResponse"]["id"], "2");
        assert_eq!(got[0]["parts"][2], json!({"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}));
    }

    #[test]
    fn https_urls_are_fetched_and_others_refused() {
        let image = |url: &str| vec![user(vec![ChatPart::Image(Media::Url(url.into()))])];
        let got = contents(image("https://a.b/c.PNG?sig=x.pdf"));
        assert_eq!(
            got[0]["parts"][0],
            json!({"fileData": {"mimeType": "image/png", "fileUri": "https://a.b/c.PNG?sig=x.pdf"}})
        );
        let got = contents(image("https://example.com"));
        assert_eq!(got[0]["parts"][0], json!({"fileData": {"fileUri": "https://example.com"}}));
        for (url, model) in [("http://a.b/c.png", "gemini-3-pro"), ("https://a.b/c.png", "gemini-2.0-flash")] {
            assert_eq!(encode(image(url), model, false).unwrap_err().feature, Feature::ImageUrls);
            let mut messages = image(url);
            messages[0].parts.push(text("what is it?"));
            let body = encode(messages, model, true).unwrap();
            assert_eq!(body["contents"][0]["parts"], json!([{"text": "what is it?"}]));
        }
    }

    #[test]
    fn documents_are_given_inline_or_fetched() {
        let document = |media| ChatPart::Document { media, name: Some("a.pdf".into()) };
        let got = contents(vec![user(vec![
            document(Media::Inline { media_type: "application/pdf".into(), base64: "JVBE".into() }),
            document(Media::Url("https://a.b/c.pdf".into())),
        ])]);
        assert_eq!(
            got[0]["parts"],
            json!([
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.b/c.pdf"}}
            ])
        );
    }

    #[test]
    fn a_signature_goes_to_the_part_after_the_thought() {
        let got = contents(vec![
            model(vec![thought(gemini("s1")), text("a"), text("b")]),
            user(vec![text("?")]),
            model(vec![thought(gemini("s2")), call("1", "f", "{}", None)]),
            user(vec![text("?")]),
            model(vec![text("c"), thought(gemini("s3"))]),
            user(vec![text("?")]),
            model(vec![thought(gemini("s4")), call("2", "f", "{}", gemini("s5"))]),
        ]);
        assert_eq!(got[0]["parts"], json!([{"text": "a", "thoughtSignature": "s1"}, {"text": "b"}]));
        assert_eq!(got[2]["parts"][0]["thoughtSignature"], "s2");
        assert_eq!(got[4]["parts"], json!([{"text": "c"}, {"text": "", "thoughtSignature": "s3"}]));
        assert_eq!(got[6]["parts"][0], json!({"text": "", "thoughtSignature": "s4"}));
        assert_eq!(got[6]["parts"][1]["thoughtSignature"], "s5");
    }

    #[test]
    fn foreign_calls_get_the_stand_in_on_the_first_of_each_turn() {
        let foreign = Some(Seal { origin: SealOrigin::OpenAi, data: "x".into() });
        let messages = || {
            vec![
                model(vec![
                    thought(foreign.clone()),
                    call("1", "f", "{}", foreign.clone()),
                    call("2", "f", "{}", None),
                ]),
                user(vec![result("1", vec![]), result("2", vec![])]),
                model(vec![call("3", "f", "{}", gemini("real")), call("4", "f", "{}", None)]),
            ]
        };
        let signatures = |model| {
            let body = encode(messages(), model, false).unwrap();
            [(0, 0), (0, 1), (2, 0), (2, 1)]
                .map(|(turn, part)| body["contents"][turn]["parts"][part].get("thoughtSignature").cloned())
        };
        assert_eq!(
            signatures("gemini-3-pro-preview"),
            [Some(json!(FOREIGN_CALL_SIGNATURE)), None, Some(json!("real")), None]
        );
        assert_eq!(signatures("gemini-2.5-pro"), [None, None, Some(json!("real")), None]);
    }
}
