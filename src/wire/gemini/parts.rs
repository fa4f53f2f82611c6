//! The pieces that turns are made of, as JSON, and how values of other protocols fit in them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::wire::peek::has_token;

/// One turn.
#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    pub role: Side,
    pub parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    User,
    Model,
}

/// A piece of a turn.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    /// What it is; the kind is the name of its field.
    #[serde(flatten)]
    pub kind: PartKind<'a>,
    /// Gemini's own state of the thought that came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum PartKind<'a> {
    Text(&'a str),
    InlineData {
        mime_type: &'a str,
        data: &'a str,
    },
    FileData {
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<&'static str>,
        file_uri: &'a str,
    },
    FunctionCall {
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        name: &'a str,
        args: Object<'a>,
    },
    FunctionResponse {
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        name: &'a str,
        response: Object<'a>,
    },
}

/// A JSON object: somebody's own text, or a text of ours under one name.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Object<'a> {
    Given(&'a RawValue),
    Owned(Box<RawValue>),
    Empty {},
    Arguments { arguments: &'a str },
    Result { result: String },
    Error { error: String },
}

impl<'a> Part<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        PartKind::Text(text).into()
    }
}

impl<'a> From<PartKind<'a>> for Part<'a> {
    fn from(kind: PartKind<'a>) -> Self {
        Self { kind, thought_signature: None }
    }
}

/// A call's arguments. The API wants an object, so what a model wrote otherwise becomes the
/// text under `arguments`; nothing at all is a call without arguments.
pub(super) fn arguments(text: &str) -> Object<'_> {
    if text.trim_ascii().is_empty() {
        return Object::Empty {};
    }
    object(text).map_or(Object::Arguments { arguments: text }, Object::Given)
}

/// A tool's result. The API wants an object: one is passed as it is, any other text goes
/// under `result`, that of a failure under `error`.
pub(super) fn response(said: &[&str], is_error: bool) -> Object<'static> {
    let text = said.join("\n");
    if is_error {
        return Object::Error { error: text };
    }
    // The API takes `$ref` inside of a result for a reference to a part of the message and
    // refuses it, so an object with one is sent as text.
    match object(&text) {
        Some(object) if !has_token(text.as_bytes(), "$ref") => Object::Owned(object.to_owned()),
        _ => Object::Result { result: text },
    }
}

/// The text, if it is a JSON object.
fn object(text: &str) -> Option<&RawValue> {
    text.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// Guessed from the extension. `None` leaves it to the server that the API fetches from;
/// a type that the API does not know would be refused.
pub(super) fn mime_type_of(url: &str) -> Option<&'static str> {
    const TYPES: [(&str, &str); 14] = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("heic", "image/heic"),
        ("heif", "image/heif"),
        ("gif", "image/gif"),
        ("bmp", "image/bmp"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("md", "text/markdown"),
        ("html", "text/html"),
        ("csv", "text/csv"),
        ("json", "application/json"),
    ];
    let path = url.split(['?', '#']).next()?;
    let (_, file) = path.strip_prefix("https://")?.rsplit_once('/')?;
    let (_, extension) = file.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, mime)| *mime)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(object: &Object<'_>) -> Value {
        serde_json::to_value(object).unwrap()
    }

    #[test]
    fn arguments_that_are_no_object_are_wrapped() {
        for (given, expected) in [
            ("", json!({})),
            ("[1]", json!({"arguments": "[1]"})),
            ("{\"a\":", json!({"arguments": "{\"a\":"})),
            (" {\"a\": 1} ", json!({"a": 1})),
        ] {
            assert_eq!(value(&arguments(given)), expected, "{given}");
        }
    }

    #[test]
    fn a_result_is_an_object_under_any_circumstances() {
        assert_eq!(value(&response(&[r#"{"a": 1}"#], false)), json!({"a": 1}));
        assert_eq!(value(&response(&["a", "b"], false)), json!({"result": "a\nb"}));
        assert_eq!(value(&response(&[], false)), json!({"result": ""}));
        assert_eq!(value(&response(&["{}"], true)), json!({"error": "{}"}));
        let reference = r##"{"$ref": "#/$defs/x"}"##;
        assert_eq!(value(&response(&[reference], false)), json!({"result": reference}));
    }

    #[test]
    fn the_type_is_guessed_from_the_path_alone() {
        assert_eq!(mime_type_of("https://a.b/c.PNG?x=y.pdf"), Some("image/png"));
        assert_eq!(mime_type_of("https://a.b/c.d/e#f.pdf"), None);
        assert_eq!(mime_type_of("https://a.pdf"), None);
        assert_eq!(mime_type_of("https://a.b/c.exe"), None);
    }

    #[test]
    fn large_numbers_keep_their_digits() {
        let text = r#"{"n":123456789012345678901234567890}"#;
        let kind = PartKind::FunctionCall { id: "", name: "f", args: arguments(text) };
        assert_eq!(
            serde_json::to_string(&Part::from(kind)).unwrap(),
            r#"{"functionCall":{"name":"f","args":{"n":123456789012345678901234567890}}}"#
        );
    }
}
