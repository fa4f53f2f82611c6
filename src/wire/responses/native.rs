//! Answers of providers that serve this API themselves, on their way through: when they
//! commit, how they end, what they used.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::usage::TokenUsage;
use crate::wire::chat::Finish;
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::native::{Seen, Signal};
use crate::wire::peek::{clip, estimate_tokens};
use crate::wire::sse;

/// Watches one stream.
#[derive(Debug, Default)]
pub struct Inspector {
    seen: Seen,
    ended: bool,
}

/// An event, as far as anyone here cares.
#[derive(Deserialize)]
struct EventHead<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A response object. Whatever may have an odd shape somewhere is read by itself, so that
/// the rest survives it.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Usage {
    input_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl Inspector {
    /// Before the first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// What one event means.
    ///
    /// # Errors
    /// If it is not an event of this API. After the first content, pieces of content are
    /// not looked into any more.
    pub fn inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed> {
        let event = sse::parse(frame);
        let data = event.data();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(Signal::Noise);
        }
        if self.seen.pieces > 0 && event.name.starts_with("response.") && event.name.ends_with(".delta") {
            self.seen.pieces += 1;
            return Ok(Signal::Content);
        }
        let head: EventHead<'_> = serde_json::from_slice(data).map_err(|error| {
            let got = clip(&String::from_utf8_lossy(data), 80);
            Malformed(format!("a stream event is not a JSON object: {error}: {got}"))
        })?;
        let kind = head.kind.as_deref().unwrap_or(&event.name);
        let content = match kind {
            "response.completed" | "response.incomplete" | "response.failed" => return self.last(kind, &head),
            "error" => return Ok(Signal::Error(provider_error(head.error, data))),
            "response.output_item.added" => head.item.is_some_and(acts),
            // Servers that send no deltas say everything here.
            "response.output_item.done" => self.seen.pieces == 0 && head.item.is_some_and(acts),
            _ if kind.ends_with(".delta") => says(head.delta),
            _ if kind.ends_with(".done") => {
                self.seen.pieces == 0 && (says(head.text) || says(head.refusal) || says(head.arguments))
            }
            _ if kind.starts_with("response.") => false,
            // An error object in the middle of a stream, in the manner of other APIs.
            _ if head.error.is_some() => return Ok(Signal::Error(provider_error(head.error, data))),
            _ if kind.is_empty() => {
                let got = clip(&String::from_utf8_lossy(data), 80);
                return Err(Malformed(format!("a stream event has no type: {got}")));
            }
            // Keep-alives and whatever comes to be.
            _ => false,
        };
        if content {
            self.seen.pieces += 1;
            return Ok(Signal::Content);
        }
        Ok(Signal::Noise)
    }

    /// What the answer has told so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the stream may end here without being broken.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The event that ends the stream.
    fn last(&mut self, kind: &str, head: &EventHead<'_>) -> Result<Signal, Malformed> {
        let Some(raw) = head.response else {
            return Err(Malformed(format!("{kind} has no response")));
        };
        let answer: Answer<'_> =
            serde_json::from_str(raw.get()).map_err(|error| Malformed(format!("{kind} cannot be read: {error}")))?;
        self.seen.usage = answer.token_usage();
        if kind == "response.failed" && self.seen.pieces == 0 {
            return Ok(Signal::Error(provider_error(answer.error, raw.get().as_bytes())));
        }
        self.seen.finish = answer.finish();
        self.ended = true;
        Ok(Signal::End)
    }
}

/// What a whole answer tells. One that runs in the background has told nothing yet.
///
/// # Errors
/// If it is not of this API, has failed, or is empty.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    let not_of_it = |why: &dyn std::fmt::Display| {
        Malformed(format!("not a response object: {why}: {}", clip(&String::from_utf8_lossy(body), 80)))
    };
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| not_of_it(&error))?;
    if let Some(error) = answer.error {
        return Err(Malformed(format!("the response has failed: {}", provider_error(Some(error), body).message)));
    }
    match answer.status.as_deref() {
        Some("queued" | "in_progress") => return Ok(Seen::default()),
        Some(status @ ("failed" | "cancelled")) => return Err(Malformed(format!("the response is {status}"))),
        _ => {}
    }
    let Some(output) = &answer.output else { return Err(not_of_it(&"no output")) };
    let finish = answer.finish();
    // One that was cut may have had no time to say anything.
    if output.is_empty() && answer.status.as_deref() != Some("incomplete") {
        return Err(Malformed("the response is empty".into()));
    }
    let usage = answer.token_usage();
    let text_bytes = output.iter().filter_map(|item| serde_json::from_str::<Item<'_>>(item.get()).ok());
    let text_bytes = text_bytes.flat_map(|item| [item.content, item.arguments]).flatten().map(|raw| raw.get().len());
    Ok(Seen { usage, finish, pieces: estimate_tokens(text_bytes.sum()) })
}

