//! From an HTTP request to a [`Call`]: its path, its body within limits, its few fields.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use hyper::body::Incoming;

use super::connections::Connections;
use super::error::{ErrorShape, GatewayError};
use super::long_bodies::LongBodies;
use super::multipart;
use super::taking::{Limits, Space, Stopped, Taking};
use crate::config::ServerLimits;
use crate::domain::time::UnixMillis;
use crate::transport::collect::{CollectError, collect};
use crate::upstream::call::{Call, LONG};
use crate::upstream::lane::Operation;
use crate::wire::error::BadRequest;
use crate::wire::meta::ReplyMeta;
use crate::wire::peek::Peek;
use crate::wire::{Dialect, anthropic, openai, responses};

/// The operation of a path below `/v1`, and the shape of its errors.
pub fn operation_of(path: &str) -> Option<(Operation, ErrorShape)> {
    Some(match path {
        "/chat/completions" => (Operation::Chat(Dialect::ChatCompletions), ErrorShape::OpenAi),
        "/messages" => (Operation::Chat(Dialect::Messages), ErrorShape::Anthropic),
        "/responses" => (Operation::Chat(Dialect::Responses), ErrorShape::Responses),
        "/completions" => (Operation::Completions, ErrorShape::OpenAi),
        "/embeddings" => (Operation::Embeddings, ErrorShape::OpenAi),
        "/messages/count_tokens" => (Operation::CountTokens, ErrorShape::Anthropic),
        other if PASSED_ON.contains(&other) => (Operation::Other(other.to_owned()), ErrorShape::OpenAi),
        _ => return None,
    })
}

/// OpenAI paths that carry a `model` and are passed on without being understood.
const PASSED_ON: [&str; 10] = [
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/images/edits",
    "/images/generations",
    "/images/variations",
    "/moderations",
    "/rerank",
    "/score",
    "/videos",
];

/// Requests that were turned away before anything was known of them, since the start.
#[derive(Debug, Default)]
pub struct Refused {
    /// No key, or one that is not valid: 401.
    pub denied: AtomicU64,
    /// Keys or admin tokens that nobody knows, more often than an address may show such: 429.
    pub guessing: AtomicU64,
    /// Bodies longer than they may be: 413.
    pub too_large: AtomicU64,
    /// Bodies that did not come in time, or fell silent: 408.
    pub slow_body: AtomicU64,
    /// Bodies that broke off: 400, if anybody is left to hear it.
    pub broken_body: AtomicU64,
    /// Bodies for which there was no room beside the others: 503.
    pub no_room: AtomicU64,
}

/// Reads a body within its limits. What it takes of the room for all bodies is put down in
/// `space`, which is to be kept as long as the body is.
///
/// # Errors
/// If it is too large, too slow, or breaks off, or there is no room for it.
pub async fn read_body(
    headers: &HeaderMap,
    body: Incoming,
    limits: &ServerLimits,
    space: &mut Space<'_>,
    refused: &Refused,
) -> Result<Bytes, GatewayError> {
    let max = limits.max_body_bytes;
    let count = |counter: &AtomicU64, error| {
        counter.fetch_add(1, Relaxed);
        Err(error)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return count(&refused.too_large, GatewayError::TooLarge { limit: max });
    }
    let within = Limits { time: limits.body_timeout, idle: limits.body_idle_timeout, room: limits.max_held_bytes };
    let mut taking = Taking::new(body, within, space);
    match (collect(&mut taking, max).await, taking.stopped) {
        (Ok(whole), _) => Ok(whole),
        (Err(CollectError::TooLong { .. }), _) => count(&refused.too_large, GatewayError::TooLarge { limit: max }),
        (Err(CollectError::Broken), Some(Stopped::Slow)) => count(&refused.slow_body, GatewayError::SlowBody),
        (Err(CollectError::Broken), Some(Stopped::NoRoom)) => count(&refused.no_room, GatewayError::NoRoom),
        (Err(CollectError::Broken), _) => {
            count(&refused.broken_body, GatewayError::Bad(BadRequest::at("body", "it broke off")))
        }
    }
}

