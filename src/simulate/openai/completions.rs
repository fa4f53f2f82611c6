//! How does a legacy text completion look?

use serde_json::{Value, json};

use super::chat::usage;
use super::chat_check::{known_fields, required};
use super::{stops, text};
use crate::simulate::answer::{Answer, Ask, Finish};
use crate::simulate::playback::{Beat, Framing, Script};
use crate::simulate::protocol::Meta;
use crate::simulate::refusal::Refusal;

const FIELDS: [&str; 18] = [
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

/// Reads a completion request; prompts given as tokens count as one word each.
pub(super) fn read(body: Value, validate: bool) -> Result<Ask, Refusal> {
    if validate {
        known_fields(&body, &FIELDS)?;
        required(&body, "model")?;
    }
    let number = |field: &str| body.get(field).and_then(Value::as_u64);
    let mut ask = Ask {
        model: text(&body, "model").to_owned(),
        stream: body["stream"] == true,
        // The real API stops after 16 tokens unless told otherwise.
        max_tokens: Some(number("max_tokens").unwrap_or(16)),
        stops: stops(body.get("stop")),
        count: number("n").unwrap_or(1).clamp(1, 16),
        flag: body["stream_options"]["include_usage"] == true,
        ..Ask::default()
    };
    ask.prompt = match &body["prompt"] {
        Value::String(prompt) => prompt.clone(),
        Value::Array(prompts) => prompts
            .iter()
            .map(|p| p.as_str().map_or_else(|| p.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    ask.prompt_bytes = ask.prompt.len();
    ask.request = body;
    Ok(ask)
}

fn finish(finish: &Finish) -> &'static str {
    if *finish == Finish::Length { "length" } else { "stop" }
}

fn frame(ask: &Ask, meta: &Meta<'_>) -> Value {
    json!({"id": meta.id("cmpl-"), "object": "text_completion", "created": meta.created, "model": ask.model,
        "choices": []})
}

/// Writes a whole completion.
pub(super) fn write(ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Value {
    let mut completion = frame(ask, meta);
    completion["choices"] = answers
        .iter()
        .enumerate()
        .map(|(index, answer)| {
            json!({"text": answer.full_text(), "index": index, "logprobs": null,
                "finish_reason": finish(&answer.finish)})
        })
        .collect();
    if meta.usage {
        completion["usage"] = usage(meta);
    }
    completion
}

/// Writes a completion as a stream.
pub(super) fn stream(ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Script {
    let mut script = Script::new(Framing::Sse);
    let mut chunk = frame(ask, meta);
    for (index, answer) in answers.iter().enumerate() {
        for token in &answer.text {
            chunk["choices"] = json!([{"text": token, "index": index, "logprobs": null, "finish_reason": null}]);
            script.event(Beat::Token, None, &chunk);
        }
        let finish = finish(&answer.finish);
        chunk["choices"] = json!([{"text": "", "index": index, "logprobs": null, "finish_reason": finish}]);
        script.event(Beat::Follow, None, &chunk);
    }
    if ask.flag && meta.usage {
        chunk["choices"] = json!([]);
        chunk["usage"] = usage(meta);
        script.event(Beat::Follow, None, &chunk);
    }
    script.raw(Beat::Follow, b"data: [DONE]\n\n");
    script
}
