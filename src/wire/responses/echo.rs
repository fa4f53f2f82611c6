//! What the answer repeats of the request.
//!
//! A response object carries the settings it was made with, and typed clients rely on
//! some of them being there. They are kept as the client wrote them; what it left out
//! gets the API's default.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::wire::peek::{Raw, TopLevel};

type Sent = Option<Box<RawValue>>;

/// The request's settings, as the client wrote them.
#[derive(Clone, Debug, Default)]
pub struct RequestEcho {
    instructions: Sent,
    max_output_tokens: Sent,
    max_tool_calls: Sent,
    metadata: Sent,
    parallel_tool_calls: Sent,
    prompt_cache_key: Sent,
    reasoning: Sent,
    safety_identifier: Sent,
    temperature: Sent,
    text_format: Sent,
    text_verbosity: Sent,
    tool_choice: Sent,
    tools: Sent,
    top_p: Sent,
    truncation: Sent,
    user: Sent,
}

fn owned(raw: Raw<'_>) -> Sent {
    RawValue::from_string(raw.get().to_owned()).ok()
}

/// Takes from a request what its answer will repeat. Of a body that cannot be read it
/// takes nothing: such a request never gets an answer.
pub fn echo(body: &[u8]) -> RequestEcho {
    let Ok(top) = TopLevel::parse(body) else { return RequestEcho::default() };
    let sent = |name: &str| top.get(name).and_then(owned);
    let text = top.get("text").and_then(|raw| TopLevel::parse(raw.get().as_bytes()).ok());
    let of_text = |name: &str| text.as_ref().and_then(|text| text.get(name)).and_then(owned);
    RequestEcho {
        instructions: sent("instructions"),
        max_output_tokens: sent("max_output_tokens"),
        max_tool_calls: sent("max_tool_calls"),
        metadata: sent("metadata"),
        parallel_tool_calls: sent("parallel_tool_calls"),
        prompt_cache_key: sent("prompt_cache_key"),
        reasoning: sent("reasoning"),
        safety_identifier: sent("safety_identifier"),
        temperature: sent("temperature"),
        text_format: of_text("format"),
        text_verbosity: of_text("verbosity"),
        tool_choice: sent("tool_choice"),
        tools: sent("tools"),
        top_p: sent("top_p"),
        truncation: sent("truncation"),
        user: sent("user"),
    }
}

impl Serialize for RequestEcho {
    /// As fields of the response object; meant to be flattened into it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const NULL: Option<()> = None;
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, "instructions", &self.instructions, NULL)?;
        entry(&mut map, "max_output_tokens", &self.max_output_tokens, NULL)?;
        entry(&mut map, "max_tool_calls", &self.max_tool_calls, NULL)?;
        entry(&mut map, "metadata", &self.metadata, Empty {})?;
        entry(&mut map, "parallel_tool_calls", &self.parallel_tool_calls, true)?;
        // No response is stored here, so there is never an earlier one.
        map.serialize_entry("previous_response_id", &NULL)?;
        entry(&mut map, "prompt_cache_key", &self.prompt_cache_key, NULL)?;
        entry(&mut map, "reasoning", &self.reasoning, NoReasoning::default())?;
        entry(&mut map, "safety_identifier", &self.safety_identifier, NULL)?;
        // A translated request leaves the tier to the provider.
        map.serialize_entry("service_tier", "default")?;
        map.serialize_entry("store", &false)?;
        entry(&mut map, "temperature", &self.temperature, 1.0)?;
        map.serialize_entry("text", &Text(self))?;
        entry(&mut map, "tool_choice", &self.tool_choice, "auto")?;
        entry(&mut map, "tools", &self.tools, [(); 0])?;
        map.serialize_entry("top_logprobs", &0)?;
        entry(&mut map, "top_p", &self.top_p, 1.0)?;
        entry(&mut map, "truncation", &self.truncation, "disabled")?;
        entry(&mut map, "user", &self.user, NULL)?;
        map.end()
    }
}

fn entry<M: SerializeMap>(map: &mut M, name: &str, sent: &Sent, default: impl Serialize) -> Result<(), M::Error> {
    match sent {
        Some(raw) => map.serialize_entry(name, raw),
        None => map.serialize_entry(name, &default),
    }
}

/// `{}`.
#[derive(serde::Serialize)]
struct Empty {}

/// `reasoning` of a request that had none.
#[derive(serde::Serialize, Default)]
struct NoReasoning {
    effort: Option<()>,
    summary: Option<()>,
}

/// `text`, whose two halves have defaults of their own.
struct Text<'a>(&'a RequestEcho);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Plain {
            r#type: &'static str,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        entry(&mut map, "format", &self.0.text_format, Plain { r#type: "text" })?;
        entry(&mut map, "verbosity", &self.0.text_verbosity, "medium")?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn echoed(body: &str) -> Value {
        serde_json::to_value(echo(body.as_bytes())).unwrap()
    }

    #[test]
    fn what_was_sent_is_kept_as_it_came() {
        let json = serde_json::to_string(&echo(br#"{"temperature":0.70,"tools":[{"type":"x", "n":1e2}]}"#)).unwrap();
        assert!(json.contains(r#""temperature":0.70"#), "{json}");
        assert!(json.contains(r#""tools":[{"type":"x", "n":1e2}]"#), "{json}");
    }

    #[test]
    fn what_was_not_sent_has_the_default_of_the_api() {
        for body in ["{}", r#"{"tools":null,"text":null,"top_p":null}"#, "not JSON"] {
            let echo = echoed(body);
            assert_eq!(echo["tools"], json!([]));
            assert_eq!(echo["tool_choice"], json!("auto"));
            assert_eq!(echo["parallel_tool_calls"], json!(true));
            assert_eq!(echo["text"], json!({"format": {"type": "text"}, "verbosity": "medium"}));
            assert_eq!(echo["metadata"], json!({}));
            assert_eq!(echo["top_p"], json!(1.0));
        }
    }

    #[test]
    fn the_halves_of_text_have_defaults_of_their_own() {
        let echo = echoed(r#"{"text":{"verbosity":"low"}}"#);
        assert_eq!(echo["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    }

    #[test]
    fn nothing_is_stored_whatever_was_asked() {
        let echo = echoed(r#"{"store":true,"previous_response_id":"resp_1"}"#);
        assert_eq!((&echo["store"], &echo["previous_response_id"]), (&json!(false), &Value::Null));
    }
}
