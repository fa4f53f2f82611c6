//! What must be known of a request before anything is decided, read without building a tree.
//!
//! Every request is peeked at, also those that pass through, so this reads top-level
//! fields as raw slices of the body and looks inside one only where a feature depends
//! on it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::scan::{Broken, Quoted, Scanner};
use super::strings::has_any_token;
use crate::domain::feature::FeatureSet;

/// The facts of a request.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Peek {
    /// What the client put in `model`.
    pub model: String,
    /// Where its JSON value stands in the body, quotes included.
    pub model_span: Range<usize>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Chat and text completions: the client asked for usage at the end of the stream.
    pub stream_usage: bool,
    /// What not every endpoint can do.
    pub needs: FeatureSet,
    /// Names of fields that this dialect is not known to have; at most [`MAX_UNKNOWN`].
    /// [`Feature::UnknownField`](crate::domain::feature::Feature::UnknownField) is in
    /// `needs` where there are any.
    pub unknown_fields: Vec<String>,
    /// Estimated prompt length, in tokens; see [`estimate_tokens`].
    pub prompt_tokens: u64,
    /// The output limit the client set.
    pub max_output_tokens: Option<u64>,
    /// The end user, as the application names them.
    pub user: Option<String>,
    /// How many JSON values the body of a chat has, each within another as well.
    pub values: u32,
}

/// How many unknown field names are kept.
pub const MAX_UNKNOWN: usize = 8;

/// A JSON value as it is written, without space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// A value that is written like this.
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Its text.
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for Raw<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(Self::from)
    }
}

/// Top-level fields of a JSON object, in order, each value a slice of the body.
#[derive(Debug)]
pub struct TopLevel<'a> {
    /// Name and raw value.
    pub fields: Vec<(Cow<'a, str>, Raw<'a>)>,
    /// How many values there are in all of them, each within another as well.
    pub values: u32,
}

/// No request has nearly as many fields, and each that routing knows of is looked for among them.
const MOST_FIELDS: usize = 1024;

/// The library says best what is wrong with a body, and has the last word. But it looks at all of it
/// anew, and without a pause, so that a longer one is refused in our words.
const RETOLD: usize = 64 * 1024;

/// Bytes of a text before the first that is not UTF-8.
fn valid_up_to(text: &[u8]) -> usize {
    std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len)
}

impl<'a> TopLevel<'a> {
    /// Reads a body; the whole of it is checked to be JSON.
    ///
    /// # Errors
    /// If it is not JSON, not an object, has more fields than any request, or names one twice (which
    /// two readers could understand differently).
    pub fn parse(body: &'a [u8]) -> Result<Self, BadRequest> {
        let refused =
            |why: &dyn fmt::Display| BadRequest::at("body", format!("not a JSON object that can be read: {why}"));
        let text = simdutf8::basic::from_utf8(body).map_err(|_| Broken { at: valid_up_to(body), expected: "UTF-8" });
        let top: Self = match text.and_then(Self::scan) {
            Ok(top) => top,
            Err(broken) if body.len() > RETOLD => return Err(refused(&broken)),
            Err(_) => serde_json::from_slice(body).map_err(|error| refused(&error))?,
        };
        if top.fields.len() > MOST_FIELDS {
            return Err(BadRequest::at("body", format!("more than {MOST_FIELDS} fields in one object")));
        }
        match top.repeated() {
            Some(name) => Err(BadRequest::at(name, "the field is there twice; send it once")),
            None => Ok(top),
        }
    }

    /// A name that is there twice.
    fn repeated(&self) -> Option<&str> {
        /// To compare each with each is quickest for as many as an honest request has.
        const FEW: usize = 32;
        let names = || self.fields.iter().map(|(name, _)| name.as_ref());
        if self.fields.len() <= FEW {
            return names()
                .enumerate()
                .find(|(i, name)| names().take(*i).any(|earlier| earlier == *name))
                .map(|(_, name)| name);
        }
        let mut seen = HashSet::with_capacity(self.fields.len());
        names().find(|name| !seen.insert(*name))
    }

    fn scan(text: &'a str) -> Result<Self, Broken> {
        let mut scanner = Scanner::new(text);
        let mut fields = Vec::with_capacity(12);
        scanner.want(b'{', "an object")?;
        if !scanner.take(b'}') {
            loop {
                let Quoted { raw, escaped } = scanner.name()?;
                let broken = Broken { at: 0, expected: "a name" };
                let name = if escaped { unescaped(raw).ok_or(broken)? } else { Cow::Borrowed(raw) };
                fields.push((name, Raw(scanner.value()?)));
                // It is refused, and the rest need not be looked through for that.
                if fields.len() > MOST_FIELDS {
                    return Ok(Self { fields, values: scanner.values() });
                }
                if !scanner.take(b',') {
                    break;
                }
            }
            scanner.want(b'}', "the end of the object")?;
        }
        let values = scanner.values();
        if scanner.at_end() { Ok(Self { fields, values }) } else { Err(Broken { at: text.len(), expected: "the end" }) }
    }

