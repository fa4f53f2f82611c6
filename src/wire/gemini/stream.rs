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
mod tests;
