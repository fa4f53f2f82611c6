//! Spans: one for a request, one for each of its attempts, exported by OTLP over HTTP.
//!
//! The context that a caller sends (W3C `traceparent`, `tracestate`) is the parent of a request's
//! span, and the attempt's own is what its provider gets, so that a trace goes on through us.
//! Attributes follow OpenTelemetry's conventions for generative AI as far as they name a thing.
//! Where nothing is traced there is no [`Traces`], and nothing is done; a caller's context passes
//! as it came.

mod export;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};

pub use export::{Exported, Post, Posted};

use crate::domain::client_protocol::OperationName;
use crate::domain::failure::FailureKind;
use crate::domain::outcome::RequestOutcome;
use crate::domain::purpose::Purpose;
use crate::domain::telemetry::TracePolicy;
use crate::domain::usage::TokenUsage;

/// Of a prompt, so many bytes stand on a span at most.
const LONGEST_CONTENT: usize = 64 << 10;

/// What makes spans, and sends them.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    content: bool,
    /// What became of those that have ended.
    pub exported: Arc<Exported>,
}

impl Traces {
    /// Traces by a policy. `post` carries what is exported; `instance` is who we are.
    ///
    /// # Errors
    /// If the exporter cannot be built.
    pub fn start(policy: &TracePolicy, post: Post, instance: &str) -> anyhow::Result<Self> {
        let exported = Arc::<Exported>::default();
        let processor = export::processor(policy, post, &exported)?;
        let mut resource = Resource::builder().with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ]);
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("pointsman");
        }
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(policy.sample))))
            .with_resource(resource.build())
            .build();
        Ok(Self { tracer: provider.tracer("pointsman"), provider, content: policy.content, exported })
    }

    /// A request has come, with these headers.
    pub(super) fn request(&self, headers: &HeaderMap, operation: OperationName, path: &str) -> RequestSpan {
        let parent = came_with(headers);
        let mut builder = SpanBuilder::from_name(operation.as_str());
        builder.span_kind = Some(SpanKind::Server);
        builder.attributes = Some(vec![
            KeyValue::new("gen_ai.operation.name", operation.as_str()),
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("url.path", path.to_owned()),
        ]);
        RequestSpan(self.tracer.build_with_context(builder, &parent))
    }

    /// An attempt at a request begins.
    pub(super) fn attempt(&self, of: &SpanContext, operation: OperationName, to: &AttemptTo<'_>) -> AttemptSpan {
        let parent = Context::new().with_remote_span_context(of.clone());
        let mut builder = SpanBuilder::from_name(format!("{} {}", operation.as_str(), to.model));
        builder.span_kind = Some(SpanKind::Client);
        builder.attributes = Some(vec![
            KeyValue::new("gen_ai.operation.name", operation.as_str()),
            KeyValue::new("gen_ai.provider.name", to.provider.to_owned()),
            KeyValue::new("gen_ai.request.model", to.model.to_owned()),
            KeyValue::new("server.address", to.host.to_owned()),
            KeyValue::new("server.port", i64::from(to.port)),
            KeyValue::new("pointsman.target", to.target.to_owned()),
            KeyValue::new("pointsman.purpose", to.purpose.as_str()),
        ]);
        AttemptSpan(self.tracer.build_with_context(builder, &parent))
    }

    /// Whether spans carry what was asked.
    pub fn with_content(&self) -> bool {
        self.content
    }

    /// Sends what is left, and ends. Blocks for seconds at most.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown() {
            let waiting = self.exported.waiting.load(Relaxed);
            tracing::warn!(waiting, "the last spans may be lost: {error}");
        }
    }
}

/// What a caller says of the trace that its request is part of.
pub fn came_with(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}

/// Says in headers which trace a request is part of.
pub fn tell(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(headers));
}

/// Where an attempt goes.
#[derive(Clone, Copy, Debug)]
pub struct AttemptTo<'a> {
    /// The target.
    pub target: &'a str,
    /// Its provider.
    pub provider: &'a str,
    /// The model, as the provider calls it.
    pub model: &'a str,
    /// The provider's host.
    pub host: &'a str,
    /// And port.
    pub port: u16,
    /// Why.
    pub purpose: Purpose,
}

