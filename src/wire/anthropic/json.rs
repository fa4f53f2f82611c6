//! Reading a JSON tree field by field, with the path of each field for error messages.

use serde_json::{Map, Value};

use crate::wire::error::BadRequest;
use crate::wire::peek::clip;
use crate::wire::tree;
use crate::wire::turn::step;

/// A JSON object that is taken apart; knows where it stands in the body.
#[derive(Debug)]
pub(super) struct Obj {
    fields: Map<String, Value>,
    /// `messages[2].content[0]`; empty for the body itself.
    path: String,
}

impl Obj {
    /// An object at a path.
    ///
    /// # Errors
    /// If the value is not an object.
    pub(super) fn new(value: Value, path: String) -> Result<Self, BadRequest> {
        step();
        match value {
            Value::Object(fields) => Ok(Self { fields, path }),
            other => Err(wrong(&path, "an object", &other)),
        }
    }

    /// The path of one of its fields.
    pub(super) fn at(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// Takes a field out; `None` also where it is `null`.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a string out.
    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, BadRequest> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&self.at(field), "a string", &other)),
        }
    }

    /// Takes a string out that has to be there.
    pub(super) fn required_text(&mut self, field: &str) -> Result<String, BadRequest> {
        self.text(field)?.ok_or_else(|| BadRequest::at(self.at(field), "required, a string"))
    }

    /// Takes a boolean out.
    pub(super) fn flag(&mut self, field: &str) -> Result<Option<bool>, BadRequest> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(wrong(&self.at(field), "true or false", &other)),
        }
    }

    /// Takes a whole number out that is not negative.
    pub(super) fn count(&mut self, field: &str) -> Result<Option<u64>, BadRequest> {
        let Some(value) = self.take(field) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| wrong(&self.at(field), "a whole number", &value))
    }

    /// Takes a number out.
    pub(super) fn number(&mut self, field: &str) -> Result<Option<f64>, BadRequest> {
        let Some(value) = self.take(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| wrong(&self.at(field), "a number", &value))
    }

    /// Takes an object out.
    pub(super) fn object(&mut self, field: &str) -> Result<Option<Self>, BadRequest> {
        let path = self.at(field);
        self.take(field).map(|value| Self::new(value, path)).transpose()
    }

    /// Takes an array out, each item with its path.
    pub(super) fn list(&mut self, field: &str) -> Result<Option<Vec<(String, Value)>>, BadRequest> {
        let path = self.at(field);
        self.take(field).map(|value| list(value, &path)).transpose()
    }
}

/// The items of an array, each with its path.
///
/// # Errors
/// If the value is not an array.
pub(super) fn list(value: Value, path: &str) -> Result<Vec<(String, Value)>, BadRequest> {
    match value {
        Value::Array(items) => {
            let placed = |(i, item)| {
                step();
                (format!("{path}[{i}]"), item)
            };
            Ok(items.into_iter().enumerate().map(placed).collect())
        }
        other => Err(wrong(path, "an array", &other)),
    }
}

/// The error for a value of the wrong type.
pub(super) fn wrong(path: &str, expected: &str, got: &Value) -> BadRequest {
    let path = if path.is_empty() { "body" } else { path };
    BadRequest::at(path, format!("expected {expected}, got {}", clip(&got.to_string(), 60)))
}

/// Writes a value as JSON.
pub(super) fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    // Unwrap safety: only maps with string keys, strings, numbers and trees read from JSON
    // are written, and writing to memory does not fail.
    tree::write(value).expect("a JSON tree can be written")
}
