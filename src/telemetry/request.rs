//! One caller's request from its head to its last byte, however it ends.
//!
//! An [`OpenRequest`] is shared by everybody who works for the request: the pipeline, and the
//! attempt whose stream goes on after the pipeline has returned. It ends when the last of them
//! lets go of it, which happens once, and then tells metrics, the log and its span what became of
//! it. A request that nobody has said a word about has lost its caller.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::Telemetry;
use super::metrics::{AliasMeters, Ended, ProjectMeters};
use super::traces::{AttemptSpan, AttemptTo, RequestSpan};
use crate::domain::client_protocol::ClientProtocol;
use crate::domain::failure::FailureKind;
use crate::domain::ids::{KeyName, ProjectName};
use crate::domain::money::PicoUsd;
use crate::domain::outcome::RequestOutcome;
use crate::domain::usage::TokenUsage;

/// The status of an answer that is no error.
const OK: u16 = 200;

/// A request that has not ended.
#[derive(Debug)]
pub struct OpenRequest {
    telemetry: Arc<Telemetry>,
    /// Held for a few instructions at a time.
    facts: Mutex<Facts>,
    /// Where it is traced.
    span: OnceLock<Mutex<RequestSpan>>,
}

/// What is known of a request so far.
#[derive(Debug)]
struct Facts {
    begun: Instant,
    protocol: ClientProtocol,
    strategy: &'static str,
    alias: Option<Arc<AliasMeters>>,
    project: Option<ProjectMeters>,
    caller: Option<(Option<KeyName>, ProjectName)>,
    /// What its caller was told, where that was an error: how it ended, and the status.
    refused: Option<(RequestOutcome, u16)>,
    /// How many attempts there were.
    attempts: u32,
    /// How the attempt ended that gave the answer.
    answered: Option<Option<FailureKind>>,
    stream: bool,
    first_content: Option<Duration>,
    usage: TokenUsage,
    cost: PicoUsd,
    story: Story,
}

/// What only a log or a span wants to know of a request.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Its id.
    pub id: String,
    /// The revision of the configuration that it ran on.
    pub revision: Option<u64>,
    /// The alias that it meant.
    pub alias: Option<String>,
    /// What it was taken for.
    pub category: Option<String>,
    /// Why.
    pub category_reason: Option<&'static str>,
    /// Who answered.
    pub target: Option<String>,
    /// Its attempts, as the answer's header has them.
    pub tried: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves plain values behind, which are as good as before.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenRequest {
    /// A request has come.
    pub fn new(telemetry: &Arc<Telemetry>) -> Arc<Self> {
        telemetry.metrics.in_flight.fetch_add(1, Relaxed);
        let facts = Facts {
            begun: Instant::now(),
            protocol: ClientProtocol::Other,
            strategy: "",
            alias: None,
            project: None,
            caller: None,
            refused: None,
            attempts: 0,
            answered: None,
            stream: false,
            first_content: None,
            usage: TokenUsage::default(),
            cost: PicoUsd(0),
            story: Story::default(),
        };
        Arc::new(Self { telemetry: Arc::clone(telemetry), facts: Mutex::new(facts), span: OnceLock::new() })
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// It came by this protocol, with these headers, to this path.
    pub fn came_by(&self, protocol: ClientProtocol, headers: &HeaderMap, path: &str) {
        self.facts().protocol = protocol;
        if let Some(traces) = self.telemetry.traces.get() {
            let span = traces.request(headers, protocol.operation(), path);
            if span.is_recorded() || span.context().is_valid() {
                let _ = self.span.set(Mutex::new(span));
            }
        }
    }

    /// How it came.
    pub fn protocol(&self) -> ClientProtocol {
        self.facts().protocol
    }

    /// Who its caller is.
    pub fn of_caller(&self, key: Option<&KeyName>, project: &ProjectName, meters: &ProjectMeters) {
        let mut facts = self.facts();
        facts.project = Some(meters.clone());
        if self.has_listeners() {
            facts.caller = Some((key.cloned(), project.clone()));
        }
    }

    /// It has come whole, and its time is counted from then on.
    pub fn read(&self, at: Instant, stream: bool, body: &[u8]) {
        {
            let mut facts = self.facts();
            facts.begun = at;
            facts.stream = stream;
        }
        if let Some(span) = self.span.get()
            && self.telemetry.traces.get().is_some_and(super::traces::Traces::with_content)
        {
            lock(span).content(body);
        }
    }

    /// It means this alias.
    pub fn resolved(&self, alias: Arc<AliasMeters>, strategy: &'static str) {
        alias.in_flight.fetch_add(1, Relaxed);
        let mut facts = self.facts();
        facts.strategy = strategy;
        if let Some(earlier) = facts.alias.replace(alias) {
            earlier.in_flight.fetch_sub(1, Relaxed);
        }
    }

    /// By this strategy it is served.
    pub fn served_by(&self, strategy: &'static str) {
        self.facts().strategy = strategy;
    }

    /// It was answered without anybody being asked.
    pub fn answered(&self) {
        self.facts().answered = Some(None);
    }

    /// Its caller was told of an error, with this status.
    pub fn refused(&self, outcome: RequestOutcome, status: u16) {
        self.facts().refused = Some((outcome, status));
    }

    /// The first content of its answer came at that moment.
    pub fn committed(&self, at: Instant) {
        let mut facts = self.facts();
        if facts.stream {
            facts.first_content = Some(at.saturating_duration_since(facts.begun));
        }
    }

    /// The span of an attempt; `None` where nothing is traced.
    pub fn attempt_span<'a>(&self, to: impl FnOnce() -> AttemptTo<'a>) -> Option<AttemptSpan> {
        let span = self.span.get()?;
        let of = lock(span).context();
        Some(self.telemetry.traces.get()?.attempt(&of, self.protocol().operation(), &to()))
    }

    /// What its answer says of itself.
    pub fn answer_is(&self, model: Option<&str>, finish: Option<&'static str>) {
        if let Some(span) = self.span.get() {
            lock(span).answer_is(model, finish);
        }
    }

    /// An attempt has ended. `answered`: its answer was the caller's.
    pub fn attempted(&self, answered: bool, failure: Option<FailureKind>, usage: &TokenUsage, cost: PicoUsd) {
        let mut facts = self.facts();
        facts.attempts += 1;
        facts.cost.0 = facts.cost.0.saturating_add(cost.0);
        if answered {
            facts.answered = Some(failure);
            facts.usage = *usage;
        }
    }

    /// Words about one of its attempts, as they may be logged.
    pub fn words<'w>(&self, words: &'w str, quote: bool) -> Cow<'w, str> {
        self.telemetry.lines.words(words, quote)
    }

    /// Whether anybody wants to know its story.
    pub fn has_listeners(&self) -> bool {
        self.span.get().is_some() || self.telemetry.lines.any()
    }

    /// Its story, as far as it goes.
    pub fn told(&self, story: Story) {
        self.facts().story = story;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let metrics = &self.telemetry.metrics;
        metrics.in_flight.fetch_sub(1, Relaxed);
        let facts = self.facts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let outcome = match (facts.refused, facts.answered) {
            (Some((outcome, _)), _) => outcome,
            (None, Some(failure)) => RequestOutcome::of_answer(failure),
            (None, None) => RequestOutcome::ClientGone,
        };
        let ok = outcome == RequestOutcome::Ok;
        let ended = Ended {
            strategy: facts.strategy,
            protocol: facts.protocol,
            outcome,
            took: facts.begun.elapsed(),
            first_token: facts.first_content,
            streamed_tokens: ok.then_some(facts.usage.output),
        };
        match &facts.alias {
            Some(alias) => {
                alias.in_flight.fetch_sub(1, Relaxed);
                alias.ended(&ended);
            }
            None => metrics.nobody.get_or_init(|| metrics.alias("")).ended(&ended),
        }
        if let Some(project) = &facts.project {
            project.requested(ok, facts.cost.0);
        }
        if self.telemetry.lines.wants(&facts.story.id, outcome) {
            facts.write_line(&ended);
        }
        if let Some(span) = self.span.get_mut() {
            facts.finish(span.get_mut().unwrap_or_else(PoisonError::into_inner), outcome);
        }
    }
}