/// The span of a request.
#[derive(Debug)]
pub struct RequestSpan(Span);

impl RequestSpan {
    /// What attempts are parts of.
    pub(super) fn context(&self) -> SpanContext {
        self.0.span_context().clone()
    }

    /// Whether anybody will see it.
    pub(super) fn is_recorded(&self) -> bool {
        self.0.is_recording()
    }

    /// Says something of it.
    pub(super) fn say(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// It means this alias.
    pub(super) fn of_alias(&mut self, operation: OperationName, alias: &str) {
        self.0.update_name(format!("{} {alias}", operation.as_str()));
        self.say("gen_ai.request.model", alias.to_owned());
    }

    /// What was asked.
    pub(super) fn content(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_CONTENT)]);
        self.say("pointsman.request.body", text.into_owned());
    }

    /// What its answer says of itself.
    pub(super) fn answer_is(&mut self, model: Option<&str>, finish: Option<&'static str>) {
        answer_is(&mut self.0, model, finish);
    }

    /// It has ended.
    pub(super) fn end(&mut self, outcome: RequestOutcome, usage: &TokenUsage) {
        tokens(&mut self.0, usage);
        self.say("pointsman.outcome", outcome.as_str());
        if outcome != RequestOutcome::Ok {
            self.say("error.type", outcome.as_str());
            if outcome.is_our_failure() {
                self.0.set_status(Status::error(outcome.as_str()));
            }
        }
        self.0.end();
    }
}

/// The span of an attempt; dropped without a word, it ends as it is.
#[derive(Debug)]
pub struct AttemptSpan(Span);

impl AttemptSpan {
    /// What the provider gets to know of it.
    pub fn pass_on(&self, headers: &mut HeaderMap) {
        tell(&Context::new().with_remote_span_context(self.0.span_context().clone()), headers);
    }

    /// Whether anybody will see it.
    pub fn is_recorded(&self) -> bool {
        self.0.is_recording()
    }

    /// What its answer says of itself: the model that it is from, and why it ended.
    pub fn answer_is(&mut self, model: Option<&str>, finish: Option<&'static str>) {
        answer_is(&mut self.0, model, finish);
    }

    /// Its first content came.
    pub fn first_content(&mut self) {
        self.0.add_event("gen_ai.first_content", Vec::new());
    }

    /// It has ended.
    pub fn end(mut self, failure: Option<FailureKind>, usage: &TokenUsage) {
        tokens(&mut self.0, usage);
        if let Some(kind) = failure {
            self.0.set_attribute(KeyValue::new("error.type", kind.as_str()));
            if !matches!(kind, FailureKind::ClientGone | FailureKind::Superseded) {
                self.0.set_status(Status::error(kind.as_str()));
            }
        }
        self.0.end();
    }
}

fn answer_is(span: &mut Span, model: Option<&str>, finish: Option<&'static str>) {
    if let Some(model) = model {
        span.set_attribute(KeyValue::new("gen_ai.response.model", model.to_owned()));
    }
    if let Some(finish) = finish {
        let reasons = Array::String(vec![finish.into()]);
        span.set_attribute(KeyValue::new("gen_ai.response.finish_reasons", Value::Array(reasons)));
    }
}

fn tokens(span: &mut Span, usage: &TokenUsage) {
    let TokenUsage { input, cached_input, cache_write, output, reasoning } = *usage;
    let mut count = |name, tokens: u64| {
        span.set_attribute(KeyValue::new(name, i64::try_from(tokens).unwrap_or(i64::MAX)));
    };
    if !usage.is_empty() {
        count("gen_ai.usage.input_tokens", input);
        count("gen_ai.usage.output_tokens", output);
    }
    for (name, part) in [
        ("gen_ai.usage.cache_read.input_tokens", cached_input),
        ("gen_ai.usage.cache_creation.input_tokens", cache_write),
        ("gen_ai.usage.reasoning.output_tokens", reasoning),
    ] {
        if part > 0 {
            count(name, part);
        }
    }
}
