//! A request on its way through a plan: try, fall back, try again, give up.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::uri::Scheme;
use rand::RngExt;
use tokio::time::Instant;

use super::admission;
use super::decide::Ask;
use super::error::GatewayError;
use super::respond::{AttemptNote, Trace};
use super::unserved::Unserved;
use crate::domain::alias::{Alias, RequestLimits};
use crate::domain::ids::{AliasIdx, EndpointId, EndpointIdx};
use crate::domain::time::UnixMillis;
use crate::limits::Permit;
use crate::live::{AliasLive, Departure, Flight, Meters, UsedBy, counted_by};
use crate::routing::eligibility::SkipReason;
use crate::routing::retry::{LONGEST_WAIT, NextStep, Progress, attempt_limit, may_go_elsewhere, next_step};
use crate::routing::{Candidate, Plan, RequestFacts, Skipped};
use crate::stats::{self, Purpose};
use crate::telemetry::metrics::AliasMeters;
use crate::telemetry::traces::AttemptTo;
use crate::upstream::attempt::{AttemptLimits, Reply, stream_limits};
use crate::upstream::call::{Prepared, Unwritable};
use crate::upstream::lane::Operation;
use crate::upstream::refusal::AttemptError;

/// One request on its way through a plan.
pub struct Walk<'a> {
    /// What is asked, by whom.
    pub ask: Ask<'a>,
    /// Whose targets are tried.
    pub alias: &'a Alias,
    /// What is observed of that.
    pub live: &'a Arc<AliasLive>,
    /// Where requests of the alias that was asked are counted.
    pub meters: &'a Arc<AliasMeters>,
    /// The request, as that sees it.
    pub facts: RequestFacts,
    /// Tokens of the answer, as answers of that usually are.
    pub expected_output: f64,
    /// What let the request in, if it is limited at all.
    pub permit: Option<Arc<Permit>>,
    /// The limits of the request.
    pub limits: RequestLimits,
    /// When it came.
    pub started: Instant,
    /// Whose targets follow when all of this alias are exhausted.
    pub behind: Option<AliasIdx>,
    /// They are being asked.
    pub turned: bool,
    /// Candidates that could not even be tried.
    pub skipped: Vec<Skipped>,
    /// Candidates whose protocol turned out to be unable to say the request.
    pub unsaid: Vec<(String, String)>,
    /// Those that were tried and failed.
    pub failed: Vec<(String, AttemptError)>,
}

/// How a plan turned out.
pub enum Walked {
    /// Somebody served.
    Served(Reply),
    /// Nobody of it could serve, and somebody else might.
    Exhausted,
    /// Nobody else is to be asked.
    Over,
}

/// How one candidate turned out.
pub(super) enum Tried {
    Served(Reply),
    Failed(AttemptError),
    /// It was not called at all.
    PassedOver,
}

/// An attempt that is ready to go.
pub(super) struct Departed {
    prepared: Prepared,
    flight: Box<Flight>,
    limits: AttemptLimits,
}

/// An attempt that has committed or failed.
pub(super) struct Landed {
    pub(super) endpoint: EndpointIdx,
    purpose: Purpose,
    pub(super) outcome: Result<Reply, AttemptError>,
    took: Duration,
}

impl<'a> Walk<'a> {
    /// Walks one plan; also returns who was left out of it.
    pub(super) async fn walk(
        &mut self,
        plan: &mut Plan,
        trace: &mut Trace,
    ) -> Result<(Walked, Vec<Skipped>), GatewayError> {
        let mut last_resort = false;
        if plan.candidates.is_empty() {
            if self.behind.is_some() {
                return Ok((Walked::Exhausted, std::mem::take(&mut plan.skipped)));
            }
            if self.failed.is_empty() {
                let candidate = self.wait_for_soonest(plan).await?;
                plan.candidates.push(candidate);
                last_resort = true;
            }
        }
        if let Some(first) = plan.candidates.first().filter(|first| first.purpose == Purpose::Explore) {
            tracing::debug!(target: "pointsman::routing", endpoint = %self.name(first.endpoint), "exploring");
            self.live.stats.explored(plan.excess);
        }
        let mut position = 0;
        let mut repeated = false;
        while let Some(candidate) = plan.candidates.get(position).copied() {
            let more = usize::from(self.behind.is_some());
            let remaining = u32::try_from(plan.candidates.len() - position + more).unwrap_or(u32::MAX);
            let attempts_left = self.limits.max_attempts.saturating_sub(trace.attempts.len() as u32);
            if attempts_left == 0 {
                return Ok((Walked::Over, std::mem::take(&mut plan.skipped)));
            }
            let rival = plan.candidates.get(position + 1).filter(|_| attempts_left > 1);
            match self.try_one(&candidate, rival, attempts_left.min(remaining), last_resort, trace).await? {
                Tried::Served(reply) => return Ok((Walked::Served(reply), Vec::new())),
                Tried::PassedOver => {
                    position += 1;
                    repeated = false;
                }
                Tried::Failed(error) => {
                    let progress = Progress {
                        plan,
                        position,
                        repeated,
                        kind: error.kind,
                        retry_after: error.retry_after,
                        attempts_left: attempts_left.saturating_sub(1),
                        time_left: self.time_left(),
                        policy: self.alias.fallback,
                        jitter: rand::rng().random(),
                    };
                    let step = next_step(&progress, &self.ask.view.catalog);
                    let elsewhere = self.behind.is_some() && may_go_elsewhere(&progress);
                    let kind = error.kind;
                    self.failed.push((self.name(candidate.endpoint), error));
                    match step {
                        NextStep::Next(next) => {
                            self.meters.fell_back(kind);
                            position = next;
                            repeated = false;
                        }
                        // Somebody else is always preferred to the same one again.
                        _ if elsewhere => return Ok((Walked::Exhausted, std::mem::take(&mut plan.skipped))),
                        NextStep::Same { after } if self.ask.gateway.may_repeat(self.now()) => {
                            self.meters.fell_back(kind);
                            tokio::time::sleep(after).await;
                            repeated = true;
                        }
                        NextStep::Same { .. } | NextStep::GiveUp => {
                            return Ok((Walked::Over, std::mem::take(&mut plan.skipped)));
                        }
                    }
                }
            }
        }
        let end = if self.behind.is_some() { Walked::Exhausted } else { Walked::Over };
        Ok((end, std::mem::take(&mut plan.skipped)))
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
        let Some(first) = self.depart(candidate, may_come, last_resort, &race, trace).await? else {
            return Ok(Tried::PassedOver);
        };
        let first = self.fly(candidate, first);
        match candidate.hedge_s.zip(rival) {
            None => {
                let landed = first.await;
                Ok(self.landed(landed, last_resort, trace))
            }
            // Boxed, since few requests are copied, and all would carry the room for a second.
            Some((after, rival)) => {
                Box::pin(self.race(candidate, first, (after, rival), &race, last_resort, trace)).await
            }
        }
    }

