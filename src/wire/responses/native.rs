//! Responses that pass through: when they commit, when they end, what they used.

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::usage::TokenUsage;
use crate::wire::chat::Finish;
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::native::{Seen, Signal};
use crate::wire::sse;

/// Watches a passing stream of response events.
#[derive(Debug, Default)]
pub struct Inspector {
    seen: Seen,
    content: bool,
    done: bool,
}

#[derive(Deserialize)]
struct EventIn {
    #[serde(rename = "type", default)]
    kind: String,
    delta: Option<Value>,
    item: Option<Value>,
    response: Option<ResponseIn>,
    code: Option<String>,
    message: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ResponseIn {
    status: Option<String>,
    error: Option<Value>,
    incomplete_details: Option<Value>,
    usage: Option<UsageIn>,
    output: Option<Vec<Value>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct UsageIn {
    input_tokens: u64,
    output_tokens: u64,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl UsageIn {
    fn read(self) -> TokenUsage {
        TokenUsage {
            input: self.input_tokens,
            cached_input: self.input_tokens_details.unwrap_or_default().cached_tokens.min(self.input_tokens),
            cache_write: 0,
            output: self.output_tokens,
            reasoning: self.output_tokens_details.unwrap_or_default().reasoning_tokens.min(self.output_tokens),
        }
    }
}

impl Inspector {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the answer has told so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the stream may end here.
    pub fn ended(&self) -> bool {
        self.done
    }

    /// Looks at one frame.
    ///
    /// # Errors
    /// If it is not of the dialect.
    pub fn inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed> {
        // After the first content only the end and errors are news.
        if self.content && !may_end(frame) {
            let is_delta = memmem::find(frame, b".delta\"").is_some();
            self.seen.pieces += u64::from(is_delta);
            return Ok(if is_delta { Signal::Content } else { Signal::Noise });
        }
        let event = sse::parse(frame);
        let data = event.data().trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(Signal::Noise);
        }
        let event: EventIn =
            serde_json::from_slice(data).map_err(|error| Malformed(format!("not a response event: {error}")))?;
        match event.kind.as_str() {
            "response.completed" | "response.incomplete" => {
                self.finish(event.response);
                self.done = true;
                Ok(Signal::End)
            }
            "response.failed" => {
                let error = event.response.and_then(|response| response.error).unwrap_or(Value::Null);
                Ok(Signal::Error(reported(&error)))
            }
            "error" => {
                let error =
                    event.error.unwrap_or_else(|| serde_json::json!({"code": event.code, "message": event.message}));
                Ok(Signal::Error(reported(&error)))
            }
            kind => {
                let delta = kind.ends_with(".delta")
                    && event.delta.is_some_and(|delta| !matches!(delta.as_str(), Some("")) && !delta.is_null());
                let item = kind == "response.output_item.added"
                    && event.item.is_some_and(|item| !matches!(item["type"].as_str(), Some("message" | "reasoning")));
                self.content |= delta || item;
                self.seen.pieces += u64::from(delta);
                Ok(if delta || item { Signal::Content } else { Signal::Noise })
            }
        }
    }

    fn finish(&mut self, response: Option<ResponseIn>) {
        let Some(response) = response else { return };
        if let Some(usage) = response.usage {
            self.seen.usage = usage.read();
        }
        self.seen.finish = Some(finish_of(&response));
    }
}

fn finish_of(response: &ResponseIn) -> Finish {
    let reason = response.incomplete_details.as_ref().and_then(|details| details["reason"].as_str());
    let calls = response.output.iter().flatten().any(|item| item["type"] == "function_call");
    match (response.status.as_deref(), reason) {
        (Some("incomplete"), Some("content_filter")) => Finish::ContentFilter,
        (Some("incomplete"), _) => Finish::Length,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// Whether a frame may be the end or an error.
fn may_end(frame: &[u8]) -> bool {
    ["response.completed", "response.incomplete", "response.failed", "\"error\""]
        .iter()
        .any(|word| memmem::find(frame, word.as_bytes()).is_some())
}

fn reported(error: &Value) -> ProviderError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = text("code").or_else(|| text("type"));
    let hint = match code.as_deref() {
        Some("rate_limit_exceeded") => Some(ErrorHint::RateLimited),
        Some("server_error") => Some(ErrorHint::ServerError),
        Some("context_length_exceeded") => Some(ErrorHint::ContextTooLong),
        _ => None,
    };
    ProviderError { message: text("message").unwrap_or_default(), code, hint }
}

/// Looks at a whole answer.
///
/// # Errors
/// If it failed, is empty, or is not of the dialect.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    let response: ResponseIn =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("not a response: {error}")))?;
    match response.status.as_deref() {
        // Still at work: the client asked for it to go on in the background.
        Some("queued" | "in_progress") => return Ok(Seen::default()),
        Some("completed" | "incomplete") => {}
        Some(other) => {
            let error = reported(response.error.as_ref().unwrap_or(&Value::Null));
            return Err(Malformed(format!("a response with status {other}: {}", error.message)));
        }
        None => return Err(Malformed("not a response: it has no status".into())),
    }
    let finish = finish_of(&response);
    let pieces = response.output.as_ref().map_or(0, Vec::len) as u64;
    if pieces == 0 && !matches!(finish, Finish::Length | Finish::ContentFilter) {
        return Err(Malformed("the answer is empty".into()));
    }
    let usage = response.usage.map(UsageIn::read).unwrap_or_default();
    Ok(Seen { usage, finish: Some(finish), pieces })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(inspector: &mut Inspector, data: &str) -> Signal {
        inspector.inspect(format!("event: x\ndata: {data}\n\n").as_bytes()).unwrap()
    }

    #[test]
    fn the_first_delta_commits_and_the_completed_event_ends() {
        let mut inspector = Inspector::new();
        for noise in [
            r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
            r#"{"type":"response.output_item.added","item":{"type":"message"}}"#,
            r#"{"type":"response.output_text.delta","delta":""}"#,
        ] {
            assert_eq!(inspect(&mut inspector, noise), Signal::Noise, "{noise}");
        }
        assert_eq!(inspect(&mut inspector, r#"{"type":"response.output_text.delta","delta":"Hi"}"#), Signal::Content);
        assert!(!inspector.ended());
        let end = r#"{"type":"response.completed","response":{"status":"completed","output":[],"usage":{"input_tokens":4,"output_tokens":2}}}"#;
        assert_eq!(inspect(&mut inspector, end), Signal::End);
        assert!(inspector.ended());
        assert_eq!((inspector.seen().usage.input, inspector.seen().usage.output), (4, 2));
        assert_eq!(inspector.seen().finish, Some(Finish::Stop));
    }

    #[test]
    fn failures_are_errors_before_and_after_content() {
        let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"x"}}}"#;
        let mut inspector = Inspector::new();
        assert!(matches!(inspect(&mut inspector, failed), Signal::Error(_)));
        inspect(&mut inspector, r#"{"type":"response.output_text.delta","delta":"Hi"}"#);
        assert!(matches!(inspect(&mut inspector, failed), Signal::Error(_)));
    }

    #[test]
    fn whole_answers_have_to_have_succeeded() {
        let fine =
            br#"{"status":"completed","output":[{"type":"message"}],"usage":{"input_tokens":1,"output_tokens":1}}"#;
        assert_eq!(inspect_answer(fine).unwrap().finish, Some(Finish::Stop));
        for bad in
            [r#"{"status":"failed","error":{"message":"x"}}"#, r#"{"status":"completed","output":[]}"#, "{}", "[]"]
        {
            assert!(inspect_answer(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
