//! One attempt: write the request, send it, and wait until the answer commits or fails.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::body::{RelayBody, StreamLimits, estimated_output, settled_usage};
use super::headers::request_headers;
use super::lane::{Lane, Operation, lane};
use super::retry_after::retry_after;
use super::target_url::target_url;
use crate::domain::alias::{Alias, Target};
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointIdx;
use crate::domain::provider::{OutputLimitField, Protocol, Provider};
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::live::{Flight, FlightEnd, View};
use crate::wire::chat::{ChatRequest, SEAL_PREFIX};
use crate::wire::error::{BadRequest, ErrorHint, Malformed, ProviderError, Unsupported};
use crate::wire::meta::{EncodeFor, ReplyMeta};
use crate::wire::native::Seen;
use crate::wire::peek::{Peek, has_token};
use crate::wire::relay::{Relay, StreamFailure};
use crate::wire::{Dialect, anthropic, gemini, openai, responses, splice};

/// What stays the same over all attempts of a request.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub operation: Operation,
    /// The client's headers.
    pub headers: HeaderMap,
    /// The client's body.
    pub body: Bytes,
    /// Its content type.
    pub content_type: HeaderValue,
    /// What was read of it.
    pub peek: Peek,
    /// What a translated answer says of itself.
    pub meta: ReplyMeta,
    /// The whole request, once a candidate needs it.
    decoded: OnceLock<Result<ChatRequest, BadRequest>>,
}

/// How long things may take, and how large they may be.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Until the commit point.
    pub attempt: Duration,
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

/// An attempt that failed before anything reached the client.
#[derive(Clone, Debug)]
pub struct AttemptError {
    /// How.
    pub kind: FailureKind,
    /// The provider's status, if it answered.
    pub status: Option<u16>,
    /// What it asked to wait.
    pub retry_after: Option<Duration>,
    /// For logs; and for the caller where the mistake is its own.
    pub message: String,
    /// The provider's own error body in the client's dialect, where the mistake is the
    /// caller's and the protocols are the same.
    pub native_body: Option<Bytes>,
}

/// The request could not even be written for this endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unwritable {
    /// It is not of its own dialect.
    Bad(BadRequest),
    /// The endpoint's protocol cannot say it.
    Unsupported(Unsupported),
}

/// A request as one endpoint gets it.
#[derive(Debug)]
pub struct Prepared {
    request: Request<Bytes>,
    lane: Lane,
    /// Usage chunks in the stream are ours alone.
    hide_usage: bool,
}

impl Call {
    /// A call that was peeked at.
    pub fn new(
        operation: Operation,
        headers: HeaderMap,
        body: Bytes,
        content_type: HeaderValue,
        peek: Peek,
        meta: ReplyMeta,
    ) -> Self {
        Self { operation, headers, body, content_type, peek, meta, decoded: OnceLock::new() }
    }

    fn chat(&self) -> Result<&ChatRequest, BadRequest> {
        let decode = || match &self.operation {
            Operation::Chat(Dialect::ChatCompletions) => openai::decode_request(&self.body),
            Operation::Chat(Dialect::Responses) => responses::decode_request(&self.body),
            _ => anthropic::decode_request(&self.body),
        };
        self.decoded.get_or_init(decode).as_ref().map_err(Clone::clone)
    }

    /// Writes the request for one endpoint.
    ///
    /// # Errors
    /// If it cannot be said in the endpoint's protocol, or is not of its own.
    pub fn prepare(
        &self,
        view: &View,
        alias: &Alias,
        target: &Target,
        endpoint: EndpointIdx,
    ) -> Result<Prepared, Unwritable> {
        let at = view.catalog.endpoint(endpoint);
        let provider = view.catalog.provider(at.provider);
        let Some(lane) = lane(&self.operation, provider) else {
            return Err(Unwritable::Bad(BadRequest::at("body", "the provider has no such operation")));
        };
        let mut hide_usage = false;
        let mut body = match lane {
            Lane::Native => {
                hide_usage = self.asks_usage_for_us(provider);
                self.native_body(provider, &at.upstream_model, hide_usage).map_err(Unwritable::Bad)?
            }
            Lane::Translated(protocol) => {
                let to = EncodeFor {
                    model: &at.upstream_model,
                    max_output_tokens: view.catalog.model(at.model).max_output_tokens,
                    quirks: provider.quirks,
                    drop_unsupported: alias.drop_unsupported,
                };
                self.translated_body(protocol, &to)?
            }
        };
        if !target.params.is_empty() {
            body = splice::merge(&body, &target.params.set).map_err(Unwritable::Bad)?;
        }
        let stream = self.peek.stream;
        let content_type = match lane {
            Lane::Native => self.content_type.clone(),
            Lane::Translated(_) => HeaderValue::from_static("application/json"),
        };
        let url = target_url(provider, &at.upstream_model, &self.operation, lane, stream);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url
            .parse()
            .map_err(|_| Unwritable::Bad(BadRequest::at("model", format!("`{}` makes no valid URL", at.id))))?;
        *request.headers_mut() = request_headers(provider, lane, &self.headers, content_type, stream);
        Ok(Prepared { request, lane, hide_usage })
    }

