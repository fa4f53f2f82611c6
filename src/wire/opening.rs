//! Which conversation is this? A hash of how it began, which every later turn repeats.
//!
//! Clients that cache as they go move Anthropic's `cache_control` along to the latest turn,
//! and write a text that has it as a list of one part. So the mark is passed over, and such
//! a part counts as its text.

use std::hash::{DefaultHasher, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Dialect;
use super::list::List;
use super::peek::{Raw, TopLevel};
use super::turn::step;

/// A hash of the system text and of all messages up to the first of the user. `None` where
/// there is none, or the body cannot be read.
pub fn opening(dialect: Dialect, body: &[u8]) -> Option<u64> {
    let top = TopLevel::parse(body).ok()?;
    let mut hasher = DefaultHasher::new();
    let (system, messages) = match dialect {
        Dialect::ChatCompletions => (None, top.get("messages")?),
        Dialect::Messages => (top.get("system"), top.get("messages")?),
        Dialect::Responses => (top.get("instructions"), top.get("input")?),
    };
    feed(&mut hasher, system.map_or("", Raw::get), DEPTH);
    let Ok(list) = serde_json::from_str::<List<&RawValue>>(messages.get()) else {
        // A Responses input that is one text.
        hasher.write(messages.get().as_bytes());
        return Some(hasher.finish());
    };
    for message in list {
        feed(&mut hasher, message.get(), DEPTH);
        if role(message) == Some("user") {
            return Some(hasher.finish());
        }
    }
    None
}

/// How deep a mark stands: in the parts of the content of a message.
const DEPTH: u32 = 3;

/// Hashes a value without the marks in it.
fn feed(hasher: &mut DefaultHasher, json: &str, depth: u32) {
    step();
    match json.as_bytes().first() {
        Some(b'[') if depth > 0 => {
            if let Ok(parts) = serde_json::from_str::<List<&RawValue>>(json) {
                return parts.into_iter().for_each(|part| feed(hasher, part.get(), depth - 1));
            }
        }
        Some(b'{') if depth > 0 => {
            if let Ok(object) = serde_json::from_str::<TopLevel<'_>>(json) {
                if let (Some(r#""text""#), Some(text)) = (object.get("type").map(Raw::get), object.get("text")) {
                    return hasher.write(text.get().as_bytes());
                }
                for (name, value) in object.fields.iter().filter(|(name, _)| name != "cache_control") {
                    hasher.write(name.as_bytes());
                    feed(hasher, value.get(), depth - 1);
                }
                return;
            }
        }
        _ => {}
    }
    hasher.write(json.as_bytes());
}

/// The request's own word for what shares a prompt cache.
pub fn cache_key(body: &[u8]) -> Option<String> {
    TopLevel::parse(body).ok()?.read("prompt_cache_key", "a string").ok()?
}

fn role(message: &RawValue) -> Option<&str> {
    #[derive(Deserialize)]
    struct Role<'a> {
        #[serde(borrow)]
        role: Option<&'a str>,
    }
    serde_json::from_str::<Role<'_>>(message.get()).ok()?.role
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const DIALECTS: [(Dialect, &str); 3] =
        [(Dialect::ChatCompletions, "messages"), (Dialect::Messages, "messages"), (Dialect::Responses, "input")];

    #[test]
    fn other_beginnings_are_other_conversations() {
        for (dialect, field) in DIALECTS {
            let of = |text: &str| {
                opening(dialect, json!({field: [{"role": "user", "content": text}]}).to_string().as_bytes())
            };
            assert_ne!(of("a"), of("b"));
            assert!(of("a").is_some());
            assert_eq!(opening(dialect, b"{}"), None);
        }
        assert!(opening(Dialect::Responses, br#"{"input":"hello"}"#).is_some());
        assert_eq!(cache_key(br#"{"prompt_cache_key":"k"}"#).as_deref(), Some("k"));
    }

    #[test]
    fn a_mark_for_the_cache_that_moves_on_changes_nothing() {
        let marked = |text: &str| json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
        let of = |system: Value, first: Value| {
            let body = json!({"system": system, "messages": [{"role": "user", "content": first}]});
            opening(Dialect::Messages, body.to_string().as_bytes())
        };
        let plain = of(json!("be brief"), json!("hello"));
        assert_eq!(plain, of(marked("be brief"), marked("hello")));
        assert_ne!(plain, of(marked("be brief"), marked("hullo")));
        let image = |data: &str| of(json!("s"), json!([{"type": "image", "source": {"data": data}}]));
        assert_ne!(image("a"), image("b"));
    }

    proptest! {
        #[test]
        fn later_turns_have_the_same_opening(system in ".{0,20}", first in ".{0,20}", more in proptest::collection::vec(".{0,20}", 0..5)) {
            for (dialect, field) in DIALECTS {
                let mut turns = vec![json!({"role": "developer", "content": system}), json!({"role": "user", "content": first})];
                let body = |turns: &[Value]| json!({"model": "a", "system": "s", field: turns}).to_string();
                let before = opening(dialect, body(&turns).as_bytes());
                for (i, text) in more.iter().enumerate() {
                    turns.push(json!({"role": if i % 2 == 0 { "assistant" } else { "user" }, "content": text}));
                }
                prop_assert!(before.is_some());
                prop_assert_eq!(before, opening(dialect, body(&turns).as_bytes()));
            }
        }
    }
}
