//! Merging into the bytes gives what parsing, merging and writing would give.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::wire::splice::merge;
use serde_json::{Map, Value, json};

fuzz_target!(|body: &[u8]| {
    let mut patch = Map::new();
    patch.insert("a".into(), json!(1));
    patch.insert("b".into(), Value::Null);
    patch.insert("c".into(), json!({"d": null, "e": [2]}));
    let Ok(merged) = merge(body, &patch) else { return };
    // JSON knows numbers that a tree cannot hold; such bodies have nothing to compare with.
    let Ok(Value::Object(original)) = serde_json::from_slice::<Value>(body) else { return };
    let Ok(Value::Object(merged)) = serde_json::from_slice::<Value>(&merged) else { panic!("not an object") };
    assert_eq!(merged.get("a"), Some(&json!(1)));
    assert!(!merged.contains_key("b"));
    for (name, value) in &original {
        if !patch.contains_key(name) {
            assert_eq!(merged.get(name), Some(value));
        }
    }
});
