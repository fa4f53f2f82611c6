//! Reads what `streamGenerateContent` sends: each event is a whole `GenerateContentResponse`
//! with the next parts of the answer.
//!
//! A whole answer has the same form, so [`super::response`] reads it with the same decoder.
//!
//! - Usage comes with every event and is the sum so far.
//! - The reason of the end stands in the last event; there is no last word after it, so a
//!   stream whose bytes end before it is broken.
//! - An error inside a stream comes as an event or, from Google's front end, as bare JSON
//!   lines that are no event at all.
//! - Parts that no other protocol has (code that the provider ran, pictures it drew) are
//!   skipped.

use serde_json::value::RawValue;

use super::chunk::{Chunk, Ending, FunctionCall, Part, call_id, compact, is_told};
use super::error::{find, provider_error};
use crate::domain::usage::TokenUsage;
use crate::wire::chat::{Finish, Seal, SealOrigin};
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::event::Event;
use crate::wire::peek::clip;
use crate::wire::sse;

/// Turns a stream into [`Event`]s.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    /// Something that a caller can see has come.
    has_content: bool,
    /// Tool calls so far.
    calls: u32,
    usage: TokenUsage,
    finished: bool,
    failed: bool,
}

impl StreamDecoder {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one SSE frame, as [`sse::Framer`] cuts them, and appends what it means.
    ///
    /// # Errors
    /// If it is not of the protocol, or the answer turns out to be of no use: a call that the
    /// model wrote wrongly, an end without any content. The stream cannot be followed further.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let event = sse::parse(frame);
        match event.data.as_deref().map(<[u8]>::trim_ascii) {
            Some(b"" | b"[DONE]") => Ok(()),
            Some(data) => self.read(data, out),
            None => match frame.trim_ascii() {
                bare @ [b'{' | b'[', ..] => self.read(bare, out),
                _ => Ok(()),
            },
        }
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// If the answer had not.
    pub fn end(&mut self, _out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.finished || self.failed {
            return Ok(());
        }
        Err(Malformed("the stream ended without a finish reason".into()))
    }

    /// Whether nothing more is needed: the reason of the end and the usage, or an error, have
    /// come.
    pub fn done(&self) -> bool {
        self.failed || (self.finished && !self.usage.is_empty())
    }

