//! A load whose every request is counted by whoever sends it.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::chat::Asked;
use crate::support::gateway::Gateway;

/// How a request of a test ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// With its answer.
    TheEnd,
    /// Its caller leaves after the first content.
    TheFirstContent,
}

/// What the load generator has counted: by alias and outcome, and tokens by alias and kind.
#[derive(Debug, Default)]
pub struct Counted {
    /// Requests by alias (none if the name led nowhere) and outcome.
    pub requests: BTreeMap<(String, String), u64>,
    /// Tokens, as answers told them, by alias and kind.
    pub tokens: BTreeMap<(String, String), u64>,
}

impl Counted {
    /// One more request.
    pub fn request(&mut self, alias: &str, outcome: &str) {
        *self.requests.entry((alias.to_owned(), outcome.to_owned())).or_default() += 1;
    }

    fn usage(&mut self, alias: &str, usage: &Value) {
        for (kind, field) in [("input", "prompt_tokens"), ("output", "completion_tokens")] {
            let tokens = usage[field].as_u64().unwrap_or_else(|| panic!("no {field} in {usage}"));
            *self.tokens.entry((alias.to_owned(), kind.to_owned())).or_default() += tokens;
        }
    }

    /// Takes in what another has counted.
    pub fn add(&mut self, other: Self) {
        for (key, count) in other.requests {
            *self.requests.entry(key).or_default() += count;
        }
        for (key, count) in other.tokens {
            *self.tokens.entry(key).or_default() += count;
        }
    }
}

/// Sends a chat and counts how it ended, as its caller saw it.
pub async fn send(client: &reqwest::Client, gateway: &Gateway, asked: &Asked<'_>, until: Until) -> Counted {
    let mut body = json!({
        "model": asked.alias,
        "stream": asked.stream,
        "messages": [{"role": "user", "content": asked.prompt}],
    });
    if asked.stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    if let (Some(body), Some(more)) = (body.as_object_mut(), asked.more.as_object()) {
        body.extend(more.clone());
    }
    let request = client.post(gateway.url("/v1/chat/completions")).bearer_auth(asked.key);
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.expect("the gateway answers");
    let mut counted = Counted::default();
    let status = answer.status().as_u16();
    if status != 200 {
        let text = answer.text().await.expect("a whole answer");
        let error: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let alias = if matches!(status, 401 | 404) { "" } else { asked.alias };
        counted.request(alias, refused(status, &error["error"]));
        return counted;
    }
    if !asked.stream {
        let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).expect("JSON");
        counted.request(asked.alias, "ok");
        counted.usage(asked.alias, &body["usage"]);
        return counted;
    }
    let mut text = String::new();
    let mut stream = answer.bytes_stream();
    while let Some(bytes) = stream.next().await {
        text.push_str(std::str::from_utf8(&bytes.expect("the stream is whole")).expect("UTF-8"));
        if until == Until::TheFirstContent && text.contains("\"content\":\"") {
            counted.request(asked.alias, "client_gone");
            return counted;
        }
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let events: Vec<Value> = events.map(|data| serde_json::from_str(data).expect("JSON")).collect();
    if events.iter().any(|event| event["error"].is_object()) {
        counted.request(asked.alias, "broken_stream");
    } else {
        counted.request(asked.alias, "ok");
        let usage = events.iter().find(|event| event["usage"].is_object()).expect("usage, as it was asked for");
        counted.usage(asked.alias, &usage["usage"]);
    }
    counted
}

/// The outcome that an error of ours stands for.
fn refused(status: u16, error: &Value) -> &'static str {
    match (status, error["code"].as_str().unwrap_or_default()) {
        (400, _) => "invalid_request",
        (401, _) => "denied",
        (404, _) => "unknown_model",
        (429, "insufficient_quota") => "over_budget",
        (429, _) => "rate_limited",
        (502, _) => "upstream_failed",
        (503, _) => "unavailable",
        (504, _) => "upstream_timeout",
        _ => panic!("{status}: {error}"),
    }
}
