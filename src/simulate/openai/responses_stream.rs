//! In which events does a response arrive? Items opened, filled and closed, each event numbered.

use serde_json::{Value, json};

use super::responses::{Ids, call_item, envelope, finished, message_item, output, part, reasoning_item};
use crate::simulate::answer::{Answer, Ask, Finish};
use crate::simulate::playback::{Beat, Framing, Script};
use crate::simulate::protocol::Meta;

/// The events so far; each carries its number and its type twice, as the API does.
struct Events(Script);

impl Events {
    fn send(&mut self, beat: Beat, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.0.frames.len().into();
        self.0.event(beat, Some(kind), &data);
    }
}

/// Writes a response as a stream.
pub(super) fn stream(ask: &Ask, answer: Option<&Answer>, meta: &Meta<'_>) -> Script {
    let mut events = Events(Script::new(Framing::Sse));
    let opening = envelope(ask, meta, "in_progress", Vec::new());
    events.send(Beat::Head, "response.created", json!({ "response": opening }));
    events.send(Beat::Head, "response.in_progress", json!({ "response": opening }));
    let mut items = Vec::new();
    if let Some(answer) = answer {
        let ids = Ids::of(answer, meta);
        let mut index = 0;
        if !answer.reasoning.is_empty() {
            reasoning(&mut events, ask, answer, &ids.reasoning);
            index += 1;
        }
        if answer.calls.is_empty() {
            message(&mut events, answer, &ids.message, index);
        }
        calls(&mut events, answer, &ids, index);
        items = output(ask, answer, &ids);
    }
    let cut = answer.is_some_and(|answer| answer.finish == Finish::Length);
    let kind = if cut { "response.incomplete" } else { "response.completed" };
    events.send(Beat::Follow, kind, json!({ "response": finished(ask, answer, items, meta) }));
    events.0
}

/// The first token's event opens the item it belongs to: until then only the head has been seen.
fn reasoning(events: &mut Events, ask: &Ask, answer: &Answer, id: &str) {
    let place = |extra: Value| merged(json!({"item_id": id, "output_index": 0, "summary_index": 0}), extra);
    let item = reasoning_item(id, ask, None);
    events.send(Beat::Head, "response.output_item.added", json!({"output_index": 0, "item": item}));
    let empty = json!({"part": {"type": "summary_text", "text": ""}});
    events.send(Beat::Head, "response.reasoning_summary_part.added", place(empty));
    for token in &answer.reasoning {
        events.send(Beat::Token, "response.reasoning_summary_text.delta", place(json!({ "delta": token })));
    }
    let text = answer.reasoning_text();
    events.send(Beat::Follow, "response.reasoning_summary_text.done", place(json!({ "text": text })));
    let full = json!({"part": {"type": "summary_text", "text": text}});
    events.send(Beat::Follow, "response.reasoning_summary_part.done", place(full));
    let item = reasoning_item(id, ask, Some(&text));
    events.send(Beat::Follow, "response.output_item.done", json!({"output_index": 0, "item": item}));
}

fn message(events: &mut Events, answer: &Answer, id: &str, index: usize) {
    let place = |extra: Value| merged(json!({"item_id": id, "output_index": index, "content_index": 0}), extra);
    let open = if index == 0 { Beat::Head } else { Beat::Follow };
    let item = message_item(id, None, &answer.finish);
    events.send(open, "response.output_item.added", json!({"output_index": index, "item": item}));
    events.send(open, "response.content_part.added", place(json!({ "part": part("") })));
    for token in &answer.text {
        let delta = json!({"delta": token, "logprobs": []});
        events.send(Beat::Token, "response.output_text.delta", place(delta));
    }
    let text = answer.full_text();
    events.send(Beat::Follow, "response.output_text.done", place(json!({"text": text, "logprobs": []})));
    events.send(Beat::Follow, "response.content_part.done", place(json!({ "part": part(&text) })));
    let item = message_item(id, Some(&text), &answer.finish);
    events.send(Beat::Follow, "response.output_item.done", json!({"output_index": index, "item": item}));
}

fn calls(events: &mut Events, answer: &Answer, ids: &Ids, first: usize) {
    for (at, (call, id)) in answer.calls.iter().zip(&ids.calls).enumerate() {
        let index = first + at;
        let place = |extra: Value| merged(json!({"item_id": id, "output_index": index}), extra);
        let item = call_item(id, &call.id, &call.name, "", "in_progress");
        events.send(Beat::Token, "response.output_item.added", json!({"output_index": index, "item": item}));
        for piece in call.pieces() {
            events.send(Beat::Token, "response.function_call_arguments.delta", place(json!({ "delta": piece })));
        }
        let arguments = call.arguments.to_string();
        let done = json!({"arguments": arguments, "name": call.name});
        events.send(Beat::Follow, "response.function_call_arguments.done", place(done));
        let item = call_item(id, &call.id, &call.name, &arguments, "completed");
        events.send(Beat::Follow, "response.output_item.done", json!({"output_index": index, "item": item}));
    }
}

/// The fields of both objects.
fn merged(mut base: Value, extra: Value) -> Value {
    if let (Value::Object(base), Value::Object(extra)) = (&mut base, extra) {
        base.extend(extra);
    }
    base
}
