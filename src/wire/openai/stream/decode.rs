//! A provider's stream of chunks as events.
//!
//! The end is told only once it is certain (`[DONE]`, or the bytes end after a reason):
//! some servers say why they stop before the last content, and usage comes after it.

use serde_json::Value;

use crate::domain::usage::TokenUsage;
use crate::wire::chat::{Finish, Seal};
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::event::Event;
use crate::wire::openai::answer::{
    AnswerIn, CallIn, ChoiceIn, FunctionIn, Read, fingerprint, made_up_call_id, read, read_finish, settle_finish,
};
use crate::wire::openai::request::gemini_seal;
use crate::wire::sse;

/// A tool call as far as it has come.
#[derive(Debug)]
struct Call {
    /// The index on the wire, where the server gives one.
    wire_index: Option<u64>,
    /// What the server called it; empty where it gave no id.
    wire_id: String,
    /// Position among the calls of the answer, once the name is known and it was told.
    announced: Option<u32>,
    /// Arguments that came before the name.
    early: String,
    seal: Option<Seal>,
}

/// Turns the frames of one stream into events.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    id: String,
    /// Stands in for the answer's id where there is none.
    fingerprint: u64,
    calls: Vec<Call>,
    announced: u32,
    refused: bool,
    usage: TokenUsage,
    finish: Option<Finish>,
    stop_sequence: Option<String>,
    done: bool,
}

