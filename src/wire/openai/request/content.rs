//! What a client's message says: text, pictures, files.

use serde_json::Value;

use crate::wire::chat::{Media, Part, ReasoningPart};
use crate::wire::error::BadRequest;
use crate::wire::openai::tree::{Object, Path};

/// Content of any role: a string, or an array of parts; nothing where it is missing.
pub(super) fn decode_content(content: Option<Value>, at: &Path<'_>) -> Result<Vec<Part>, BadRequest> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text)]),
        Some(Value::Array(parts)) => {
            parts.into_iter().enumerate().map(|(i, part)| decode_part(part, at.index(i))).collect()
        }
        Some(other) => Err(at.expected("a string or an array of parts", &other)),
    }
}

/// Content that can only be text.
pub(super) fn decode_texts(content: Option<Value>, at: &Path<'_>) -> Result<Vec<String>, BadRequest> {
    decode_content(content, at)?
        .into_iter()
        .enumerate()
        .map(|(i, part)| match part {
            Part::Text(text) => Ok(text),
            _ => Err(at.index(i).field("type").error("expected text; a message of this role holds nothing else")),
        })
        .collect()
}

fn decode_part(part: Value, at: Path<'_>) -> Result<Part, BadRequest> {
    let mut part = Object::new(part, at)?;
    let kind = part.required_string("type")?;
    match kind.as_str() {
        "text" => Ok(Part::Text(part.required_string("text")?)),
        "refusal" => Ok(Part::Refusal(part.required_string("refusal")?)),
        "thinking" => decode_thinking(&mut part),
        "image_url" => decode_image(&mut part),
        "file" => decode_file(&mut part),
        "input_audio" => Err(at.error("audio cannot be translated for the provider of this request")),
        other => Err(at
            .field("type")
            .error(format!("`{other}` is not known here; expected text, image_url, file or input_audio"))),
    }
}

/// Mistral's form of reasoning, which its clients send back: text, or parts of text.
fn decode_thinking(part: &mut Object<'_>) -> Result<Part, BadRequest> {
    let at = part.at;
    let text = decode_texts(part.take("thinking"), &at.field("thinking"))?.concat();
    Ok(Part::Reasoning(ReasoningPart { text, seal: None }))
}

fn decode_image(part: &mut Object<'_>) -> Result<Part, BadRequest> {
    let at = part.at;
    let field = at.field("image_url");
    let (url, at) = match part.take("image_url") {
        None => return Err(field.error("missing; expected an object with a url")),
        // Not of the official API, but common enough among compatible servers.
        Some(Value::String(url)) => (url, field),
        Some(other) => (Object::new(other, field)?.required_string("url")?, field.field("url")),
    };
    if url.starts_with("data:") {
        return Ok(Part::Image(decode_data_url(&url, &at)?));
    }
    if !url.contains("://") {
        return Err(at.error("expected an https URL or a data URL (data:image/png;base64,…)"));
    }
    Ok(Part::Image(Media::Url(url)))
}

fn decode_file(part: &mut Object<'_>) -> Result<Part, BadRequest> {
    let at = part.at;
    let field = at.field("file");
    let mut file = Object::new(part.take("file").unwrap_or_default(), field)?;
    let name = file.string("filename")?;
    if file.has("file_id") {
        return Err(field
            .field("file_id")
            .error("a file by its id is known to one provider only; send its bytes as file_data to reach others"));
    }
    let data = file.required_string("file_data")?;
    let media = if data.starts_with("data:") {
        decode_data_url(&data, &field.field("file_data"))?
    } else {
        Media::Inline { media_type: media_type_of(name.as_deref()).to_owned(), base64: data }
    };
    Ok(Part::Document { media, name })
}

