//! Events as the stream of chunks that a Chat Completions client reads.

use serde::Serialize;
use serde_json::Value;

use crate::domain::usage::TokenUsage;
use crate::wire::error::ErrorBody;
use crate::wire::event::Event;
use crate::wire::meta::ReplyMeta;
use crate::wire::openai::error::error_object;
use crate::wire::openai::request::extra_content;
use crate::wire::openai::response::finish_word;
use crate::wire::openai::usage::UsageOut;

/// Writes the chunks of one stream.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    model: String,
    created: u64,
    stream_usage: bool,
    usage: TokenUsage,
    refusal_given: bool,
    /// An error was told, so there is no proper end.
    failed: bool,
}

#[derive(Serialize)]
struct ChunkOut<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [ChoiceOut<'a>],
    /// There in every chunk, `null` but in the last, where the client asked for usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageOut>>,
}

#[derive(Serialize)]
struct ChoiceOut<'a> {
    index: u32,
    delta: DeltaOut<'a>,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct DeltaOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallOut<'a>; 1]>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Value>,
}

#[derive(Serialize)]
struct FunctionOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl StreamEncoder {
    /// An encoder for one stream.
    pub fn new(meta: ReplyMeta) -> Self {
        Self {
            id: format!("chatcmpl-{}", meta.id),
            model: meta.model,
            created: meta.created,
            stream_usage: meta.stream_usage,
            usage: TokenUsage::default(),
            refusal_given: false,
            failed: false,
        }
    }

