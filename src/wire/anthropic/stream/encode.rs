//! [`Event`]s as the stream that Anthropic's SDKs read.
//!
//! One content block is open at a time and their indexes count up without gaps. Calls may
//! interleave in events, so what would open another block while a call's arguments are
//! not yet a whole JSON object waits until they are, or until the answer ends.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::Arguments;
use crate::domain::usage::TokenUsage;
use crate::wire::anthropic::error;
use crate::wire::anthropic::json::bytes;
use crate::wire::anthropic::message::{redacted_block, signature_of};
use crate::wire::anthropic::response::skeleton;
use crate::wire::anthropic::usage::{self, Held};
use crate::wire::chat::{Finish, Seal, SealOrigin};
use crate::wire::error::ErrorBody;
use crate::wire::event::Event;
use crate::wire::meta::ReplyMeta;

/// The block that takes pieces now.
#[derive(Debug)]
enum Open {
    Text,
    Thinking,
    Tool { index: u32, arguments: Arguments },
}

/// Writes one stream.
#[derive(Debug)]
pub struct StreamEncoder {
    meta: ReplyMeta,
    started: bool,
    ended: bool,
    open: Option<Open>,
    /// The index of the open block, or of the next one where none is open.
    index: u32,
    /// What came while a call's arguments were incomplete and does not belong to it.
    waiting: VecDeque<Event>,
    usage: TokenUsage,
    finish: Option<Finish>,
    held: Held,
}

impl StreamEncoder {
    /// Before the first event.
    pub fn new(meta: ReplyMeta) -> Self {
        Self {
            meta,
            started: false,
            ended: false,
            open: None,
            index: 0,
            waiting: VecDeque::new(),
            usage: TokenUsage::default(),
            finish: None,
            held: Held::default(),
        }
    }

