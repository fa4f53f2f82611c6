//! One attempt from its dispatch to its end, however it ends.
//!
//! A [`Flight`] is the attempt's account: it tells the endpoint's statistics when the first
//! content comes, how the stream goes on, and settles everything once, when it ends.
//! Dropping it without a word means that the caller went away, or that another attempt at
//! the same request was faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::alias::AliasLive;
use super::endpoint::{CountedBy, EndpointLive, ProviderLive};
use super::ledger::{Ledger, OpenCall, UsedBy};
use crate::clock::Clock;
use crate::domain::counts::Counts;
use crate::domain::failure::FailureKind;
use crate::domain::money::{PicoUsd, Prices};
use crate::domain::rate::RateHint;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::limits::{Permit, Reservation};
use crate::routing::eligibility::SkipReason;
use crate::stats::{Ask, End, Refused, Ticket, Usage};
use crate::telemetry::metrics::{PairMeters, TargetMeters};
use crate::telemetry::request::OpenRequest;
use crate::telemetry::traces::AttemptSpan;

/// The progress of a stream is told this often.
const PROGRESS: Duration = Duration::from_millis(500);

/// Where an attempt goes, and on whose account.
#[derive(Debug)]
pub struct Departure {
    /// To this endpoint.
    pub endpoint: Arc<EndpointLive>,
    /// Of this provider.
    pub provider: Arc<ProviderLive>,
    /// For this alias.
    pub alias: Arc<AliasLive>,
    /// Whose usage it is counted under, where the alias compares that.
    pub counted_by: Option<CountedBy>,
    /// Where it is written down.
    pub ledger: Arc<Ledger>,
    /// Under which names.
    pub used_by: UsedBy,
    /// What let the request in.
    pub permit: Option<Arc<Permit>>,
    /// What was set aside for it.
    pub reservation: Option<Reservation>,
    /// What is asked.
    pub ask: Ask,
    /// The output limit of the request.
    pub max_output_tokens: Option<u64>,
    /// What tokens cost.
    pub prices: Option<Arc<Prices>>,
    /// In [0, 1): spreads the end of a time out.
    pub jitter: f64,
    /// Set once one of several attempts at the same request has won.
    pub won: Arc<AtomicBool>,
    /// The request.
    pub request: Arc<OpenRequest>,
    /// Where it is counted.
    pub meters: Meters,
}

/// Where an attempt is counted.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Of the alias that was asked, at the target.
    pub pair: Arc<PairMeters>,
    /// Of the target.
    pub target: Arc<TargetMeters>,
}

/// An attempt under way.
#[derive(Debug)]
pub struct Flight {
    to: Departure,
    clock: Clock,
    /// Taken when it ends.
    ticket: Option<Ticket>,
    /// Taken with the ticket.
    call: Option<OpenCall>,
    begun: Instant,
    /// Time that is not the target's: connecting.
    queued: Duration,
    committed: bool,
    usage: TokenUsage,
    estimated: bool,
    pieces: u64,
    told: (Instant, u64),
    /// Where it is traced.
    span: Option<AttemptSpan>,
}

/// How a flight ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlightEnd {
    /// The whole answer was delivered.
    Success,
    /// It failed.
    Failure {
        /// How.
        kind: FailureKind,
        /// When the provider wants to be asked again.
        retry_at: Option<UnixMillis>,
    },
}

impl Flight {
    /// Starts an attempt. Boxed, since it is handed on from stage to stage until the answer's end.
    ///
    /// # Errors
    /// With the reason, if a limit is reached or another attempt has taken its place as
    /// probe or explorer.
    pub fn start(to: Departure, clock: Clock) -> Result<Box<Self>, SkipReason> {
        let begun = Instant::now();
        let now = clock.at(begun);
        let tokens = to.ask.prompt_tokens + to.ask.output_tokens;
        if !to.provider.enter(tokens, now) {
            return Err(SkipReason::AtLimit);
        }
        let ticket = match to.endpoint.change(now, |stats| stats.begin(&to.ask, now)) {
            Ok(ticket) => ticket,
            Err(refused) => {
                to.provider.settle(tokens, 0, now);
                to.provider.leave();
                return Err(match refused {
                    Refused::Probing => SkipReason::Probing,
                    Refused::AtLimit => SkipReason::AtLimit,
                    Refused::Explored => SkipReason::Explored,
                });
            }
        };
        let call = to.ledger.open(to.used_by.clone(), to.ask.prompt_tokens, to.prices.clone());
        Ok(Box::new(Self {
            to,
            clock,
            ticket: Some(ticket),
            call: Some(call),
            begun,
            queued: Duration::ZERO,
            committed: false,
            usage: TokenUsage::default(),
            estimated: false,
            pieces: 0,
            told: (begun, 0),
            span: None,
        }))
    }

    /// It is traced there.
    pub fn traced(&mut self, span: AttemptSpan) {
        self.span = Some(span);
    }

    /// The request that it is for.
    pub fn request(&self) -> &OpenRequest {
        &self.to.request
    }

    /// Whether its span is one that somebody will see.
    pub fn is_traced(&self) -> bool {
        self.span.as_ref().is_some_and(AttemptSpan::is_recorded)
    }

    /// What its answer says of itself: the model that it is from, and why it ended.
    pub fn answer_is(&mut self, model: Option<&str>, finish: Option<&'static str>) {
        if let Some(span) = self.span.as_mut().filter(|span| span.is_recorded()) {
            span.answer_is(model, finish);
            self.to.request.answer_is(model, finish);
        }
    }