    /// Appends the frames of one event; none for what the dialect has no words for.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        let delta = match event {
            Event::Start { model, .. } => {
                if !model.is_empty() {
                    self.model.clone_from(model);
                }
                DeltaOut { role: Some("assistant"), content: Some(""), ..DeltaOut::default() }
            }
            Event::Text(text) => DeltaOut { content: Some(text), ..DeltaOut::default() },
            Event::Refusal(text) => {
                self.refusal_given = true;
                DeltaOut { refusal: Some(text), ..DeltaOut::default() }
            }
            Event::Reasoning(text) => DeltaOut { reasoning_content: Some(text), ..DeltaOut::default() },
            Event::ToolCall { index, id, name, seal } => call_delta(CallOut {
                index: *index,
                id: Some(id),
                r#type: Some("function"),
                function: FunctionOut { name: Some(name), arguments: "" },
                extra_content: seal.as_ref().and_then(extra_content),
            }),
            Event::ToolArguments { index, json } => call_delta(CallOut {
                index: *index,
                id: None,
                r#type: None,
                function: FunctionOut { name: None, arguments: json },
                extra_content: None,
            }),
            Event::Finish(finish) => {
                return self.choice(DeltaOut::default(), Some(finish_word(finish, self.refusal_given)), out);
            }
            Event::Usage(usage) => {
                self.usage = self.usage.max_of(usage);
                return;
            }
            // The caller says it in its own words, by `error`.
            Event::Error(_) => return self.failed = true,
            Event::ReasoningSeal(_) => return,
        };
        self.choice(delta, None, out);
    }

    /// After the last event: usage where it was asked for, and the dialect's end. Nothing
    /// after an error.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        if self.stream_usage {
            self.chunk(&[], Some(Some(UsageOut::from(&self.usage))), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// An error inside the stream, which official SDKs raise; the stream is over then.
    pub fn error(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        self.failed = true;
        write_frame(&error_object(error), out);
    }

    fn choice(&self, delta: DeltaOut<'_>, finish_reason: Option<&'static str>, out: &mut Vec<u8>) {
        let choice = ChoiceOut { index: 0, delta, logprobs: (), finish_reason };
        self.chunk(&[choice], self.stream_usage.then_some(None), out);
    }

    fn chunk(&self, choices: &[ChoiceOut<'_>], usage: Option<Option<UsageOut>>, out: &mut Vec<u8>) {
        let chunk = ChunkOut {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        write_frame(&chunk, out);
    }
}

fn call_delta(call: CallOut<'_>) -> DeltaOut<'_> {
    DeltaOut { tool_calls: Some([call]), ..DeltaOut::default() }
}

fn write_frame(value: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    // Unwrap safety: no map keys but strings, and writing to memory does not fail.
    serde_json::to_writer(&mut *out, value).expect("a chunk can be written");
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::super::StreamDecoder;
    use super::*;
    use crate::wire::chat::{Finish, Seal, SealOrigin};
    use crate::wire::error::ErrorKind;
    use proptest::prelude::*;
    use serde_json::json;

    fn encoder(stream_usage: bool) -> StreamEncoder {
        StreamEncoder::new(ReplyMeta { id: "abc".into(), created: 7, model: "alias".into(), stream_usage })
    }

    fn written(stream_usage: bool, events: &[Event]) -> Vec<u8> {
        let mut encoder = encoder(stream_usage);
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        encoder.end(&mut out);
        out
    }

    fn frames(bytes: &[u8]) -> Vec<&str> {
        std::str::from_utf8(bytes)
            .unwrap()
            .split_terminator("\n\n")
            .map(|f| f.strip_prefix("data: ").unwrap())
            .collect()
    }

    fn start() -> Event {
        Event::Start { id: "x".into(), model: "m".into() }
    }

    #[test]
    fn the_role_comes_first_and_done_last() {
        let out = written(false, &[start(), Event::Text("hi".into()), Event::Finish(Finish::Stop)]);
        let frames = frames(&out);
        let chunk: Value = serde_json::from_str(frames[0]).unwrap();
        let expected = json!({
            "id": "chatcmpl-abc", "object": "chat.completion.chunk", "created": 7, "model": "m",
            "choices": [{
                "index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null,
            }],
        });
        assert_eq!(chunk, expected);
        assert_eq!((frames.len(), frames[3]), (4, "[DONE]"));
    }

    #[test]
    fn usage_is_told_only_who_asked() {
        let usage = |output| Event::Usage(TokenUsage { input: 5, output, ..TokenUsage::default() });
        let events = [start(), usage(9), usage(3), Event::Finish(Finish::Stop)];
        assert_eq!(frames(&written(false, &events)).len(), 3);
        let out = written(true, &events);
        let frames = frames(&out);
        let first: Value = serde_json::from_str(frames[0]).unwrap();
        assert!(first["usage"].is_null() && first.get("usage").is_some());
        let last: Value = serde_json::from_str(frames[2]).unwrap();
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"]["total_tokens"], 14);
    }

    #[test]
    fn an_error_ends_the_stream_without_done() {
        let mut encoder = encoder(true);
        let mut out = Vec::new();
        encoder.encode(&start(), &mut out);
        let error = ErrorBody {
            status: 502,
            kind: ErrorKind::BadGateway,
            message: "it broke".into(),
            code: Some("broken_stream"),
            param: None,
        };
        encoder.error(&error, &mut out);
        encoder.end(&mut out);
        let frames = frames(&out);
        assert_eq!(frames.len(), 2);
        let told: Value = serde_json::from_str(frames[1]).unwrap();
        assert_eq!(told["error"]["message"], "it broke");
    }

    #[test]
    fn everything_that_can_be_said_comes_back_from_our_own_decoder() {
        let seal = Some(Seal { origin: SealOrigin::Gemini, data: "sig".into() });
        let events = [
            Event::Start { id: "chatcmpl-abc".into(), model: "m".into() },
            Event::Reasoning("hm".into()),
            Event::Text("a \"quoted\" line\n".into()),
            Event::ToolCall { index: 0, id: "a".into(), name: "f".into(), seal },
            Event::ToolCall { index: 1, id: "b".into(), name: "g".into(), seal: None },
            Event::ToolArguments { index: 1, json: "{}".into() },
            Event::ToolArguments { index: 0, json: "{\"x\":1}".into() },
            Event::Usage(TokenUsage { input: 5, cached_input: 2, cache_write: 1, output: 4, reasoning: 1 }),
            Event::Finish(Finish::ToolCalls),
        ];
        assert_eq!(decoded(&written(true, &events)), events);
    }

    fn decoded(bytes: &[u8]) -> Vec<Event> {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for frame in bytes.split_inclusive(|b| *b == b'\n') {
            decoder.decode(frame, &mut out).unwrap();
        }
        decoder.end(&mut out).unwrap();
        out
    }

    proptest! {
        #[test]
        fn any_text_survives(pieces in prop::collection::vec(".{1,12}", 0..8)) {
            let mut events = vec![Event::Start { id: "chatcmpl-abc".into(), model: "m".into() }];
            events.extend(pieces.into_iter().map(Event::Text));
            events.push(Event::Finish(Finish::Stop));
            prop_assert_eq!(decoded(&written(false, &events)), events);
        }
    }
}
