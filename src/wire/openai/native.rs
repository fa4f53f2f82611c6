//! What must be known of Chat Completions answers that pass through. Text completions
//! have the same shape but for the place of the text, so they are read here as well.

mod glance;

use std::sync::LazyLock;

use memchr::memmem;

use self::glance::{Choice, Glance};
use super::answer::{error_in_answer, not_an_answer, read_embedded_error, read_finish, settle_finish};
use super::error::decode_error;
use crate::wire::chat::Finish;
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::native::{Seen, Signal};
use crate::wire::peek::estimate_tokens;
use crate::wire::sse;

/// Watches a stream that passes through.
#[derive(Debug, Default)]
pub struct Inspector {
    seen: Seen,
    has_calls: bool,
    refused: bool,
    done: bool,
}

impl Inspector {
    /// An inspector for one stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what one frame means.
    ///
    /// # Errors
    /// If the frame is not of the dialect. After the first content most frames are not
    /// looked into.
    pub fn inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed> {
        if self.seen.pieces > 0 && is_plain_piece(frame) {
            self.seen.pieces += 1;
            return Ok(Signal::Content);
        }
        let event = sse::parse(frame);
        let data = event.data().trim_ascii();
        if data.is_empty() {
            return Ok(Signal::Noise);
        }
        if data == b"[DONE]" {
            self.done = true;
            return Ok(Signal::End);
        }
        if let Some(error) = read_embedded_error(data) {
            return Ok(Signal::Error(error));
        }
        if event.name == "error" {
            return Ok(Signal::Error(decode_error(200, data)));
        }
        let glance = Glance::read(data).map_err(|error| not_an_answer(data, &error))?;
        Ok(self.chunk(&glance))
    }

    /// What the stream has told of itself.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the stream may end here without being broken.
    pub fn ended(&self) -> bool {
        self.done || self.seen.finish.is_some()
    }

    fn chunk(&mut self, glance: &Glance<'_>) -> Signal {
        let usage = glance.usage();
        if let Some(usage) = &usage {
            self.seen.usage = self.seen.usage.max_of(usage);
        }
        let mut content = false;
        for choice in glance.choices() {
            if choice.finish_reason() == Some("error") {
                let message = "generation ended with an error".to_owned();
                return Signal::Error(ProviderError { message, code: None, hint: Some(ErrorHint::ServerError) });
            }
            content |= choice.content_bytes() > 0;
            self.has_calls |= choice.has_calls();
            self.refused |= choice.refused();
            if let Some(finish) = read_finish(choice.finish_reason()) {
                self.seen.finish = Some(settle_finish(finish, self.has_calls, self.refused, None));
            }
        }
        if content {
            self.seen.pieces += 1;
            Signal::Content
        } else if glance.choices().is_empty() && usage.is_some() {
            Signal::UsageOnly
        } else {
            Signal::Noise
        }
    }
}

/// Whether a frame after the first content can be taken for one more piece of it: nothing
/// but one line of data in which no end, error, reason or usage is told.
///
/// Quotes in a model's own text are escaped, so none of these words can be met there.
fn is_plain_piece(frame: &[u8]) -> bool {
    static WORDS: LazyLock<[memmem::Finder<'static>; 4]> =
        LazyLock::new(|| ["\"choices\"", "\"error\"", "\"finish_reason\"", "\"usage\""].map(memmem::Finder::new));
    let [choices, error, finish_reason, usage] = &*WORDS;
    frame.starts_with(b"data:")
        && choices.find(frame).is_some()
        && error.find(frame).is_none()
        && !tells(frame, finish_reason)
        && !tells(frame, usage)
}

/// Whether a field is there with a value other than `null`.
fn tells(frame: &[u8], field: &memmem::Finder<'_>) -> bool {
    field.find_iter(frame).any(|at| {
        let rest = frame[at + field.needle().len()..].trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| !value.starts_with(b"null"))
    })
}

