//! An answer as the dialect's stream of events.
//!
//! Every event has a number, names the item it belongs to, and is opened and closed in
//! pairs: item, then content part or summary part, then text. The last event holds the
//! whole answer once more, so what was said is kept here until then. Text, refusals and
//! reasoning are open one at a time; tool calls stay open until the answer ends, because
//! their arguments may interleave, which this dialect allows.

use serde::Serialize;

use super::echo::RequestEcho;
use super::error::{ErrorObject, failure_code};
use super::item::{Content, ContentKind, FunctionCall, Item, ItemStatus, Message, Reasoning, Summary};
use super::object::{Failure, Outcome, ResponseObject, outcome, write_json};
use crate::domain::usage::TokenUsage;
use crate::wire::chat::{Finish, Seal};
use crate::wire::error::ErrorBody;
use crate::wire::event::Event;
use crate::wire::meta::ReplyMeta;

/// Writes one answer's events as SSE frames.
#[derive(Debug)]
pub struct StreamEncoder {
    meta: ReplyMeta,
    echo: RequestEcho,
    model: String,
    sequence: u64,
    started: bool,
    ended: bool,
    /// Index of the next item in `output`.
    next_index: usize,
    /// The message or reasoning that is being written.
    open: Option<(usize, OpenItem)>,
    /// The calls that are being written.
    calls: Vec<OpenCall>,
    /// Finished items.
    done: Vec<(usize, Item)>,
    refusal_said: bool,
    finish: Finish,
    usage: TokenUsage,
}

#[derive(Debug)]
enum OpenItem {
    Message(Message),
    Reasoning(Reasoning),
}

#[derive(Debug)]
struct OpenCall {
    /// As the events count calls.
    call: u32,
    /// In `output`.
    index: usize,
    item: FunctionCall,
}

impl StreamEncoder {
    /// For one answer; `echo` is what it repeats of its request.
    pub fn new(meta: ReplyMeta, echo: RequestEcho) -> Self {
        Self {
            meta,
            echo,
            model: String::new(),
            sequence: 0,
            started: false,
            ended: false,
            next_index: 0,
            open: None,
            calls: Vec::new(),
            done: Vec::new(),
            refusal_said: false,
            finish: Finish::Stop,
            usage: TokenUsage::default(),
        }
    }