impl Facts {
    /// The status of the answer; `None` where there was none.
    fn status(&self) -> Option<u16> {
        self.refused.map(|(_, status)| status).or(self.answered.map(|_| OK))
    }

    /// One line for all of it. Neither the prompt nor the answer is in it.
    fn write_line(&self, ended: &Ended) {
        let Story { id, revision, alias, category, category_reason, target, tried } = &self.story;
        let ms = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
        let (key, project) = self
            .caller
            .as_ref()
            .map_or((None, None), |(key, project)| (key.as_ref().map(KeyName::as_str), Some(project.as_str())));
        tracing::info!(
            target: "pointsman::request",
            request = id, outcome = ended.outcome.as_str(), status = self.status(), alias, strategy = self.strategy,
            category, category_reason, served_by = target, attempts = self.attempts, tried,
            protocol = self.protocol.as_str(), stream = self.stream, project, key, revision,
            duration_ms = ms(ended.took), first_token_ms = self.first_content.map(ms),
            input_tokens = self.usage.input, cached_input_tokens = self.usage.cached_input,
            output_tokens = self.usage.output, cost_usd = self.cost.as_usd(),
            "request"
        );
    }

    /// Says on the span of the request what became of it.
    fn finish(&self, span: &mut RequestSpan, outcome: RequestOutcome) {
        let story = &self.story;
        if let Some(alias) = &story.alias {
            span.of_alias(self.protocol.operation(), alias);
        }
        if let Some(status) = self.status() {
            span.say("http.response.status_code", i64::from(status));
        }
        span.say("pointsman.request.id", story.id.clone());
        if !self.strategy.is_empty() {
            span.say("pointsman.strategy", self.strategy);
        }
        for (name, value) in [
            ("pointsman.target", &story.target),
            ("pointsman.category", &story.category),
            ("pointsman.category.reason", &story.category_reason.map(str::to_owned)),
            ("pointsman.project", &self.caller.as_ref().map(|(_, project)| project.to_string())),
            ("pointsman.key", &self.caller.as_ref().and_then(|(key, _)| key.as_ref().map(ToString::to_string))),
        ] {
            if let Some(value) = value {
                span.say(name, value.clone());
            }
        }
        span.say("pointsman.attempts", i64::from(self.attempts));
        span.say("gen_ai.request.stream", self.stream);
        if let Some(revision) = story.revision {
            span.say("pointsman.revision", i64::try_from(revision).unwrap_or(i64::MAX));
        }
        if let Some(first) = self.first_content {
            span.say("gen_ai.response.time_to_first_chunk", first.as_secs_f64());
        }
        span.end(outcome, &self.usage);
    }
}
