//! A request from its body to its answer: resolve, rank, try, fall back.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::response::Response;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::error::GatewayError;
use super::facts::facts_of;
use super::respond::{AttemptNote, Trace};
use super::unserved::Unserved;
use super::{Gateway, admission, narrowing};
use crate::domain::alias::{Alias, RequestLimits};
use crate::domain::failure::FailureKind;
use crate::domain::ids::{EndpointId, EndpointIdx};
use crate::domain::time::UnixMillis;
use crate::limits::Permit;
use crate::live::decisions::Decision;
use crate::live::{AliasLive, Caller, Departure, Flight, UsedBy, View, counted_by};
use crate::routing::retry::{LONGEST_WAIT, NextStep, Progress, attempt_limit, next_step};
use crate::routing::{Candidate, Plan, Query, RequestFacts, Skipped, rank};
use crate::stats::traffic::Fate;
use crate::stats::{Ask, Purpose};
use crate::upstream::attempt::{AttemptLimits, Reply, stream_limits};
use crate::upstream::call::{Call, Prepared, Unwritable};
use crate::upstream::lane::Operation;
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
    let idx = admission::resolve(view, caller, &call.peek.model)?;
    let alias = view.catalog.alias(idx);
    trace.alias = Some(alias.name.to_string());
    trace.strategy = Some(alias.strategy.as_str());
    gateway.retries(crate::health::RetryBudget::deposit);

    let narrowing = narrowing::narrowing(&call.headers)?;
    let limits = narrowing::limits(&call.headers, alias.limits)?;
    let facts = facts_of(call, alias);
    let permit = admission::admit(gateway, view, caller, idx, &facts, trace).await?;
    let now = gateway.live.clock.now();
    let snapshot = view.snapshot(idx, &facts, caller, now);
    let query = Query { catalog: &view.catalog, alias, facts: &facts, narrowing: &narrowing, now };
    let seed = rand::rng().random();
    let plan = rank(&query, &snapshot, &mut StdRng::seed_from_u64(seed));
    let order = plan.candidates.iter().map(|candidate| candidate.endpoint).collect();
    let live = view.alias(idx);
    live.stats.earn(alias.adaptivity.explore, alias.adaptivity.hedge, plan.promising);
    let walk = Walk {
        gateway,
        view,
        alias,
        live,
        call,
        facts: &facts,
        expected_output: snapshot.alias.expected_output,
        caller,
        permit,
        limits,
        started: Instant::now(),
        skipped: Vec::new(),
        unsaid: Vec::new(),
        failed: Vec::new(),
    };
    let counted = gateway.live.ledger.request(UsedBy::new(caller, alias, None));
    let begun = walk.started;
    let served = walk.run(plan, trace).await;
    counted.over(trace.target.clone());
    let fate = Fate { served_by: trace.target.as_ref(), stream: facts.stream, waited: begun.elapsed() };
    let failed = trace.attempts.iter().filter_map(|note| Some((&note.endpoint, note.failure?)));
    live.traffic(|traffic| traffic.record(gateway.live.clock.now(), fate, failed));
    gateway.decisions.record(Decision {
        request: trace.id.clone(),
        at: now,
        revision: view.catalog_revision,
        alias: idx,
        facts,
        narrowing,
        snapshot,
        seed,
        chosen: trace.target.clone(),
        order,
        attempts: trace.attempts.iter().map(AttemptNote::for_the_record).collect(),
    });
    served.map(|reply| trace.respond(reply))
}

/// One request on its way through a plan.
struct Walk<'a> {
    gateway: &'a Gateway,
    view: &'a Arc<View>,
    alias: &'a Alias,
    live: &'a Arc<AliasLive>,
    call: &'a Call,
    facts: &'a RequestFacts,
    expected_output: f64,
    caller: &'a Caller,
    /// What let the request in, if it is limited at all.
    permit: Option<Arc<Permit>>,
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

/// An attempt that is ready to go.
struct Departed {
    prepared: Prepared,
    flight: Flight,
    limits: AttemptLimits,
}

/// An attempt that has committed or failed.
struct Landed {
    endpoint: EndpointIdx,
    purpose: Purpose,
    outcome: Result<Reply, AttemptError>,
    took: Duration,
}