    /// Appends the frames that say `event`. A provider's error says nothing here: what
    /// the client may know of it is for the caller to decide, who then calls
    /// [`error`](Self::error).
    pub fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                self.model.clone_from(model);
                self.start(out);
            }
            Event::Text(text) => self.say(ContentKind::Text, text, out),
            Event::Refusal(text) => self.say(ContentKind::Refusal, text, out),
            Event::Reasoning(text) => self.think(text, out),
            Event::ReasoningSeal(seal) => self.seal(seal, out),
            Event::ToolCall { index, id, name, seal } => {
                self.close_open(ItemStatus::Completed, out);
                if let Some(seal) = seal {
                    self.seal(seal, out);
                }
                self.open_call(*index, id, name, out);
            }
            Event::ToolArguments { index, json } => self.argue(*index, json, out),
            Event::Usage(usage) => {
                let seen = &mut self.usage;
                seen.input = seen.input.max(usage.input);
                seen.cached_input = seen.cached_input.max(usage.cached_input);
                seen.cache_write = seen.cache_write.max(usage.cache_write);
                seen.output = seen.output.max(usage.output);
                seen.reasoning = seen.reasoning.max(usage.reasoning);
            }
            Event::Finish(finish) => {
                self.finish = finish.clone();
                self.close_all(self.outcome().of_open_items(), out);
            }
            Event::Error(_) => {}
        }
    }

    /// Closes what is open and writes the dialect's own end. Does nothing once the stream
    /// has ended.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.start(out);
        let outcome = self.outcome();
        self.close_all(outcome.of_open_items(), out);
        self.ended = true;
        let name = if outcome == Outcome::Completed { "response.completed" } else { "response.incomplete" };
        self.lifecycle(name, outcome, out);
    }

    /// Writes an error in the dialect's own form, which ends the stream: an `error` event
    /// for readers that raise it, then the failed response for those that wait for one.
    pub fn error(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct ErrorEvent<'a> {
            code: Option<&'static str>,
            message: &'a str,
            param: Option<&'a str>,
            error: ErrorObject<'a>,
        }
        if self.ended {
            return;
        }
        self.start(out);
        self.ended = true;
        let param = error.param.as_deref();
        let event = ErrorEvent { code: error.code, message: &error.message, param, error: error.into() };
        self.frame("error", &event, out);
        self.keep_unfinished();
        let failure = Failure { code: failure_code(error.kind), message: &error.message };
        self.lifecycle("response.failed", Outcome::Failed(failure), out);
    }

    fn outcome(&self) -> Outcome<'static> {
        outcome(&self.finish, self.refusal_said)
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            self.lifecycle("response.created", Outcome::InProgress, out);
            self.lifecycle("response.in_progress", Outcome::InProgress, out);
        }
    }

    fn say(&mut self, kind: ContentKind, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.start(out);
        self.refusal_said |= kind == ContentKind::Refusal;
        let (index, mut message) = match self.open.take() {
            Some((index, OpenItem::Message(message))) => (index, message),
            other => {
                self.open = other;
                self.close_open(ItemStatus::Completed, out);
                let index = self.take_index();
                let message = Message::new(&self.meta.id, index, ItemStatus::InProgress);
                self.item("response.output_item.added", index, &Item::Message(message.clone()), out);
                (index, message)
            }
        };
        if message.content.last().is_none_or(|last| last.kind() != kind) {
            self.close_content(index, &message, out);
            let part = Content::empty(kind);
            let place = InContent::at(index, &message.id, message.content.len());
            self.frame("response.content_part.added", &InContent { part: Some(&part), ..place }, out);
        }
        message.push(kind, text);
        let content_index = message.content.len().saturating_sub(1);
        let delta = InContent { delta: Some(text), ..InContent::at(index, &message.id, content_index) };
        match kind {
            ContentKind::Text => {
                self.frame("response.output_text.delta", &InContent { logprobs: Some([]), ..delta }, out);
            }
            ContentKind::Refusal => self.frame("response.refusal.delta", &delta, out),
        }
        self.open = Some((index, OpenItem::Message(message)));
    }

    fn think(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.start(out);
        let (index, mut reasoning) = match self.open.take() {
            Some((index, OpenItem::Reasoning(reasoning))) => (index, reasoning),
            other => {
                self.open = other;
                self.close_open(ItemStatus::Completed, out);
                let index = self.take_index();
                let reasoning = Reasoning::new(&self.meta.id, index);
                self.item("response.output_item.added", index, &Item::Reasoning(reasoning.clone()), out);
                let part = Summary::new("");
                let added = InSummary { part: Some(&part), ..InSummary::at(index, &reasoning.id) };
                self.frame("response.reasoning_summary_part.added", &added, out);
                (index, reasoning)
            }
        };
        reasoning.push(text);
        let delta = InSummary { delta: Some(text), ..InSummary::at(index, &reasoning.id) };
        self.frame("response.reasoning_summary_text.delta", &delta, out);
        self.open = Some((index, OpenItem::Reasoning(reasoning)));
    }

    /// Ends the open reasoning with its state, or makes an item of the state alone.
    fn seal(&mut self, seal: &Seal, out: &mut Vec<u8>) {
        self.start(out);
        if let Some((_, OpenItem::Reasoning(reasoning))) = &mut self.open {
            reasoning.encrypted_content = Some(seal.to_token());
            return self.close_open(ItemStatus::Completed, out);
        }
        self.close_open(ItemStatus::Completed, out);
        let index = self.take_index();
        let item = Item::Reasoning(Reasoning::sealed(&self.meta.id, index, seal));
        self.item("response.output_item.added", index, &item, out);
        self.finish_item(index, item, out);
    }

    fn open_call(&mut self, call: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        self.start(out);
        let index = self.take_index();
        let item = FunctionCall::new(&self.meta.id, index, ItemStatus::InProgress, id, name);
        self.item("response.output_item.added", index, &Item::FunctionCall(item.clone()), out);
        self.calls.push(OpenCall { call, index, item });
    }

    fn argue(&mut self, call: u32, json: &str, out: &mut Vec<u8>) {
        let Some(open) = self.calls.iter_mut().find(|open| open.call == call).filter(|_| !json.is_empty()) else {
            return;
        };
        open.item.arguments.push_str(json);
        let sequence = self.sequence;
        self.sequence += 1;
        let delta =
            InCall { item_id: &open.item.id, output_index: open.index, delta: Some(json), arguments: None, name: None };
        write_frame("response.function_call_arguments.delta", sequence, &delta, out);
    }

    fn close_all(&mut self, status: ItemStatus, out: &mut Vec<u8>) {
        self.close_open(status, out);
        // Only the last item can have been cut.
        let last = self.next_index.saturating_sub(1);
        for OpenCall { index, mut item, .. } in std::mem::take(&mut self.calls) {
            item.status = if index == last { status } else { ItemStatus::Completed };
            let done = InCall {
                item_id: &item.id,
                output_index: index,
                delta: None,
                arguments: Some(&item.arguments),
                name: Some(&item.name),
            };
            self.frame("response.function_call_arguments.done", &done, out);
            self.finish_item(index, Item::FunctionCall(item), out);
        }
    }

    /// Closes the open message or reasoning, if there is one.
    fn close_open(&mut self, status: ItemStatus, out: &mut Vec<u8>) {
        match self.open.take() {
            None => {}
            Some((index, OpenItem::Message(mut message))) => {
                message.status = status;
                self.close_content(index, &message, out);
                self.finish_item(index, Item::Message(message), out);
            }
            Some((index, OpenItem::Reasoning(reasoning))) => {
                for summary in &reasoning.summary {
                    let done = InSummary { text: Some(&summary.text), ..InSummary::at(index, &reasoning.id) };
                    self.frame("response.reasoning_summary_text.done", &done, out);
                    let done = InSummary { part: Some(summary), ..InSummary::at(index, &reasoning.id) };
                    self.frame("response.reasoning_summary_part.done", &done, out);
                }
                self.finish_item(index, Item::Reasoning(reasoning), out);
            }
        }
    }

    /// Closes the last piece of a message's content, if there is one.
    fn close_content(&mut self, index: usize, message: &Message, out: &mut Vec<u8>) {
        let Some(last) = message.content.last() else { return };
        let content_index = message.content.len().saturating_sub(1);
        let place = || InContent::at(index, &message.id, content_index);
        match last {
            Content::OutputText { text, .. } => {
                let done = InContent { text: Some(text), logprobs: Some([]), ..place() };
                self.frame("response.output_text.done", &done, out);
            }
            Content::Refusal { refusal } => {
                let done = InContent { refusal: Some(refusal), ..place() };
                self.frame("response.refusal.done", &done, out);
            }
        }
        self.frame("response.content_part.done", &InContent { part: Some(last), ..place() }, out);
    }

    /// Puts what is open among the finished items, without a word, for the failed response.
    fn keep_unfinished(&mut self) {
        if let Some((index, open)) = self.open.take() {
            let item = match open {
                OpenItem::Message(mut message) => {
                    message.status = ItemStatus::Incomplete;
                    Item::Message(message)
                }
                OpenItem::Reasoning(reasoning) => Item::Reasoning(reasoning),
            };
            self.done.push((index, item));
        }
        for OpenCall { index, item, .. } in std::mem::take(&mut self.calls) {
            self.done.push((index, Item::FunctionCall(FunctionCall { status: ItemStatus::Incomplete, ..item })));
        }
    }

    fn take_index(&mut self) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        index
    }

    fn finish_item(&mut self, index: usize, item: Item, out: &mut Vec<u8>) {
        self.item("response.output_item.done", index, &item, out);
        self.done.push((index, item));
    }

    fn item(&mut self, name: &'static str, index: usize, item: &Item, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct ItemEvent<'a> {
            output_index: usize,
            item: &'a Item,
        }
        self.frame(name, &ItemEvent { output_index: index, item }, out);
    }

    /// An event that shows the whole response as far as it has come.
    fn lifecycle(&mut self, name: &'static str, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Lifecycle<'a> {
            response: ResponseObject<'a>,
        }
        let mut done = std::mem::take(&mut self.done);
        done.sort_by_key(|(index, _)| *index);
        let output: Vec<Item> = done.into_iter().map(|(_, item)| item).collect();
        let response = ResponseObject::new(&self.meta, &self.echo, &self.model, outcome, &output, &self.usage);
        let sequence = self.sequence;
        self.sequence += 1;
        write_frame(name, sequence, &Lifecycle { response }, out);
    }

    fn frame(&mut self, name: &'static str, fields: &impl Serialize, out: &mut Vec<u8>) {
        let sequence = self.sequence;
        self.sequence += 1;
        write_frame(name, sequence, fields, out);
    }
}