    /// When it began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// So much of the time until now was spent on a connection.
    pub fn connected(&mut self, connecting: Duration) {
        self.queued = connecting;
        if connecting > Duration::ZERO {
            self.to.meters.target.connected(connecting);
        }
    }

    /// The provider told of its limits.
    pub fn told(&self, hint: &RateHint) {
        if hint.requests.is_some() || hint.tokens.is_some() {
            let now = self.clock.now();
            self.to.endpoint.change(now, |stats| stats.told(hint, now));
        }
    }

    /// The first content came: the endpoint works, whatever becomes of the rest.
    pub fn committed(&mut self) {
        self.to.won.store(true, Relaxed);
        self.committed = true;
        let at = Instant::now();
        let now = self.clock.at(at);
        let waited = at.saturating_duration_since(self.begun).saturating_sub(self.queued);
        self.told = (at, 1);
        self.to.request.committed(at);
        if let Some(span) = &mut self.span {
            span.first_content();
        }
        if let Some(ticket) = self.ticket.as_mut().filter(|_| self.to.ask.stream) {
            self.to.endpoint.change(now, |stats| stats.first_token(ticket, waited, now));
            self.to.meters.target.first_chunk(self.to.request.protocol().operation(), waited);
        }
    }

    /// So many pieces of content have come so far, the latest just now.
    pub fn progress(&mut self, pieces: u64, at: Instant) {
        if let Some(call) = &self.call {
            call.progress(pieces);
        }
        let (since, before) = self.told;
        let over = at.saturating_duration_since(since);
        if over < PROGRESS || pieces < before + 3 {
            return;
        }
        self.told = (at, pieces);
        let now = self.clock.at(at);
        if let Some(ticket) = &mut self.ticket {
            self.to.endpoint.change(now, |stats| stats.progress(ticket, pieces - before, over, now));
        }
    }

    /// Tokens used so far, and pieces of content that came; the last word counts.
    pub fn used(&mut self, usage: TokenUsage, estimated: bool, pieces: u64) {
        self.usage = usage;
        self.estimated = estimated;
        self.pieces = pieces;
    }

    /// What the tokens used so far cost; zero where no price is known.
    pub fn cost(&self) -> PicoUsd {
        self.to.prices.as_ref().map_or(PicoUsd(0), |prices| prices.cost(&self.usage))
    }

    /// It ended.
    pub fn end(mut self: Box<Self>, end: FlightEnd) {
        self.finish(end);
    }

    fn finish(&mut self, end: FlightEnd) {
        let Some(ticket) = self.ticket.take() else { return };
        let at = Instant::now();
        let now = self.clock.at(at);
        let (failure, retry_at) = match end {
            FlightEnd::Success => (None, None),
            FlightEnd::Failure { kind, retry_at } => (Some(kind), retry_at),
        };
        let left = matches!(failure, Some(FailureKind::Superseded | FailureKind::ClientGone));
        if left && self.usage.is_empty() {
            // The provider has read the prompt, and will bill it.
            self.usage.input = self.to.ask.prompt_tokens;
            self.estimated = true;
        }
        let cost = self.cost();
        let end = End {
            failure,
            retry_at,
            usage: self.usage,
            estimated: self.estimated,
            pieces: self.pieces,
            cost,
            elapsed: at.saturating_duration_since(self.begun).saturating_sub(self.queued),
            queued: self.queued,
        };
        self.to.endpoint.change(now, |stats| stats.end(ticket, &end, now, self.to.jitter));
        let operation = self.to.request.protocol().operation();
        self.to.meters.pair.attempted(self.to.ask.purpose, failure, &self.usage, cost);
        self.to.meters.target.attempted(operation, failure, end.elapsed, &self.usage);
        self.to.request.attempted(self.committed, failure, &self.usage, cost);
        if let Some(span) = self.span.take() {
            span.end(failure, &self.usage);
        }
        let used = self.usage.input + self.usage.output;
        self.to.provider.settle(self.to.ask.prompt_tokens + self.to.ask.output_tokens, used, now);
        self.to.provider.leave();
        if let Some(permit) = &self.to.permit {
            permit.used(used, now);
        }
        if let Some(reservation) = self.to.reservation.take() {
            reservation.settle(cost, now);
        }
        if let Some(call) = self.call.take() {
            call.close(&self.counts(failure, cost));
        }
        if let Some(by) = &self.to.counted_by {
            self.to.endpoint.count_for(by, Usage { requests: 1, tokens: used, cost: cost.0 }, now);
        }
        if failure.is_none() && !self.to.ask.unmeasured && self.usage.output > 0 {
            self.to.alias.stats.answered(self.to.max_output_tokens, self.usage.output);
        }
    }
}

impl Flight {
    /// What is written down of it. A caller that left, and the loser of a race, are no
    /// failures of anybody.
    fn counts(&self, failure: Option<FailureKind>, cost: PicoUsd) -> Counts {
        let failed = failure.is_some_and(|kind| !matches!(kind, FailureKind::ClientGone | FailureKind::Superseded));
        Counts {
            requests: 0,
            attempts: 1,
            failures: failed.into(),
            estimated: (self.estimated && !self.usage.is_empty()).into(),
            input: self.usage.input,
            cached_input: self.usage.cached_input,
            output: self.usage.output,
            cost,
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let superseded = !self.committed && self.to.won.load(Relaxed);
        let kind = if superseded { FailureKind::Superseded } else { FailureKind::ClientGone };
        self.finish(FlightEnd::Failure { kind, retry_at: None });
    }
}
