//! JSON as a tree of values, for what has to be taken apart: read, written and given up in
//! [turns](super::turn) with others.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::turn::{Pieces, step};

/// Reads a tree, like `serde_json`.
///
/// # Errors
/// If the bytes are no JSON.
pub fn read(json: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let tree = Tree.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(tree)
}

/// Writes a value, like `serde_json`.
///
/// # Errors
/// If a map in it has keys that are no strings, or it says so itself.
pub fn write(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut out = InTurns { bytes: Vec::with_capacity(512), pieces: Pieces::default() };
    serde_json::to_writer(&mut out, value)?;
    Ok(out.bytes)
}

/// Gives a tree up: each value of a long one is a piece of memory, or two.
pub fn give_up(tree: Value) {
    step();
    match tree {
        Value::Array(items) => items.into_iter().for_each(give_up),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| give_up(value)),
        leaf => drop(leaf),
    }
}

/// Bytes that are written.
struct InTurns {
    bytes: Vec<u8>,
    pieces: Pieces,
}

impl Write for InTurns {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pieces.one();
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads any value.
#[derive(Clone, Copy)]
struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        step();
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Tree)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            map.insert(name, fields.next_value_seed(Tree)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::wire::turn::in_turns;

    #[test]
    fn what_the_library_reads_and_refuses_is_read_and_refused_alike() {
        let texts = [
            r#"{"a":[1,-2,3.5,1e300,18446744073709551615,18446744073709551616,true,false,null,"x\u0000\"é"],"b":{}}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            " [ ] ",
            "",
            "[1,]",
            r#"{"a"}"#,
            "[] x",
            "1e999",
            "\"\u{1}\"",
        ];
        for text in texts.into_iter().map(str::to_owned).chain([127, 128].map(|n| "[".repeat(n) + &"]".repeat(n))) {
            let (ours, theirs) = (read(text.as_bytes()), serde_json::from_str::<Value>(&text));
            assert_eq!(ours.map_err(|e| e.to_string()), theirs.map_err(|e| e.to_string()), "{text}");
        }
    }

    #[test]
    fn each_value_is_a_step_or_some_of_one() {
        let (list, empty) = (vec![json!({"a": [1, "b"]}); 1000], json!([]));
        let text = json!(list).to_string();
        let (tree, reading) = in_turns(|| read(text.as_bytes()).unwrap());
        let (written, writing) = in_turns(|| write(&tree).unwrap());
        assert_eq!(written, text.into_bytes());
        let ((), giving_up) = in_turns(|| give_up(tree));
        assert!(reading >= 15 && writing >= 1 && giving_up >= 15, "{reading} {writing} {giving_up}");
        assert_eq!(in_turns(|| give_up(empty)).1, 0);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(text in "[\\PC\n]{0,20}", number in any::<f64>(), whole in any::<i64>()) {
            let number = if number.is_finite() { number } else { 0.0 };
            let tree = json!({"text": text, text.clone(): [number, whole, {"": [text]}]});
            prop_assert_eq!(read(&write(&tree).unwrap()).unwrap(), tree);
        }
    }
}
