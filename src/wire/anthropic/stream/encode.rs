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
mod tests {
    use super::*;
    use crate::wire::anthropic::stream::StreamDecoder;
    use crate::wire::error::ErrorKind;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn meta() -> ReplyMeta {
        ReplyMeta { id: "1".into(), created: 0, model: "alias".into(), stream_usage: false }
    }

    fn written(events: &[Event]) -> Vec<u8> {
        let mut encoder = StreamEncoder::new(meta());
        let mut out = Vec::new();
        for event in events {
            encoder.encode(event, &mut out);
        }
        encoder.end(&mut out);
        out
    }

    fn frames(bytes: &[u8]) -> Vec<Bytes> {
        let mut framer = crate::wire::sse::Framer::new(1 << 20);
        framer.push(Bytes::copy_from_slice(bytes));
        std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
    }

    fn data(bytes: &[u8]) -> Vec<Value> {
        let parse = |frame: &Bytes| {
            let event = crate::wire::sse::parse(frame);
            let data: Value = serde_json::from_slice(event.data()).unwrap();
            assert_eq!(data["type"], event.name.as_ref());
            data
        };
        frames(bytes).iter().map(parse).collect()
    }

    /// The events that our own decoder reads, without start and counts.
    fn read_back(bytes: &[u8]) -> Vec<Event> {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for frame in frames(bytes) {
            decoder.decode(&frame, &mut out).unwrap();
        }
        decoder.end(&mut out).unwrap();
        out.retain(|event| !matches!(event, Event::Start { .. } | Event::Usage(_)));
        out
    }

    fn call(index: u32) -> Event {
        Event::ToolCall { index, id: format!("t{index}"), name: "f".into(), seal: None }
    }

    fn args(index: u32, json: &str) -> Event {
        Event::ToolArguments { index, json: json.into() }
    }

    #[test]
    fn a_stream_in_order() {
        let seal = Seal { origin: SealOrigin::AnthropicSignature, data: "s".into() };
        let events = [
            Event::Start { id: "x".into(), model: "gpt".into() },
            Event::Reasoning("hm".into()),
            Event::ReasoningSeal(seal),
            Event::Text("so".into()),
            call(0),
            args(0, "{\"a\":"),
            args(0, "1}"),
            Event::Finish(Finish::ToolCalls),
            Event::Usage(TokenUsage { input: 9, output: 3, ..TokenUsage::default() }),
        ];
        let bytes = written(&events);
        let kinds: Vec<String> =
            data(&bytes).iter().map(|d| d["type"].as_str().unwrap().replace("content_block_", "")).collect();
        assert_eq!(
            kinds,
            [
                "message_start",
                "start",
                "delta",
                "delta",
                "stop",
                "start",
                "delta",
                "stop",
                "start",
                "delta",
                "delta",
                "stop",
                "message_delta",
                "message_stop"
            ]
        );
        let data = data(&bytes);
        assert_eq!(data[0]["message"]["id"], "msg_1");
        assert_eq!(data[0]["message"]["model"], "gpt");
        let last = &data[12];
        assert_eq!((&last["delta"]["stop_reason"], &last["usage"]["input_tokens"]), (&json!("tool_use"), &json!(9)));
        assert_eq!(read_back(&bytes), events[1..8]);
    }

    #[test]
    fn an_empty_answer_is_a_whole_stream() {
        let kinds: Vec<_> = data(&written(&[])).iter().map(|d| d["type"].clone()).collect();
        assert_eq!(kinds, ["message_start", "message_delta", "message_stop"]);
    }

    #[test]
    fn interleaved_calls_come_out_one_after_the_other() {
        let bytes = written(&[
            call(0),
            call(1),
            args(1, "{\"b\""),
            args(0, "{\"a\":\"}\""),
            Event::Text("and".into()),
            args(1, ":2}"),
            args(0, "}"),
            call(2),
            Event::Finish(Finish::Stop),
        ]);
        assert_eq!(
            read_back(&bytes),
            [
                call(0),
                args(0, "{\"a\":\"}\""),
                args(0, "}"),
                call(1),
                args(1, "{\"b\""),
                args(1, ":2}"),
                Event::Text("and".into()),
                call(2),
                args(2, "{}"),
                Event::Finish(Finish::ToolCalls),
            ]
        );
    }

    #[test]
    fn thinking_nobody_sealed_and_state_of_calls_are_marked() {
        let seal = Seal { origin: SealOrigin::Gemini, data: "g".into() };
        let with_seal = Event::ToolCall { index: 0, id: "t".into(), name: "f".into(), seal: Some(seal) };
        let data = data(&written(&[Event::Reasoning("hm".into()), with_seal]));
        assert_eq!(data[3]["delta"], json!({"type": "signature_delta", "signature": "pmseal.none."}));
        assert_eq!(data[5]["content_block"], json!({"type": "redacted_thinking", "data": "pmseal.gemini.g"}));
        assert_eq!(data[7]["content_block"]["type"], "tool_use");
    }

    #[test]
    fn an_error_is_the_end() {
        let error =
            ErrorBody { status: 503, kind: ErrorKind::Overloaded, message: "m".into(), code: None, param: None };
        let mut encoder = StreamEncoder::new(meta());
        let mut out = Vec::new();
        encoder.encode(&Event::Text("a".into()), &mut out);
        encoder.error(&error, &mut out);
        encoder.encode(&Event::Text("b".into()), &mut out);
        encoder.end(&mut out);
        let data = data(&out);
        assert_eq!(data.last().unwrap()["error"], json!({"type": "overloaded_error", "message": "m"}));
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let seal = prop_oneof![Just(SealOrigin::Gemini), Just(SealOrigin::AnthropicRedacted)];
        prop_oneof![
            "[a-z]{0,2}".prop_map(Event::Text),
            "[a-z]{0,2}".prop_map(Event::Reasoning),
            seal.prop_map(|origin| Event::ReasoningSeal(Seal { origin, data: "d".into() })),
            (0..3u32).prop_map(call),
            (0..3u32, "[{}\"a\\\\]{0,3}").prop_map(|(index, json)| Event::ToolArguments { index, json }),
        ]
    }

    proptest! {
        #[test]
        fn blocks_open_and_close_in_pairs_whatever_comes(events in prop::collection::vec(any_event(), 0..30)) {
            let (mut open, mut next) = (None, 0);
            for data in data(&written(&events)) {
                match data["type"].as_str().unwrap() {
                    "content_block_start" => {
                        prop_assert_eq!(open, None);
                        prop_assert_eq!(&data["index"], next);
                        open = Some(next);
                        next += 1;
                    }
                    "content_block_delta" => prop_assert_eq!(data["index"].as_i64(), open),
                    "content_block_stop" => prop_assert_eq!(data["index"].as_i64(), open.take()),
                    _ => prop_assert_eq!(open, None),
                }
            }
        }
    }
}