impl<'a> Walk<'a> {
    async fn run(mut self, mut plan: Plan, trace: &mut Trace) -> Result<Reply, GatewayError> {
        let mut last_resort = false;
        if plan.candidates.is_empty() {
            let candidate = self.wait_for_soonest(&plan).await?;
            plan.candidates.push(candidate);
            last_resort = true;
        }
        if let Some(first) = plan.candidates.first().filter(|first| first.purpose == Purpose::Explore) {
            tracing::debug!(target: "pointsman::routing", endpoint = %self.name(first.endpoint), "exploring");
            self.live.stats.explored(plan.excess);
        }
        let mut position = 0;
        let mut repeated = false;
        while let Some(candidate) = plan.candidates.get(position).copied() {
            let remaining = u32::try_from(plan.candidates.len() - position).unwrap_or(u32::MAX);
            let attempts_left = self.limits.max_attempts.saturating_sub(trace.attempts.len() as u32);
            let rival = plan.candidates.get(position + 1).filter(|_| attempts_left > 1);
            match self.try_one(&candidate, rival, attempts_left.min(remaining), last_resort, trace).await? {
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
        rival: Option<&Candidate>,
        may_come: u32,
        last_resort: bool,
        trace: &mut Trace,
    ) -> Result<Tried, GatewayError> {
        let race = Arc::new(AtomicBool::new(false));
        let Some(first) = self.depart(candidate, may_come, last_resort, &race).await? else {
            return Ok(Tried::PassedOver);
        };
        let first = self.fly(candidate, first);
        tokio::pin!(first);
        let begun = Instant::now();
        let hedge = candidate.hedge_s.zip(rival);
        let Some((after, rival)) = hedge else {
            let landed = first.await;
            return Ok(self.landed(landed, last_resort, trace));
        };
        tokio::select! {
            biased;
            landed = &mut first => return Ok(self.landed(landed, last_resort, trace)),
            () = tokio::time::sleep(Duration::from_secs_f64(after)) => {}
        }
        let second = Candidate { purpose: Purpose::Hedge, give_up_s: None, ..*rival };
        let departed = if self.live.stats.may_hedge() {
            tokio::select! {
                biased;
                landed = &mut first => return Ok(self.landed(landed, last_resort, trace)),
                departed = self.depart(&second, 1, false, &race) => departed?,
            }
        } else {
            None
        };
        let Some(departed) = departed else {
            let landed = first.await;
            return Ok(self.landed(landed, last_resort, trace));
        };
        let second = self.fly(&second, departed);
        tokio::pin!(second);
        // Whoever delivers first wins; a failure waits for the other.
        let (landed, other) = tokio::select! {
            landed = &mut first => {
                let other = if landed.outcome.is_err() { Ok(second.await) } else { Err((rival.endpoint, true)) };
                (landed, other)
            }
            landed = &mut second => {
                let other = if landed.outcome.is_err() { Ok(first.await) } else { Err((candidate.endpoint, false)) };
                (landed, other)
            }
        };
        let asked = landed.endpoint;
        match other {
            Err((loser, hedge)) => {
                trace.attempts.push(AttemptNote {
                    endpoint: self.id(loser),
                    failure: Some(FailureKind::Superseded),
                    status: None,
                    took: begun.elapsed(),
                    last_resort,
                    hedge,
                });
                Ok(self.landed(landed, last_resort, trace))
            }
            Ok(other) => {
                if let Tried::Failed(error) = self.landed(landed, last_resort, trace) {
                    self.failed.push((self.name(asked), error));
                }
                Ok(self.landed(other, last_resort, trace))
            }
        }
    }

    /// Writes the request for a candidate and opens its account; `None` where it cannot even
    /// be asked.
    async fn depart(
        &mut self,
        candidate: &Candidate,
        may_come: u32,
        last_resort: bool,
        race: &Arc<AtomicBool>,
    ) -> Result<Option<Departed>, GatewayError> {
        let endpoint = candidate.endpoint;
        let target = &self.alias.targets[candidate.target];
        let prepared = match self.call.prepare(self.view, self.alias, target, endpoint) {
            Ok(prepared) => prepared,
            Err(Unwritable::Bad(bad)) => return Err(GatewayError::Bad(bad)),
            Err(Unwritable::Unsupported(why)) => {
                self.unsaid.push((self.name(endpoint), why.to_string()));
                return Ok(None);
            }
        };
        let at = self.view.catalog.endpoint(endpoint);
        let cost = self.view.expected_cost(endpoint, self.facts, self.expected_output);
        let touched = self.view.touched(self.caller, self.alias, target, endpoint);
        let reservation = match admission::set_aside(self.gateway, &touched, cost).await {
            Ok(reservation) => reservation,
            Err(reason) => {
                self.skipped.push(Skipped { endpoint, reason });
                return Ok(None);
            }
        };
        let purpose = if last_resort { Purpose::LastResort } else { candidate.purpose };
        let departure = Departure {
            endpoint: Arc::clone(self.view.endpoint(endpoint)),
            provider: Arc::clone(self.view.provider(at.provider)),
            alias: Arc::clone(self.live),
            counted_by: counted_by(self.alias, self.caller),
            ledger: Arc::clone(&self.gateway.live.ledger),
            used_by: UsedBy::new(self.caller, self.alias, Some(at.id.clone())),
            permit: self.permit.clone(),
            reservation,
            ask: Ask {
                prompt_tokens: self.facts.prompt_tokens,
                // A float of at most a few million.
                output_tokens: self.expected_output as u64,
                stream: self.facts.stream,
                unmeasured: matches!(self.call.operation, Operation::CountTokens | Operation::Other(_)),
                purpose,
                seen_sent_at: candidate.seen_sent_at,
            },
            max_output_tokens: self.facts.max_output_tokens,
            prices: at.prices.clone(),
            jitter: rand::rng().random(),
            won: Arc::clone(race),
        };
        let flight = match Flight::start(departure, self.gateway.live.clock) {
            Ok(flight) => flight,
            Err(reason) => {
                self.skipped.push(Skipped { endpoint, reason });
                return Ok(None);
            }
        };
        let own = match (self.call.peek.stream, target.first_token_timeout) {
            (true, Some(own)) => own,
            (true, None) => self.limits.first_token_timeout,
            (false, _) => self.limits.answer_timeout,
        };
        let limits = AttemptLimits {
            attempt: attempt_limit(own, self.time_left(), may_come),
            give_up: candidate.give_up_s.filter(|_| may_come > 1).map(Duration::from_secs_f64),
            stream: stream_limits(self.alias, self.started),
            max_answer: self.view.limits.max_answer_bytes,
            max_event: self.view.limits.max_event_bytes,
        };
        Ok(Some(Departed { prepared, flight, limits }))
    }

    /// Sends it and waits until it commits or fails. Borrows nothing of the walk that
    /// changes, so that two may be under way.
    fn fly(&self, candidate: &Candidate, departed: Departed) -> impl Future<Output = Landed> + use<'a> {
        let Self { view, call, live, .. } = *self;
        let (endpoint, purpose) = (candidate.endpoint, candidate.purpose);
        async move {
            let begun = Instant::now();
            let Departed { prepared, flight, limits } = departed;
            let may_give_up = || live.stats.may_give_up();
            let outcome = call.attempt(view, endpoint, prepared, limits, flight, may_give_up).await;
            Landed { endpoint, purpose, outcome, took: begun.elapsed() }
        }
    }

    /// Notes how an attempt turned out.
    fn landed(&self, landed: Landed, last_resort: bool, trace: &mut Trace) -> Tried {
        let Landed { endpoint, purpose, outcome, took } = landed;
        let error = outcome.as_ref().err();
        trace.attempts.push(AttemptNote {
            endpoint: self.id(endpoint),
            failure: error.map(|error| error.kind),
            status: error.and_then(|error| error.status),
            took,
            last_resort,
            hedge: purpose == Purpose::Hedge,
        });
        match outcome {
            Ok(reply) => {
                trace.target = Some(self.id(endpoint));
                if let Some(conversation) = self.facts.identity.filter(|_| self.alias.adaptivity.affinity.is_some()) {
                    self.live.settle(conversation, endpoint, self.now());
                }
                Tried::Served(reply)
            }
            Err(error) => {
                tracing::warn!(
                    target: "pointsman::upstream",
                    request = %trace.id, endpoint = %self.name(endpoint), failure = %error.kind, status = error.status,
                    message = crate::wire::peek::clip(&error.message, 300), "an attempt failed"
                );
                Tried::Failed(error)
            }
        }
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

    fn id(&self, endpoint: EndpointIdx) -> EndpointId {
        self.view.catalog.endpoint(endpoint).id.clone()
    }

    fn name(&self, endpoint: EndpointIdx) -> String {
        self.id(endpoint).to_string()
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
        let unserved = Unserved { catalog: &self.view.catalog, alias: self.alias, skipped, unsaid: &self.unsaid };
        unserved.error(self.now())
    }
}
