//! One caller's request from its head to its last byte, however it ends.
//!
//! An [`OpenRequest`] is shared by everybody who works for the request: the pipeline, and the
//! attempt whose stream goes on after the pipeline has returned. It ends when the last of them
//! lets go of it, which happens once, and then tells the metrics what became of it. A request
//! that nobody has said a word about has lost its caller.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Telemetry;
use super::metrics::{AliasMeters, Ended, ProjectMeters};
use crate::domain::client_protocol::ClientProtocol;
use crate::domain::failure::FailureKind;
use crate::domain::money::PicoUsd;
use crate::domain::outcome::RequestOutcome;
use crate::domain::usage::TokenUsage;

/// A request that has not ended.
#[derive(Debug)]
pub struct OpenRequest {
    telemetry: Arc<Telemetry>,
    /// Held for a few instructions at a time.
    facts: Mutex<Facts>,
}

/// What is known of a request so far.
#[derive(Debug)]
struct Facts {
    begun: Instant,
    protocol: ClientProtocol,
    strategy: &'static str,
    alias: Option<Arc<AliasMeters>>,
    project: Option<ProjectMeters>,
    /// What its caller was told, where that was an error.
    refused: Option<RequestOutcome>,
    /// How the attempt ended that gave the answer.
    answered: Option<Option<FailureKind>>,
    stream: bool,
    first_content: Option<Duration>,
    usage: TokenUsage,
    cost: PicoUsd,
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
            refused: None,
            answered: None,
            stream: false,
            first_content: None,
            usage: TokenUsage::default(),
            cost: PicoUsd(0),
        };
        Arc::new(Self { telemetry: Arc::clone(telemetry), facts: Mutex::new(facts) })
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // A panic elsewhere leaves plain values behind, which are as good as before.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it tells what became of it.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// It came by this protocol.
    pub fn came_by(&self, protocol: ClientProtocol) {
        self.facts().protocol = protocol;
    }

    /// How it came.
    pub fn protocol(&self) -> ClientProtocol {
        self.facts().protocol
    }

    /// Its caller is of this project.
    pub fn of_project(&self, project: ProjectMeters) {
        self.facts().project = Some(project);
    }

    /// It has come whole, and its time is counted from now on.
    pub fn read(&self, stream: bool) {
        let mut facts = self.facts();
        facts.begun = Instant::now();
        facts.stream = stream;
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

    /// Its caller was told of an error.
    pub fn refused(&self, outcome: RequestOutcome) {
        self.facts().refused = Some(outcome);
    }

    /// The first content of its answer came.
    pub fn committed(&self) {
        let mut facts = self.facts();
        if facts.stream {
            facts.first_content = Some(facts.begun.elapsed());
        }
    }

    /// An attempt has ended. `answered`: its answer was the caller's.
    pub fn attempted(&self, answered: bool, failure: Option<FailureKind>, usage: &TokenUsage, cost: PicoUsd) {
        let mut facts = self.facts();
        facts.cost.0 = facts.cost.0.saturating_add(cost.0);
        if answered {
            facts.answered = Some(failure);
            facts.usage = *usage;
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let metrics = &self.telemetry.metrics;
        metrics.in_flight.fetch_sub(1, Relaxed);
        let facts = self.facts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let outcome = match (facts.refused, facts.answered) {
            (Some(outcome), _) => outcome,
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
    }
}
