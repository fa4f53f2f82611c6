//! JSON schemas as Anthropic's structured output takes them.
//!
//! It compiles a part of JSON Schema to a grammar and refuses the rest with a 400: objects
//! must be closed, and bounds on numbers, strings and arrays are unknown to it. What it
//! cannot hold the model to is told to the model instead, in the description, as
//! Anthropic's own SDKs do.

use serde_json::{Map, Value, json};

/// Keywords that hold one schema each.
const ONE: [&str; 2] = ["items", "not"];
/// Keywords that hold an array of schemas.
const MANY: [&str; 3] = ["anyOf", "allOf", "prefixItems"];
/// Keywords that hold schemas by name.
const NAMED: [&str; 3] = ["properties", "$defs", "definitions"];
/// Keywords that pass as they are.
const PLAIN: [&str; 10] =
    ["type", "$ref", "enum", "const", "title", "description", "required", "default", "additionalProperties", "$schema"];
/// Formats of strings it can hold the model to.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The schema with closed objects and nothing that would be refused. Its depth is bounded
/// by that of the body it came from.
pub(super) fn closed(schema: &Value) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let mut out = Map::with_capacity(schema.len() + 1);
    let mut told = Vec::new();
    for (keyword, value) in schema {
        let word = keyword.as_str();
        match value {
            _ if ONE.contains(&word) => _ = out.insert(keyword.clone(), closed(value)),
            // Grammars know no "exactly one"; for what the model writes the two are the same.
            Value::Array(schemas) if word == "oneOf" => {
                out.insert("anyOf".to_owned(), schemas.iter().map(closed).collect());
            }
            Value::Array(schemas) if MANY.contains(&word) => {
                out.insert(keyword.clone(), schemas.iter().map(closed).collect());
            }
            Value::Object(named) if NAMED.contains(&word) => {
                let named = named.iter().map(|(name, schema)| (name.clone(), closed(schema)));
                out.insert(keyword.clone(), Value::Object(named.collect()));
            }
            _ if PLAIN.contains(&word) => _ = out.insert(keyword.clone(), value.clone()),
            Value::String(format) if word == "format" && FORMATS.contains(&format.as_str()) => {
                out.insert(keyword.clone(), value.clone());
            }
            Value::Number(least) if word == "minItems" && least.as_u64().is_some_and(|least| least <= 1) => {
                out.insert(keyword.clone(), value.clone());
            }
            _ => told.push(format!("{keyword}: {value}")),
        }
    }
    if is_object(&out) {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    if !told.is_empty() {
        let told = format!("{{{}}}", told.join(", "));
        let text = match out.get("description").and_then(Value::as_str) {
            Some(text) => format!("{text}\n\n{told}"),
            None => told,
        };
        out.insert("description".to_owned(), json!(text));
    }
    Value::Object(out)
}

/// The schema of a tool's input, which has to say that it is an object.
pub(super) fn input(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) if fields.contains_key("type") => schema.clone(),
        Value::Object(fields) => {
            let mut out = Map::with_capacity(fields.len() + 1);
            out.insert("type".to_owned(), json!("object"));
            out.extend(fields.clone());
            Value::Object(out)
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.contains_key("properties"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_at_every_depth() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "array", "items": {"type": "object", "properties": {}}},
            "b": {"oneOf": [{"type": "object"}, {"type": "null"}]},
        }, "$defs": {"c": {"type": ["object", "null"], "additionalProperties": true}}});
        let out = closed(&schema);
        for at in ["", "/properties/a/items", "/properties/b/anyOf/0", "/$defs/c"] {
            assert_eq!(out.pointer(at).unwrap()["additionalProperties"], json!(false), "{at}");
        }
        assert_eq!(out.pointer("/properties/b/anyOf/1"), Some(&json!({"type": "null"})));
    }

    #[test]
    fn bounds_are_told_to_the_model() {
        let out = closed(&json!({"type": "integer", "minimum": 1, "description": "How many"}));
        assert_eq!(out, json!({"type": "integer", "description": "How many\n\n{minimum: 1}"}));
        assert_eq!(
            closed(&json!({"type": "string", "format": "date", "maxLength": 3})),
            json!({"type": "string", "format": "date", "description": "{maxLength: 3}"})
        );
    }

    #[test]
    fn a_schema_that_is_taken_stays_as_it_is() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}},
            "required": ["a"], "additionalProperties": false});
        assert_eq!(closed(&schema), schema);
    }

    #[test]
    fn input_says_that_it_is_an_object() {
        assert_eq!(input(&json!({})), json!({"type": "object"}));
        assert_eq!(input(&json!({"type": "object"})), json!({"type": "object"}));
        assert_eq!(input(&json!(true))["type"], "object");
    }
}
