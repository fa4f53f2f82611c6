//! How does a message look? Reading its requests, writing it whole and as a stream of blocks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{list, text};
use crate::simulate::answer::{Answer, Ask, Choice, Finish, Tool, ToolCall};
use crate::simulate::playback::{Beat, Framing, Script};
use crate::simulate::protocol::Meta;
use crate::simulate::words::hash;

/// Reads a request; what it cannot make out it ignores, since checking is done before.
pub(super) fn read(body: Value) -> Ask {
    let choice = &body["tool_choice"];
    let mut ask = Ask {
        model: text(&body, "model").to_owned(),
        stream: body["stream"] == true,
        parallel: choice["disable_parallel_tool_use"] != true,
        reasoning: matches!(text(&body["thinking"], "type"), "enabled" | "adaptive"),
        max_tokens: body["max_tokens"].as_u64(),
        stops: list(&body, "stop_sequences").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        choice: match text(choice, "type") {
            "none" => Choice::None,
            "any" => Choice::Required,
            "tool" => Choice::Named(text(choice, "name").to_owned()),
            _ => Choice::Auto,
        },
        ..Ask::default()
    };
    ask.system = blocks_text(&mut ask, &body["system"]);
    ask.prompt_bytes = ask.system.len();
    let format = &body["output_config"]["format"];
    if format["type"] == "json_schema" {
        ask.schema = Some(format["schema"].clone());
    }
    for tool in list(&body, "tools") {
        ask.count_value(tool);
        if tool["input_schema"].is_object() {
            ask.tools.push(Tool { name: text(tool, "name").to_owned(), schema: tool["input_schema"].clone() });
        }
    }
    for message in list(&body, "messages") {
        read_message(&mut ask, message);
    }
    ask.request = body;
    ask
}

fn read_message(ask: &mut Ask, message: &Value) {
    let role = text(message, "role");
    if role == "assistant" {
        ask.count_value(&message["content"]);
        ask.prompt.clear();
        ask.results.clear();
        ask.images.clear();
        return;
    }
    let said = blocks_text(ask, &message["content"]);
    ask.count_text(&said);
    let place = if role == "system" { &mut ask.system } else { &mut ask.prompt };
    if !place.is_empty() && !said.is_empty() {
        place.push('\n');
    }
    place.push_str(&said);
}

/// The text of a string or of blocks; images and tool results in them are noted.
fn blocks_text(ask: &mut Ask, content: &Value) -> String {
    let blocks = match content {
        Value::String(text) => return text.clone(),
        Value::Array(blocks) => blocks,
        _ => return String::new(),
    };
    let mut texts = Vec::new();
    for block in blocks {
        match text(block, "type") {
            "image" => {
                let source = &block["source"];
                let label = source.get("media_type").or(source.get("url")).or(source.get("file_id"));
                ask.images.push(label.and_then(Value::as_str).unwrap_or_default().to_owned());
                ask.images_total += 1;
            }
            "tool_result" => {
                // Results hold texts and images, never results: the check refuses them.
                let inner = match &block["content"] {
                    Value::Array(parts) => parts.iter().map(|part| text(part, "text")).collect::<Vec<_>>().join("\n"),
                    other => other.as_str().unwrap_or_default().to_owned(),
                };
                ask.count_text(&inner);
                ask.results.push(inner);
            }
            _ => texts.push(text(block, "text")),
        }
    }
    texts.join("\n")
}

/// The signature of a thinking block, which vouches for its text.
pub(super) fn signature(thinking: &str) -> String {
    STANDARD.encode(format!("simulated:{:016x}", hash(0, &[thinking.as_bytes()])))
}

fn stop(answer: Option<&Answer>) -> (&'static str, Value) {
    match answer.map(|answer| &answer.finish) {
        None | Some(Finish::Stop) => ("end_turn", Value::Null),
        Some(Finish::StopSequence(sequence)) => ("stop_sequence", sequence.as_str().into()),
        Some(Finish::Length) => ("max_tokens", Value::Null),
        Some(Finish::ToolCalls) => ("tool_use", Value::Null),
    }
}

/// The `usage` object; cached tokens are not part of `input_tokens`.
fn usage(meta: &Meta<'_>, output: u64) -> Value {
    let tally = if meta.usage { meta.tally } else { Default::default() };
    let mut usage = json!({
        "input_tokens": tally.prompt - tally.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": tally.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": if meta.usage { output } else { 0 },
        "service_tier": "standard",
    });
    // Thoughts are counted only with the whole of the output.
    if tally.reasoning > 0 && output == tally.output {
        usage["output_tokens_details"] = json!({"thinking_tokens": tally.reasoning});
    }
    usage
}