    /// Whether usage at the end of a stream has to be asked for although the client did
    /// not: without it an answer could not be accounted for.
    fn asks_usage_for_us(&self, provider: &Provider) -> bool {
        let reports_on_demand =
            matches!(self.operation, Operation::Chat(Dialect::ChatCompletions) | Operation::Completions);
        reports_on_demand && self.peek.stream && !self.peek.stream_usage && provider.quirks.stream_usage
    }

    fn native_body(&self, provider: &Provider, upstream_model: &str, ask_usage: bool) -> Result<Bytes, BadRequest> {
        if self.content_type.as_bytes().starts_with(b"multipart/") {
            return Ok(splice::replace_span(&self.body, &self.peek.model_span, upstream_model.as_bytes()));
        }
        let mut source = self.body.clone();
        let mut span = self.peek.model_span.clone();
        if let Some(stripped) = self.without_foreign_state(provider)? {
            source = Bytes::from(stripped);
            span = splice::model_span(&source)?;
        }
        if !ask_usage {
            return Ok(splice::replace_model(&source, &span, upstream_model));
        }
        if has_token(&source, "stream_options") {
            let patch = json!({"model": upstream_model, "stream_options": {"include_usage": true}});
            let Value::Object(patch) = patch else { return Ok(source) };
            return splice::merge(&source, &patch);
        }
        Ok(splice::replace_model_and_add(&source, &span, upstream_model, br#""stream_options":{"include_usage":true}"#))
    }

    /// The body without what other providers have left in its history and this one would
    /// refuse; `None` where there is nothing of it.
    fn without_foreign_state(&self, provider: &Provider) -> Result<Option<Vec<u8>>, BadRequest> {
        let sealed = || memchr::memmem::find(&self.body, SEAL_PREFIX.as_bytes()).is_some();
        match &self.operation {
            Operation::Chat(Dialect::Messages) if sealed() => anthropic::strip_foreign_seals(&self.body),
            Operation::Chat(Dialect::Responses) if sealed() => responses::strip_foreign_seals(&self.body),
            // Only OpenAI's own models, wherever they are served, are that strict.
            Operation::Chat(Dialect::ChatCompletions)
                if provider.quirks.output_limit == OutputLimitField::MaxCompletionTokens =>
            {
                openai::strip_foreign_fields(&self.body)
            }
            _ => Ok(None),
        }
    }

    fn translated_body(&self, protocol: Protocol, to: &EncodeFor<'_>) -> Result<Bytes, Unwritable> {
        if self.operation == Operation::Embeddings {
            let request = openai::embeddings::decode_embeddings(&self.body).map_err(Unwritable::Unsupported)?;
            return Ok(gemini::encode_embeddings(&request.inputs, request.dimensions, to.model).into());
        }
        let chat = self.chat().map_err(Unwritable::Bad)?;
        if self.operation == Operation::CountTokens {
            return gemini::encode_count_tokens(chat, to).map(Bytes::from).map_err(Unwritable::Unsupported);
        }
        match protocol {
            Protocol::OpenAi => openai::encode_request(chat, to),
            Protocol::Anthropic => anthropic::encode_request(chat, to),
            Protocol::Gemini => gemini::encode_request(chat, to),
        }
        .map(Bytes::from)
        .map_err(Unwritable::Unsupported)
    }

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
        mut flight: Flight,
        now: UnixMillis,
    ) -> Result<Reply, AttemptError> {
        let at = view.catalog.endpoint(endpoint);
        let protocol = view.catalog.provider(at.provider).protocol;
        let client = &view.provider(at.provider).client;
        let Prepared { request, lane, hide_usage } = prepared;
        let exchange = async {
            let response = client.send(request).await.map_err(|e| AttemptError::new(e.kind, e.message))?;
            if !response.status().is_success() {
                return Err(refusal(protocol, response, now).await);
            }
            self.accept(protocol, lane, hide_usage, response, &limits).await
        };
        let outcome = match tokio::time::timeout(limits.attempt, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => {
                flight.used(TokenUsage { input: self.peek.prompt_tokens, ..TokenUsage::default() }, true);
                let words = format!("no content within {:.1} s", limits.attempt.as_secs_f64());
                Err(AttemptError::new(FailureKind::Timeout, words))
            }
        };
        match outcome {
            Err(error) => {
                let retry_at = error.retry_after.map(|wait| now + wait);
                flight.end(FlightEnd::Failure { kind: error.kind, retry_at });
                Err(error)
            }
            Ok(accepted) => {
                flight.committed();
                Ok(self.deliver(accepted, flight, limits.stream, at.id.to_string()))
            }
        }
    }

    /// A 2xx: reads it to its commit point.
    async fn accept(
        &self,
        protocol: Protocol,
        lane: Lane,
        hide_usage: bool,
        response: Response<reqwest::Body>,
        limits: &AttemptLimits,
    ) -> Result<Accepted, AttemptError> {
        let (head, mut body) = response.into_parts();
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        let is_stream = self.peek.stream && matches!(self.operation, Operation::Chat(_) | Operation::Completions);
        if !is_stream {
            if let Operation::Other(_) = self.operation {
                let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
                return Ok(Accepted::Opaque { content_type, body });
            }
            let bytes = read_whole(&mut body, limits.max_answer).await?;
            return self.whole(protocol, lane, bytes);
        }
        let said = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !said.starts_with("text/event-stream") {
            let start = read_whole(&mut body, ERROR_BODY).await.unwrap_or_default();
            let error = decode_error(protocol, 200, &start);
            return Err(AttemptError::new(
                FailureKind::Malformed,
                format!("asked for a stream and got `{said}` {}", error.message),
            ));
        }
        let mut relay = self.relay(protocol, lane, hide_usage, limits.max_event);
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
    fn whole(&self, protocol: Protocol, lane: Lane, bytes: Bytes) -> Result<Accepted, AttemptError> {
        let malformed = |Malformed(why): Malformed| AttemptError::new(FailureKind::Malformed, why);
        let whole = |body: Bytes, seen| Accepted::Whole { body, seen };
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
            return seen.map(|seen| whole(bytes, seen)).map_err(malformed);
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
            _ => self.whole_chat(protocol, &bytes),
        }
    }

    fn whole_chat(&self, protocol: Protocol, bytes: &[u8]) -> Result<Accepted, AttemptError> {
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
        .map_err(|Malformed(why)| AttemptError::new(FailureKind::Malformed, why))?;
        let body = match &self.operation {
            Operation::Chat(Dialect::Messages) => anthropic::encode_response(&answer, &self.meta),
            Operation::Chat(Dialect::Responses) => {
                responses::encode_response(&answer, &self.meta, &responses::echo(&self.body))
            }
            _ => openai::encode_response(&answer, &self.meta),
        };
        let seen = Seen { usage: answer.usage, finish: Some(answer.finish), pieces: answer.parts.len() as u64 };
        Ok(Accepted::Whole { body: body.into(), seen })
    }

    /// Hands a committed answer over, with its flight.
    fn deliver(&self, accepted: Accepted, mut flight: Flight, limits: StreamLimits, served_by: String) -> Reply {
        match accepted {
            Accepted::Whole { body, mut seen } => {
                if seen.usage.output == 0 && seen.pieces > 0 {
                    seen.pieces = estimated_output(&body);
                }
                let (usage, estimated) = settled_usage(&seen, self.peek.prompt_tokens);
                if self.operation != Operation::CountTokens {
                    flight.used(usage, estimated);
                }
                flight.end(FlightEnd::Success);
                Reply { content_type: HeaderValue::from_static("application/json"), body: body.into() }
            }
            Accepted::Stream { relay, body } => {
                let body = RelayBody::new(body, *relay, limits, served_by, self.peek.prompt_tokens, flight);
                let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
                Reply { content_type, body: axum::body::Body::new(body) }
            }
            Accepted::Opaque { content_type, body } => {
                flight.used(TokenUsage { input: self.peek.prompt_tokens, ..TokenUsage::default() }, true);
                let body = axum::body::Body::new(super::body::OpaqueBody::new(body, limits, flight));
                Reply { content_type, body }
            }
        }
    }
}

/// A 2xx that is as good as its protocol asks for.
#[derive(Debug)]
enum Accepted {
    Whole { body: Bytes, seen: Seen },
    Stream { relay: Box<Relay>, body: reqwest::Body },
    Opaque { content_type: HeaderValue, body: reqwest::Body },
}

/// Bytes read of an error's body.
const ERROR_BODY: usize = 64 * 1024;

async fn read_whole(body: &mut reqwest::Body, limit: usize) -> Result<Bytes, AttemptError> {
    let malformed = |why: String| AttemptError::new(FailureKind::Malformed, why);
    let mut whole = BytesMut::new();
    let mut only: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("the connection was lost within the answer".into()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if whole.len() + only.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
            return Err(malformed(format!("the answer is longer than {limit} bytes")));
        }
        // Most answers come in one piece, which need not be copied.
        match (only.take(), whole.is_empty()) {
            (None, true) => only = Some(chunk),
            (first, _) => {
                whole.extend_from_slice(&first.unwrap_or_default());
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(only.unwrap_or_else(|| whole.freeze()))
}

/// An answer other than 2xx.
async fn refusal(protocol: Protocol, response: Response<reqwest::Body>, now: UnixMillis) -> AttemptError {
    let (head, mut body) = response.into_parts();
    let bytes = read_whole(&mut body, ERROR_BODY).await.unwrap_or_default();
    let status = head.status;
    let error = decode_error(protocol, status.as_u16(), &bytes);
    let kind = classify(status, error.hint);
    let asked = retry_after(&head.headers, now);
    let wait = match protocol {
        Protocol::Gemini => asked.or_else(|| gemini::retry_delay(&bytes)),
        Protocol::OpenAi | Protocol::Anthropic => asked,
    };
    let callers = matches!(kind, FailureKind::CallerMistake | FailureKind::ContextTooLong | FailureKind::ContentPolicy);
    AttemptError {
        kind,
        status: Some(status.as_u16()),
        retry_after: if head.headers.contains_key(RETRY_AFTER) || kind == FailureKind::RateLimited {
            wait
        } else {
            None
        },
        message: error.message,
        native_body: (callers && serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok()).then_some(bytes),
    }
}

fn decode_error(protocol: Protocol, status: u16, body: &[u8]) -> ProviderError {
    match protocol {
        Protocol::OpenAi => openai::decode_error(status, body),
        Protocol::Anthropic => anthropic::decode_error(status, body),
        Protocol::Gemini => gemini::decode_error(status, body),
    }
}

/// The class of an error answer: what its body says, else what its status says.
fn classify(status: StatusCode, hint: Option<ErrorHint>) -> FailureKind {
    match hint {
        Some(hint) => of_hint(hint),
        None => match status.as_u16() {
            401..=403 => FailureKind::Credential,
            404 => FailureKind::ModelGone,
            429 => FailureKind::RateLimited,
            // 408 and 425 are the server's to mend, like all above 500.
            408 | 425 | 500.. => FailureKind::ServerError,
            // A redirect is not followed: it would carry the credential along.
            300..=399 => FailureKind::Malformed,
            _ => FailureKind::CallerMistake,
        },
    }
}

fn of_hint(hint: ErrorHint) -> FailureKind {
    match hint {
        ErrorHint::ContextTooLong => FailureKind::ContextTooLong,
        ErrorHint::ContentPolicy => FailureKind::ContentPolicy,
        ErrorHint::Credential | ErrorHint::QuotaExhausted => FailureKind::Credential,
        ErrorHint::RateLimited => FailureKind::RateLimited,
        ErrorHint::ServerError => FailureKind::ServerError,
        ErrorHint::ModelGone => FailureKind::ModelGone,
        ErrorHint::CallerMistake => FailureKind::CallerMistake,
    }
}

impl AttemptError {
    fn new(kind: FailureKind, message: String) -> Self {
        Self { kind, status: None, retry_after: None, message, native_body: None }
    }

    /// An error that came with status 200. Where it does not say what it is, it is one
    /// more way of not answering.
    fn reported(error: &ProviderError) -> Self {
        let kind = match error.hint.map(of_hint) {
            Some(FailureKind::ServerError) | None => FailureKind::Malformed,
            Some(kind) => kind,
        };
        Self::new(kind, error.message.clone())
    }

    fn in_stream(failure: &StreamFailure) -> Self {
        match failure {
            StreamFailure::Provider(error) => Self::reported(error),
            StreamFailure::Malformed(why) => Self::new(FailureKind::Malformed, why.clone()),
        }
    }
}

/// When a stream that begins now has to be over.
pub fn stream_limits(alias: &Alias, started: Instant) -> StreamLimits {
    StreamLimits { idle: alias.limits.stream_idle_timeout, deadline: started + alias.limits.total_timeout }
}
