//! How does generated content look? Reading its requests, writing its answers and chunks.

use serde_json::{Value, json};

use super::{list, text};
use crate::domain::provider::Protocol;
use crate::simulate::answer::{Answer, Ask, Choice, Finish, Tally, Tool};
use crate::simulate::playback::{Beat, Framing, Script};
use crate::simulate::protocol::Meta;

/// The signature that this provider puts on its thoughts and calls, and accepts.
pub(super) const SIGNATURE: &str = "c2ltdWxhdGVkLXRob3VnaHQ=";

/// Reads a request; what it cannot make out it ignores, since checking is done before.
pub(super) fn read(model: &str, body: Value) -> Ask {
    let config = &body["generationConfig"];
    let mut ask = Ask {
        model: model.to_owned(),
        parallel: true,
        max_tokens: config["maxOutputTokens"].as_u64(),
        stops: list(config, "stopSequences").filter_map(|stop| stop.as_str().map(str::to_owned)).collect(),
        count: config["candidateCount"].as_u64().unwrap_or(1).clamp(1, 8),
        reasoning: config["thinkingConfig"]["includeThoughts"] == true,
        ..Ask::default()
    };
    if text(config, "responseMimeType") == "application/json" {
        let schema = ["responseJsonSchema", "responseSchema"].iter().find_map(|field| config.get(*field));
        let any = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
        ask.schema = Some(schema.cloned().unwrap_or(any));
    }
    let calling = &body["toolConfig"]["functionCallingConfig"];
    let allowed = list(calling, "allowedFunctionNames").find_map(Value::as_str);
    ask.choice = match (text(calling, "mode"), allowed) {
        ("NONE", _) => Choice::None,
        ("ANY", Some(name)) => Choice::Named(name.to_owned()),
        ("ANY", None) => Choice::Required,
        _ => Choice::Auto,
    };
    for tool in list(&body, "tools").flat_map(|tool| list(tool, "functionDeclarations")) {
        ask.count_value(tool);
        let schema = tool.get("parametersJsonSchema").or_else(|| tool.get("parameters")).cloned();
        ask.tools.push(Tool { name: text(tool, "name").to_owned(), schema: schema.unwrap_or_else(|| json!({})) });
    }
    for part in list(&body["systemInstruction"], "parts") {
        if !ask.system.is_empty() {
            ask.system.push('\n');
        }
        ask.system.push_str(text(part, "text"));
    }
    let system_bytes = ask.system.len();
    ask.prompt_bytes += system_bytes;
    for content in list(&body, "contents") {
        read_content(&mut ask, content);
    }
    ask.request = body;
    ask
}

fn read_content(ask: &mut Ask, content: &Value) {
    let model = text(content, "role") == "model";
    if model {
        // What follows is the last turn, as far as we know yet.
        ask.prompt.clear();
        ask.results.clear();
        ask.images.clear();
    }
    for part in list(content, "parts") {
        let words = text(part, "text");
        ask.count_text(words);
        ask.count_value(&part["functionCall"]);
        ask.count_value(&part["functionResponse"]);
        if model {
            continue;
        }
        if !words.is_empty() {
            if !ask.prompt.is_empty() {
                ask.prompt.push('\n');
            }
            ask.prompt.push_str(words);
        }
        if let Some(result) = part.get("functionResponse") {
            ask.results.push(result["response"].to_string());
        }
        for (field, kind) in [("inlineData", "mimeType"), ("fileData", "mimeType")] {
            if let Some(media) = part.get(field) {
                ask.images.push(text(media, kind).to_owned());
                ask.images_total += 1;
            }
        }
    }
}

fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Length => "MAX_TOKENS",
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
    }
}

fn usage(tally: Tally) -> Value {
    let mut usage = json!({
        "promptTokenCount": tally.prompt,
        "candidatesTokenCount": tally.output.saturating_sub(tally.reasoning),
        "totalTokenCount": tally.prompt + tally.output,
    });
    if tally.cached > 0 {
        usage["cachedContentTokenCount"] = tally.cached.into();
    }
    if tally.reasoning > 0 {
        usage["thoughtsTokenCount"] = tally.reasoning.into();
    }
    usage
}

