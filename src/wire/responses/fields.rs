//! Where exactly a request is wrong: JSON objects that know their own path.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::error::BadRequest;
use crate::wire::list::List;
use crate::wire::peek::{Raw, TopLevel, clip};
use crate::wire::turn::step;

/// The error for what only the provider that the client had in mind can do or knows.
pub(super) fn bound(path: impl Into<String>) -> BadRequest {
    BadRequest::at(path, "only a provider that serves the Responses API itself has this; it cannot be translated")
}

/// An object of the request and where it stands in it.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: String,
    fields: TopLevel<'a>,
}

impl<'a> Object<'a> {
    /// The request itself, whose fields are named without a prefix.
    pub(super) fn body(body: &'a [u8]) -> Result<Self, BadRequest> {
        Ok(Self { path: String::new(), fields: TopLevel::parse(body)? })
    }

    /// An object inside, at `path`.
    pub(super) fn inner(path: String, raw: impl Into<Raw<'a>>) -> Result<Self, BadRequest> {
        step();
        let raw = raw.into();
        if !raw.get().starts_with('{') {
            return Err(BadRequest::at(path, format!("expected an object, got {}", clip(raw.get(), 60))));
        }
        match TopLevel::parse(raw.get().as_bytes()) {
            Ok(fields) => Ok(Self { path, fields }),
            Err(error) if error.path == "body" => Err(BadRequest { path, ..error }),
            Err(error) => Err(BadRequest { path: format!("{path}.{}", error.path), ..error }),
        }
    }

    /// The path of a field.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The raw value of a field; `None` also where it is `null`.
    pub(super) fn raw(&self, name: &str) -> Option<Raw<'a>> {
        self.fields.get(name)
    }

    /// A field as a typed value; `None` where it is missing or `null`.
    pub(super) fn read<T: Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<Option<T>, BadRequest> {
        self.fields.read(name, expected).map_err(|error| BadRequest { path: self.at(name), ..error })
    }

    /// A text field; `None` where it is missing or `null`.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, BadRequest> {
        self.read(name, "a string")
    }

    /// A text field that must be there.
    pub(super) fn required_text(&self, name: &str) -> Result<String, BadRequest> {
        self.text(name)?.ok_or_else(|| BadRequest::at(self.at(name), "the field is missing; it must be a string"))
    }

    /// An object in a field.
    pub(super) fn object(&self, name: &str) -> Result<Option<Object<'a>>, BadRequest> {
        self.raw(name).map(|raw| Object::inner(self.at(name), raw)).transpose()
    }

    /// The objects of an array in a field; empty where it is missing or `null`.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Object<'a>>, BadRequest> {
        let values: List<&RawValue> = self.read(name, "an array")?.unwrap_or_default();
        let path = self.at(name);
        values.into_iter().enumerate().map(|(i, raw)| Object::inner(format!("{path}[{i}]"), raw)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place() {
        let body = br#"{"a":[{"b":{"c":1}},7],"d":[{"e":1,"e":2}]}"#;
        let top = Object::body(body).unwrap();
        assert_eq!(top.objects("a").unwrap_err().to_string(), "a[1]: expected an object, got 7");
        assert_eq!(top.objects("d").unwrap_err().path, "d[0].e");
        let body = br#"{"a":[{"b":{"c":1}}]}"#;
        let list = Object::body(body).unwrap().objects("a").unwrap();
        let inner = list[0].object("b").unwrap().unwrap();
        assert_eq!(inner.text("c").unwrap_err().to_string(), "a[0].b.c: expected a string, got 1");
        assert_eq!(inner.required_text("x").unwrap_err().path, "a[0].b.x");
    }
}
