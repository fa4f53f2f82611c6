//! Reading a JSON tree by hand, so that whatever is wrong is named with its path.

use std::fmt;

use serde_json::{Map, Value};

use crate::wire::error::BadRequest;
use crate::wire::peek::clip;
use crate::wire::turn::step;

/// Where a value stands; spelled out only when something is wrong there.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub(super) fn field<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub(super) fn index(&self, index: usize) -> Path<'_> {
        Path::Index(self, index)
    }

    pub(super) fn error(&self, message: impl Into<String>) -> BadRequest {
        BadRequest::at(self.to_string(), message)
    }

    /// "expected …, got …".
    pub(super) fn expected(&self, what: &str, got: &Value) -> BadRequest {
        self.error(format!("expected {what}, got {}", clip(&got.to_string(), 60)))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => f.write_str("body"),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// An object whose fields are taken out one by one. A field that is `null` is not there.
pub(super) struct Object<'p> {
    pub(super) at: Path<'p>,
    map: Map<String, Value>,
}

impl<'p> Object<'p> {
    pub(super) fn new(value: Value, at: Path<'p>) -> Result<Self, BadRequest> {
        step();
        match value {
            Value::Object(map) => Ok(Self { at, map }),
            other => Err(at.expected("an object", &other)),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.swap_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.at.field(name).expected("a string", &other)),
        }
    }

    pub(super) fn required_string(&mut self, name: &str) -> Result<String, BadRequest> {
        let text = self.string(name)?;
        text.ok_or_else(|| self.at.field(name).error("missing; expected a string"))
    }

    pub(super) fn bool(&mut self, name: &str) -> Result<Option<bool>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.at.field(name).expected("true or false", &other)),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, BadRequest> {
        self.scalar(name, "a number", Value::as_f64)
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, BadRequest> {
        self.scalar(name, "a whole number of 0 or more", Value::as_u64)
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, BadRequest> {
        self.scalar(name, "a whole number", Value::as_i64)
    }

    pub(super) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.at.field(name).expected("an array", &other)),
        }
    }

    fn scalar<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, BadRequest> {
        let Some(value) = self.take(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| self.at.field(name).expected(what, &value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_read_as_people_write_them() {
        let messages = Path::Root.field("messages");
        let message = messages.index(2);
        let content = message.field("content");
        assert_eq!(content.index(0).field("type").to_string(), "messages[2].content[0].type");
        assert_eq!(Path::Root.to_string(), "body");
    }

    #[test]
    fn a_wrong_type_is_named_with_what_was_expected() {
        let mut object = Object::new(json!({"n": "x", "t": null}), Path::Root).unwrap();
        assert_eq!(object.string("t").unwrap(), None);
        let error = object.count("n").unwrap_err();
        assert_eq!(error.to_string(), "n: expected a whole number of 0 or more, got \"x\"");
    }
}
