//! Which JSON value conforms to this schema? A small generator for what clients really send:
//! types, enums, constants, nested objects and arrays, references, alternatives, ranges.

use serde_json::{Map, Number, Value};

use super::words::{hash, word};

/// Deeper than this, only what is required is filled in; twice as deep, nothing is.
const DEPTH_MAX: usize = 8;

/// A value that conforms to `schema`; `seed` varies the words in it.
pub(super) fn conforming(schema: &Value, seed: u64) -> Value {
    Generator { root: schema }.value(schema, seed, 0)
}

struct Generator<'a> {
    root: &'a Value,
}

impl Generator<'_> {
    fn value(&self, schema: &Value, seed: u64, depth: usize) -> Value {
        let Value::Object(schema) = schema else {
            return Value::String(word(seed, 0).to_owned());
        };
        if depth > 2 * DEPTH_MAX {
            return Value::Null;
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(value) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
            return value.clone();
        }
        if let Some(target) = schema.get("$ref").or(schema.get("ref")).and_then(Value::as_str) {
            return self.resolve(target).map_or(Value::Null, |target| self.value(target, seed, depth + 1));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(options) = schema.get(key).and_then(Value::as_array) {
                // Too deep, the option that ends a recursion is the better one.
                let chosen = if depth > DEPTH_MAX { options.iter().find(|o| is_null(o)) } else { None };
                let chosen = chosen.or_else(|| options.iter().find(|o| !is_null(o))).or(options.first());
                return chosen.map_or(Value::Null, |option| self.value(option, seed, depth + 1));
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.value(&Value::Object(self.merged(schema, parts)), seed, depth + 1);
        }
        match kind(schema).as_str() {
            "object" => self.object(schema, seed, depth),
            "array" => self.array(schema, seed, depth),
            "integer" => number(schema, true),
            "number" => number(schema, false),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => string(schema, seed),
        }
    }

    fn resolve(&self, target: &str) -> Option<&Value> {
        self.root.pointer(target.strip_prefix('#')?)
    }

    /// One schema out of the parts of an `allOf` and what stands beside it.
    fn merged(&self, schema: &Map<String, Value>, parts: &[Value]) -> Map<String, Value> {
        let mut merged: Map<String, Value> =
            schema.iter().filter(|(key, _)| *key != "allOf").map(|(k, v)| (k.clone(), v.clone())).collect();
        for part in parts {
            let part = part.get("$ref").and_then(Value::as_str).and_then(|r| self.resolve(r)).unwrap_or(part);
            let Value::Object(part) = part else { continue };
            for (key, value) in part {
                match (merged.get_mut(key), value) {
                    (Some(Value::Object(have)), Value::Object(more)) => have.extend(more.clone()),
                    (Some(Value::Array(have)), Value::Array(more)) => have.extend(more.iter().cloned()),
                    _ => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        merged
    }

    fn object(&self, schema: &Map<String, Value>, seed: u64, depth: usize) -> Value {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in properties {
            if depth <= DEPTH_MAX || required.contains(&name.as_str()) {
                object.insert(name.clone(), self.value(property, hash(seed, &[name.as_bytes()]), depth + 1));
            }
        }
        for name in required {
            if !object.contains_key(name) {
                object.insert(name.to_owned(), Value::String(word(seed, 0).to_owned()));
            }
        }
        Value::Object(object)
    }

    fn array(&self, schema: &Map<String, Value>, seed: u64, depth: usize) -> Value {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let prefix = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let wanted = if depth > DEPTH_MAX { 0 } else { 1.max(prefix.len() as u64) };
        let count = wanted.max(bound("minItems").unwrap_or(0)).min(bound("maxItems").unwrap_or(u64::MAX)).min(64);
        let text = Value::Object(Map::new());
        let item = |index: u64| {
            let schema = prefix.get(index as usize).or(schema.get("items")).unwrap_or(&text);
            self.value(schema, seed.wrapping_add(index), depth + 1)
        };
        Value::Array((0..count).map(item).collect())
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("null"))
}

/// The type in lower case (Gemini spells it in capitals); of several, the first that is not null.
fn kind(schema: &Map<String, Value>) -> String {
    let named = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => {
            let mut names = kinds.iter().filter_map(Value::as_str);
            names.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") => "object",
        _ if schema.contains_key("items") => "array",
        _ => "string",
    };
    named.to_ascii_lowercase()
}

fn number(schema: &Map<String, Value>, whole: bool) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    // An exclusive bound of a number keeps its value: what lies between two bounds is their
    // middle, and beside a single one half a step away.
    let low = bound("minimum").or(bound("exclusiveMinimum").map(|low| if whole { low.floor() + 1.0 } else { low }));
    let high = bound("maximum").or(bound("exclusiveMaximum").map(|high| if whole { high.ceil() - 1.0 } else { high }));
    let mut value = match (low, high) {
        (Some(low), Some(high)) if low <= high && !whole => low + (high - low) / 2.0,
        (Some(low), _) => low + if whole { 0.0 } else { 0.5 },
        (None, Some(high)) => high.min(42.0) - if whole { 0.0 } else { 0.5 },
        (None, None) => 42.0,
    };
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        value = (value / step).ceil() * step;
    }
    if whole {
        // A cast from a float saturates at the ends of the range.
        return Value::from(value.ceil() as i64);
    }
    Number::from_f64(value).map_or(Value::from(0), Value::Number)
}

fn string(schema: &Map<String, Value>, seed: u64) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("date") => "2026-01-31",
        Some("time") => "12:00:00Z",
        Some("duration") => "PT1H",
        Some("email") => "guard@example.com",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uuid") => "3f2b8c1e-5d4a-4e6f-8a7b-9c0d1e2f3a4b",
        Some("uri") => "https://example.com/",
        _ => word(seed, 0),
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut text: String = text.chars().take(bound("maxLength").unwrap_or(usize::MAX)).collect();
    let missing = bound("minLength").unwrap_or(0).min(4_096).saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('x', missing));
    Value::String(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_conform_to_their_schemas() {
        for schema in [
            json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer",
                "minimum": 3, "maximum": 7}}, "required": ["city", "days"], "additionalProperties": false}),
            json!({"type": "array", "items": {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.5},
                "minItems": 3, "maxItems": 4}),
            json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
                "value": {"const": 4}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["value", "next"], "additionalProperties": false}}}),
            json!({"anyOf": [{"type": "null"}, {"enum": ["a", "b"]}]}),
            json!({"type": ["null", "string"], "minLength": 30}),
            json!({"type": "string", "maxLength": 2}),
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
                {"properties": {"b": {"type": "null"}}, "required": ["b"]}]}),
            json!({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 5}),
            json!({"type": "number", "maximum": -3}),
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2}),
            json!({"type": "object", "required": ["unnamed"]}),
            json!(true),
        ] {
            let instance = conforming(&schema, 11);
            assert!(jsonschema::is_valid(&schema, &instance), "{schema} {instance}");
        }
    }

    #[test]
    fn a_schema_without_an_end_still_gets_a_value() {
        let schema = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}});
        assert_eq!(conforming(&schema, 0), Value::Null);
    }

    #[test]
    fn types_in_capitals_are_understood() {
        assert!(conforming(&json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}), 0)["n"].is_i64());
    }
}
