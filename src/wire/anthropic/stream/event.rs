//! The events of a stream as they are on the wire, for those who translate a stream and
//! for those who only watch it pass.

use serde::Deserialize;

use crate::wire::anthropic::error::ErrorObject;
use crate::wire::anthropic::message::Block;
use crate::wire::anthropic::response::{Message, StopDetails};
use crate::wire::anthropic::usage::Usage;
use crate::wire::error::Malformed;
use crate::wire::sse;

/// Any event of a stream; which fields are there depends on `kind`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::wire::anthropic) struct StreamEvent {
    #[serde(rename = "type")]
    pub(in crate::wire::anthropic) kind: Option<String>,
    pub(super) index: Option<u64>,
    pub(in crate::wire::anthropic) message: Option<Message>,
    pub(in crate::wire::anthropic) content_block: Option<Block>,
    pub(in crate::wire::anthropic) delta: Option<Delta>,
    pub(in crate::wire::anthropic) usage: Option<Usage>,
    pub(in crate::wire::anthropic) error: Option<ErrorObject>,
}

/// `delta` of a `content_block_delta` or a `message_delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::wire::anthropic) struct Delta {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) partial_json: Option<String>,
    pub(super) signature: Option<String>,
    pub(in crate::wire::anthropic) stop_reason: Option<String>,
    pub(in crate::wire::anthropic) stop_sequence: Option<String>,
    pub(super) stop_details: Option<StopDetails>,
}

impl Delta {
    /// Whether there is anything in it that a reader sees.
    pub(in crate::wire::anthropic) fn says_something(&self) -> bool {
        [&self.text, &self.thinking, &self.partial_json]
            .iter()
            .any(|piece| piece.as_ref().is_some_and(|p| !p.is_empty()))
    }
}

impl StreamEvent {
    /// The event in a frame; `None` for frames without data.
    ///
    /// # Errors
    /// If the data is not an event.
    pub(in crate::wire::anthropic) fn parse(frame: &[u8]) -> Result<Option<Self>, Malformed> {
        let event = sse::parse(frame);
        let data = event.data().trim_ascii();
        // OpenAI's end, which some compatible servers add.
        if data.is_empty() || data == b"[DONE]" {
            return Ok(None);
        }
        let mut parsed: Self = serde_json::from_slice(data)
            .map_err(|error| Malformed(format!("a stream event is not of the protocol: {error}")))?;
        if parsed.kind.is_none() && !event.name.is_empty() {
            parsed.kind = Some(event.name.into_owned());
        }
        Ok(Some(parsed))
    }
}