    /// Reads one `GenerateContentResponse`.
    pub(super) fn read(&mut self, json: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.failed {
            return Ok(());
        }
        if json.first() == Some(&b'[') {
            let error = find(json).ok_or_else(|| Malformed("an array where an event was expected".into()))?;
            self.fail(provider_error(&error, None), out);
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_slice(json)
            .map_err(|error| Malformed(format!("not a GenerateContentResponse: {error}")))?;
        if let Some(error) = &chunk.error {
            self.fail(provider_error(error, None), out);
            return Ok(());
        }
        let candidate = chunk.candidates.into_iter().flatten().find(|candidate| candidate.index.unwrap_or(0) == 0);
        let block = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if let (None, Some(reason)) = (&candidate, block.filter(|reason| is_told(reason))) {
            self.fail(refused("the prompt was blocked", reason), out);
            return Ok(());
        }
        let id = chunk.response_id.unwrap_or_default();
        if !self.started && (candidate.is_some() || !id.is_empty()) {
            self.started = true;
            out.push(Event::Start { id: id.clone(), model: chunk.model_version.unwrap_or_default() });
        }
        let (parts, reason) = match candidate {
            Some(candidate) => (candidate.content.and_then(|content| content.parts), candidate.finish_reason),
            None => (None, None),
        };
        for part in parts.into_iter().flatten() {
            self.part(part, &id, json, out)?;
        }
        if let Some(usage) = chunk.usage_metadata {
            let usage = usage.counted();
            if usage != self.usage {
                self.usage = usage;
                out.push(Event::Usage(usage));
            }
        }
        match reason.filter(|reason| is_told(reason)) {
            Some(reason) if !self.finished => self.finish(reason, out),
            _ => Ok(()),
        }
    }

    fn part(&mut self, part: Part, id: &str, json: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Part { text, thought, thought_signature, function_call } = part;
        if text.is_none() && function_call.is_none() {
            // A part that is skipped takes its signature along.
            return Ok(());
        }
        let seal = thought_signature
            .filter(|signature| !signature.is_empty())
            .map(|data| Seal { origin: SealOrigin::Gemini, data });
        let text = text.filter(|text| !text.is_empty());
        if self.finished && (text.is_some() || function_call.is_some()) {
            return Err(Malformed("more content after the finish reason".into()));
        }
        self.has_content |= text.is_some() || function_call.is_some();
        if let Some(call) = function_call {
            return self.call(call, seal, id, json, out);
        }
        let seal = seal.filter(|_| !self.finished).map(Event::ReasoningSeal);
        match text {
            // A thought's signature comes after its text, an answer's speaks of the thought before.
            Some(text) if thought == Some(true) => {
                out.push(Event::Reasoning(text));
                out.extend(seal);
            }
            Some(text) => {
                out.extend(seal);
                out.push(Event::Text(text));
            }
            None => out.extend(seal),
        }
        Ok(())
    }

    /// A call comes in one piece.
    fn call(
        &mut self,
        call: FunctionCall,
        seal: Option<Seal>,
        response_id: &str,
        json: &[u8],
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let index = self.calls;
        let name = call.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Malformed("a function call without a name".into()))?;
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| call_id(response_id, json, index));
        self.calls = index.saturating_add(1);
        out.push(Event::ToolCall { index, id, name, seal });
        let args = call.args.as_deref().map_or("{}", RawValue::get);
        out.push(Event::ToolArguments { index, json: compact(args) });
        Ok(())
    }

    fn finish(&mut self, reason: String, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let finish = match (Ending::of(&reason), self.has_content) {
            (Ending::Failed, _) => {
                return Err(Malformed(format!("the model's answer is of no use: {}", clip(&reason, 60))));
            }
            (Ending::Done | Ending::Unexplained, false) => {
                return Err(Malformed(format!("an answer without content ({})", clip(&reason, 60))));
            }
            (Ending::Filtered, false) => {
                self.fail(refused("the answer was blocked", reason), out);
                return Ok(());
            }
            (Ending::Done, true) if self.calls > 0 => Finish::ToolCalls,
            (Ending::Done, true) => Finish::Stop,
            (Ending::Length, _) => Finish::Length,
            (Ending::Filtered | Ending::Unexplained, true) => Finish::ContentFilter,
        };
        self.finished = true;
        out.push(Event::Finish(finish));
        Ok(())
    }

    /// An error after the end takes nothing from an answer that is whole.
    fn fail(&mut self, error: ProviderError, out: &mut Vec<Event>) {
        if self.finished {
            return;
        }
        self.failed = true;
        out.push(Event::Error(error));
    }
}