/// Looks through a whole answer that passes through.
///
/// # Errors
/// If it is empty, holds an error or is not of the dialect.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    if let Some(error) = read_embedded_error(body) {
        return Err(error_in_answer(&error));
    }
    let glance = Glance::read(body).map_err(|error| not_an_answer(body, &error))?;
    let first = glance.choices().first().ok_or_else(|| Malformed("an answer without choices".to_owned()))?;
    if first.finish_reason() == Some("error") {
        return Err(Malformed("generation ended with an error".to_owned()));
    }
    let usage = glance.usage().unwrap_or_default();
    let finish = read_finish(first.finish_reason());
    let content: usize = glance.choices().iter().map(Choice::content_bytes).sum();
    let cut = matches!(finish, Some(Finish::Length | Finish::ContentFilter));
    if content == 0 && !cut && (finish.is_none() || usage.output == 0) {
        return Err(Malformed("empty answer".to_owned()));
    }
    let finish = finish.map(|finish| settle_finish(finish, first.has_calls(), first.refused(), None));
    Ok(Seen { usage, finish, pieces: estimate_tokens(content) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::TokenUsage;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn frame(chunk: &Value) -> Vec<u8> {
        format!("data: {chunk}\n\n").into_bytes()
    }

    fn delta(delta: Value) -> Vec<u8> {
        frame(&json!({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": null}], "usage": null}))
    }

    #[test]
    fn role_only_chunks_do_not_commit() {
        for noise in [
            delta(json!({"role": "assistant", "content": ""})),
            delta(json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": []})),
            delta(json!({})),
            delta(Value::Null),
            frame(&json!({"choices": [], "prompt_filter_results": [{}]})),
            frame(&json!({"choices": [{"text": "", "index": 0}]})),
            b": ping\n\n".to_vec(),
            b"event: ping\n\n".to_vec(),
        ] {
            let text = String::from_utf8_lossy(&noise).into_owned();
            assert_eq!(Inspector::new().inspect(&noise), Ok(Signal::Noise), "{text}");
        }
    }

    #[test]
    fn every_kind_of_content_commits() {
        for content in [
            delta(json!({"content": "x"})),
            delta(json!({"content": [{"type": "thinking", "thinking": []}]})),
            delta(json!({"refusal": "no"})),
            delta(json!({"reasoning_content": "x"})),
            delta(json!({"reasoning": "x"})),
            delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]})),
            delta(json!({"function_call": {"name": "f"}})),
            delta(json!({"audio": {"id": "a"}})),
            frame(&json!({"choices": [{"text": "x", "index": 0}]})),
        ] {
            let mut inspector = Inspector::new();
            let text = String::from_utf8_lossy(&content).into_owned();
            assert_eq!(inspector.inspect(&content), Ok(Signal::Content), "{text}");
            assert_eq!(inspector.seen().pieces, 1);
            assert!(!inspector.ended());
        }
    }

    #[test]
    fn after_content_the_end_and_the_usage_are_still_seen() {
        let mut inspector = Inspector::new();
        inspector.inspect(&delta(json!({"content": "a"}))).unwrap();
        let tricky = "\"usage\": {\"finish_reason\":\"stop\"} \"error\" [DONE]";
        assert_eq!(inspector.inspect(&delta(json!({"content": tricky}))), Ok(Signal::Content));
        assert!(!inspector.ended() && inspector.seen().usage.is_empty());

        let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]});
        assert_eq!(inspector.inspect(&frame(&finish)), Ok(Signal::Noise));
        assert!(inspector.ended());
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}});
        assert_eq!(inspector.inspect(&frame(&usage)), Ok(Signal::UsageOnly));
        assert_eq!(inspector.inspect(b"data: [DONE]\n\n"), Ok(Signal::End));
        let usage = TokenUsage { input: 4, output: 2, ..TokenUsage::default() };
        assert_eq!(*inspector.seen(), Seen { usage, finish: Some(Finish::Length), pieces: 2 });
    }

    #[test]
    fn content_and_finish_and_usage_in_one_chunk() {
        let mut inspector = Inspector::new();
        let all = json!({
            "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        });
        assert_eq!(inspector.inspect(&frame(&all)), Ok(Signal::Content));
        assert!(inspector.ended());
        assert_eq!(inspector.seen().usage.output, 1);
    }

    #[test]
    fn errors_are_seen_before_and_after_content() {
        let errors = [
            "data: {\"error\":{\"message\":\"m\"}}\n\n",
            "data: {\"error\":{\"message\":\"m\"},\"choices\":[{\"finish_reason\":\"error\"}]}\n\n",
            "event: error\ndata: {\"message\":\"m\"}\n\n",
            "data: {\"object\":\"error\",\"message\":\"m\"}\n\n",
        ];
        for error in errors {
            for content_first in [false, true] {
                let mut inspector = Inspector::new();
                if content_first {
                    inspector.inspect(&delta(json!({"content": "a"}))).unwrap();
                }
                let signal = inspector.inspect(error.as_bytes()).unwrap();
                assert!(matches!(&signal, Signal::Error(e) if e.message == "m"), "{error}: {signal:?}");
            }
        }
        assert!(Inspector::new().inspect(b"data: <html>\n\n").is_err());
    }

    #[test]
    fn whole_answers_are_judged() {
        let answer = |message: Value, reason: &str, usage: Value| {
            let choices = json!([{"index": 0, "message": message, "finish_reason": reason}]);
            inspect_answer(json!({"choices": choices, "usage": usage}).to_string().as_bytes())
        };
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 3});
        let seen = answer(json!({"content": "hi there"}), "stop", usage.clone()).unwrap();
        assert_eq!((seen.finish, seen.usage.output, seen.pieces > 0), (Some(Finish::Stop), 3, true));
        let calls = json!({"content": null, "tool_calls": [{"id": "a", "function": {"name": "f"}}]});
        assert_eq!(answer(calls, "stop", Value::Null).unwrap().finish, Some(Finish::ToolCalls));
        assert!(answer(json!({"content": ""}), "stop", Value::Null).is_err());
        assert!(answer(json!({"content": ""}), "stop", usage).is_ok());
        assert!(answer(json!({"content": ""}), "length", Value::Null).is_ok());
        for body in ["", "{}", "[]", "null", "<html>", r#"{"choices":[]}"#, r#"{"error":{"message":"x"}}"#] {
            assert!(inspect_answer(body.as_bytes()).is_err(), "{body}");
        }
        assert!(inspect_answer(br#"{"choices":[{"text":"x","finish_reason":"stop"}]}"#).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_inspected_without_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            let mut inspector = Inspector::new();
            let _ = inspector.inspect(&delta(json!({"content": "a"})));
            for frame in &frames {
                let _ = inspector.inspect(frame);
                let _ = inspect_answer(frame);
            }
        }
    }
}
