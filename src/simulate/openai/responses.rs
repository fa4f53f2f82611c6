//! How does a response (OpenAI's Responses API) look? Reading its requests, writing it whole.

use serde_json::{Value, json};

use super::{image_label, list, text};
use crate::simulate::answer::{Answer, Ask, Choice, Finish, Tool};
use crate::simulate::protocol::Meta;
use crate::simulate::words::id;

/// Reads a request; what it cannot make out it ignores, since checking is done before.
pub(super) fn read(body: Value) -> Ask {
    let effort = text(&body["reasoning"], "effort");
    let mut ask = Ask {
        model: text(&body, "model").to_owned(),
        stream: body["stream"] == true,
        parallel: body["parallel_tool_calls"] != false,
        reasoning: !matches!(effort, "" | "none"),
        max_tokens: body["max_output_tokens"].as_u64(),
        choice: choice(&body["tool_choice"]),
        system: text(&body, "instructions").to_owned(),
        ..Ask::default()
    };
    ask.prompt_bytes = ask.system.len();
    let format = &body["text"]["format"];
    ask.schema = match text(format, "type") {
        "json_schema" => Some(format["schema"].clone()),
        "json_object" => Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        _ => None,
    };
    for tool in list(&body, "tools") {
        ask.count_value(tool);
        if tool["type"] == "function" {
            ask.tools.push(Tool { name: text(tool, "name").to_owned(), schema: tool["parameters"].clone() });
        }
    }
    match &body["input"] {
        Value::String(prompt) => {
            ask.count_text(prompt);
            ask.prompt = prompt.clone();
        }
        Value::Array(items) => items.iter().for_each(|item| read_item(&mut ask, item)),
        _ => {}
    }
    ask.request = body;
    ask
}

fn choice(value: &Value) -> Choice {
    match value {
        Value::String(word) if word == "none" => Choice::None,
        Value::String(word) if word == "required" => Choice::Required,
        Value::Object(_) if value["type"] == "function" => Choice::Named(text(value, "name").to_owned()),
        Value::Object(_) if value["mode"] == "required" => Choice::Required,
        _ => Choice::Auto,
    }
}

fn read_item(ask: &mut Ask, item: &Value) {
    match text(item, "type") {
        "function_call_output" => {
            let output = content(ask, &item["output"]);
            ask.count_text(&output);
            ask.results.push(output);
        }
        "function_call" => {
            ask.count_text(text(item, "arguments"));
            last_turn_begins(ask);
        }
        "reasoning" => last_turn_begins(ask),
        "message" | "" => {
            let content = content(ask, &item["content"]);
            ask.count_text(&content);
            match text(item, "role") {
                "system" | "developer" => append(&mut ask.system, &content),
                "assistant" => last_turn_begins(ask),
                _ => append(&mut ask.prompt, &content),
            }
        }
        _ => {}
    }
}

