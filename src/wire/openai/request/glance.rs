//! What the messages of a chat need, found without building them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::feature::Feature;
use crate::wire::error::BadRequest;
use crate::wire::list::List;
use crate::wire::openai::fields::{given, note_unknown};
use crate::wire::peek::{Peek, Raw};
use crate::wire::strings::Strings;

/// What the messages hold beside text.
#[derive(Default)]
pub(super) struct Media {
    /// How many pictures, recordings and documents.
    pub(super) media: u64,
    /// How many bytes of the body they take.
    pub(super) media_bytes: usize,
    /// More of them may be within the text, as URLs of their own bytes.
    pub(super) inline: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    #[serde(default, borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(default, borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(default, borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default, borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(default, borrow)]
    input_audio: Option<&'a RawValue>,
    #[serde(default, borrow)]
    file: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(default, borrow)]
    file_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default, borrow)]
    r#type: Option<Cow<'a, str>>,
}

/// Notes what the messages need; reads them one by one only where they hold more than
/// plain text.
///
/// # Errors
/// If they are not an array of objects.
pub(super) fn glance_at_messages(raw: Raw<'_>, peek: &mut Peek) -> Result<Media, BadRequest> {
    let text = raw.get();
    if !text.starts_with('[') {
        return Err(BadRequest::at("messages", "expected an array of messages"));
    }
    let mut media = Media { inline: true, ..Media::default() };
    if let Some(last_role) = only_text(text) {
        if last_role == b"assistant" {
            peek.needs.insert(Feature::Prefill);
        }
        return Ok(Media::default());
    }
    let List::<Message<'_>>(messages) = serde_json::from_str(text)
        .map_err(|error| BadRequest::at("messages", format!("not an array of messages: {error}")))?;
    for (i, message) in messages.iter().enumerate() {
        glance_at_message(i, message, &mut media, peek)?;
    }
    if messages.last().is_some_and(|message| message.role.as_deref() == Some("assistant")) {
        peek.needs.insert(Feature::Prefill);
    }
    Ok(media)
}

fn glance_at_message(i: usize, message: &Message<'_>, media: &mut Media, peek: &mut Peek) -> Result<(), BadRequest> {
    if matches!(message.role.as_deref(), Some("tool" | "function")) || given(message.function_call) {
        peek.needs.insert(Feature::Tools);
    }
    if given(message.audio) {
        peek.needs.insert(Feature::Audio);
    }
    if given(message.tool_calls) {
        let calls: List<Call<'_>> = message.tool_calls.map_or(Ok(List::default()), |raw| {
            serde_json::from_str(raw.get())
                .map_err(|_| BadRequest::at(format!("messages[{i}].tool_calls"), "expected an array of tool calls"))
        })?;
        for call in calls {
            let custom = call.r#type.as_deref() == Some("custom");
            peek.needs.insert(if custom { Feature::HostedTools } else { Feature::Tools });
        }
    }
    let Some(content) = message.content.filter(|raw| raw.get().starts_with('[')) else { return Ok(()) };
    let List::<Part<'_>>(parts) = serde_json::from_str(content.get())
        .map_err(|_| BadRequest::at(format!("messages[{i}].content"), "expected a string or an array of parts"))?;
    for (k, part) in parts.iter().enumerate() {
        glance_at_part(part, media, peek, || format!("messages[{i}].content[{k}].type"));
    }
    Ok(())
}

fn glance_at_part(part: &Part<'_>, media: &mut Media, peek: &mut Peek, path: impl Fn() -> String) {
    let length = |raw: Option<&RawValue>| raw.map_or(0, |raw| raw.get().len());
    match part.r#type.as_deref() {
        Some("text" | "refusal" | "thinking") => return,
        Some("image_url") => {
            peek.needs.insert(Feature::Images);
            let inline = part.image_url.is_some_and(|raw| raw.get().contains("\"data:"));
            if inline {
                media.media_bytes += length(part.image_url);
            } else {
                peek.needs.insert(Feature::ImageUrls);
            }
        }
        Some("input_audio") => {
            peek.needs.insert(Feature::Audio);
            media.media_bytes += length(part.input_audio);
        }
        Some("file") => {
            let file: Option<File<'_>> = part.file.and_then(|raw| serde_json::from_str(raw.get()).ok());
            let by_id = file.is_some_and(|file| given(file.file_id));
            peek.needs.insert(if by_id { Feature::FileIds } else { Feature::Documents });
            media.media_bytes += length(part.file);
        }
        _ => {
            note_unknown(peek, path());
            return;
        }
    }
    media.media += 1;
}

/// Words of which one is in any message that is more than plain text.
const BEYOND_TEXT: [&[u8]; 5] = [b"type", b"tool_calls", b"tool_call_id", b"function_call", b"function"];

/// The role of the last message, if all of them are plain text and need not be looked at one by
/// one.
fn only_text(messages: &str) -> Option<&[u8]> {
    let mut role: &[u8] = b"";
    let mut strings = Strings::new(messages.as_bytes());
    let mut is_role = false;
    while let Some(string) = strings.next() {
        if BEYOND_TEXT.contains(&string) {
            return None;
        }
        if is_role {
            role = string;
        }
        is_role = string == b"role" && strings.was_name();
    }
    Some(role)
}