/// One frame. `name` stands in it twice: as the SSE event and as the JSON's `type`.
fn write_frame(name: &'static str, sequence_number: u64, fields: &impl Serialize, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Numbered<'a, T> {
        r#type: &'static str,
        sequence_number: u64,
        #[serde(flatten)]
        fields: &'a T,
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write_json(&Numbered { r#type: name, sequence_number, fields }, out);
    out.extend_from_slice(b"\n\n");
}

/// The fields of events about a piece of a message.
#[derive(Serialize, Default)]
struct InContent<'a> {
    item_id: &'a str,
    output_index: usize,
    content_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Content>,
    /// Text events must have them, empty as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

impl<'a> InContent<'a> {
    fn at(output_index: usize, item_id: &'a str, content_index: usize) -> Self {
        Self { item_id, output_index, content_index, ..Self::default() }
    }
}

/// The fields of events about a summary, of which there is one per item.
#[derive(Serialize, Default)]
struct InSummary<'a> {
    item_id: &'a str,
    output_index: usize,
    summary_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Summary>,
}

impl<'a> InSummary<'a> {
    fn at(output_index: usize, item_id: &'a str) -> Self {
        Self { item_id, output_index, ..Self::default() }
    }
}

/// The fields of events about a call's arguments.
#[derive(Serialize)]
struct InCall<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[cfg(test)]
mod tests;