fn envelope(ask: &Ask, meta: &Meta<'_>) -> Value {
    json!({"id": meta.id("msg_"), "type": "message", "role": "assistant", "model": ask.model, "content": [],
        "stop_reason": null, "stop_sequence": null})
}

fn tool_use(call: &ToolCall, input: Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": input})
}

/// Writes a whole message.
pub(in crate::simulate) fn write(ask: &Ask, answer: Option<&Answer>, meta: &Meta<'_>) -> Value {
    let mut content = Vec::new();
    if let Some(answer) = answer {
        if !answer.reasoning.is_empty() {
            let thinking = answer.reasoning_text();
            content.push(json!({"type": "thinking", "signature": signature(&thinking), "thinking": thinking}));
        }
        if !answer.text.is_empty() {
            content.push(json!({"type": "text", "text": answer.full_text()}));
        }
        content.extend(answer.calls.iter().map(|call| tool_use(call, call.arguments.clone())));
    }
    let (reason, sequence) = stop(answer);
    let mut message = envelope(ask, meta);
    message["content"] = content.into();
    message["stop_reason"] = reason.into();
    message["stop_sequence"] = sequence;
    message["usage"] = usage(meta, meta.tally.output);
    message
}

/// The events of a stream, in which every block is opened, filled and closed.
struct Events {
    script: Script,
    /// The block that is open or comes next.
    index: usize,
}

impl Events {
    fn send(&mut self, beat: Beat, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        self.script.event(beat, Some(kind), &data);
    }

    fn open(&mut self, block: Value) {
        // A first block's opening still belongs to the head: it says nothing yet, except of a tool.
        let first = if self.index == 0 { Beat::Head } else { Beat::Follow };
        let beat = if block["type"] == "tool_use" { Beat::Token } else { first };
        let index = self.index;
        self.send(beat, "content_block_start", json!({"index": index, "content_block": block}));
        if index == 0 {
            self.send(Beat::Follow, "ping", json!({}));
        }
    }

    fn delta(&mut self, beat: Beat, delta: Value) {
        let index = self.index;
        self.send(beat, "content_block_delta", json!({"index": index, "delta": delta}));
    }

    fn close(&mut self) {
        let index = self.index;
        self.send(Beat::Follow, "content_block_stop", json!({ "index": index }));
        self.index += 1;
    }
}

/// Writes a message as a stream.
pub(in crate::simulate) fn stream(ask: &Ask, answer: Option<&Answer>, meta: &Meta<'_>) -> Script {
    let mut events = Events { script: Script::new(Framing::Sse), index: 0 };
    let mut message = envelope(ask, meta);
    message["usage"] = usage(meta, meta.tally.output.min(1));
    events.send(Beat::Head, "message_start", json!({ "message": message }));
    if let Some(answer) = answer {
        blocks(&mut events, answer);
    }
    let (reason, sequence) = stop(answer);
    let mut total = usage(meta, meta.tally.output);
    if let Value::Object(total) = &mut total {
        total.retain(|field, _| !matches!(field.as_str(), "cache_creation" | "service_tier"));
    }
    let delta = json!({"stop_reason": reason, "stop_sequence": sequence});
    events.send(Beat::Follow, "message_delta", json!({"delta": delta, "usage": total}));
    events.send(Beat::Follow, "message_stop", json!({}));
    events.script
}

fn blocks(events: &mut Events, answer: &Answer) {
    if !answer.reasoning.is_empty() {
        events.open(json!({"type": "thinking", "thinking": "", "signature": ""}));
        for token in &answer.reasoning {
            events.delta(Beat::Token, json!({"type": "thinking_delta", "thinking": token}));
        }
        let signature = signature(&answer.reasoning_text());
        events.delta(Beat::Follow, json!({"type": "signature_delta", "signature": signature}));
        events.close();
    }
    if !answer.text.is_empty() {
        events.open(json!({"type": "text", "text": ""}));
        for token in &answer.text {
            events.delta(Beat::Token, json!({"type": "text_delta", "text": token}));
        }
        events.close();
    }
    for call in &answer.calls {
        events.open(tool_use(call, json!({})));
        events.delta(Beat::Follow, json!({"type": "input_json_delta", "partial_json": ""}));
        for piece in call.pieces() {
            events.delta(Beat::Token, json!({"type": "input_json_delta", "partial_json": piece}));
        }
        events.close();
    }
}