/// `data:<media type>[;parameter…];base64,<data>`.
fn decode_data_url(url: &str, at: &Path<'_>) -> Result<Media, BadRequest> {
    let parsed = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let (head, base64) = parsed.ok_or_else(|| at.error("expected a data URL in base64: data:image/png;base64,…"))?;
    let media_type = head.split(';').next().unwrap_or_default();
    if !media_type.contains('/') {
        return Err(at.error("the data URL has no media type; write data:image/png;base64,…"));
    }
    Ok(Media::Inline { media_type: media_type.to_ascii_lowercase(), base64: base64.to_owned() })
}

/// Endings of file names and what they mean; the first is meant where there is none.
const MEDIA_TYPES: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("xml", "text/xml"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
];

fn media_type_of(name: Option<&str>) -> &'static str {
    let ending = name.and_then(|name| name.rsplit_once('.')).map_or("pdf", |(_, ending)| ending);
    let known = MEDIA_TYPES.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known));
    known.unwrap_or(&MEDIA_TYPES[0]).1
}

/// A name for a file that has none: servers tell its kind by the ending.
pub(super) fn file_name_for(media_type: &str) -> String {
    let ending = MEDIA_TYPES.iter().find(|(_, known)| *known == media_type).unwrap_or(&MEDIA_TYPES[0]).0;
    format!("document.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(content: Value) -> Result<Vec<Part>, BadRequest> {
        decode_content(Some(content), &Path::Root.field("content"))
    }

    fn inline(media_type: &str, base64: &str) -> Media {
        Media::Inline { media_type: media_type.into(), base64: base64.into() }
    }

    #[test]
    fn pictures_are_inline_or_by_url() {
        for (url, media) in [
            (json!({"url": "data:image/PNG;base64,AA=="}), inline("image/png", "AA==")),
            (json!({"url": "data:image/png;charset=utf-8;base64,AA"}), inline("image/png", "AA")),
            (json!({"url": "https://x/y.png", "detail": "high"}), Media::Url("https://x/y.png".into())),
            (json!("https://x/y.png"), Media::Url("https://x/y.png".into())),
        ] {
            let part = json!([{"type": "image_url", "image_url": url}]);
            assert_eq!(decode(part.clone()).unwrap(), [Part::Image(media)], "{part}");
        }
    }

    #[test]
    fn files_tell_their_kind_by_url_or_name() {
        for (file, media, name) in [
            (json!({"file_data": "data:text/csv;base64,AA"}), inline("text/csv", "AA"), None),
            (json!({"file_data": "AA", "filename": "a.TXT"}), inline("text/plain", "AA"), Some("a.TXT")),
            (json!({"file_data": "AA"}), inline("application/pdf", "AA"), None),
        ] {
            let expected = Part::Document { media, name: name.map(Into::into) };
            assert_eq!(decode(json!([{"type": "file", "file": file}])).unwrap(), [expected]);
        }
        assert_eq!(file_name_for("text/csv"), "document.csv");
        assert_eq!(file_name_for("application/x-odd"), "document.pdf");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (content, path) in [
            (json!(7), "content"),
            (json!(["x"]), "content[0]"),
            (json!([{"type": "text", "text": "x"}, {"text": "x"}]), "content[1].type"),
            (json!([{"type": "text"}]), "content[0].text"),
            (json!([{"type": "video_url"}]), "content[0].type"),
            (json!([{"type": "image_url"}]), "content[0].image_url"),
            (json!([{"type": "image_url", "image_url": {}}]), "content[0].image_url.url"),
            (json!([{"type": "image_url", "image_url": {"url": "cat.png"}}]), "content[0].image_url.url"),
            (json!([{"type": "image_url", "image_url": {"url": "data:,x"}}]), "content[0].image_url.url"),
            (json!([{"type": "image_url", "image_url": {"url": "data:;base64,x"}}]), "content[0].image_url.url"),
            (json!([{"type": "file", "file": {"file_id": "f"}}]), "content[0].file.file_id"),
            (json!([{"type": "input_audio", "input_audio": {}}]), "content[0]"),
        ] {
            assert_eq!(decode(content.clone()).unwrap_err().path, path, "{content}");
        }
    }
}
