//! A provider's stream as [`Event`]s.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::{Delta, StreamEvent};
use crate::wire::anthropic::message::{Block, call_id, seal_of_redacted, seal_of_signature};
use crate::wire::anthropic::response::Message;
use crate::wire::anthropic::usage::{self, Usage};
use crate::wire::chat::Finish;
use crate::wire::error::Malformed;
use crate::wire::event::Event;

/// A block whose end has not come.
#[derive(Debug)]
enum Open {
    Text,
    Thinking {
        signature: String,
    },
    Tool {
        index: u32,
        /// The whole input, where the server gave it at once.
        input: Option<Value>,
        /// A piece of the arguments has come.
        begun: bool,
    },
    /// Of the provider's own tools, or of a kind that came after this was written.
    Skipped,
}

/// Reads one stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    open: BTreeMap<u64, Open>,
    calls: u32,
    usage: Usage,
    started: bool,
    spoke: bool,
    finished: bool,
    done: bool,
}

impl StreamDecoder {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the protocol's own end, or an error in its place, has come.
    pub fn done(&self) -> bool {
        self.done
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// If it is not of the protocol.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.done {
            return Ok(());
        }
        let Some(event) = StreamEvent::parse(frame)? else { return Ok(()) };
        match event.kind.as_deref().unwrap_or_default() {
            "message_start" => self.start(event.message.unwrap_or_default(), out),
            "content_block_start" if !self.finished => {
                self.start(Message::default(), out);
                self.begin_block(event.index.unwrap_or(0), event.content_block.unwrap_or_default(), out);
            }
            "content_block_delta" if !self.finished => {
                self.start(Message::default(), out);
                self.delta(event.index.unwrap_or(0), event.delta.unwrap_or_default(), out);
            }
            "content_block_stop" if !self.finished => self.end_block(event.index.unwrap_or(0), out),
            "message_delta" => {
                self.start(Message::default(), out);
                self.count(event.usage, out);
                self.stop(event.delta.unwrap_or_default(), out);
            }
            "message_stop" => {
                self.finish(Finish::Stop, out);
                self.done = true;
            }
            "error" => {
                out.push(Event::Error(event.error.unwrap_or_default().into_provider_error()));
                self.done = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// If the answer had not.
    pub fn end(&mut self, _out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.done || self.finished {
            self.done = true;
            return Ok(());
        }
        Err(Malformed("the stream ended before the answer did".to_owned()))
    }

    fn start(&mut self, message: Message, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let (id, model) = (message.id.unwrap_or_default(), message.model.unwrap_or_default());
        out.push(Event::Start { id, model });
        self.count(message.usage, out);
    }

    fn count(&mut self, usage: Option<Usage>, out: &mut Vec<Event>) {
        let Some(usage) = usage else { return };
        self.usage.update(usage);
        let counted = self.usage.counted();
        if !counted.is_empty() {
            out.push(Event::Usage(counted));
        }
    }

    fn begin_block(&mut self, at: u64, block: Block, out: &mut Vec<Event>) {
        let open = match block.kind.as_deref().unwrap_or_default() {
            "text" => {
                self.say(Event::Text, block.text, out);
                Open::Text
            }
            "thinking" => {
                self.say(Event::Reasoning, block.thinking, out);
                Open::Thinking { signature: block.signature.unwrap_or_default() }
            }
            "redacted_thinking" => {
                out.extend(block.data.and_then(seal_of_redacted).map(Event::ReasoningSeal));
                Open::Skipped
            }
            "tool_use" => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                self.spoke = true;
                let (id, name) = (call_id(block.id, index), block.name.unwrap_or_default());
                out.push(Event::ToolCall { index, id, name, seal: None });
                let input = block.input.filter(|input| input.as_object().is_some_and(|fields| !fields.is_empty()));
                Open::Tool { index, input, begun: false }
            }
            _ => Open::Skipped,
        };
        self.open.insert(at, open);
    }

    fn delta(&mut self, at: u64, delta: Delta, out: &mut Vec<Event>) {
        match (delta.kind.as_deref().unwrap_or_default(), self.open.get_mut(&at)) {
            (_, Some(Open::Skipped)) => {}
            ("text_delta", _) => self.say(Event::Text, delta.text, out),
            ("thinking_delta", _) => self.say(Event::Reasoning, delta.thinking, out),
            ("signature_delta", Some(Open::Thinking { signature })) => {
                signature.push_str(&delta.signature.unwrap_or_default());
            }
            ("input_json_delta", Some(Open::Tool { index, begun, .. })) => {
                if let Some(json) = delta.partial_json.filter(|json| !json.is_empty()) {
                    *begun = true;
                    out.push(Event::ToolArguments { index: *index, json });
                }
            }
            _ => {}
        }
    }

    fn end_block(&mut self, at: u64, out: &mut Vec<Event>) {
        match self.open.remove(&at) {
            Some(Open::Thinking { signature }) => {
                out.extend(seal_of_signature(signature).map(Event::ReasoningSeal));
            }
            // A call without arguments is one with an empty object.
            Some(Open::Tool { index, input, begun: false }) => {
                let json = input.map_or_else(|| "{}".to_owned(), |input| input.to_string());
                out.push(Event::ToolArguments { index, json });
            }
            _ => {}
        }
    }

    fn say(&mut self, event: fn(String) -> Event, piece: Option<String>, out: &mut Vec<Event>) {
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.spoke = true;
            out.push(event(piece));
        }
    }

