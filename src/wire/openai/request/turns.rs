//! The conversation as OpenAI-compatible servers get it.

use serde_json::json;

use super::content::file_name_for;
use super::outgoing::{CallOut, ContentOut, FileOut, FunctionCallOut, ImageOut, MessageOut, PartOut, UrlOut};
use crate::domain::feature::Feature;
use crate::wire::chat::{ChatRequest, Media, Message, Part, Role, Seal, SealOrigin, ToolCall, ToolResult};
use crate::wire::error::Unsupported;
use crate::wire::meta::EncodeFor;
use crate::wire::turn::step;

/// Instructions and turns in the order the API wants them.
pub(super) fn encode_turns<'a>(
    request: &'a ChatRequest,
    to: &EncodeFor<'_>,
) -> Result<Vec<MessageOut<'a>>, Unsupported> {
    let mut out = Vec::with_capacity(request.messages.len() + 1);
    if !request.instructions.is_empty() {
        // One message, because the templates of many open models allow no second one.
        out.push(MessageOut::System { content: request.instructions.join("\n\n") });
    }
    for run in request.messages.chunk_by(|a, b| a.role == b.role) {
        // In bounds: a run is never empty.
        match run[0].role {
            Role::System => out.extend(run.iter().map(encode_system)),
            Role::Assistant => {
                for message in run {
                    out.extend(encode_assistant(message, to)?);
                }
            }
            Role::User => encode_user(run, to, &mut out)?,
        }
    }
    Ok(out)
}

fn encode_system(message: &Message) -> MessageOut<'_> {
    let texts = message.parts.iter().filter_map(text_of);
    MessageOut::System { content: texts.collect::<Vec<_>>().join("\n\n") }
}

/// Nothing if all the turn held was reasoning, which the API does not take back.
fn encode_assistant<'a>(message: &'a Message, to: &EncodeFor<'_>) -> Result<Option<MessageOut<'a>>, Unsupported> {
    let mut content = Vec::new();
    let mut refusal: Option<String> = None;
    let mut tool_calls = Vec::new();
    for part in &message.parts {
        step();
        match part {
            Part::Text(text) => content.push(PartOut::Text { text }),
            Part::Refusal(text) => refusal.get_or_insert_default().push_str(text),
            Part::ToolCall(call) => tool_calls.push(encode_call(call, to)),
            Part::Reasoning(_) | Part::ToolResult(_) => {}
            Part::Image(_) => refuse(to, Feature::Images, "a picture in an assistant message")?,
            Part::Document { .. } => refuse(to, Feature::Documents, "a document in an assistant message")?,
        }
    }
    if content.is_empty() && refusal.is_none() && tool_calls.is_empty() {
        return Ok(None);
    }
    let content = (!content.is_empty()).then(|| ContentOut::new(content));
    Ok(Some(MessageOut::Assistant { content, refusal, tool_calls }))
}

fn encode_call<'a>(call: &'a ToolCall, to: &EncodeFor<'_>) -> CallOut<'a> {
    let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    // Gemini models need their signature back, also behind an OpenAI-compatible server;
    // other servers may refuse a field they do not know.
    let seal = call.seal.as_ref().filter(|_| to.model.contains("gemini"));
    CallOut {
        id: &call.id,
        r#type: "function",
        function: FunctionCallOut { name: &call.name, arguments },
        extra_content: seal.and_then(extra_content),
    }
}

/// The place that Gemini's OpenAI-compatible API documents for its thought signatures.
/// Other seals cannot travel on Chat Completions.
pub(in crate::wire::openai) fn extra_content(seal: &Seal) -> Option<serde_json::Value> {
    (seal.origin == SealOrigin::Gemini).then(|| json!({"google": {"thought_signature": seal.data}}))
}

/// What the user and the tools said between two turns of the model.
///
/// The results of tools have to follow the calls at once, so they come first. A tool
/// message holds text only, so pictures and files of results follow in a user message,
/// as the API's documentation has it.
fn encode_user<'a>(run: &'a [Message], to: &EncodeFor<'_>, out: &mut Vec<MessageOut<'a>>) -> Result<(), Unsupported> {
    let mut attached = Vec::new();
    for part in run.iter().flat_map(|message| &message.parts) {
        step();
        if let Part::ToolResult(result) = part {
            let before = attached.len();
            for part in &result.parts {
                attached.extend(encode_medium(part, to)?);
            }
            let has_media = attached.len() > before;
            out.push(MessageOut::Tool { tool_call_id: &result.call_id, content: result_text(result, has_media) });
        }
    }
    if !attached.is_empty() {
        out.push(MessageOut::User { content: ContentOut::new(attached) });
    }
    for message in run {
        let mut content = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            step();
            match text_of(part) {
                Some(text) => content.push(PartOut::Text { text }),
                None => content.extend(encode_medium(part, to)?),
            }
        }
        if !content.is_empty() {
            out.push(MessageOut::User { content: ContentOut::new(content) });
        }
    }
    Ok(())
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) => Some(text),
        _ => None,
    }
}

