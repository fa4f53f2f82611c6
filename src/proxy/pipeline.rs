//! A request from its body to its answer: resolve, rank, try, fall back.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use rand::RngExt;
use tokio::time::Instant;

use super::Gateway;
use super::error::GatewayError;
use super::narrowing;
use super::respond::{AttemptNote, Trace};
use crate::domain::alias::{Alias, RequestLimits};
use crate::domain::ids::{AliasIdx, EndpointIdx};
use crate::domain::names::NameError;
use crate::domain::time::UnixMillis;
use crate::live::{Caller, Flight, View};
use crate::routing::eligibility::SkipReason;
use crate::routing::retry::{LONGEST_WAIT, NextStep, Progress, attempt_limit, next_step};
use crate::routing::{Candidate, Plan, Query, RequestFacts, Skipped, rank};
use crate::upstream::attempt::{AttemptLimits, Reply, stream_limits};
use crate::upstream::call::{Call, Unwritable};
use crate::upstream::lane::{fit, model_needs};
use crate::upstream::refusal::AttemptError;

/// Serves one request.
///
/// # Errors
/// If no target could serve it; nothing has reached the client then.
pub async fn serve(
    gateway: &Gateway,
    view: &Arc<View>,
    caller: &Caller,
    call: &Call,
    trace: &mut Trace,
) -> Result<Response, GatewayError> {
    trace.revision = Some(view.revision);
    let alias = view.catalog.alias(resolve(view, caller, &call.peek.model)?);
    trace.alias = Some(alias.name.to_string());
    trace.strategy = Some(alias.strategy.as_str());
    gateway.retries(crate::health::RetryBudget::deposit);

    let narrowing = narrowing::narrowing(&call.headers)?;
    let limits = narrowing::limits(&call.headers, alias.limits)?;
    let facts = facts_of(call);
    let now = gateway.live.clock.now();
    let query = Query { catalog: &view.catalog, alias, facts: &facts, narrowing: &narrowing, now };
    let plan = rank(&query, &view.observed(now), &mut rand::rng());
    let walk = Walk {
        gateway,
        view,
        alias,
        call,
        limits,
        started: Instant::now(),
        skipped: Vec::new(),
        unsaid: Vec::new(),
        failed: Vec::new(),
    };
    walk.run(plan, trace).await.map(|reply| trace.respond(reply))
}

/// What routing needs to know of a call.
fn facts_of(call: &Call) -> RequestFacts {
    RequestFacts {
        needs: model_needs(call.peek.needs),
        fit: fit(&call.operation, call.peek.needs),
        prompt_tokens: call.peek.prompt_tokens,
        max_output_tokens: call.peek.max_output_tokens,
    }
}

/// The alias that a name means, if the caller may use it.
fn resolve(view: &View, caller: &Caller, name: &str) -> Result<AliasIdx, GatewayError> {
    let alias = view.catalog.resolve(name).map_err(|error| match error {
        NameError::Unknown { nearest } => {
            // A caller learns no names that it may not use.
            let allowed = |name: &String| view.catalog.resolve(name).is_ok_and(|alias| caller.may_use(alias));
            GatewayError::UnknownModel { name: name.to_owned(), nearest: nearest.into_iter().filter(allowed).collect() }
        }
        NameError::Ambiguous { candidates } => GatewayError::AmbiguousModel { name: name.to_owned(), candidates },
    })?;
    if caller.may_use(alias) { Ok(alias) } else { Err(GatewayError::Forbidden { alias: name.to_owned() }) }
}

/// One request on its way through a plan.
struct Walk<'a> {
    gateway: &'a Gateway,
    view: &'a Arc<View>,
    alias: &'a Alias,
    call: &'a Call,
    limits: RequestLimits,
    started: Instant,
    /// Candidates that could not even be tried.
    skipped: Vec<Skipped>,
    /// Candidates whose protocol turned out to be unable to say the request.
    unsaid: Vec<(String, String)>,
    failed: Vec<(String, AttemptError)>,
}

/// How one candidate turned out.
enum Tried {
    Served(Reply),
    Failed(AttemptError),
    /// It was not called at all.
    PassedOver,
}