impl Answer<'_> {
    fn token_usage(&self) -> TokenUsage {
        let usage: Usage = self.usage.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let (input, output) = (usage.input_tokens_details.as_ref(), usage.output_tokens_details.as_ref());
        TokenUsage {
            input: usage.input_tokens.unwrap_or(0),
            cached_input: input.and_then(|details| details.cached_tokens).unwrap_or(0),
            cache_write: input.and_then(|details| details.cache_write_tokens).unwrap_or(0),
            output: usage.output_tokens.unwrap_or(0),
            reasoning: output.and_then(|details| details.reasoning_tokens).unwrap_or(0),
        }
    }

    /// Why it ended; `None` where it did not, or failed.
    fn finish(&self) -> Option<Finish> {
        #[derive(Deserialize)]
        struct Details<'a> {
            #[serde(borrow)]
            reason: Cow<'a, str>,
        }
        match self.status.as_deref() {
            Some("incomplete") => {
                let details =
                    self.incomplete_details.and_then(|raw| serde_json::from_str::<Details<'_>>(raw.get()).ok());
                match details.as_ref().map(|details| details.reason.as_ref()) {
                    Some("content_filter") => Some(Finish::ContentFilter),
                    _ => Some(Finish::Length),
                }
            }
            Some("completed") | None => {
                let items =
                    self.output.iter().flatten().filter_map(|raw| serde_json::from_str::<Item<'_>>(raw.get()).ok());
                let calls =
                    items.map(|item| item.kind).any(|kind| kind == "function_call" || kind == "custom_tool_call");
                Some(if calls { Finish::ToolCalls } else { Finish::Stop })
            }
            Some(_) => None,
        }
    }
}

/// Whether an item is content by itself: a call of a tool, also of a hosted one. Messages
/// and reasoning begin empty.
fn acts(item: &RawValue) -> bool {
    serde_json::from_str::<Item<'_>>(item.get())
        .is_ok_and(|item| !matches!(item.kind.as_ref(), "message" | "reasoning" | "additional_tools" | "compaction"))
}

/// Whether a piece has something in it.
fn says(piece: Option<&RawValue>) -> bool {
    piece.is_some_and(|raw| raw.get() != "\"\"")
}

/// An error of the provider: in an object of its own, or spread over the event.
fn provider_error(error: Option<&RawValue>, event: &[u8]) -> ProviderError {
    #[derive(Deserialize, Default)]
    struct Error {
        message: Option<String>,
        code: Option<serde_json::Value>,
        r#type: Option<String>,
    }
    let nested = error.and_then(|raw| serde_json::from_str::<Error>(raw.get()).ok());
    let in_event = nested.is_none();
    let error = nested.or_else(|| serde_json::from_slice(event).ok()).unwrap_or_default();
    // The event's own type says only that it is an error.
    let kind = error.r#type.filter(|_| !in_event);
    let code = match error.code {
        Some(serde_json::Value::String(code)) => Some(code),
        Some(serde_json::Value::Number(code)) => Some(code.to_string()),
        _ => kind.clone(),
    };
    let message = error.message.unwrap_or_default();
    let hint = [code.as_deref(), kind.as_deref()].into_iter().flatten().find_map(|word| hint(word, &message));
    ProviderError { message, code, hint }
}

