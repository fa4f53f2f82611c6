//! Values that a schema describes, and values that are nearly so.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

/// Deeper than this nothing is put in that need not be there.
const DEEP: usize = 5;

/// A value that a schema of an OpenAPI document describes, as far as we understand it. Where it
/// says no more than that something is an object or a text, it is one of `examples`.
pub fn described(schema: &Value, document: &Value, examples: &[Value], rng: &mut StdRng) -> Value {
    Maker { document, examples }.value(schema, 0, rng)
}

struct Maker<'a> {
    document: &'a Value,
    examples: &'a [Value],
}

impl Maker<'_> {
    fn value(&self, schema: &Value, depth: usize, rng: &mut StdRng) -> Value {
        if let Some(path) = schema["$ref"].as_str() {
            let found = self.document.pointer(path.trim_start_matches('#'));
            return self.value(found.unwrap_or(&Value::Null), depth, rng);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        for list in ["enum", "examples"] {
            if let Some(one) = schema[list].as_array().and_then(|all| all.choose(rng)) {
                return one.clone();
            }
        }
        for list in ["oneOf", "anyOf"] {
            if let Some(one) = schema[list].as_array().and_then(|all| all.choose(rng)) {
                return self.value(one, depth, rng);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in all {
                if let Value::Object(fields) = self.value(part, depth, rng) {
                    whole.extend(fields);
                }
            }
            return Value::Object(whole);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.choose(rng).and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind.unwrap_or("object") {
            "null" => Value::Null,
            "boolean" => json!(rng.random::<bool>()),
            "integer" => json!(integer(schema, rng)),
            "number" => json!(integer(schema, rng) as f64 / *[1.0, 2.0, 10.0].choose(rng).expect("there are some")),
            "string" => self.text(schema, rng),
            "array" => {
                let (least, most) =
                    (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64().unwrap_or(3));
                let count = if depth > DEEP { least } else { rng.random_range(least..=most.clamp(least, least + 3)) };
                (0..count).map(|_| self.value(&schema["items"], depth + 1, rng)).collect()
            }
            _ => self.object(schema, depth, rng),
        }
    }

    fn object(&self, schema: &Value, depth: usize, rng: &mut StdRng) -> Value {
        let Some(properties) = schema["properties"].as_object() else {
            return self.examples.choose(rng).cloned().unwrap_or(json!({}));
        };
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let mut fields = Map::new();
        for (name, property) in properties {
            if required(name) || depth < DEEP && rng.random_range(0..3) == 0 {
                fields.insert(name.clone(), self.value(property, depth + 1, rng));
            }
        }
        Value::Object(fields)
    }

    fn text(&self, schema: &Value, rng: &mut StdRng) -> Value {
        let texts: Vec<&Value> = self.examples.iter().filter(|one| one.is_string()).collect();
        match schema["format"].as_str() {
            Some("date") => json!("2026-11-24"),
            Some("date-time") => json!("2026-11-24T07:14:16Z"),
            _ => texts.choose(rng).map_or(json!("a"), |text| (*text).clone()),
        }
    }
}

fn integer(schema: &Value, rng: &mut StdRng) -> i64 {
    let least = schema["minimum"].as_i64().unwrap_or(0);
    let most = schema["maximum"].as_i64().unwrap_or(least + 100).max(least);
    match rng.random_range(0..6) {
        0 => least,
        1 => most,
        _ => rng.random_range(least..=most.min(least.saturating_add(100))),
    }
}

/// Spoils a value in one place.
pub fn spoil(value: &mut Value, rng: &mut StdRng) {
    let places = places(value);
    let at = rng.random_range(0..places);
    if let Some(place) = place(value, &mut { at }) {
        match place {
            Value::Object(fields) if !fields.is_empty() && rng.random::<bool>() => spoil_object(fields, rng),
            Value::Array(items) if !items.is_empty() && rng.random::<bool>() => spoil_array(items, rng),
            other => *other = odd(other, rng),
        }
    }
}

fn places(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(places).sum(),
        Value::Array(items) => items.iter().map(places).sum(),
        _ => 0,
    }
}

fn place<'v>(value: &'v mut Value, at: &mut usize) -> Option<&'v mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|field| place(field, at)),
        Value::Array(items) => items.iter_mut().find_map(|item| place(item, at)),
        _ => None,
    }
}

fn spoil_object(fields: &mut Map<String, Value>, rng: &mut StdRng) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let Some(name) = names.choose(rng) else { return };
    match rng.random_range(0..3) {
        0 => _ = fields.remove(name),
        1 => {
            let value = fields.remove(name).unwrap_or_default();
            fields.insert(format!("{name}{}", ["s", " ", "\u{0}", "\u{e9}"].choose(rng).unwrap_or(&"")), value);
        }
        _ => _ = fields.insert("nobody_knows_this".into(), fields[name].clone()),
    }
}

fn spoil_array(items: &mut Vec<Value>, rng: &mut StdRng) {
    let at = rng.random_range(0..items.len());
    match rng.random_range(0..3) {
        0 => _ = items.remove(at),
        1 => items.insert(at, items[at].clone()),
        _ => (0..60).for_each(|_| items.push(items[at].clone())),
    }
}

/// What nobody would say there.
fn odd(instead_of: &Value, rng: &mut StdRng) -> Value {
    match rng.random_range(0..19) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(0.5),
        8 => json!(""),
        9 => json!("x".repeat(5000)),
        10 => json!("\u{0}\u{1}\u{7f}\u{2028}\u{fffd}\u{1f600}"),
        11 => json!("../../etc/passwd%2F?&#"),
        12 => json!("9999-99-99T99:99:99Z"),
        13 => json!([]),
        14 => json!({}),
        15 => json!([instead_of]),
        16 => json!({"a": instead_of}),
        17 => instead_of.as_str().map_or(json!("1"), |text| json!(text.to_uppercase())),
        _ => (0..100).fold(instead_of.clone(), |inner, _| json!([inner])),
    }
}

/// Spoils a text, whatever it means: bytes are lost, doubled, changed.
pub fn spoil_bytes(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => _ = bytes.remove(at),
            2 => bytes[at] = rng.random(),
            3 => bytes.insert(at, *b"{}[]\":,\\0e-\x00\xff".choose(rng).unwrap_or(&b'{')),
            4 => {
                let more = vec![*b"[{\"1 ".choose(rng).unwrap_or(&b'['); 3000];
                bytes.splice(at..at, more);
            }
            _ => {
                let end = bytes.len().min(at + 40);
                let piece = bytes[at..end].to_vec();
                let to = rng.next_u32() as usize % bytes.len();
                bytes.splice(to..to, piece);
            }
        }
    }
}