fn chunk(ask: &Ask, meta: &Meta<'_>, candidates: Vec<Value>) -> Value {
    chunk_so_far(ask, meta, meta.tally, candidates)
}

/// A chunk of a stream counts what has been generated up to it.
fn chunk_so_far(ask: &Ask, meta: &Meta<'_>, tally: Tally, candidates: Vec<Value>) -> Value {
    let mut chunk = json!({"candidates": candidates, "modelVersion": ask.model, "responseId": meta.id("")});
    if meta.usage {
        chunk["usageMetadata"] = usage(tally);
    }
    chunk
}

fn candidate(index: usize, parts: Vec<Value>, reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
    }
    candidate
}

/// Calls of one turn; the first of a batch carries the signature.
fn calls(answer: &Answer) -> Vec<Value> {
    let parts = answer.calls.iter().enumerate().map(|(i, call)| {
        let mut part = json!({"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}});
        if i == 0 {
            part["thoughtSignature"] = SIGNATURE.into();
        }
        part
    });
    parts.collect()
}

/// Writes a whole answer.
pub(in crate::simulate) fn write(ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Value {
    let candidates = answers.iter().enumerate().map(|(index, answer)| {
        let mut parts = Vec::new();
        if !answer.reasoning.is_empty() {
            parts.push(json!({"text": answer.reasoning_text(), "thought": true}));
        }
        if !answer.text.is_empty() {
            let mut part = json!({"text": answer.full_text()});
            if !answer.reasoning.is_empty() {
                part["thoughtSignature"] = SIGNATURE.into();
            }
            parts.push(part);
        }
        parts.extend(calls(answer));
        candidate(index, parts, Some(finish(&answer.finish)))
    });
    chunk(ask, meta, candidates.collect())
}

/// Writes answers as a stream, a token a chunk, one candidate after the other.
pub(in crate::simulate) fn stream(ask: &Ask, answers: &[Answer], meta: &Meta<'_>, framing: Framing) -> Script {
    let mut script = Script::new(framing);
    let mut tally = Tally { output: 0, reasoning: 0, ..meta.tally };
    let empty = |reason| vec![candidate(0, vec![json!({"text": ""})], reason)];
    script.event(Beat::Head, None, &chunk_so_far(ask, meta, tally, empty(None)));
    if answers.is_empty() {
        script.event(Beat::Follow, None, &chunk(ask, meta, empty(Some("STOP"))));
    }
    for (index, answer) in answers.iter().enumerate() {
        let thoughts = answer.reasoning.iter().map(|token| (json!({"text": token, "thought": true}), 1, true));
        let words = answer.text.iter().map(|token| (json!({ "text": token }), 1, false));
        // A call arrives at once, however many tokens its arguments are.
        let sizes = answer.calls.iter().map(|call| call.pieces().len() as u64);
        let calls = calls(answer).into_iter().zip(sizes).map(|(part, size)| (part, size, false));
        for (part, size, thought) in thoughts.chain(words).chain(calls) {
            tally.output += size;
            tally.reasoning += u64::from(thought);
            let candidates = vec![candidate(index, vec![part], None)];
            script.event(Beat::Token, None, &chunk_so_far(ask, meta, tally, candidates));
        }
        let mut last = json!({"text": ""});
        if !answer.reasoning.is_empty() && answer.calls.is_empty() {
            last["thoughtSignature"] = SIGNATURE.into();
        }
        let end = candidate(index, vec![last], Some(finish(&answer.finish)));
        script.event(Beat::Follow, None, &chunk_so_far(ask, meta, tally, vec![end]));
    }
    if framing == Framing::Array {
        script.raw(Beat::Follow, b"]");
    }
    script
}

/// What this API answers with status 200 to a prompt that its policy refuses: no candidates.
/// `None` for other protocols, which refuse outright.
pub(in crate::simulate) fn blocked(protocol: Protocol, ask: &Ask, meta: &Meta<'_>) -> Option<Value> {
    if protocol != Protocol::Gemini {
        return None;
    }
    let mut body = chunk(ask, meta, Vec::new());
    body["promptFeedback"] = json!({"blockReason": "PROHIBITED_CONTENT"});
    if let Value::Object(fields) = &mut body {
        fields.remove("candidates");
    }
    Some(body)
}