impl StreamDecoder {
    /// A decoder for one stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// If it is not of the protocol; nothing more should be read.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.done {
            return Ok(());
        }
        let event = sse::parse(frame);
        let data = event.data().trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            let finish = self.finish.take().unwrap_or(Finish::Stop);
            return self.tell_finish(finish, out);
        }
        match read(data) {
            Ok(Read::Error(error)) => {
                self.fail(error, out);
                Ok(())
            }
            Ok(Read::Answer(_)) | Err(_) if event.name == "error" => {
                self.fail(crate::wire::openai::decode_error(200, data), out);
                Ok(())
            }
            Ok(Read::Answer(chunk)) => self.chunk(*chunk, data, out),
            Err(malformed) => Err(malformed),
        }
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// If the answer had not: no `[DONE]` and no reason for the end was seen.
    pub fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.done {
            return Ok(());
        }
        self.done = true;
        let finish =
            self.finish.take().ok_or_else(|| Malformed("the stream ended before the answer did".to_owned()))?;
        self.tell_finish(finish, out)
    }

    /// Whether the end was seen; nothing more is needed.
    pub fn done(&self) -> bool {
        self.done
    }

    fn fail(&mut self, error: ProviderError, out: &mut Vec<Event>) {
        self.done = true;
        out.push(Event::Error(error));
    }

    fn start(&mut self, id: Option<String>, model: Option<String>, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            self.id = id.unwrap_or_default();
            out.push(Event::Start { id: self.id.clone(), model: model.unwrap_or_default() });
        }
    }

    fn tell_finish(&mut self, finish: Finish, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.calls.iter().any(|call| call.announced.is_none()) {
            return Err(Malformed("a tool call without a name".to_owned()));
        }
        self.start(None, None, out);
        let finish = settle_finish(finish, self.announced > 0, self.refused, self.stop_sequence.take());
        out.push(Event::Finish(finish));
        Ok(())
    }

    fn chunk(&mut self, mut chunk: AnswerIn, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let usage = chunk.usage();
        // One answer was asked for; others would be a server's own idea.
        let choices = chunk.choices.take().unwrap_or_default();
        if let Some(mut choice) = choices.into_iter().find(|choice| choice.index.unwrap_or(0) == 0) {
            if choice.finish_reason.as_deref() == Some("error") {
                let message = "generation ended with an error".to_owned();
                self.fail(ProviderError { message, code: None, hint: Some(ErrorHint::ServerError) }, out);
                return Ok(());
            }
            if !self.started {
                self.fingerprint = fingerprint(data);
            }
            self.start(chunk.id.take(), chunk.model.take(), out);
            self.choice(&mut choice, out);
        }
        if let Some(usage) = usage.filter(|usage| *usage != self.usage) {
            self.usage = usage;
            out.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn choice(&mut self, choice: &mut ChoiceIn, out: &mut Vec<Event>) {
        if let Some(mut message) = choice.take_message() {
            let words = message.take_words();
            self.refused |= !words.refusal.is_empty();
            let pieces = [
                (words.reasoning, Event::Reasoning as fn(String) -> Event),
                (words.text, Event::Text),
                (words.refusal, Event::Refusal),
            ];
            out.extend(pieces.into_iter().filter(|(text, _)| !text.is_empty()).map(|(text, event)| event(text)));
            for mut call in message.tool_calls.take().unwrap_or_default() {
                let id = call.take_id();
                let CallIn { index, function, extra_content, .. } = call;
                let seal = extra_content.as_ref().and_then(gemini_seal);
                self.call(index, id, function.unwrap_or_default(), seal, out);
            }
            if let Some(function) = message.function_call.take() {
                self.call(Some(0), None, function, None, out);
            }
        }
        if let Some(finish) = read_finish(choice.finish_reason.as_deref()) {
            self.finish = Some(finish);
            self.stop_sequence = choice.stop_reason.as_ref().and_then(Value::as_str).map(str::to_owned);
        }
    }

    fn call(
        &mut self,
        index: Option<u64>,
        id: Option<String>,
        mut function: FunctionIn,
        seal: Option<Seal>,
        out: &mut Vec<Event>,
    ) {
        let name = function.name.take().filter(|name| !name.is_empty());
        let arguments = function.arguments();
        let position = match self.position(index, id.as_deref(), name.is_some()) {
            Some(position) => position,
            None if name.is_none() && id.is_none() && arguments.is_empty() => return,
            None => {
                let wire_id = id.unwrap_or_default();
                self.calls.push(Call { wire_index: index, wire_id, announced: None, early: String::new(), seal: None });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[position];
        if let (None, Some(name)) = (call.announced, name) {
            let index = self.announced;
            self.announced += 1;
            call.announced = Some(index);
            let id = if call.wire_id.is_empty() {
                made_up_call_id(&self.id, self.fingerprint, index as usize)
            } else {
                call.wire_id.clone()
            };
            out.push(Event::ToolCall { index, id, name, seal: seal.or_else(|| call.seal.take()) });
            let early = std::mem::take(&mut call.early);
            if !early.is_empty() {
                out.push(Event::ToolArguments { index, json: early });
            }
        } else if seal.is_some() {
            call.seal = seal;
        }
        match call.announced {
            Some(index) if !arguments.is_empty() => out.push(Event::ToolArguments { index, json: arguments }),
            Some(_) => {}
            None => call.early.push_str(&arguments),
        }
    }

    /// Which call a piece belongs to; `None` for a new one.
    ///
    /// Servers differ: most number the calls, some send whole calls without a number, some
    /// give every call the number 0 and tell them apart by id, some repeat id and name in
    /// every piece.
    fn position(&self, index: Option<u64>, id: Option<&str>, named: bool) -> Option<usize> {
        let latest = match index {
            Some(_) => self.calls.iter().rposition(|call| call.wire_index == index)?,
            None => match id {
                Some(id) => return self.calls.iter().rposition(|call| call.wire_id == id),
                None if named => return None,
                None => return self.calls.len().checked_sub(1),
            },
        };
        let other_id = id.is_some_and(|id| !self.calls[latest].wire_id.is_empty() && self.calls[latest].wire_id != id);
        (!(named && other_id)).then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// All events of a stream of these chunks, `[DONE]` at its end.
    fn events(chunks: &[Value]) -> Vec<Event> {
        let mut frames: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        frames.push("data: [DONE]\r\n\r\n".to_owned());
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for frame in frames {
            decoder.decode(frame.as_bytes(), &mut out).unwrap();
        }
        assert!(decoder.done());
        decoder.end(&mut out).unwrap();
        out
    }

    fn delta(delta: Value) -> Value {
        json!({"id": "r1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}], "usage": null})
    }

    fn finish(reason: &str) -> Value {
        json!({"id": "r1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    fn calls(deltas: &[Value]) -> Vec<Value> {
        deltas.iter().map(|call| delta(json!({"tool_calls": [call]}))).chain([finish("stop")]).collect()
    }

    fn start() -> Event {
        Event::Start { id: "r1".into(), model: "m".into() }
    }

    fn call(index: u32, id: &str, name: &str) -> Event {
        Event::ToolCall { index, id: id.into(), name: name.into(), seal: None }
    }

    fn arguments(index: u32, json: &str) -> Event {
        Event::ToolArguments { index, json: json.into() }
    }

    #[test]
    fn text_and_usage_come_before_the_end() {
        let got = events(&[
            json!({"id": "", "model": "", "choices": [], "prompt_filter_results": []}),
            delta(json!({"role": "assistant", "content": "", "refusal": null})),
            delta(json!({"reasoning_content": "hm"})),
            delta(json!({"content": "hi"})),
            delta(Value::Null),
            finish("stop"),
            json!({"id": "r1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
        ]);
        let usage = TokenUsage { input: 3, output: 2, ..TokenUsage::default() };
        let expected = [
            start(),
            Event::Reasoning("hm".into()),
            Event::Text("hi".into()),
            Event::Usage(usage),
            Event::Finish(Finish::Stop),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn calls_interleave_by_index() {
        let got = events(&calls(&[
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}),
            json!({"index": 0, "function": {"arguments": "{\"x\""}}),
            json!({"index": 1, "function": {"arguments": "{}"}}),
            json!({"index": 0, "function": {"arguments": ":1}"}}),
        ]));
        let expected = [
            start(),
            call(0, "a", "f"),
            call(1, "b", "g"),
            arguments(0, "{\"x\""),
            arguments(1, "{}"),
            arguments(0, ":1}"),
            Event::Finish(Finish::ToolCalls),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn calls_as_servers_vary_them() {
        // Whole calls without index and id.
        let got = events(&calls(&[
            json!({"function": {"name": "f", "arguments": "{}"}}),
            json!({"function": {"name": "f", "arguments": {"x": 1}}}),
        ]));
        let expected =
            [call(0, "call_r1_0", "f"), arguments(0, "{}"), call(1, "call_r1_1", "f"), arguments(1, "{\"x\":1}")];
        assert_eq!(got[1..5], expected);

        // Every call has the index 0.
        let got = events(&calls(&[
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}),
            json!({"index": 0, "function": {"arguments": "}"}}),
            json!({"index": 0, "id": "b", "function": {"name": "f", "arguments": "{}"}}),
        ]));
        let expected = [call(0, "a", "f"), arguments(0, "{"), arguments(0, "}"), call(1, "b", "f"), arguments(1, "{}")];
        assert_eq!(got[1..6], expected);

        // Id and name are repeated; pieces without index follow the latest call.
        let got = events(&calls(&[
            json!({"id": "a", "function": {"name": "f", "arguments": "{"}}),
            json!({"id": "a", "function": {"name": "f", "arguments": "1"}}),
            json!({"id": "null", "function": {"arguments": "}"}}),
        ]));
        assert_eq!(got[1..5], [call(0, "a", "f"), arguments(0, "{"), arguments(0, "1"), arguments(0, "}")]);

        // The name comes after the first arguments.
        let got = events(&calls(&[
            json!({"index": 0, "id": "a", "function": {"arguments": "{"}}),
            json!({"index": 0, "function": {"name": "f", "arguments": "}"}}),
        ]));
        assert_eq!(got[1..4], [call(0, "a", "f"), arguments(0, "{"), arguments(0, "}")]);

        // The old form.
        let legacy =
            [delta(json!({"function_call": {"name": "f"}})), delta(json!({"function_call": {"arguments": "{}"}}))];
        assert_eq!(events(&legacy)[1..3], [call(0, "call_r1_0", "f"), arguments(0, "{}")]);
    }

    #[test]
    fn a_signature_travels_with_its_call() {
        let got = events(&calls(&[json!({
            "index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "sig"}},
        })]));
        let Event::ToolCall { seal: Some(seal), .. } = &got[1] else { panic!("{got:?}") };
        assert_eq!(seal.data, "sig");
    }

    #[test]
    fn usage_in_every_chunk_and_in_odd_places() {
        let with_usage = |output: u64| {
            let mut chunk = delta(json!({"content": "x"}));
            chunk["usage"] = json!({"prompt_tokens": 1, "completion_tokens": output});
            chunk
        };
        let mut groq = finish("stop");
        groq["x_groq"] = json!({"id": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 9}});
        let got = events(&[with_usage(1), with_usage(2), with_usage(2), groq]);
        let outputs: Vec<u64> = got
            .iter()
            .filter_map(|event| if let Event::Usage(usage) = event { Some(usage.output) } else { None })
            .collect();
        assert_eq!(outputs, [1, 2, 9]);
    }

    #[test]
    fn errors_inside_the_stream_end_it() {
        for frame in [
            "data: {\"error\":{\"message\":\"m\",\"code\":502}}\n\n",
            "event: error\ndata: {\"message\":\"m\",\"type\":\"server_error\"}\n\n",
            "data: {\"object\":\"error\",\"message\":\"m\",\"code\":500}\n\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
        ] {
            let mut decoder = StreamDecoder::new();
            let mut out = Vec::new();
            decoder.decode(frame.as_bytes(), &mut out).unwrap();
            let [Event::Error(error)] = out.as_slice() else { panic!("{frame}: {out:?}") };
            assert_eq!(error.hint, Some(ErrorHint::ServerError), "{frame}");
            assert!(decoder.done());
        }
    }

    #[test]
    fn a_stream_may_end_without_done_but_not_without_a_reason() {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        decoder.decode(format!("data: {}\n\n", delta(json!({"content": "x"}))).as_bytes(), &mut out).unwrap();
        assert!(decoder.end(&mut out).is_err());

        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        decoder.decode(format!("data: {}\n\n", finish("length")).as_bytes(), &mut out).unwrap();
        assert!(!decoder.done());
        decoder.end(&mut out).unwrap();
        assert_eq!(out, [start(), Event::Finish(Finish::Length)]);
    }

    #[test]
    fn noise_is_skipped_and_garbage_is_not() {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for frame in [": OPENROUTER PROCESSING\n\n", "event: ping\n\n", "data:\n\n", "data: {}\n\n", "\n"] {
            decoder.decode(frame.as_bytes(), &mut out).unwrap();
        }
        assert!(out.is_empty());
        assert!(decoder.decode(b"data: <html>\n\n", &mut out).is_err());
    }

    #[test]
    fn a_call_that_never_gets_a_name_is_malformed() {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        let nameless = delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]}));
        decoder.decode(format!("data: {nameless}\n\n").as_bytes(), &mut out).unwrap();
        assert!(decoder.decode(b"data: [DONE]\n\n", &mut out).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            let mut decoder = StreamDecoder::new();
            let mut out = Vec::new();
            for frame in frames {
                let _ = decoder.decode(&[b"data: ", frame.as_slice()].concat(), &mut out);
            }
            let _ = decoder.end(&mut out);
        }

        #[test]
        fn any_order_of_pieces_keeps_the_arguments_together(
            pieces in prop::collection::vec((0u64..3, "[a-z]{1,3}"), 0..20),
        ) {
            let mut chunks: Vec<Value> = (0..3)
                .map(|i| json!({"index": i, "id": format!("id{i}"), "function": {"name": "f", "arguments": ""}}))
                .collect();
            chunks.extend(pieces.iter().map(|(i, text)| json!({"index": i, "function": {"arguments": text}})));
            let got = events(&calls(&chunks));
            for i in 0..3u32 {
                let expected: String = pieces.iter().filter(|(k, _)| *k == u64::from(i)).map(|(_, t)| t.as_str()).collect();
                let joined: String = got.iter().filter_map(|event| match event {
                    Event::ToolArguments { index, json } if *index == i => Some(json.as_str()),
                    _ => None,
                }).collect();
                prop_assert_eq!(joined, expected);
            }
        }
    }
}
