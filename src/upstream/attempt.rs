//! One attempt: send the request, and wait until the answer commits or fails.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::body::{OpaqueBody, RelayBody, StreamLimits, estimated_output, settled_usage};
use super::call::{Call, Prepared};
use super::lane::{Lane, Operation};
use super::rate_headers::rate_hint;
use super::refusal::{AttemptError, ERROR_BODY, decode_error, refusal};
use crate::domain::alias::Alias;
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointIdx;
use crate::domain::provider::Protocol;
use crate::domain::usage::TokenUsage;
use crate::live::{Flight, FlightEnd, View};
use crate::transport::answer::AnswerBody;
use crate::transport::collect::collect;
use crate::wire::chat::Finish;
use crate::wire::error::Malformed;
use crate::wire::native::{Seen, named_model, told_model};
use crate::wire::relay::Relay;
use crate::wire::{Dialect, anthropic, gemini, openai, responses};

/// How long things may take, and how large they may be.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Until the commit point.
    pub attempt: Duration,
    /// Leave earlier than that, if the alias's budget allows it then.
    pub give_up: Option<Duration>,
    /// Of the stream that follows.
    pub stream: StreamLimits,
    /// A whole answer, in bytes.
    pub max_answer: usize,
    /// One event of a stream, in bytes.
    pub max_event: usize,
}

/// An answer that has committed.
#[derive(Debug)]
pub struct Reply {
    /// Its content type.
    pub content_type: HeaderValue,
    /// Its body; settles the account when it ends.
    pub body: axum::body::Body,
}

/// A 2xx that is as good as its protocol asks for.
#[derive(Debug)]
enum Accepted {
    Whole { body: Bytes, seen: Seen, model: Option<String> },
    Stream { relay: Box<Relay>, body: AnswerBody },
    Opaque { content_type: HeaderValue, body: AnswerBody },
}

impl Call {
    /// Sends a prepared request and waits until its answer commits.
    ///
    /// # Errors
    /// If it does not; nothing has reached the client then.
    pub async fn attempt(
        &self,
        view: &View,
        endpoint: EndpointIdx,
        prepared: Prepared,
        limits: AttemptLimits,
        mut flight: Box<Flight>,
        may_give_up: impl FnOnce() -> bool,
    ) -> Result<Reply, AttemptError> {
        let begun = flight.begun();
        let at = view.catalog.endpoint(endpoint);
        let protocol = view.catalog.provider(at.provider).protocol;
        let client = &view.provider(at.provider).client;
        let Prepared { request, lane, hide_usage } = prepared;
        let exchange = async {
            let sent = client.send(request).await.map_err(|e| AttemptError::new(e.kind, e.message))?;
            flight.connected(sent.connecting);
            let response = sent.response;
            flight.told(&rate_hint(response.headers(), || flight.now()));
            if !response.status().is_success() {
                return Err(refusal(protocol, response, flight.now()).await);
            }
            self.accept(protocol, lane, hide_usage, response, &limits, flight.is_traced()).await
        };
        let outcome = within(pin!(exchange), begun, &limits, may_give_up).await;
        let outcome = outcome.unwrap_or_else(|waited| {
            let prompt = TokenUsage { input: self.peek.prompt_tokens, ..TokenUsage::default() };
            flight.used(prompt, true, 0);
            let words = format!("no content within {:.1} s", waited.as_secs_f64());
            Err(AttemptError::new(FailureKind::Timeout, words))
        });
        match outcome {
            Err(error) => {
                let retry_at = error.retry_after.map(|wait| flight.now() + wait);
                flight.end(FlightEnd::Failure { kind: error.kind, retry_at });
                Err(error)
            }
            Ok(accepted) => {
                flight.committed();
                Ok(self.deliver(accepted, flight, limits.stream, at.id.to_string()))
            }
        }
    }