/// Whoever sends long bodies for nothing waits no longer than this for the answer.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Reads the few fields that routing needs.
///
/// # Errors
/// If the body is not of its dialect. Where it is long, that is said in a while if others that came before
/// were no better: refusing is so quick that a few connections could fill a core with it.
pub async fn call(
    long: &LongBodies,
    connections: &Connections,
    operation: Operation,
    headers: HeaderMap,
    body: Bytes,
    request_id: &str,
    now: UnixMillis,
) -> Result<Call, GatewayError> {
    let content_type = headers.get(CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("application/json"));
    let look = || peek(&operation, &content_type, &body);
    let length = body.len();
    let peeked = if length > LONG { long.read(look).await } else { look() };
    let peek = match peeked {
        Ok(peek) => peek,
        Err(bad) => {
            drop(body);
            if length > LONG {
                tokio::time::sleep(connections.rubbish_after(length, LONGEST_WAIT)).await;
            }
            return Err(GatewayError::Bad(bad));
        }
    };
    let meta = ReplyMeta {
        id: request_id.to_owned(),
        created: now.as_secs(),
        model: peek.model.clone(),
        stream_usage: peek.stream_usage,
    };
    Ok(Call::new(operation, headers, body, content_type, peek, meta))
}

fn peek(operation: &Operation, content_type: &HeaderValue, body: &Bytes) -> Result<Peek, BadRequest> {
    match operation {
        Operation::Chat(Dialect::ChatCompletions) => openai::peek(body),
        Operation::Chat(Dialect::Messages) => anthropic::peek(body),
        Operation::Chat(Dialect::Responses) => responses::peek(body),
        Operation::Completions => openai::completions::peek(body),
        Operation::Embeddings => openai::embeddings::peek(body),
        Operation::CountTokens => anthropic::count_tokens::peek(body),
        Operation::Other(_) => match multipart::boundary(content_type) {
            Some(boundary) => multipart::peek(body, &boundary),
            None => openai::passthrough::peek_model(body),
        },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn read(long: &LongBodies, connections: &Connections, body: String) -> Result<Call, GatewayError> {
        let operation = Operation::Chat(Dialect::ChatCompletions);
        call(long, connections, operation, HeaderMap::new(), body.into(), "id", UnixMillis(0)).await
    }

    /// Whether a body is looked through without a turn of the long ones.
    fn is_looked_through_at_once(body: String) -> bool {
        read(&LongBodies::with_turns(0), &Connections::default(), body).now_or_never().is_some()
    }

    #[test]
    fn long_bodies_wait_for_a_turn_and_others_do_not() {
        let chat = |words| {
            let text = "word ".repeat(words);
            format!(r#"{{"model": "m", "messages": [{{"role": "user", "content": "{text}"}}]}}"#)
        };
        assert!(is_looked_through_at_once(chat(10)));
        assert!(is_looked_through_at_once(chat(20_000)));
        assert!(!is_looked_through_at_once(chat(30_000)));
        assert!(!is_looked_through_at_once("[".repeat(1 << 20)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_long_bodies_for_nothing_waits_for_the_answer() {
        let (long, connections) = (LongBodies::default(), Connections::default());
        let waits = async |many: u32, body: &str| {
            let begun = tokio::time::Instant::now();
            for _ in 0..many {
                let _ = read(&long, &connections, body.to_owned()).await;
            }
            begun.elapsed().as_millis()
        };
        let good =
            format!(r#"{{"model": "m", "messages": [{{"role": "user", "content": "{}"}}]}}"#, "a".repeat(1 << 20));
        assert_eq!(waits(20, &good).await, 0);
        assert_eq!(waits(20, "[").await, 0, "few bytes");
        let long_ones = waits(20, &"[".repeat(1 << 20)).await;
        assert!((70..=110).contains(&long_ones), "20 MiB of 256 MiB a second: {long_ones} ms");
    }
}