/// What the model said is past; the last turn is what follows.
fn last_turn_begins(ask: &mut Ask) {
    ask.prompt.clear();
    ask.results.clear();
    ask.images.clear();
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

fn content(ask: &mut Ask, content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                if part["type"] == "input_image" {
                    ask.images.push(image_label(text(part, "image_url")));
                    ask.images_total += 1;
                } else {
                    texts.push(text(part, "text"));
                }
            }
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The ids of an answer's items, which a stream repeats in every event.
pub(super) struct Ids {
    pub reasoning: String,
    pub message: String,
    pub calls: Vec<String>,
}

impl Ids {
    pub fn of(answer: &Answer, meta: &Meta<'_>) -> Self {
        let calls = answer.calls.iter().zip(1..).map(|(_, at)| id("fc_", meta.serial ^ at << 32)).collect();
        Self { reasoning: meta.id("rs_"), message: meta.id("msg_"), calls }
    }
}

/// The reasoning item.
pub(super) fn reasoning_item(id: &str, ask: &Ask, summary: Option<&str>) -> Value {
    let summary: Vec<Value> = summary.map(|text| json!({"type": "summary_text", "text": text})).into_iter().collect();
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if list(&ask.request, "include").iter().any(|wanted| wanted == "reasoning.encrypted_content") {
        item["encrypted_content"] = "gAAAAAsimulated".into();
    }
    item
}

/// The message item; without text while it is being made.
pub(super) fn message_item(id: &str, text: Option<&str>, finish: &Finish) -> Value {
    let status = match (text, finish) {
        (None, _) => "in_progress",
        (_, Finish::Length) => "incomplete",
        _ => "completed",
    };
    let content: Vec<Value> = text.map(part).into_iter().collect();
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

/// The text part of a message.
pub(super) fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// A function call item.
pub(super) fn call_item(id: &str, call_id: &str, name: &str, arguments: &str, status: &str) -> Value {
    json!({"id": id, "type": "function_call", "status": status, "call_id": format!("call_{call_id}"), "name": name,
        "arguments": arguments})
}

/// The items of a whole answer.
pub(super) fn output(ask: &Ask, answer: &Answer, ids: &Ids) -> Vec<Value> {
    let mut items = Vec::new();
    if !answer.reasoning.is_empty() {
        items.push(reasoning_item(&ids.reasoning, ask, Some(&answer.reasoning_text())));
    }
    if answer.calls.is_empty() {
        items.push(message_item(&ids.message, Some(&answer.full_text()), &answer.finish));
    }
    for (call, id) in answer.calls.iter().zip(&ids.calls) {
        items.push(call_item(id, &call.id, &call.name, &call.arguments.to_string(), "completed"));
    }
    items
}

/// The response object in this state.
pub(super) fn envelope(ask: &Ask, meta: &Meta<'_>, status: &str, output: Vec<Value>) -> Value {
    let request = &ask.request;
    let given = |field: &str, usual: Value| request.get(field).filter(|v| !v.is_null()).cloned().unwrap_or(usual);
    json!({
        "id": meta.id("resp_"),
        "object": "response",
        "created_at": meta.created,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": given("instructions", Value::Null),
        "max_output_tokens": given("max_output_tokens", Value::Null),
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": given("parallel_tool_calls", json!(true)),
        "previous_response_id": null,
        "reasoning": given("reasoning", json!({"effort": null, "summary": null})),
        "service_tier": "default",
        "store": given("store", json!(true)),
        "temperature": given("temperature", json!(1.0)),
        "text": given("text", json!({"format": {"type": "text"}})),
        "tool_choice": given("tool_choice", json!("auto")),
        "tools": given("tools", json!([])),
        "top_p": given("top_p", json!(1.0)),
        "truncation": "disabled",
        "usage": null,
        "user": null,
        "metadata": given("metadata", json!({})),
    })
}

/// The response when all is said.
pub(super) fn finished(ask: &Ask, answer: Option<&Answer>, output: Vec<Value>, meta: &Meta<'_>) -> Value {
    let cut = answer.is_some_and(|answer| answer.finish == Finish::Length);
    let mut response = envelope(ask, meta, if cut { "incomplete" } else { "completed" }, output);
    if cut {
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    } else {
        response["completed_at"] = meta.created.into();
    }
    if meta.usage {
        let tally = meta.tally;
        response["usage"] = json!({
            "input_tokens": tally.prompt,
            "input_tokens_details": {"cached_tokens": tally.cached, "cache_write_tokens": 0},
            "output_tokens": tally.output,
            "output_tokens_details": {"reasoning_tokens": tally.reasoning},
            "total_tokens": tally.prompt + tally.output,
        });
    }
    response
}

/// Writes a whole response.
pub(super) fn write(ask: &Ask, answer: Option<&Answer>, meta: &Meta<'_>) -> Value {
    let items = answer.map(|answer| output(ask, answer, &Ids::of(answer, meta))).unwrap_or_default();
    finished(ask, answer, items, meta)
}