impl Walk<'_> {
    async fn run(mut self, mut plan: Plan, trace: &mut Trace) -> Result<Reply, GatewayError> {
        let mut last_resort = false;
        if plan.candidates.is_empty() {
            let candidate = self.wait_for_soonest(&plan).await?;
            plan.candidates.push(candidate);
            last_resort = true;
        }
        let mut position = 0;
        let mut repeated = false;
        while let Some(candidate) = plan.candidates.get(position).copied() {
            let remaining = u32::try_from(plan.candidates.len() - position).unwrap_or(u32::MAX);
            let attempts_left = self.limits.max_attempts.saturating_sub(trace.attempts.len() as u32);
            match self.try_one(&candidate, attempts_left.min(remaining), last_resort, trace).await? {
                Tried::Served(reply) => return Ok(reply),
                Tried::PassedOver => {
                    position += 1;
                    repeated = false;
                }
                Tried::Failed(error) => {
                    let progress = Progress {
                        plan: &plan,
                        position,
                        repeated,
                        kind: error.kind,
                        retry_after: error.retry_after,
                        attempts_left: attempts_left.saturating_sub(1),
                        time_left: self.time_left(),
                        policy: self.alias.fallback,
                        jitter: rand::rng().random(),
                    };
                    let step = next_step(&progress, &self.view.catalog);
                    self.failed.push((self.name(candidate.endpoint), error));
                    match step {
                        NextStep::Next(next) => {
                            position = next;
                            repeated = false;
                        }
                        NextStep::Same { after } if self.gateway.may_repeat(self.now()) => {
                            tokio::time::sleep(after).await;
                            repeated = true;
                        }
                        NextStep::Same { .. } | NextStep::GiveUp => break,
                    }
                }
            }
        }
        Err(self.nobody(plan.skipped))
    }

    async fn try_one(
        &mut self,
        candidate: &Candidate,
        may_come: u32,
        last_resort: bool,
        trace: &mut Trace,
    ) -> Result<Tried, GatewayError> {
        let endpoint = candidate.endpoint;
        let target = &self.alias.targets[candidate.target];
        let prepared = match self.call.prepare(self.view, self.alias, target, endpoint) {
            Ok(prepared) => prepared,
            Err(Unwritable::Bad(bad)) => return Err(GatewayError::Bad(bad)),
            Err(Unwritable::Unsupported(why)) => {
                self.unsaid.push((self.name(endpoint), why.to_string()));
                return Ok(Tried::PassedOver);
            }
        };
        let at = self.view.catalog.endpoint(endpoint);
        let (live, provider) = (self.view.endpoint(endpoint), self.view.provider(at.provider));
        let clock = self.gateway.live.clock;
        let started = Flight::start(live, provider, clock, at.prices.clone(), rand::rng().random(), last_resort);
        let flight = match started {
            Ok(flight) => flight,
            Err(reason) => {
                self.skipped.push(Skipped { endpoint, reason });
                return Ok(Tried::PassedOver);
            }
        };
        let own = match (self.call.peek.stream, target.first_token_timeout) {
            (true, Some(own)) => own,
            (true, None) => self.limits.first_token_timeout,
            (false, _) => self.limits.answer_timeout,
        };
        let limits = AttemptLimits {
            attempt: attempt_limit(own, self.time_left(), may_come),
            stream: stream_limits(self.alias, self.started),
            max_answer: self.view.limits.max_answer_bytes,
            max_event: self.view.limits.max_event_bytes,
        };
        let begun = Instant::now();
        let outcome = self.call.attempt(self.view, endpoint, prepared, limits, flight, clock.now()).await;
        let error = outcome.as_ref().err();
        trace.attempts.push(AttemptNote {
            endpoint: self.name(endpoint),
            failure: error.map(|error| error.kind),
            status: error.and_then(|error| error.status),
            took: begun.elapsed(),
            last_resort,
        });
        Ok(match outcome {
            Ok(reply) => {
                trace.target = Some(self.name(endpoint));
                Tried::Served(reply)
            }
            Err(error) => {
                tracing::warn!(
                    target: "pointsman::upstream",
                    request = %trace.id, endpoint = %at.id, failure = %error.kind, status = error.status,
                    message = crate::wire::peek::clip(&error.message, 300), "an attempt failed"
                );
                Tried::Failed(error)
            }
        })
    }

    /// Everything is out for a while: the one that is back first, when it may be tried.
    async fn wait_for_soonest(&self, plan: &Plan) -> Result<Candidate, GatewayError> {
        let nobody = || self.nobody_ready(&plan.skipped);
        let soonest = plan.soonest.ok_or_else(nobody)?;
        let wait = soonest.at.since(self.now());
        if wait > LONGEST_WAIT.min(self.time_left()) || !self.gateway.may_repeat(self.now()) {
            return Err(nobody());
        }
        tokio::time::sleep(wait).await;
        Ok(soonest.candidate)
    }

    fn now(&self) -> UnixMillis {
        self.gateway.live.clock.now()
    }

    fn time_left(&self) -> Duration {
        self.limits.deadline.saturating_sub(self.started.elapsed())
    }

    fn name(&self, endpoint: EndpointIdx) -> String {
        self.view.catalog.endpoint(endpoint).id.to_string()
    }

    /// The error of a request that nobody served.
    fn nobody(mut self, mut skipped: Vec<Skipped>) -> GatewayError {
        if !self.failed.is_empty() {
            return GatewayError::AllFailed { alias: self.alias.name.to_string(), attempts: self.failed };
        }
        skipped.append(&mut self.skipped);
        self.nobody_ready(&skipped)
    }

    /// The error of a request that nobody could even be asked to serve.
    fn nobody_ready(&self, skipped: &[Skipped]) -> GatewayError {
        let alias = self.alias.name.to_string();
        let mut reasons = self.reasons(skipped);
        reasons.extend(self.unsaid.iter().cloned());
        let all = |test: &dyn Fn(&SkipReason) -> bool| skipped.iter().all(|skipped| test(&skipped.reason));
        if all(&|reason| !reason.is_soft()) {
            let by_configuration = |reason: &SkipReason| {
                matches!(reason, SkipReason::Disabled | SkipReason::Unusable(_) | SkipReason::Drained)
            };
            return GatewayError::NoneFit {
                alias,
                reasons,
                too_long: self.unsaid.is_empty() && all(&|reason| matches!(reason, SkipReason::ContextWindow { .. })),
                unavailable: self.unsaid.is_empty() && all(&by_configuration),
            };
        }
        let now = self.now();
        let back = skipped.iter().filter_map(|skipped| match skipped.reason {
            SkipReason::RateLimited { until } | SkipReason::CoolingDown { until, .. } => Some(until.since(now)),
            SkipReason::AtLimit | SkipReason::Probing => Some(Duration::from_secs(1)),
            _ => None,
        });
        let limited = skipped
            .iter()
            .filter(|skipped| skipped.reason.is_soft())
            .all(|skipped| matches!(skipped.reason, SkipReason::RateLimited { .. } | SkipReason::AtLimit));
        GatewayError::NoneReady { alias, reasons, retry_after: back.min(), limited }
    }

    fn reasons(&self, skipped: &[Skipped]) -> Vec<(String, String)> {
        let now = self.now();
        skipped.iter().map(|skipped| (self.name(skipped.endpoint), skipped.reason.describe(now))).collect()
    }
}
