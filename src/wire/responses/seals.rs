//! Which reasoning of a request would a provider of this API refuse?
//!
//! A conversation may have begun with a provider of another protocol, whose opaque state
//! the client carries in `encrypted_content` as a token of ours. A provider that serves
//! this API itself cannot decrypt that.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::wire::chat::{SEAL_PREFIX, Seal, SealOrigin};
use crate::wire::error::BadRequest;
use crate::wire::list::List;
use crate::wire::peek::{TopLevel, span_in};
use crate::wire::splice;

/// The body without reasoning items that hold other protocols' state, and with OpenAI's
/// own state as OpenAI wrote it; `None` where it can go as it is.
///
/// # Errors
/// If the body is not a JSON object.
pub fn strip_foreign_seals(body: &[u8]) -> Result<Option<Vec<u8>>, BadRequest> {
    if memmem::find(body, SEAL_PREFIX.as_bytes()).is_none() {
        return Ok(None);
    }
    let top = TopLevel::parse(body)?;
    let Some(input) = top.get("input") else { return Ok(None) };
    let (Ok(items), Some(span)) = (serde_json::from_str::<List<&RawValue>>(input.get()), span_in(body, input.get()))
    else {
        return Ok(None);
    };
    let mut kept = Vec::with_capacity(body.len());
    let mut changed = false;
    kept.extend_from_slice(&body[..span.start]);
    kept.push(b'[');
    let before_items = kept.len();
    let mut keep = |item: &[u8]| {
        if kept.len() > before_items {
            kept.push(b',');
        }
        kept.extend_from_slice(item);
    };
    for item in items {
        let Some(token) = token_of(item) else {
            keep(item.get().as_bytes());
            continue;
        };
        changed = true;
        if let Some(Seal { origin: SealOrigin::OpenAi, data }) = Seal::from_token(&token) {
            let patch = Map::from_iter([("encrypted_content".to_owned(), Value::String(data))]);
            keep(&splice::merge(item.get().as_bytes(), &patch)?);
        }
    }
    kept.push(b']');
    kept.extend_from_slice(&body[span.end..]);
    Ok(changed.then_some(kept))
}

/// The token of ours in a reasoning item, if the item is one and has one.
fn token_of(item: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct ReasoningItem {
        r#type: String,
        encrypted_content: String,
    }
    memmem::find(item.get().as_bytes(), SEAL_PREFIX.as_bytes())?;
    let item: ReasoningItem = serde_json::from_str(item.get()).ok()?;
    (item.r#type == "reasoning" && item.encrypted_content.starts_with(SEAL_PREFIX)).then_some(item.encrypted_content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stripped(body: &Value) -> Option<Value> {
        let out = strip_foreign_seals(body.to_string().as_bytes()).unwrap()?;
        Some(serde_json::from_slice(&out).unwrap())
    }

    fn reasoning(token: &str) -> Value {
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": token})
    }

    #[test]
    fn what_openai_can_read_stays_untouched() {
        assert_eq!(stripped(&json!({"model": "m", "input": [reasoning("gAAAA")]})), None);
        assert_eq!(stripped(&json!({"input": "tell me of pmseal.gemini.x"})), None);
        assert_eq!(stripped(&json!({"input": [{"role": "user", "content": "pmseal.gemini.x"}]})), None);
        assert_eq!(stripped(&json!({"instructions": "pmseal.gemini.x"})), None);
    }

    #[test]
    fn foreign_state_goes_and_openais_own_is_unwrapped() {
        let body = json!({"model": "m", "input": [
            reasoning("pmseal.anthropic.x"), {"role": "user", "content": "pmseal."}, reasoning("pmseal.openai.gAAAA"),
            reasoning("pmseal.nobody.x"), reasoning("gBBBB"),
        ], "stream": true});
        let expected = json!({"model": "m", "input": [
            {"role": "user", "content": "pmseal."}, reasoning("gAAAA"), reasoning("gBBBB"),
        ], "stream": true});
        assert_eq!(stripped(&body), Some(expected));
        assert_eq!(stripped(&json!({"input": [reasoning("pmseal.gemini.x")]})), Some(json!({"input": []})));
    }

    #[test]
    fn other_bytes_keep_their_form() {
        let body = br#"{ "t": 1.50, "input": [ {"type":"reasoning","encrypted_content":"pmseal.gemini.x"}, {"role" : "user"} ], "z":1e2}"#;
        let out = strip_foreign_seals(body).unwrap().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{ "t": 1.50, "input": [{"role" : "user"}], "z":1e2}"#);
        assert!(strip_foreign_seals(b"pmseal.").is_err());
    }
}
