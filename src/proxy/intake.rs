//! From an HTTP request to a [`Call`]: its path, its body within limits, its few fields.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use hyper::body::Incoming;

use super::error::{ErrorShape, GatewayError};
use super::multipart;
use crate::domain::time::UnixMillis;
use crate::transport::collect::{CollectError, collect};
use crate::upstream::call::Call;
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

/// What a body may be like.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes.
    pub max: usize,
    /// From its first to its last byte.
    pub time: Duration,
}

/// Reads a body within its limits.
///
/// # Errors
/// If it is too large, too slow, or breaks off.
pub async fn read_body(headers: &HeaderMap, body: Incoming, limits: BodyLimits) -> Result<Bytes, GatewayError> {
    let too_large = GatewayError::TooLarge { limit: limits.max };
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.max) {
        return Err(too_large);
    }
    match tokio::time::timeout(limits.time, collect(body, limits.max)).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(CollectError::TooLong { .. })) => Err(too_large),
        Ok(Err(CollectError::Broken)) => Err(GatewayError::Bad(BadRequest::at("body", "it broke off"))),
        Err(_) => Err(GatewayError::SlowBody),
    }
}

/// Reads the few fields that routing needs.
///
/// # Errors
/// If the body is not of its dialect.
pub fn call(
    operation: Operation,
    headers: HeaderMap,
    body: Bytes,
    request_id: &str,
    now: UnixMillis,
) -> Result<Call, GatewayError> {
    let content_type = headers.get(CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("application/json"));
    let peek = peek(&operation, &content_type, &body).map_err(GatewayError::Bad)?;
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