/// The API has no mark for a tool that failed, so the text says it.
fn result_text(result: &ToolResult, has_media: bool) -> String {
    let text = result.parts.iter().filter_map(text_of).collect::<Vec<_>>().join("\n");
    match (result.is_error, text.is_empty()) {
        (true, true) => "Error: the tool failed.".to_owned(),
        (true, false) if !text.starts_with("Error") => format!("Error: {text}"),
        (false, true) if has_media => "The result is attached to the next message.".to_owned(),
        _ => text,
    }
}

/// A picture or a file; nothing for other parts.
fn encode_medium<'a>(part: &'a Part, to: &EncodeFor<'_>) -> Result<Option<PartOut<'a>>, Unsupported> {
    match part {
        Part::Image(media) => Ok(Some(PartOut::ImageUrl { image_url: ImageOut { url: UrlOut(media) } })),
        Part::Document { media: Media::Url(_), .. } => {
            refuse(to, Feature::Documents, "a document by URL; Chat Completions takes documents inline only")?;
            Ok(None)
        }
        Part::Document { media: media @ Media::Inline { media_type, .. }, name } => {
            let filename = name.clone().unwrap_or_else(|| file_name_for(media_type));
            Ok(Some(PartOut::File { file: FileOut { filename, file_data: UrlOut(media) } }))
        }
        Part::Text(_) | Part::Refusal(_) | Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => Ok(None),
    }
}

fn refuse(to: &EncodeFor<'_>, feature: Feature, detail: &str) -> Result<(), Unsupported> {
    if to.drop_unsupported { Ok(()) } else { Err(Unsupported { feature, detail: detail.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::provider::{OpenAiQuirks, OutputLimitField};
    use crate::wire::chat::ReasoningPart;
    use serde_json::Value;

    fn to(model: &str, drop_unsupported: bool) -> EncodeFor<'_> {
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxTokens };
        EncodeFor { model, max_output_tokens: None, quirks, drop_unsupported }
    }

    fn turns(messages: Vec<(Role, Vec<Part>)>, to: &EncodeFor<'_>) -> Result<Value, Unsupported> {
        let messages = messages.into_iter().map(|(role, parts)| Message { role, parts }).collect();
        let request = ChatRequest { messages, ..ChatRequest::default() };
        encode_turns(&request, to).map(|turns| serde_json::to_value(turns).unwrap())
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Part {
        Part::ToolResult(ToolResult { call_id: id.into(), parts, is_error })
    }

    fn png() -> Part {
        Part::Image(Media::Inline { media_type: "image/png".into(), base64: "AA".into() })
    }

    #[test]
    fn results_come_first_and_their_pictures_after_all_of_them() {
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}});
        let got = turns(
            vec![
                (Role::User, vec![text("note"), result("1", vec![png()], false)]),
                (Role::User, vec![result("2", vec![text("a"), text("b")], false)]),
            ],
            &to("m", false),
        );
        let expected = json!([
            {"role": "tool", "tool_call_id": "1", "content": "The result is attached to the next message."},
            {"role": "tool", "tool_call_id": "2", "content": "a\nb"},
            {"role": "user", "content": [image]},
            {"role": "user", "content": "note"},
        ]);
        assert_eq!(got.unwrap(), expected);
    }

    #[test]
    fn failed_tools_say_so() {
        for (parts, expected) in [
            (vec![], "Error: the tool failed."),
            (vec![text("no such file")], "Error: no such file"),
            (vec![text("Error 7")], "Error 7"),
        ] {
            let got = turns(vec![(Role::User, vec![result("1", parts, true)])], &to("m", false)).unwrap();
            assert_eq!(got[0]["content"], expected);
        }
    }

    #[test]
    fn reasoning_does_not_travel_back() {
        let reasoning = || Part::Reasoning(ReasoningPart { text: "hm".into(), seal: None });
        let got = turns(
            vec![
                (Role::Assistant, vec![reasoning()]),
                (Role::Assistant, vec![reasoning(), text("a"), text("b"), Part::Refusal("no".into())]),
            ],
            &to("m", false),
        );
        let content = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(got.unwrap(), json!([{"role": "assistant", "content": content, "refusal": "no"}]));
    }

    #[test]
    fn signatures_go_to_gemini_models_only() {
        let seal = Some(Seal { origin: SealOrigin::Gemini, data: "sig".into() });
        let call = ToolCall { id: "1".into(), name: "f".into(), arguments: String::new(), seal };
        let call_for = |model| {
            let messages = vec![(Role::Assistant, vec![Part::ToolCall(call.clone())])];
            turns(messages, &to(model, false)).unwrap()[0]["tool_calls"][0].clone()
        };
        let plain = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        assert_eq!(call_for("gpt"), plain);
        let signed = &call_for("google/gemini-3-pro")["extra_content"]["google"]["thought_signature"];
        assert_eq!(signed, "sig");
    }

    #[test]
    fn documents_by_url_are_refused_or_left_out() {
        let messages = || {
            vec![(Role::User, vec![text("x"), Part::Document { media: Media::Url("https://x".into()), name: None }])]
        };
        assert_eq!(turns(messages(), &to("m", false)).unwrap_err().feature, Feature::Documents);
        assert_eq!(turns(messages(), &to("m", true)).unwrap(), json!([{"role": "user", "content": "x"}]));
    }
}