    /// The raw value of a field; `None` also where it is `null`.
    pub fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// A field as a typed value; `None` where it is missing or `null`.
    ///
    /// # Errors
    /// If it is there and of another type.
    pub fn read<T: serde::Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<Option<T>, BadRequest> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|_| BadRequest::at(name, format!("expected {expected}, got {}", clip(raw.get(), 60))))
    }
}

impl<'de> serde::Deserialize<'de> for TopLevel<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = TopLevel<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some((name, raw)) = map.next_entry::<FieldName<'de>, &'de RawValue>()? {
                    fields.push((name.0, raw.into()));
                }
                // Not counted, since nobody asks it of what is read so.
                Ok(TopLevel { fields, values: 0 })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// What a string means that has escapes in it.
fn unescaped(raw: &str) -> Option<Cow<'static, str>> {
    serde_json::from_str::<String>(&format!("\"{raw}\"")).ok().map(Cow::Owned)
}

/// A key, borrowed unless it has escapes in it.
struct FieldName<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for FieldName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = FieldName<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(FieldName(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(FieldName(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// Where a slice that was borrowed from `body` stands in it; `None` if it was not.
pub fn span_in(body: &[u8], slice: &str) -> Option<Range<usize>> {
    let start = (slice.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start + slice.len();
    (end <= body.len()).then_some(start..end)
}

/// Whether the JSON text has this exact string token (`"image_url"`) as a key or a value; see
/// [`has_any_token`].
pub fn has_token(body: &[u8], word: &str) -> bool {
    has_any_token(body, &[word])
}

/// Prompt tokens guessed from the bytes of JSON text: one for every four. A guess for
/// reservations and context windows, not for bills; text in scripts that take three bytes
/// a letter has about a token for each, so it comes out near as well.
pub fn estimate_tokens(text_bytes: usize) -> u64 {
    (text_bytes as u64).div_ceil(4)
}

/// The beginning of a text, for error messages.
pub fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::turn::in_turns;

    #[test]
    fn fields_are_slices_of_the_body() {
        let body = br#" {"mo\u0064el": "a\"b", "n": 1, "x": {"model": 2}}"#;
        let top = TopLevel::parse(body).unwrap();
        let raw = top.get("model").unwrap().get();
        let span = span_in(body, raw).unwrap();
        assert_eq!(&body[span], br#""a\"b""#);
        assert_eq!(top.read::<u32>("n", "a number").unwrap(), Some(1));
        assert!(top.read::<String>("n", "a string").is_err());
    }

    #[test]
    fn the_library_says_what_is_wrong() {
        for (body, said) in
            [("{\"a\":01}", "column 7"), ("{\"a\":1", "EOF"), ("[1]", "an object"), ("{} 1", "trailing")]
        {
            let error = TopLevel::parse(body.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(said), "{body}: {error}");
        }
        assert_eq!(TopLevel::parse(b"{\"a\":\"\xff\"}").unwrap_err().path, "body");
    }

    #[test]
    fn a_long_body_that_is_broken_is_refused_without_another_look() {
        let text = |end: &[u8]| [&b"{\"a\": [1, "[..], &b"1, ".repeat(RETOLD / 3), end].concat();
        for (end, said) in [(&b"]}"[..], "a value at byte"), (b"\"\xff\"]}", "UTF-8 at byte"), (b"1", "at byte")] {
            let error = TopLevel::parse(&text(end)).unwrap_err();
            assert!(error.path == "body" && error.to_string().contains(said), "{error}");
        }
        assert!(TopLevel::parse(&text(b"1]}")).is_ok());
    }

    #[test]
    fn among_many_fields_one_given_twice_is_found_and_there_is_an_end_to_them() {
        let parsed = |fields: usize, more: &str| {
            let fields: String = (0..fields).map(|i| format!("\"f{i}\": {i}, ")).collect();
            TopLevel::parse(format!("{{{fields}\"{more}\": 1}}").as_bytes())
                .map(|top| top.fields.len())
                .map_err(|bad| bad.path)
        };
        assert_eq!(parsed(1000, "f500"), Err("f500".to_owned()));
        assert_eq!(parsed(1000, "g"), Ok(1001));
        assert_eq!((parsed(1023, "g"), parsed(1024, "g")), (Ok(1024), Err("body".to_owned())));
        // What comes behind them is not looked at.
        let many: String = (0..=1024).map(|i| format!("\"f{i}\": {i}, ")).collect();
        let error = TopLevel::parse(format!("{{{many}no JSON").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 1024 fields"), "{error}");
    }

    #[test]
    fn others_have_turns_while_a_long_body_is_looked_through() {
        let (few, many) =
            (format!("{{\"a\":[{}1]}}", "1,".repeat(100)), format!("{{\"a\":[{}1]}}", "1,".repeat(100_000)));
        let turns = |body: &str| in_turns(|| TopLevel::parse(body.as_bytes()).is_ok());
        assert_eq!((turns(&few), turns(&many)), ((true, 0), (true, 6)));
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        assert_eq!(TopLevel::parse(br#"{"model":"a","model":"b"}"#).unwrap_err().path, "model");
        assert_eq!(TopLevel::parse(b"[1]").unwrap_err().path, "body");
        assert_eq!(TopLevel::parse(b"{\"a\":1").unwrap_err().path, "body");
    }
}