    /// Writes what one event becomes: any number of whole frames. The last frames wait for
    /// [`end`](Self::end), since tokens may be counted after the last event. An error is
    /// left to [`error`](Self::error), where the caller says what a client may know of it.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { model, .. } => self.start(model, out),
            Event::Usage(usage) => self.count(usage),
            Event::Finish(finish) => {
                self.start("", out);
                self.flush(out);
                self.finish = Some(finish.clone());
            }
            Event::Error(_) => {}
            content => {
                self.start("", out);
                self.content(content, out);
                self.release(out);
            }
        }
    }

    /// Closes what is open and writes the end.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.start("", out);
        self.flush(out);
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        let (stop_reason, stop_sequence) = usage::stop_reason(&finish, self.held);
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": stop_sequence});
        let last = json!({"type": "message_delta", "delta": delta, "usage": usage::encode(&self.usage)});
        frame(out, "message_delta", &last);
        frame(out, "message_stop", &json!({"type": "message_stop"}));
    }

    /// Writes an error as the end.
    pub fn error(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.ended, true) {
            error_frame(error, out);
        }
    }

    fn start(&mut self, model: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let model = if model.is_empty() { &self.meta.model } else { model };
        let message = skeleton(&self.meta, model, usage::encode(&self.usage));
        frame(out, "message_start", &json!({"type": "message_start", "message": message}));
    }

    fn count(&mut self, new: &TokenUsage) {
        let old = &mut self.usage;
        old.input = old.input.max(new.input);
        old.cached_input = old.cached_input.max(new.cached_input);
        old.cache_write = old.cache_write.max(new.cache_write);
        old.output = old.output.max(new.output);
        old.reasoning = old.reasoning.max(new.reasoning);
    }

    fn content(&mut self, event: &Event, out: &mut Vec<u8>) {
        if let Some(Open::Tool { index: open, arguments }) = &mut self.open {
            match event {
                Event::ToolArguments { index, json } if index == open => {
                    arguments.read(json);
                    self.delta(&Piece::InputJson { partial_json: json }, out);
                    return;
                }
                _ if !arguments.complete() => {
                    self.waiting.push_back(event.clone());
                    return;
                }
                _ => {}
            }
        }
        match event {
            Event::Text(text) if !text.is_empty() => self.text(text, out),
            Event::Refusal(text) if !text.is_empty() => {
                self.held.refusal = true;
                self.text(text, out);
            }
            Event::Reasoning(thinking) if !thinking.is_empty() => {
                self.open_thinking(out);
                self.delta(&Piece::Thinking { thinking }, out);
            }
            Event::ReasoningSeal(seal) if seal.origin == SealOrigin::AnthropicRedacted => {
                self.whole_block(&redacted_block(&seal.data), out);
            }
            Event::ReasoningSeal(seal) => {
                self.open_thinking(out);
                self.close_thinking(Some(seal), out);
            }
            Event::ToolCall { index, id, name, seal } => {
                self.held.tool_call = true;
                if let Some(seal) = seal {
                    self.whole_block(&redacted_block(&seal.to_token()), out);
                }
                self.close(out);
                self.begin(&json!({"type": "tool_use", "id": id, "name": name, "input": {}}), out);
                self.open = Some(Open::Tool { index: *index, arguments: Arguments::default() });
            }
            // Pieces of a call that is over or never began, and empty ones.
            _ => {}
        }
    }

    /// Writes what has waited for the open call, once that is complete.
    fn release(&mut self, out: &mut Vec<u8>) {
        while !self.waiting.is_empty()
            && !matches!(&self.open, Some(Open::Tool { arguments, .. }) if !arguments.complete())
        {
            // What cannot be written yet goes back into the queue, in the same order.
            for event in std::mem::take(&mut self.waiting) {
                self.content(&event, out);
            }
        }
    }

    /// Writes all that waits and closes the last block: nothing more will come.
    fn flush(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        while !self.waiting.is_empty() {
            // Each round writes at least the event at the head.
            for event in std::mem::take(&mut self.waiting) {
                self.content(&event, out);
            }
            self.close(out);
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !matches!(self.open, Some(Open::Text)) {
            self.close(out);
            self.begin(&json!({"type": "text", "text": ""}), out);
            self.open = Some(Open::Text);
        }
        self.delta(&Piece::Text { text }, out);
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.open, Some(Open::Thinking)) {
            self.close(out);
            self.begin(&json!({"type": "thinking", "thinking": "", "signature": ""}), out);
            self.open = Some(Open::Thinking);
        }
    }

    fn close_thinking(&mut self, seal: Option<&Seal>, out: &mut Vec<u8>) {
        self.delta(&Piece::Signature { signature: &signature_of(seal) }, out);
        self.open = None;
        self.stop(out);
    }

    fn whole_block(&mut self, block: &Value, out: &mut Vec<u8>) {
        self.close(out);
        self.begin(block, out);
        self.stop(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open.take() {
            Some(Open::Thinking) => self.close_thinking(None, out),
            Some(Open::Text | Open::Tool { .. }) => self.stop(out),
            None => {}
        }
    }

    fn begin(&self, block: &Value, out: &mut Vec<u8>) {
        let start = json!({"type": "content_block_start", "index": self.index, "content_block": block});
        frame(out, "content_block_start", &start);
    }

    fn delta(&self, delta: &Piece<'_>, out: &mut Vec<u8>) {
        frame(out, "content_block_delta", &BlockDelta { kind: "content_block_delta", index: self.index, delta });
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        frame(out, "content_block_stop", &json!({"type": "content_block_stop", "index": self.index}));
        self.index = self.index.saturating_add(1);
    }
}

#[derive(Serialize)]
struct BlockDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u32,
    delta: &'a Piece<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Piece<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

/// An error inside a stream, as a frame of its own.
pub fn error_frame(error: &ErrorBody, out: &mut Vec<u8>) {
    frame(out, "error", &error::body(error));
}

fn frame(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(&bytes(data));
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
