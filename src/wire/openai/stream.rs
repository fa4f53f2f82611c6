//! Streamed chat answers: read from providers, written for clients.

use serde_json::{Map, Value, json};

use super::answer::{AnswerIn, ToolCallIn, finish, reported};
use super::error::error_object;
use super::response::{answer_id, extra_content, finish_reason, made_up_id};
use super::usage::UsageOut;
use crate::domain::usage::TokenUsage;
use crate::wire::chat::{Finish, Seal, SealOrigin};
use crate::wire::error::{ErrorBody, Malformed};
use crate::wire::event::Event;
use crate::wire::meta::ReplyMeta;
use crate::wire::sse;

/// Reads a provider's stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    id: String,
    /// For each call: the provider's index and its id.
    calls: Vec<(u32, String)>,
    finish: Option<Finish>,
    done: bool,
}

impl StreamDecoder {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the protocol's own end was seen.
    pub fn done(&self) -> bool {
        self.done
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// If it is not of the protocol.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let event = sse::parse(frame);
        let data = event.data().trim_ascii();
        if data.is_empty() || self.done {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            return self.end(out);
        }
        let chunk: AnswerIn<'_> =
            serde_json::from_slice(data).map_err(|error| Malformed(format!("not a chunk of a chat: {error}")))?;
        if let Some(error) = reported(chunk.error.as_ref()) {
            out.push(Event::Error(error));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            self.id = chunk.id.as_deref().unwrap_or_default().to_owned();
            let model = chunk.model.as_deref().unwrap_or_default().to_owned();
            out.push(Event::Start { id: self.id.clone(), model });
        }
        if let Some(usage) = chunk.usage.or_else(|| chunk.x_groq.and_then(|groq| groq.usage)) {
            out.push(Event::Usage(usage.read()));
        }
        // Only one answer was asked for; a server that sends more is not listened to.
        for choice in chunk.choices.unwrap_or_default().into_iter().filter(|c| c.index.unwrap_or(0) == 0) {
            let delta = choice.delta.unwrap_or_default();
            let (reasoning, text) = delta.texts();
            if !reasoning.is_empty() {
                out.push(Event::Reasoning(reasoning));
            }
            if !text.is_empty() {
                out.push(Event::Text(text));
            }
            if let Some(refusal) = delta.refusal.filter(|refusal| !refusal.is_empty()) {
                out.push(Event::Refusal(refusal));
            }
            for call in delta.tool_calls.unwrap_or_default() {
                self.tool_call(&call, out);
            }
            if let Some(function) = delta.function_call {
                self.tool_call(&ToolCallIn { index: Some(0), function: Some(function), ..ToolCallIn::default() }, out);
            }
            if let Some(finish) = finish(choice.finish_reason.as_deref(), !self.calls.is_empty()) {
                self.finish = Some(finish);
            }
        }
        Ok(())
    }

    /// A piece of a call. It begins a new one if its index is new, or if it has no index
    /// and brings an id or a name.
    fn tool_call(&mut self, call: &ToolCallIn, out: &mut Vec<Event>) {
        let id = call.id.as_deref().unwrap_or_default();
        let function = call.function.as_ref();
        let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
        let known = match call.index {
            // Some servers send whole calls, all under index 0: another id is another call.
            Some(index) => self
                .calls
                .iter()
                .rposition(|(known, known_id)| *known == index && (id.is_empty() || id == known_id || name.is_empty())),
            None if id.is_empty() && name.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().rposition(|(_, known)| !id.is_empty() && known == id),
        };
        let position = known.unwrap_or_else(|| {
            let position = self.calls.len();
            let id = if id.is_empty() { made_up_id(&self.id, position) } else { id.to_owned() };
            self.calls.push((call.index.unwrap_or(position as u32), id.clone()));
            let seal = call.signature().map(|data| Seal { origin: SealOrigin::Gemini, data });
            out.push(Event::ToolCall { index: position as u32, id, name: name.to_owned(), seal });
            position
        });
        let json = function.map(super::answer::FunctionIn::arguments).unwrap_or_default();
        if !json.is_empty() {
            out.push(Event::ToolArguments { index: position as u32, json });
        }
    }

    /// The provider closed the stream.
    ///
    /// # Errors
    /// If the answer was not finished.
    pub fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        match self.finish.take() {
            Some(finish) => {
                out.push(Event::Finish(finish));
                self.done = true;
                Ok(())
            }
            None if self.done && self.started => {
                // `[DONE]` without a reason: the server says that it is all.
                let finish = if self.calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
                out.push(Event::Finish(finish));
                Ok(())
            }
            None => Err(Malformed("the stream ended before the answer did".into())),
        }
    }
}

/// Writes a client's stream.
#[derive(Debug)]
pub struct StreamEncoder {
    meta: ReplyMeta,
    model: String,
    usage: TokenUsage,
    role_sent: bool,
    refusal_said: bool,
    finish: Option<Finish>,
}

impl StreamEncoder {
    /// At the beginning of a stream.
    pub fn new(meta: ReplyMeta) -> Self {
        let model = meta.model.clone();
        Self { meta, model, usage: TokenUsage::default(), role_sent: false, refusal_said: false, finish: None }
    }

    /// Writes one step.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                if !model.is_empty() {
                    self.model.clone_from(model);
                }
                self.role(out);
            }
            Event::Text(text) => self.delta(json!({"content": text}), out),
            Event::Refusal(text) => {
                self.refusal_said = true;
                self.delta(json!({"refusal": text}), out);
            }
            Event::Reasoning(text) => self.delta(json!({"reasoning_content": text}), out),
            Event::ToolCall { index, id, name, seal } => {
                let mut call = json!({
                    "index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""},
                });
                if let Some(extra) = extra_content(seal.as_ref()) {
                    call["extra_content"] = extra;
                }
                self.delta(json!({"tool_calls": [call]}), out);
            }
            Event::ToolArguments { index, json } => {
                self.delta(json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]}), out);
            }
            Event::Usage(usage) => self.usage = self.usage.max_of(usage),
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            // A seal has no place here; an error is written by `error`.
            Event::ReasoningSeal(_) | Event::Error(_) => {}
        }
    }

    /// The answer is whole.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.role(out);
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        self.chunk(
            json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": finish_reason(&finish, self.refusal_said)}]),
            false,
            out,
        );
        if self.meta.stream_usage {
            self.chunk(json!([]), true, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The answer broke off.
    pub fn error(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        frame(&json!({"error": error_object(error)}), out);
    }

    fn role(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.role_sent, true) {
            let delta = json!({"role": "assistant", "content": ""});
            self.chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]), false, out);
        }
    }

    fn delta(&mut self, delta: Value, out: &mut Vec<u8>) {
        self.role(out);
        self.chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]), false, out);
    }

    fn chunk(&self, choices: Value, with_usage: bool, out: &mut Vec<u8>) {
        let mut chunk = Map::new();
        chunk.insert("id".into(), answer_id(&self.meta).into());
        chunk.insert("object".into(), "chat.completion.chunk".into());
        chunk.insert("created".into(), self.meta.created.into());
        chunk.insert("model".into(), self.model.as_str().into());
        chunk.insert("choices".into(), choices);
        if self.meta.stream_usage {
            let usage = serde_json::to_value(UsageOut::from(&self.usage)).unwrap_or(Value::Null);
            chunk.insert("usage".into(), if with_usage { usage } else { Value::Null });
        }
        frame(&Value::Object(chunk), out);
    }
}

fn frame(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(value.to_string().as_bytes());
    out.extend_from_slice(b"\n\n");
}