    fn stop(&mut self, delta: Delta, out: &mut Vec<Event>) {
        let Some(reason) = delta.stop_reason else { return };
        let finish = usage::finish(&reason, delta.stop_sequence);
        if finish == Finish::Refusal && !self.spoke {
            let explanation = delta.stop_details.and_then(|details| details.explanation);
            self.say(Event::Refusal, explanation, out);
        }
        self.finish(finish, out);
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<Event>) {
        self.start(Message::default(), out);
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        // Servers that leave out the ends of blocks have ended them all by now.
        for at in self.open.keys().copied().collect::<Vec<_>>() {
            self.end_block(at, out);
        }
        out.push(Event::Finish(finish));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::TokenUsage;
    use crate::wire::chat::{Seal, SealOrigin};
    use crate::wire::error::ErrorHint;
    use proptest::prelude::*;
    use serde_json::json;

    fn frame(data: &Value) -> String {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
    }

    fn events(data: &[Value]) -> (StreamDecoder, Vec<Event>) {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for data in data {
            decoder.decode(frame(data).as_bytes(), &mut out).unwrap();
        }
        (decoder, out)
    }

    fn start() -> Value {
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}}})
    }

    fn begin(index: u64, block: Value) -> Value {
        json!({"type": "content_block_start", "index": index, "content_block": block})
    }

    fn delta(index: u64, delta: Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": delta})
    }

    fn stop(index: u64) -> Value {
        json!({"type": "content_block_stop", "index": index})
    }

    fn last(reason: &str) -> Value {
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 20}})
    }

    fn args(json: &str) -> Event {
        Event::ToolArguments { index: 0, json: json.into() }
    }

    #[test]
    fn a_whole_stream() {
        let (mut decoder, got) = events(&[
            start(),
            json!({"type": "ping"}),
            begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "Eq"})),
            stop(0),
            begin(1, json!({"type": "redacted_thinking", "data": "Em"})),
            stop(1),
            begin(2, json!({"type": "text", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": "so"})),
            delta(2, json!({"type": "citations_delta", "citation": {}})),
            stop(2),
            begin(3, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "{}"})),
            stop(3),
            begin(4, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
            delta(4, json!({"type": "input_json_delta", "partial_json": ""})),
            delta(4, json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})),
            stop(4),
            last("tool_use"),
            json!({"type": "message_stop"}),
            begin(5, json!({"type": "text", "text": "after the end"})),
        ]);
        let seal = |origin, data: &str| Event::ReasoningSeal(Seal { origin, data: data.into() });
        let usage = |output| Event::Usage(TokenUsage { input: 15, cached_input: 5, output, ..TokenUsage::default() });
        assert_eq!(
            got,
            [
                Event::Start { id: "msg_1".into(), model: "claude".into() },
                usage(1),
                Event::Reasoning("hm".into()),
                seal(SealOrigin::AnthropicSignature, "Eq"),
                seal(SealOrigin::AnthropicRedacted, "Em"),
                Event::Text("so".into()),
                Event::ToolCall { index: 0, id: "t".into(), name: "f".into(), seal: None },
                args("{\"a\":1}"),
                usage(20),
                Event::Finish(Finish::ToolCalls),
            ]
        );
        assert!(decoder.done() && decoder.end(&mut Vec::new()).is_ok());
    }

    #[test]
    fn arguments_are_never_missing() {
        let tool = |input: Value| begin(0, json!({"type": "tool_use", "id": "t", "name": "f", "input": input}));
        assert!(events(&[start(), tool(json!({})), stop(0)]).1.contains(&args("{}")));
        assert!(events(&[start(), tool(json!({"a": 1})), stop(0)]).1.contains(&args("{\"a\":1}")));
        assert!(events(&[start(), tool(json!({})), last("tool_use")]).1.contains(&args("{}")));
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error() {
        let (mut decoder, _) = events(&[start(), begin(0, json!({"type": "text", "text": "so"}))]);
        assert!(!decoder.done() && decoder.end(&mut Vec::new()).is_err());
        assert!(StreamDecoder::new().end(&mut Vec::new()).is_err());
        let (mut decoder, _) = events(&[start(), last("end_turn")]);
        assert!(decoder.end(&mut Vec::new()).is_ok(), "all was said but the farewell");
    }

    #[test]
    fn an_error_event_ends_the_stream() {
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let (decoder, got) = events(&[start(), error]);
        assert!(matches!(got.last(), Some(Event::Error(e)) if e.hint == Some(ErrorHint::ServerError)));
        assert!(decoder.done());
    }

    #[test]
    fn a_refusal_without_words_gets_its_explanation() {
        let refusal = json!({"type": "message_delta",
            "delta": {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "policy"}},
            "usage": {"output_tokens": 0}});
        let (_, got) = events(&[start(), refusal]);
        assert!(got.contains(&Event::Refusal("policy".into())));
        assert_eq!(got.last(), Some(&Event::Finish(Finish::Refusal)));
    }

    #[test]
    fn events_are_told_by_name_or_by_type() {
        let mut out = Vec::new();
        StreamDecoder::new().decode(b"data: {\"type\":\"message_start\",\"message\":{}}\n\n", &mut out).unwrap();
        StreamDecoder::new().decode(b"event: message_start\r\ndata: {\"message\":{}}\r\n\r\n", &mut out).unwrap();
        assert_eq!(out.len(), 2);
        assert!(StreamDecoder::new().decode(b"data: <html>\n\n", &mut out).is_err());
        StreamDecoder::new().decode(b": comment\n\n", &mut out).unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            let mut decoder = StreamDecoder::new();
            for frame in frames {
                let _ = decoder.decode(&frame, &mut Vec::new());
            }
            let _ = decoder.end(&mut Vec::new());
        }

        #[test]
        fn any_order_of_events_gives_a_well_formed_stream(order in prop::collection::vec(0..8usize, 0..20)) {
            let kinds = [
                start(),
                begin(0, json!({"type": "text", "text": "a"})),
                begin(1, json!({"type": "tool_use", "id": "", "name": "f", "input": null})),
                delta(1, json!({"type": "input_json_delta", "partial_json": "{}"})),
                delta(0, json!({"type": "text_delta", "text": "b"})),
                stop(1),
                last("end_turn"),
                json!({"type": "message_stop"}),
            ];
            let (_, got) = events(&order.iter().map(|i| kinds[*i].clone()).collect::<Vec<_>>());
            let starts = got.iter().filter(|e| matches!(e, Event::Start { .. })).count();
            let begins_well = got.first().is_none_or(|first| matches!(first, Event::Start { .. }));
            prop_assert!(starts <= 1 && begins_well);
            if let Some(at) = got.iter().position(|e| matches!(e, Event::Finish(_))) {
                prop_assert!(got[at + 1..].iter().all(|e| matches!(e, Event::Usage(_))));
            }
        }
    }
}