    /// Writes the request for a candidate and opens its account; `None` where it cannot even
    /// be asked.
    pub(super) async fn depart(
        &mut self,
        candidate: &Candidate,
        may_come: u32,
        last_resort: bool,
        race: &Arc<AtomicBool>,
        trace: &Trace,
    ) -> Result<Option<Departed>, GatewayError> {
        let endpoint = candidate.endpoint;
        let target = &self.alias.targets[candidate.target];
        let (gateway, call) = (self.ask.gateway, self.ask.call);
        let (view, alias) = (self.ask.view, self.alias);
        let prepare = || call.prepare(view, alias, target, endpoint);
        let is_long = call.is_long_for(view, endpoint);
        let prepared = if is_long { gateway.long_bodies.read(prepare).await } else { prepare() };
        let mut prepared = match prepared {
            Ok(prepared) => prepared,
            Err(Unwritable::Bad(bad)) => return Err(GatewayError::Bad(bad)),
            Err(Unwritable::Unsupported(why)) => {
                self.unsaid.push((self.name(endpoint), why.to_string()));
                return Ok(None);
            }
        };
        let at = self.ask.view.catalog.endpoint(endpoint);
        let cost = self.ask.view.expected_cost(endpoint, &self.facts, self.expected_output);
        let touched = self.ask.view.touched(self.ask.caller, self.alias, target, endpoint);
        let reservation = match admission::set_aside(self.ask.gateway, &touched, cost).await {
            Ok(reservation) => reservation,
            Err(reason) => {
                self.skipped.push(Skipped { endpoint, reason });
                return Ok(None);
            }
        };
        let purpose = if last_resort { Purpose::LastResort } else { candidate.purpose };
        let metrics = &self.ask.gateway.live.telemetry.metrics;
        let live = self.ask.view.endpoint(endpoint);
        let meters = Meters {
            pair: self.meters.pair(&at.id),
            target: Arc::clone(live.meters(|| {
                let provider = &self.ask.view.catalog.provider(at.provider).id;
                let model = &self.ask.view.catalog.model(at.model).id;
                metrics.target(at.id.as_str(), provider.as_str(), model.as_str())
            })),
        };
        let departure = Departure {
            endpoint: Arc::clone(live),
            provider: Arc::clone(self.ask.view.provider(at.provider)),
            alias: Arc::clone(self.live),
            counted_by: counted_by(self.alias, self.ask.caller),
            ledger: Arc::clone(&self.ask.gateway.live.ledger),
            used_by: UsedBy::new(self.ask.caller, self.alias, Some(at.id.clone())),
            permit: self.permit.clone(),
            reservation,
            ask: stats::Ask {
                prompt_tokens: self.facts.prompt_tokens,
                // A float of at most a few million.
                output_tokens: self.expected_output as u64,
                stream: self.facts.stream,
                unmeasured: matches!(self.ask.call.operation, Operation::CountTokens | Operation::Other(_)),
                purpose,
                seen_sent_at: candidate.seen_sent_at,
            },
            max_output_tokens: self.facts.max_output_tokens,
            prices: at.prices.clone(),
            jitter: rand::rng().random(),
            won: Arc::clone(race),
            request: Arc::clone(&trace.open),
            meters,
        };
        let mut flight = match Flight::start(departure, self.ask.gateway.live.clock) {
            Ok(flight) => flight,
            Err(reason) => {
                self.skipped.push(Skipped { endpoint, reason });
                return Ok(None);
            }
        };
        let uri = prepared.request.uri();
        let span = trace.open.attempt_span(|| AttemptTo {
            target: at.id.as_str(),
            provider: self.ask.view.catalog.provider(at.provider).id.as_str(),
            model: &at.upstream_model,
            host: uri.host().unwrap_or_default(),
            port: uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 }),
            purpose,
        });
        if let Some(span) = span {
            span.pass_on(prepared.request.headers_mut());
            flight.traced(span);
        }
        let own = match (self.ask.call.peek.stream, target.first_token_timeout) {
            (true, Some(own)) => own,
            (true, None) => self.limits.first_token_timeout,
            (false, _) => self.limits.answer_timeout,
        };
        let limits = AttemptLimits {
            attempt: attempt_limit(own, self.time_left(), may_come),
            give_up: candidate.give_up_s.filter(|_| may_come > 1).map(Duration::from_secs_f64),
            stream: stream_limits(self.alias, self.started),
            max_answer: self.ask.view.limits.max_answer_bytes,
            max_event: self.ask.view.limits.max_event_bytes,
        };
        Ok(Some(Departed { prepared, flight, limits }))
    }

    /// Sends it and waits until it commits or fails. Borrows nothing of the walk that
    /// changes, so that two may be under way.
    pub(super) fn fly(&self, candidate: &Candidate, departed: Departed) -> impl Future<Output = Landed> + use<'a> {
        let (Ask { view, call, .. }, live) = (self.ask, self.live);
        let (endpoint, purpose) = (candidate.endpoint, candidate.purpose);
        async move {
            let Departed { prepared, flight, limits } = departed;
            let begun = flight.begun();
            let may_give_up = || live.stats.may_give_up();
            let outcome = call.attempt(view, endpoint, prepared, limits, flight, may_give_up).await;
            Landed { endpoint, purpose, outcome, took: begun.elapsed() }
        }
    }

    /// Notes how an attempt turned out.
    pub(super) fn landed(&self, landed: Landed, last_resort: bool, trace: &mut Trace) -> Tried {
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
                self.tell(endpoint, &error, trace);
                Tried::Failed(error)
            }
        }
    }

    /// Tells the log that an attempt failed, but not of each one in a flood.
    fn tell(&self, endpoint: EndpointIdx, error: &AttemptError, trace: &Trace) {
        let Some(quiet) = self.ask.view.endpoint(endpoint).metered().map(|meters| &meters.quiet[error.kind as usize])
        else {
            return;
        };
        let Some(held_back) = quiet.may(self.now()) else { return };
        let words = self.ask.gateway.live.telemetry.lines.words(&error.message, error.quotes);
        tracing::warn!(
            target: "pointsman::upstream",
            request = %trace.id, endpoint = %self.name(endpoint), failure = %error.kind, status = error.status,
            message = crate::wire::peek::clip(&words, 300), more = (held_back > 0).then_some(held_back),
            "an attempt failed"
        );
    }

    /// Everything is out for a while: the one that is back first, when it may be tried.
    async fn wait_for_soonest(&mut self, plan: &mut Plan) -> Result<Candidate, GatewayError> {
        let soonest = plan.soonest.filter(|soonest| {
            let wait = soonest.at.since(self.now());
            wait <= LONGEST_WAIT.min(self.time_left()) && self.ask.gateway.may_repeat(self.now())
        });
        let Some(soonest) = soonest else {
            let mut skipped = std::mem::take(&mut plan.skipped);
            let over_budget = skipped.iter().find_map(|skipped| match skipped.reason {
                SkipReason::OverBudget(over) => Some(over.whose),
                _ => None,
            });
            if let Some(whose) = over_budget {
                admission::count_over_budget(self.ask.gateway, whose);
            }
            skipped.append(&mut self.skipped);
            return Err(self.nobody_ready(&skipped));
        };
        tokio::time::sleep(soonest.at.since(self.now())).await;
        Ok(soonest.candidate)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.ask.gateway.live.clock.now()
    }

    fn time_left(&self) -> Duration {
        self.limits.deadline.saturating_sub(self.started.elapsed())
    }

    pub(super) fn id(&self, endpoint: EndpointIdx) -> EndpointId {
        self.ask.view.catalog.endpoint(endpoint).id.clone()
    }

    pub(super) fn name(&self, endpoint: EndpointIdx) -> String {
        self.id(endpoint).to_string()
    }

    /// The error of a request that nobody could even be asked to serve.
    pub(super) fn nobody_ready(&self, skipped: &[Skipped]) -> GatewayError {
        self.unserved(skipped).error(self.now())
    }

    /// Why nobody served, as far as nobody was asked.
    pub(super) fn unserved<'w>(&'w self, skipped: &'w [Skipped]) -> Unserved<'w> {
        Unserved { catalog: &self.ask.view.catalog, alias: self.alias, skipped, unsaid: &self.unsaid }
    }
}