    /// A 2xx: reads it to its commit point. Where it is `traced`, the model that it names is looked for.
    async fn accept(
        &self,
        protocol: Protocol,
        lane: Lane,
        hide_usage: bool,
        response: Response<AnswerBody>,
        limits: &AttemptLimits,
        traced: bool,
    ) -> Result<Accepted, AttemptError> {
        let (head, mut body) = response.into_parts();
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        if !self.is_stream() {
            if let Operation::Other(_) = self.operation {
                let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
                return Ok(Accepted::Opaque { content_type, body });
            }
            let bytes = collect(body, limits.max_answer)
                .await
                .map_err(|error| AttemptError::new(FailureKind::Malformed, format!("the answer: {error}")))?;
            return self.whole(protocol, lane, bytes, traced);
        }
        let said = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !said.starts_with("text/event-stream") {
            let start = collect(body, ERROR_BODY).await.unwrap_or_default();
            let error = decode_error(protocol, 200, &start);
            return Err(AttemptError::malformed(format!("asked for a stream and got `{said}` {}", error.message)));
        }
        let mut relay = self.relay(protocol, lane, hide_usage, limits.max_event);
        if traced {
            relay.ask_model();
        }
        while !relay.committed() {
            match body.frame().await {
                Some(Ok(frame)) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    relay.push(chunk).map_err(|failure| AttemptError::in_stream(&failure))?;
                }
                Some(Err(_)) => {
                    return Err(AttemptError::new(
                        FailureKind::Malformed,
                        "the connection was lost before any content".into(),
                    ));
                }
                None => {
                    relay.eof().map_err(|failure| AttemptError::in_stream(&failure))?;
                }
            }
        }
        Ok(Accepted::Stream { relay: Box::new(relay), body })
    }

    fn relay(&self, protocol: Protocol, lane: Lane, hide_usage: bool, max_event: usize) -> Relay {
        match (&self.operation, lane) {
            (Operation::Chat(dialect), Lane::Translated(_)) => {
                let echo = (*dialect == Dialect::Responses).then(|| responses::echo(&self.body));
                Relay::translated(protocol, *dialect, self.meta.clone(), echo, max_event)
            }
            (Operation::Chat(dialect), Lane::Native) => Relay::native(*dialect, max_event, hide_usage),
            _ => Relay::completions(max_event, hide_usage),
        }
    }

    /// A whole answer: checks it, and translates it where the protocols differ.
    fn whole(&self, protocol: Protocol, lane: Lane, bytes: Bytes, traced: bool) -> Result<Accepted, AttemptError> {
        let malformed = |Malformed(why): Malformed| AttemptError::malformed(why);
        let whole = |body: Bytes, seen| Accepted::Whole { body, seen, model: None };
        if lane == Lane::Native {
            let seen = match &self.operation {
                Operation::Chat(Dialect::ChatCompletions) => openai::inspect_answer(&bytes),
                Operation::Chat(Dialect::Messages) => anthropic::inspect_answer(&bytes),
                Operation::Chat(Dialect::Responses) => responses::inspect_answer(&bytes),
                Operation::Completions => openai::completions::inspect_answer(&bytes),
                Operation::Embeddings => openai::embeddings::inspect_answer(&bytes),
                Operation::CountTokens => anthropic::count_tokens::decode_count(&bytes).map(|_| Seen::default()),
                Operation::Other(_) => Ok(Seen::default()),
            };
            let seen = seen.map_err(malformed)?;
            let model = traced.then(|| named_model(&bytes)).flatten();
            return Ok(Accepted::Whole { body: bytes, seen, model });
        }
        match &self.operation {
            Operation::Embeddings => {
                let vectors = gemini::decode_embeddings(&bytes).map_err(malformed)?;
                let base64 = openai::embeddings::decode_embeddings(&self.body).is_ok_and(|request| request.base64);
                let usage = TokenUsage { input: self.peek.prompt_tokens, ..TokenUsage::default() };
                let body = openai::embeddings::encode_embeddings_response(&vectors, &self.meta.model, &usage, base64);
                Ok(whole(body.into(), Seen { usage, ..Seen::default() }))
            }
            Operation::CountTokens => {
                let count = gemini::decode_count_tokens(&bytes).map_err(malformed)?;
                Ok(whole(anthropic::count_tokens::encode_count(count).into(), Seen::default()))
            }
            _ => self.whole_chat(protocol, &bytes, traced),
        }
    }

    fn whole_chat(&self, protocol: Protocol, bytes: &[u8], traced: bool) -> Result<Accepted, AttemptError> {
        if protocol == Protocol::Gemini
            && let Some(blocked) = gemini::blocked(bytes)
        {
            return Err(AttemptError::reported(&blocked));
        }
        let answer = match protocol {
            Protocol::OpenAi => openai::decode_response(bytes),
            Protocol::Anthropic => anthropic::decode_response(bytes),
            Protocol::Gemini => gemini::decode_response(bytes),
        }
        .map_err(|Malformed(why)| AttemptError::malformed(why))?;
        let body = match &self.operation {
            Operation::Chat(Dialect::Messages) => anthropic::encode_response(&answer, &self.meta),
            Operation::Chat(Dialect::Responses) => {
                responses::encode_response(&answer, &self.meta, &responses::echo(&self.body))
            }
            _ => openai::encode_response(&answer, &self.meta),
        };
        let seen = Seen { usage: answer.usage, finish: Some(answer.finish), pieces: answer.parts.len() as u64 };
        let model = traced.then(|| told_model(&answer.model)).flatten();
        Ok(Accepted::Whole { body: body.into(), seen, model })
    }

    /// Hands a committed answer over, with its flight.
    fn deliver(&self, accepted: Accepted, mut flight: Box<Flight>, limits: StreamLimits, served_by: String) -> Reply {
        match accepted {
            Accepted::Whole { body, mut seen, model } => {
                if seen.usage.output == 0 && seen.pieces > 0 {
                    seen.pieces = estimated_output(&body);
                }
                let (usage, estimated) = settled_usage(&seen, self.peek.prompt_tokens);
                if self.operation != Operation::CountTokens {
                    flight.used(usage, estimated, 0);
                }
                flight.answer_is(model.as_deref(), seen.finish.as_ref().map(Finish::as_str));
                flight.end(FlightEnd::Success);
                Reply { content_type: HeaderValue::from_static("application/json"), body: body.into() }
            }
            Accepted::Stream { relay, body } => {
                let body = RelayBody::new(body, *relay, limits, served_by, self.peek.prompt_tokens, flight);
                let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
                Reply { content_type, body: axum::body::Body::new(body) }
            }
            Accepted::Opaque { content_type, body } => {
                flight.used(TokenUsage { input: self.peek.prompt_tokens, ..TokenUsage::default() }, true, 0);
                let body = axum::body::Body::new(OpaqueBody::new(body, limits, flight));
                Reply { content_type, body }
            }
        }
    }
}

/// Waits for an exchange that has begun as long as it may take. An early end has to be allowed
/// when it comes.
///
/// # Errors
/// With the time that was waited in vain.
async fn within<T>(
    mut exchange: Pin<&mut impl Future<Output = T>>,
    begun: Instant,
    limits: &AttemptLimits,
    may_give_up: impl FnOnce() -> bool,
) -> Result<T, Duration> {
    if let Some(early) = limits.give_up.filter(|early| *early < limits.attempt) {
        match tokio::time::timeout_at(begun + early, &mut exchange).await {
            Ok(outcome) => return Ok(outcome),
            Err(_) if may_give_up() => return Err(early),
            Err(_) => {}
        }
    }
    tokio::time::timeout_at(begun + limits.attempt, &mut exchange).await.map_err(|_| limits.attempt)
}

/// When a stream that begins now has to be over.
pub fn stream_limits(alias: &Alias, started: Instant) -> StreamLimits {
    StreamLimits { idle: alias.limits.stream_idle_timeout, deadline: started + alias.limits.total_timeout }
}
