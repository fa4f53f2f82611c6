//! One chat through the gateway, read as a client would read it.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::gateway::Gateway;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// What goes into `model`.
    pub alias: &'a str,
    /// Streamed or whole.
    pub stream: bool,
    /// The prompt.
    pub prompt: &'a str,
    /// The key.
    pub key: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Further fields of the body.
    pub more: Value,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self { alias: "", stream: false, prompt: "hello", key: "pm-it", headers: &[], more: json!({}) }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Got {
    /// HTTP status.
    pub status: u16,
    headers: HeaderMap,
    /// The text of the answer.
    pub text: String,
    /// The answer ended as its protocol wants.
    pub complete: bool,
    /// The message of an error, in the body or in the stream.
    pub error: Option<String>,
}

impl Got {
    /// A header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Asks in the dialect of Chat Completions.
pub async fn ask(gateway: &Gateway, asked: &Asked<'_>) -> Got {
    ask_with(&super::http(), gateway, asked).await
}

/// Asks with a client of one's own, so that many can share connections.
pub async fn ask_with(client: &reqwest::Client, gateway: &Gateway, asked: &Asked<'_>) -> Got {
    ask_at(client, &gateway.url("/v1/chat/completions"), asked).await
}

/// Asks at a URL.
pub async fn ask_at(client: &reqwest::Client, url: &str, asked: &Asked<'_>) -> Got {
    let mut body = json!({
        "model": asked.alias,
        "stream": asked.stream,
        "messages": [{"role": "user", "content": asked.prompt}],
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), asked.more.as_object()) {
        body.extend(more.clone());
    }
    let mut request =
        client.post(url).bearer_auth(asked.key).header("content-type", "application/json").body(body.to_string());
    for (name, value) in asked.headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("the gateway answers");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let bytes = answer.bytes().await.expect("the answer is whole");
    let streamed = headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    let mut got = Got { status, headers, text: String::new(), complete: false, error: None };
    if streamed {
        read_stream(&bytes, &mut got)
    } else {
        read_whole(&bytes, &mut got)
    }
    got
}

fn read_whole(bytes: &[u8], got: &mut Got) {
    let body: Value = serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("not JSON ({error}): {}", String::from_utf8_lossy(bytes)));
    got.error = body["error"]["message"].as_str().map(str::to_owned);
    let choice = &body["choices"][0];
    got.text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
    got.complete = choice["finish_reason"].is_string();
}

/// Strictly: every line is a data line of whole JSON or blank, and nothing follows the end.
fn read_stream(bytes: &[u8], got: &mut Got) {
    let text = std::str::from_utf8(bytes).expect("a stream is UTF-8");
    assert!(text.ends_with("\n\n"), "the last event is cut: {text:?}");
    let mut finished = false;
    let skipped = |line: &&str| !line.is_empty() && !line.starts_with(':') && !line.starts_with("event:");
    for line in text.lines().filter(skipped) {
        let data = line.strip_prefix("data:").unwrap_or_else(|| panic!("no data line: {line:?}")).trim();
        assert!(!got.complete && got.error.is_none(), "something follows the end: {data}");
        if data == "[DONE]" {
            got.complete = finished;
            continue;
        }
        let event: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
        if let Some(message) = event["error"]["message"].as_str() {
            got.error = Some(message.to_owned());
            continue;
        }
        let choice = &event["choices"][0];
        got.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        finished |= choice["finish_reason"].is_string();
    }
}
