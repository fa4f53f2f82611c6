//! A provider's stream of chunks as events.
//!
//! The end is told only once it is certain (`[DONE]`, or the bytes end after a reason):
//! some servers say why they stop before the last content, and usage comes after it.

use serde_json::Value;

use super::calls::{Calls, Piece};
use crate::domain::usage::TokenUsage;
use crate::wire::chat::Finish;
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::event::Event;
use crate::wire::openai::answer::{AnswerIn, ChoiceIn, Read, call_id_stem, read, read_finish, settle_finish};
use crate::wire::openai::request::gemini_seal;
use crate::wire::sse;

/// Turns the frames of one stream into events.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    calls: Calls,
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

    fn start(&mut self, id: String, model: Option<String>, out: &mut Vec<Event>) {
        self.started = true;
        out.push(Event::Start { id, model: model.unwrap_or_default() });
    }

    fn tell_finish(&mut self, finish: Finish, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let has_calls = self.calls.finish()?;
        if !self.started {
            self.start(String::new(), None, out);
        }
        let finish = settle_finish(finish, has_calls, self.refused, self.stop_sequence.take());
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
                let id = chunk.id.take().unwrap_or_default();
                self.calls = Calls::new(call_id_stem(&id, data));
                self.start(id, chunk.model.take(), out);
            }
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
                let seal = call.extra_content.as_ref().and_then(gemini_seal);
                self.calls
                    .piece(Piece { index: call.index, id, function: call.function.unwrap_or_default(), seal }, out);
            }
            if let Some(function) = message.function_call.take() {
                self.calls.piece(Piece { index: Some(0), id: None, function, seal: None }, out);
            }
        }
        if let Some(finish) = read_finish(choice.finish_reason.as_deref()) {
            self.finish = Some(finish);
            self.stop_sequence = choice.stop_reason.as_ref().and_then(Value::as_str).map(str::to_owned);
        }
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
    fn calls_end_in_tool_calls_whatever_the_reason_says() {
        let got = events(&calls(&[json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})]));
        assert_eq!(got, [start(), call(0, "a", "f"), arguments(0, "{}"), Event::Finish(Finish::ToolCalls)]);
        // The old form, without ids.
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
    }
}
