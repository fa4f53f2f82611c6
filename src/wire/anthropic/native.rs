//! What must be known of answers that pass through to a client of this dialect.

use serde::Deserialize;
use serde_json::Value;

use super::error::ErrorObject;
use super::message::Block;
use super::response::is_silent;
use super::stream::StreamEvent;
use super::usage::{self, Usage};
use crate::wire::error::Malformed;
use crate::wire::native::{Seen, Signal};
use crate::wire::peek::estimate_tokens;

/// How Anthropic, and all who imitate it to the letter, begin the frames that make up
/// nearly all of a stream.
const DELTA: [&[u8]; 2] = [b"event: content_block_delta\n", b"event: content_block_delta\r\n"];

/// Looks at a passing stream.
#[derive(Debug, Default)]
pub struct Inspector {
    usage: Usage,
    seen: Seen,
    committed: bool,
    done: bool,
}

impl Inspector {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the stream has told so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the stream may end here: its own end has come, or the stop reason, after
    /// which nothing but that end is missing.
    pub fn ended(&self) -> bool {
        self.done || self.seen.finish.is_some()
    }

    /// Looks at one frame. Once content has come, pieces of it are told by their first
    /// bytes and not read.
    ///
    /// # Errors
    /// If the frame is not of the protocol.
    pub fn inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed> {
        if self.committed && DELTA.iter().any(|delta| frame.starts_with(delta)) {
            return Ok(self.content());
        }
        let Some(event) = StreamEvent::parse(frame)? else { return Ok(Signal::Noise) };
        Ok(match event.kind.as_deref().unwrap_or_default() {
            "message_start" => {
                self.count(event.message.and_then(|message| message.usage));
                Signal::Noise
            }
            "content_block_start" if event.content_block.as_ref().is_some_and(says_something) => self.content(),
            "content_block_delta" if event.delta.as_ref().is_some_and(|delta| delta.says_something()) => self.content(),
            "message_delta" => {
                self.count(event.usage);
                if let Some(delta) = event.delta
                    && let Some(reason) = delta.stop_reason
                {
                    self.seen.finish = Some(usage::finish(&reason, delta.stop_sequence));
                }
                Signal::Noise
            }
            "message_stop" => {
                self.done = true;
                Signal::End
            }
            "error" => Signal::Error(event.error.unwrap_or_default().into_provider_error()),
            _ => Signal::Noise,
        })
    }

    fn content(&mut self) -> Signal {
        self.committed = true;
        self.seen.pieces = self.seen.pieces.saturating_add(1);
        Signal::Content
    }

    fn count(&mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.usage.update(usage);
            self.seen.usage = self.usage.counted();
        }
    }
}

/// Whether a block is content from its start: calls of tools are, also of the provider's
/// own, and text that comes at once.
fn says_something(block: &Block) -> bool {
    let has = |piece: &Option<String>| piece.as_ref().is_some_and(|piece| !piece.is_empty());
    block.kind.as_deref().is_some_and(|kind| kind.ends_with("tool_use")) || has(&block.text) || has(&block.thinking)
}

/// Looks at a whole answer that passes through.
///
/// # Errors
/// If it is no message, or one that says nothing and does not say why.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    #[derive(Deserialize)]
    struct Answer {
        content: Option<Vec<Value>>,
        stop_reason: Option<String>,
        stop_sequence: Option<String>,
        usage: Option<Usage>,
        error: Option<ErrorObject>,
    }
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("the answer is not a message: {error}")))?;
    if let Some(error) = answer.error {
        return Err(Malformed(format!("an error in place of a message: {}", error.message)));
    }
    let Some(content) = answer.content else {
        return Err(Malformed("the answer has no `content`".to_owned()));
    };
    let says_nothing = |block: &Value| block["type"] == "text" && block["text"] == "";
    if content.iter().all(says_nothing) && is_silent(answer.stop_reason.as_deref()) {
        return Err(Malformed("the answer is empty".to_owned()));
    }
    Ok(Seen {
        usage: answer.usage.unwrap_or_default().counted(),
        finish: answer.stop_reason.map(|reason| usage::finish(&reason, answer.stop_sequence)),
        pieces: estimate_tokens(content.iter().map(text_bytes).sum()),
    })
}

/// Bytes of a block that were generated as text.
fn text_bytes(block: &Value) -> usize {
    let text = |field: &str| block[field].as_str().map_or(0, str::len);
    let input = if block["input"].is_null() { 0 } else { block["input"].to_string().len() };
    text("text") + text("thinking") + input
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::TokenUsage;
    use crate::wire::chat::Finish;
    use proptest::prelude::*;
    use serde_json::json;

    fn frame(data: &Value) -> Vec<u8> {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()).into_bytes()
    }

    fn signals(data: &[Value]) -> (Inspector, Vec<Signal>) {
        let mut inspector = Inspector::new();
        let signals = data.iter().map(|data| inspector.inspect(&frame(data)).unwrap()).collect();
        (inspector, signals)
    }

    #[test]
    fn a_stream_commits_counts_and_ends() {
        use Signal::*;
        let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
        let (inspector, got) = signals(&[
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 4, "cache_read_input_tokens": 6}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "ping"}),
            delta(json!({"type": "text_delta", "text": ""})),
            delta(json!({"type": "text_delta", "text": "a"})),
            delta(json!({"type": "text_delta", "text": "b"})),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ]);
        assert_eq!(got, [Noise, Noise, Noise, Noise, Content, Content, Noise, Noise, End]);
        let usage = TokenUsage { input: 10, cached_input: 6, output: 2, ..TokenUsage::default() };
        assert_eq!(inspector.seen(), &Seen { usage, finish: Some(Finish::Stop), pieces: 2 });
        assert!(inspector.ended());
    }

    #[test]
    fn a_tool_call_and_an_error_are_told_at_once() {
        let tool = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}});
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let (inspector, got) = signals(&[tool, error]);
        assert_eq!(got[0], Signal::Content);
        assert!(matches!(&got[1], Signal::Error(error) if error.message == "Overloaded"));
        assert!(!inspector.ended());
    }

    #[test]
    fn a_frame_of_anything_else_is_malformed() {
        assert!(Inspector::new().inspect(b"data: <html>\n\n").is_err());
        assert_eq!(Inspector::new().inspect(b": keep-alive\n\n"), Ok(Signal::Noise));
    }

    #[test]
    fn whole_answers() {
        let seen = inspect_answer(
            br#"{"content":[{"type":"text","text":"12345678"}],"stop_reason":"max_tokens","usage":{"input_tokens":1,"output_tokens":2}}"#,
        )
        .unwrap();
        assert_eq!((seen.usage.output, seen.finish, seen.pieces), (2, Some(Finish::Length), 2));
        for body in [
            r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#,
            r#"{"content":[],"stop_reason":"end_turn"}"#,
            r#"{"id":"x"}"#,
            "",
        ] {
            assert!(inspect_answer(body.as_bytes()).is_err(), "{body}");
        }
        assert!(inspect_answer(br#"{"content":[],"stop_reason":"refusal"}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Inspector::new().inspect(&bytes);
            let _ = inspect_answer(&bytes);
        }
    }
}