fn hint(word: &str, message: &str) -> Option<ErrorHint> {
    Some(match word {
        "context_length_exceeded" => ErrorHint::ContextTooLong,
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" => ErrorHint::RateLimited,
        "insufficient_quota" | "billing_hard_limit_reached" => ErrorHint::QuotaExhausted,
        "invalid_api_key" | "authentication_error" | "permission_error" => ErrorHint::Credential,
        "model_not_found" => ErrorHint::ModelGone,
        "content_filter"
        | "content_policy_violation"
        | "image_content_policy_violation"
        | "bio_policy"
        | "misalignment_policy_violation" => ErrorHint::ContentPolicy,
        "invalid_prompt" if message.contains("policy") || message.contains("flagged") => ErrorHint::ContentPolicy,
        "invalid_prompt" | "invalid_request_error" => ErrorHint::CallerMistake,
        "server_error" | "vector_store_timeout" | "internal_error" => ErrorHint::ServerError,
        // What is left on the API's list is about the pictures that were sent.
        word if word.contains("image") => ErrorHint::CallerMistake,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn frame(data: &Value) -> Vec<u8> {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()).into_bytes()
    }

    fn inspected(inspector: &mut Inspector, data: Value) -> Signal {
        inspector.inspect(&frame(&data)).unwrap()
    }

    #[test]
    fn only_real_content_commits() {
        for noise in [
            json!({"type": "response.created", "response": {"status": "in_progress", "output": []}}),
            json!({"type": "response.in_progress", "response": {}}),
            json!({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
            json!({"type": "response.output_item.added", "item": {"type": "reasoning", "summary": []}}),
            json!({"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}}),
            json!({"type": "response.output_text.delta", "delta": ""}),
            json!({"type": "response.output_text.done", "text": ""}),
            json!({"type": "keepalive", "sequence_number": 3}),
        ] {
            assert_eq!(inspected(&mut Inspector::new(), noise.clone()), Signal::Noise, "{noise}");
        }
        for content in [
            json!({"type": "response.output_text.delta", "delta": "x"}),
            json!({"type": "response.refusal.delta", "delta": "x"}),
            json!({"type": "response.reasoning_summary_text.delta", "delta": "x"}),
            json!({"type": "response.reasoning_text.delta", "delta": "x"}),
            json!({"type": "response.function_call_arguments.delta", "delta": "{"}),
            json!({"type": "response.output_item.added", "item": {"type": "function_call", "name": "f"}}),
            json!({"type": "response.output_item.added", "item": {"type": "custom_tool_call", "name": "f"}}),
            json!({"type": "response.output_item.added", "item": {"type": "web_search_call"}}),
            json!({"type": "response.output_text.done", "text": "all at once"}),
        ] {
            assert_eq!(inspected(&mut Inspector::new(), content.clone()), Signal::Content, "{content}");
        }
        assert_eq!(Inspector::new().inspect(b": ping\n\n").unwrap(), Signal::Noise);
    }

    #[test]
    fn the_name_of_the_event_may_be_missing() {
        let mut inspector = Inspector::new();
        let bare = b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\r\n\r\n";
        assert_eq!(inspector.inspect(bare).unwrap(), Signal::Content);
        assert_eq!(inspector.inspect(bare).unwrap(), Signal::Content);
        assert_eq!(inspector.seen().pieces, 2);
        assert!(inspector.inspect(b"data: {\"delta\":\"x\"}\n\n").is_err());
        assert!(inspector.inspect(b"data: {\"type\n\n").is_err());
    }

    #[test]
    fn the_end_tells_usage_and_reason() {
        let usage = json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14});
        for (kind, response, finish) in [
            ("response.completed", json!({"status": "completed", "output": [{"type": "message"}]}), Finish::Stop),
            (
                "response.completed",
                json!({"status": "completed", "output": [{"type": "function_call"}]}),
                Finish::ToolCalls,
            ),
            (
                "response.incomplete",
                json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
                Finish::Length,
            ),
            (
                "response.incomplete",
                json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
                Finish::ContentFilter,
            ),
        ] {
            let mut inspector = Inspector::new();
            inspected(&mut inspector, json!({"type": "response.output_text.delta", "delta": "x"}));
            assert!(!inspector.ended());
            let mut response = response;
            response["usage"] = usage.clone();
            assert_eq!(inspected(&mut inspector, json!({"type": kind, "response": response})), Signal::End);
            assert!(inspector.ended());
            let expected = TokenUsage { input: 9, cached_input: 4, cache_write: 0, output: 5, reasoning: 2 };
            assert_eq!((inspector.seen().usage, &inspector.seen().finish), (expected, &Some(finish)));
        }
    }

    #[test]
    fn errors_are_known_by_their_code() {
        let error = |data: Value| match inspected(&mut Inspector::new(), data.clone()) {
            Signal::Error(error) => error,
            other => panic!("{data} is {other:?}"),
        };
        let flat = error(json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": null}));
        assert_eq!((flat.hint, flat.message.as_str()), (Some(ErrorHint::RateLimited), "slow"));
        let nested = error(
            json!({"type": "error", "error": {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "long"}}),
        );
        assert_eq!((nested.hint, nested.message.as_str()), (Some(ErrorHint::ContextTooLong), "long"));
        let failed = json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "oh"}}});
        assert_eq!(error(failed.clone()).hint, Some(ErrorHint::ServerError));
        assert_eq!(error(json!({"error": {"message": "odd", "code": 500}})).code.as_deref(), Some("500"));
        let mut committed = Inspector::new();
        inspected(&mut committed, json!({"type": "response.output_text.delta", "delta": "x"}));
        assert_eq!(inspected(&mut committed, failed), Signal::End);
        assert_eq!(committed.seen().finish, None);
    }

    #[test]
    fn whole_answers() {
        let seen = |answer: Value| inspect_answer(answer.to_string().as_bytes());
        let message = json!({"type": "message", "content": [{"type": "output_text", "text": "hi"}]});
        let good = seen(json!({"status": "completed", "error": null, "output": [message], "usage": {"input_tokens": 3, "output_tokens": 1}})).unwrap();
        assert_eq!((good.usage.input, good.usage.output, good.finish), (3, 1, Some(Finish::Stop)));
        assert!(good.pieces > 0);
        assert_eq!(seen(json!({"status": "queued", "output": []})).unwrap(), Seen::default());
        assert_eq!(seen(json!({"status": "incomplete", "output": []})).unwrap().finish, Some(Finish::Length));
        for bad in [
            json!({"status": "failed", "error": {"code": "server_error", "message": "oh"}, "output": []}),
            json!({"error": {"message": "oh"}}),
            json!({"status": "completed", "output": []}),
            json!({"object": "chat.completion", "choices": []}),
            json!({}),
            json!([]),
        ] {
            assert!(seen(bad.clone()).is_err(), "{bad}");
        }
        assert!(inspect_answer(b"<html>").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\":,a-z0-9. ]{0,80}") {
            let _ = inspect_answer(&bytes);
            let _ = inspect_answer(json.as_bytes());
            let mut inspector = Inspector::new();
            let _ = inspector.inspect(&bytes);
            let _ = inspector.inspect(format!("data: {json}\n\n").as_bytes());
        }
    }
}
