//! What a peek at any OpenAI body has in common: the model, the stream, the size.

use crate::domain::feature::Feature;
use crate::wire::error::BadRequest;
use crate::wire::peek::{MAX_UNKNOWN, Peek, Raw, TopLevel, span_in};

/// Tokens that a picture, a recording or a document is taken for.
pub(super) const TOKENS_PER_MEDIUM: u64 = 1000;

/// A peek that knows the model, and the top level to go on with.
///
/// # Errors
/// If the body is not a JSON object or has no model.
pub(super) fn open(body: &[u8]) -> Result<(TopLevel<'_>, Peek), BadRequest> {
    let top = TopLevel::parse(body)?;
    let values = top.values;
    let raw = top.get("model").ok_or_else(|| BadRequest::at("model", "missing; name an alias or a model"))?;
    let model: String = top.read("model", "a string")?.unwrap_or_default();
    if model.is_empty() {
        return Err(BadRequest::at("model", "empty; name an alias or a model"));
    }
    let model_span = span_in(body, raw.get()).ok_or_else(|| BadRequest::at("model", "not found in the body"))?;
    Ok((top, Peek { model, model_span, values, ..Peek::default() }))
}

/// Reads `stream` and `stream_options.include_usage`.
///
/// # Errors
/// If one of them is of the wrong type.
pub(super) fn read_stream(top: &TopLevel<'_>, peek: &mut Peek) -> Result<(), BadRequest> {
    #[derive(serde::Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    peek.stream = top.read("stream", "true or false")?.unwrap_or(false);
    let options: Option<StreamOptions> = top.read("stream_options", "an object with include_usage")?;
    peek.stream_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
    Ok(())
}

/// A count of tokens. Servers that pass for OpenAI's give a meaning to `-1`, so a number
/// that counts nothing is left to them and read as no limit.
///
/// # Errors
/// If it is not a number at all.
pub(super) fn read_limit(top: &TopLevel<'_>, name: &str) -> Result<Option<u64>, BadRequest> {
    Ok(top.read::<serde_json::Number>(name, "a whole number")?.and_then(|number| number.as_u64()))
}

/// Notes what this dialect is not known to have.
pub(super) fn note_unknown(peek: &mut Peek, name: impl Into<String>) {
    peek.needs.insert(Feature::UnknownField);
    if peek.unknown_fields.len() < MAX_UNKNOWN {
        peek.unknown_fields.push(name.into());
    }
}

/// Notes every top-level field that is given and not among `known`.
pub(super) fn note_unknown_fields(top: &TopLevel<'_>, known: &[&str], peek: &mut Peek) {
    for (name, raw) in &top.fields {
        if raw.get() != "null" && !known.contains(&name.as_ref()) {
            note_unknown(peek, name.as_ref());
        }
    }
}

/// Whether a field is there with something in it: not `null`, `false`, `""`, `[]` or `{}`.
pub(super) fn given<'a>(raw: Option<impl Into<Raw<'a>>>) -> bool {
    let Some(raw) = raw else { return false };
    let mut rest = raw.into().get().bytes().filter(|byte| !byte.is_ascii_whitespace());
    match (rest.next(), rest.next()) {
        (Some(b'"' | b'['), Some(b'"' | b']')) | (Some(b'{'), Some(b'}')) => rest.next().is_some(),
        (Some(b'n' | b'f'), _) | (None, _) => false,
        _ => true,
    }
}

/// Bytes of media inside the JSON text, written as `data:…;base64,…` URLs.
pub(super) fn inline_media_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let finder = memchr::memmem::Finder::new(";base64,");
    let (mut from, mut total) = (0, 0);
    while let Some(offset) = finder.find(&bytes[from..]) {
        let start = from + offset;
        let length = memchr::memchr(b'"', &bytes[start..]).unwrap_or(bytes.len() - start);
        total += length;
        from = start + length;
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn the_model_is_found_with_its_place() {
        let body = br#"{"x":1, "model" : "a\u0062" }"#;
        let (_, peek) = open(body).unwrap();
        assert_eq!(peek.model, "ab");
        assert_eq!(&body[peek.model_span], br#""a\u0062""#);
        for bad in ["{}", r#"{"model":null}"#, r#"{"model":""}"#, r#"{"model":7}"#] {
            assert_eq!(open(bad.as_bytes()).unwrap_err().path, "model", "{bad}");
        }
    }

    #[test]
    fn only_something_counts_as_given() {
        for (json, expected) in [
            ("null", false),
            ("false", false),
            ("\"\"", false),
            ("[ ]", false),
            ("{ }", false),
            ("true", true),
            ("\"a\"", true),
            ("[\"\"]", true),
            ("[[]]", true),
            ("{\"a\":1}", true),
            ("0", true),
        ] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(given(Some(&*raw)), expected, "{json}");
        }
        assert!(!given(None::<&RawValue>));
    }

    #[test]
    fn inline_media_is_measured_to_the_closing_quote() {
        assert_eq!(inline_media_bytes(r#"["data:image/png;base64,AAAA","x"]"#), ";base64,AAAA".len());
        assert_eq!(inline_media_bytes("nothing here"), 0);
        assert_eq!(inline_media_bytes(";base64,cut"), ";base64,cut".len());
    }
}
