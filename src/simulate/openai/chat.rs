//! How does a chat completion look? Reading its requests, writing its answers and chunks.

use serde_json::{Value, json};

use super::{image_label, list, stops, text};
use crate::simulate::answer::{Answer, Ask, Choice, Finish, Tool, ToolCall};
use crate::simulate::playback::{Beat, Framing, Script};
use crate::simulate::protocol::Meta;

/// Reads a chat request; what it cannot make out it ignores, since checking is done before.
pub(super) fn read(body: Value) -> Ask {
    let number = |field: &str| body.get(field).and_then(Value::as_u64);
    let mut ask = Ask {
        model: text(&body, "model").to_owned(),
        stream: body["stream"] == true,
        parallel: body["parallel_tool_calls"] != false,
        reasoning: !matches!(text(&body, "reasoning_effort"), "" | "none"),
        max_tokens: number("max_completion_tokens").or(number("max_tokens")),
        stops: stops(body.get("stop")),
        count: number("n").unwrap_or(1).clamp(1, 16),
        flag: body["stream_options"]["include_usage"] == true,
        choice: choice(&body["tool_choice"]),
        ..Ask::default()
    };
    ask.schema = match text(&body["response_format"], "type") {
        "json_schema" => Some(body["response_format"]["json_schema"]["schema"].clone()),
        "json_object" => Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        _ => None,
    };
    for tool in list(&body, "tools") {
        ask.count_value(tool);
        let function = &tool["function"];
        ask.tools.push(Tool { name: text(function, "name").to_owned(), schema: function["parameters"].clone() });
    }
    for message in list(&body, "messages") {
        read_message(&mut ask, message);
    }
    ask.request = body;
    ask
}

fn choice(value: &Value) -> Choice {
    match value {
        Value::String(word) => match word.as_str() {
            "none" => Choice::None,
            "required" => Choice::Required,
            _ => Choice::Auto,
        },
        Value::Object(_) if value["type"] == "allowed_tools" => match text(&value["allowed_tools"], "mode") {
            "required" => Choice::Required,
            _ => Choice::Auto,
        },
        Value::Object(_) => Choice::Named(text(&value["function"], "name").to_owned()),
        _ => Choice::Auto,
    }
}

fn read_message(ask: &mut Ask, message: &Value) {
    let content = content_text(ask, &message["content"]);
    ask.count_text(&content);
    match text(message, "role") {
        "system" | "developer" => {
            if !ask.system.is_empty() {
                ask.system.push('\n');
            }
            ask.system.push_str(&content);
        }
        "assistant" => {
            ask.count_value(&message["tool_calls"]);
            // What follows is the last turn, as far as we know yet.
            ask.prompt.clear();
            ask.results.clear();
            ask.images.clear();
        }
        "tool" => ask.results.push(content),
        _ => {
            if !ask.prompt.is_empty() {
                ask.prompt.push('\n');
            }
            ask.prompt.push_str(&content);
        }
    }
}

/// The text of a content, with its images noted.
fn content_text(ask: &mut Ask, content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                match text(part, "type") {
                    "image_url" => {
                        ask.images.push(image_label(text(&part["image_url"], "url")));
                        ask.images_total += 1;
                    }
                    _ => texts.push(text(part, "text")),
                }
            }
            texts.join("\n")
        }
        _ => String::new(),
    }
}

fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

/// The `usage` object of chats and completions.
pub(super) fn usage(meta: &Meta<'_>) -> Value {
    let tally = meta.tally;
    json!({
        "prompt_tokens": tally.prompt,
        "completion_tokens": tally.output,
        "total_tokens": tally.prompt + tally.output,
        "prompt_tokens_details": {"cached_tokens": tally.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tally.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

fn call_id(call: &ToolCall) -> String {
    format!("call_{}", call.id)
}

/// Writes a whole completion.
pub(super) fn write(ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Value {
    let choices: Vec<Value> = answers.iter().enumerate().map(|(index, answer)| choice_of(index, answer)).collect();
    let mut completion = json!({
        "id": meta.id("chatcmpl-"),
        "object": "chat.completion",
        "created": meta.created,
        "model": ask.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    });
    if meta.usage {
        completion["usage"] = usage(meta);
    }
    completion
}

fn choice_of(index: usize, answer: &Answer) -> Value {
    let content = if answer.calls.is_empty() { Value::String(answer.full_text()) } else { Value::Null };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
    if !answer.reasoning.is_empty() {
        message["reasoning_content"] = answer.reasoning_text().into();
    }
    if !answer.calls.is_empty() {
        let calls = answer.calls.iter().map(|call| {
            json!({"id": call_id(call), "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.to_string()}})
        });
        message["tool_calls"] = calls.collect();
    }
    json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish(&answer.finish)})
}

/// Writes the chunks of a completion, the answers one after the other.
pub(super) fn stream(ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Script {
    let mut script = Script::new(Framing::Sse);
    let mut chunk = json!({
        "id": meta.id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": meta.created,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": [],
    });
    if ask.flag {
        chunk["usage"] = Value::Null;
    }
    let mut send = |beat: Beat, index: usize, delta: Value, finish: Option<&str>| {
        chunk["choices"] = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        script.event(beat, None, &chunk);
    };
    for index in 0..answers.len() {
        send(Beat::Head, index, json!({"role": "assistant", "content": "", "refusal": null}), None);
    }
    for (index, answer) in answers.iter().enumerate() {
        for token in &answer.reasoning {
            send(Beat::Token, index, json!({ "reasoning_content": token }), None);
        }
        for token in &answer.text {
            send(Beat::Token, index, json!({ "content": token }), None);
        }
        for (at, call) in answer.calls.iter().enumerate() {
            let start = json!({"index": at, "id": call_id(call), "type": "function",
                "function": {"name": call.name, "arguments": ""}});
            send(Beat::Token, index, json!({ "tool_calls": [start] }), None);
            for piece in call.pieces() {
                let more = json!({"index": at, "function": {"arguments": piece}});
                send(Beat::Token, index, json!({ "tool_calls": [more] }), None);
            }
        }
        send(Beat::Follow, index, json!({}), Some(finish(&answer.finish)));
    }
    if ask.flag && meta.usage {
        chunk["choices"] = json!([]);
        chunk["usage"] = usage(meta);
        script.event(Beat::Follow, None, &chunk);
    }
    script.raw(Beat::Follow, b"data: [DONE]\n\n");
    script
}