/// A refusal of content, which the API reports with status 200.
fn refused(what: &str, reason: String) -> ProviderError {
    ProviderError {
        message: format!("{what} by the provider's content policy ({})", clip(&reason, 60)),
        code: Some(reason),
        hint: Some(ErrorHint::ContentPolicy),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn frame(chunk: &Value) -> Vec<u8> {
        format!("data: {chunk}\r\n\r\n").into_bytes()
    }

    fn chunk(parts: Value) -> Value {
        json!({
            "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
            "modelVersion": "gemini-x", "responseId": "r-1_Z"
        })
    }

    fn last(parts: Value, reason: &str) -> Value {
        let mut chunk = chunk(parts);
        chunk["candidates"][0]["finishReason"] = json!(reason);
        chunk["usageMetadata"] = json!({"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 10});
        chunk
    }

    fn run(chunks: &[Value]) -> Result<Vec<Event>, Malformed> {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.decode(&frame(chunk), &mut out)?;
        }
        decoder.end(&mut out)?;
        assert!(decoder.done());
        Ok(out)
    }

    fn start() -> Event {
        Event::Start { id: "r-1_Z".into(), model: "gemini-x".into() }
    }

    fn usage() -> Event {
        Event::Usage(TokenUsage { input: 8, output: 2, ..TokenUsage::default() })
    }

    fn seal(data: &str) -> Seal {
        Seal { origin: SealOrigin::Gemini, data: data.into() }
    }

    #[test]
    fn text_comes_in_pieces_and_ends_with_usage() {
        let got = run(&[chunk(json!([{"text": "He"}])), last(json!([{"text": "llo"}]), "STOP")]).unwrap();
        let expected =
            [start(), Event::Text("He".into()), Event::Text("llo".into()), usage(), Event::Finish(Finish::Stop)];
        assert_eq!(got, expected);
    }

    #[test]
    fn thoughts_are_reasoning_and_signatures_seal_it() {
        let got = run(&[
            chunk(json!([{"text": "hm", "thought": true}])),
            chunk(json!([{"text": "a", "thoughtSignature": "s1"}])),
            last(json!([{"text": "", "thoughtSignature": "s2"}]), "STOP"),
        ])
        .unwrap();
        let expected = [
            start(),
            Event::Reasoning("hm".into()),
            Event::ReasoningSeal(seal("s1")),
            Event::Text("a".into()),
            Event::ReasoningSeal(seal("s2")),
            usage(),
            Event::Finish(Finish::Stop),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn calls_without_ids_get_ids_of_their_own() {
        let got = run(&[
            chunk(json!([{"functionCall": {"name": "f", "args": {"a": "x y"}}, "thoughtSignature": "s"}])),
            last(json!([{"functionCall": {"id": "given", "name": "g"}}, {"functionCall": {"name": "h"}}]), "STOP"),
        ])
        .unwrap();
        let expected = [
            start(),
            Event::ToolCall { index: 0, id: "call_r1Z_0".into(), name: "f".into(), seal: Some(seal("s")) },
            Event::ToolArguments { index: 0, json: r#"{"a":"x y"}"#.into() },
            Event::ToolCall { index: 1, id: "given".into(), name: "g".into(), seal: None },
            Event::ToolArguments { index: 1, json: "{}".into() },
            Event::ToolCall { index: 2, id: "call_r1Z_2".into(), name: "h".into(), seal: None },
            Event::ToolArguments { index: 2, json: "{}".into() },
            usage(),
            Event::Finish(Finish::ToolCalls),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn ids_differ_between_answers_that_have_none() {
        let id = |args: Value| {
            let mut body = last(json!([{"functionCall": {"name": "f", "args": args}}]), "STOP");
            body["responseId"] = json!(null);
            match &run(&[body]).unwrap()[1] {
                Event::ToolCall { id, .. } => id.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_ne!(id(json!({"a": 1})), id(json!({"a": 2})));
    }

    #[test]
    fn each_reason_has_its_finish() {
        for (reason, expected) in [
            ("STOP", Finish::Stop),
            ("MAX_TOKENS", Finish::Length),
            ("SAFETY", Finish::ContentFilter),
            ("RECITATION", Finish::ContentFilter),
            ("SPII", Finish::ContentFilter),
            ("OTHER", Finish::ContentFilter),
            ("SOMETHING_NEW", Finish::ContentFilter),
        ] {
            let got = run(&[last(json!([{"text": "a"}]), reason)]).unwrap();
            assert_eq!(got.last(), Some(&Event::Finish(expected)), "{reason}");
        }
        for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"] {
            assert!(run(&[last(json!([{"text": "a"}]), reason)]).is_err(), "{reason}");
        }
    }

    #[test]
    fn an_end_without_content_is_only_fair_at_the_limit() {
        for reason in ["STOP", "OTHER", "MALFORMED_FUNCTION_CALL"] {
            assert!(run(&[last(json!([{"text": "", "thoughtSignature": "s"}]), reason)]).is_err(), "{reason}");
        }
        let got = run(&[last(json!([]), "MAX_TOKENS")]).unwrap();
        assert_eq!(got, [start(), usage(), Event::Finish(Finish::Length)]);
        let got = run(&[last(json!(null), "SAFETY")]).unwrap();
        let Some(Event::Error(error)) = got.last() else { panic!("{got:?}") };
        assert_eq!((error.hint, error.code.as_deref()), (Some(ErrorHint::ContentPolicy), Some("SAFETY")));
    }

    #[test]
    fn a_blocked_prompt_is_a_matter_of_policy() {
        let got = run(&[json!({
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 8}
        })])
        .unwrap();
        let [Event::Error(error)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!((error.hint, error.code.as_deref()), (Some(ErrorHint::ContentPolicy), Some("PROHIBITED_CONTENT")));
    }

    #[test]
    fn bytes_that_end_without_a_reason_are_a_broken_stream() {
        assert!(run(&[chunk(json!([{"text": "a"}]))]).is_err());
        assert!(run(&[]).is_err());
        let mut unspecified = chunk(json!([{"text": "a"}]));
        unspecified["candidates"][0]["finishReason"] = json!("FINISH_REASON_UNSPECIFIED");
        assert!(run(&[unspecified]).is_err());
    }

    #[test]
    fn usage_is_cumulative_and_thoughts_are_output() {
        let mut first = chunk(json!([{"text": "a"}]));
        first["usageMetadata"] = json!({"promptTokenCount": 10, "thoughtsTokenCount": 5});
        let mut second = last(json!([{"text": "b"}]), "STOP");
        second["usageMetadata"] = json!({
            "promptTokenCount": 10, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 3,
            "candidatesTokenCount": 2, "thoughtsTokenCount": 5
        });
        let got = run(&[first, second]).unwrap();
        let counted: Vec<&Event> = got.iter().filter(|event| matches!(event, Event::Usage(_))).collect();
        let expected = TokenUsage { input: 13, cached_input: 4, cache_write: 0, output: 7, reasoning: 5 };
        assert_eq!(
            counted,
            [
                &Event::Usage(TokenUsage { input: 10, output: 5, reasoning: 5, ..TokenUsage::default() }),
                &Event::Usage(expected)
            ]
        );
    }

    #[test]
    fn errors_come_as_events_or_as_bare_lines() {
        let error = r#"{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}"#;
        let pretty = format!("{:#}\n", serde_json::from_str::<Value>(error).unwrap());
        for frame in [format!("data: {error}\n\n"), format!("[{error}]\n\n"), pretty] {
            let mut decoder = StreamDecoder::new();
            let mut out = Vec::new();
            decoder.decode(frame.as_bytes(), &mut out).unwrap();
            decoder.decode(b"data: garbage\n\n", &mut out).unwrap();
            let [Event::Error(error)] = out.as_slice() else { panic!("{out:?}") };
            assert_eq!((error.message.as_str(), error.hint), ("busy", Some(ErrorHint::ServerError)));
            assert!(decoder.done());
            assert_eq!(decoder.end(&mut out), Ok(()));
        }
    }

    #[test]
    fn an_error_after_the_end_takes_nothing_back() {
        let got = run(&[last(json!([{"text": "a"}]), "STOP"), json!({"error": {"code": 500}})]).unwrap();
        assert_eq!(got.last(), Some(&Event::Finish(Finish::Stop)));
    }

    #[test]
    fn what_is_not_known_is_skipped() {
        let got = run(&[
            json!({}),
            chunk(
                json!([{"executableCode": {"code": "1"}}, {"inlineData": {"mimeType": "image/png", "data": ""}}, {}]),
            ),
            json!({"candidates": [{"index": 1, "content": {"parts": [{"text": "another"}]}}]}),
            json!({"candidates": null, "usageMetadata": {"promptTokenCount": "many"}}),
            last(json!([{"text": "a", "new": 1}]), "STOP"),
        ])
        .unwrap();
        let text: Vec<&Event> = got.iter().filter(|event| event.commits()).collect();
        assert_eq!(text, [&Event::Text("a".into())]);
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        for frame in [": ping\n\n", "event: x\n\n", "data:\n\n", "data: [DONE]\n\n", "\n"] {
            decoder.decode(frame.as_bytes(), &mut out).unwrap();
        }
        assert_eq!(out, []);
    }

    #[test]
    fn what_would_be_misread_is_malformed() {
        for body in ["garbage", "[1]", "7", "\"x\"", r#"{"candidates": 1}"#, r#"{"candidates": [{"content": "x"}]}"#] {
            let mut decoder = StreamDecoder::new();
            let frame = format!("data: {body}\n\n");
            assert!(decoder.decode(frame.as_bytes(), &mut Vec::new()).is_err(), "{body}");
        }
        assert!(run(&[last(json!([{"functionCall": {"args": {}}}]), "STOP")]).is_err());
        assert!(run(&[last(json!([{"text": "a"}]), "STOP"), chunk(json!([{"text": "b"}]))]).is_err());
    }
}
