//! What is observed of endpoints and providers while requests run.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::counters::Counters;
use crate::clock::Clock;
use crate::domain::failure::FailureKind;
use crate::domain::money::{PicoUsd, Prices};
use crate::domain::provider::Limits;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::health::{Health, Outcome, Standing, outcome_of};
use crate::routing::eligibility::SkipReason;
use crate::transport::client::Client;

/// The live state of an endpoint.
#[derive(Debug, Default)]
pub struct EndpointLive {
    /// Held for a few instructions at a time, never across an await.
    health: Mutex<Health>,
    in_flight: AtomicU32,
    /// What it has done.
    pub counters: Counters,
}

impl EndpointLive {
    /// Its health at `now`.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        self.with_health(|health| health.standing(now))
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    fn with_health<T>(&self, f: impl FnOnce(&mut Health) -> T) -> T {
        // A panic elsewhere leaves plain numbers behind, which are as good as before.
        f(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The live state of a provider.
#[derive(Debug)]
pub struct ProviderLive {
    /// Its connections.
    pub client: Client,
    limits: Limits,
    in_flight: AtomicU32,
    per_minute: Option<DefaultDirectRateLimiter>,
}

impl ProviderLive {
    /// With our own limits towards it.
    pub fn new(limits: Limits, client: Client) -> Self {
        let per_minute = limits
            .requests_per_minute
            .and_then(std::num::NonZeroU32::new)
            .map(|rpm| RateLimiter::direct(Quota::per_minute(rpm)));
        Self { client, limits, in_flight: AtomicU32::new(0), per_minute }
    }

    /// Whether as many requests are under way as it may have.
    pub fn is_full(&self) -> bool {
        self.limits.max_in_flight.is_some_and(|max| self.in_flight.load(Relaxed) >= max)
    }

    /// Takes a place among those under way, if there is one.
    fn enter(&self) -> bool {
        let max = self.limits.max_in_flight.unwrap_or(u32::MAX);
        let entered = self.in_flight.fetch_update(Relaxed, Relaxed, |now| (now < max).then(|| now + 1)).is_ok();
        if entered && self.per_minute.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            self.in_flight.fetch_sub(1, Relaxed);
            return false;
        }
        entered
    }
}

/// One attempt from its dispatch to its end, however it ends. Dropping it without a word
/// means that the caller went away.
#[derive(Debug)]
pub struct Flight {
    endpoint: Arc<EndpointLive>,
    provider: Arc<ProviderLive>,
    clock: Clock,
    prices: Option<Prices>,
    ended: bool,
    usage: TokenUsage,
    usage_is_estimated: bool,
    /// In [0, 1): spreads the end of a time out.
    jitter: f64,
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
    /// Starts an attempt. A last resort may go beside a probe that is under way.
    ///
    /// # Errors
    /// With the reason, if the provider is at one of our limits or another attempt probes
    /// the endpoint.
    pub fn start(
        endpoint: &Arc<EndpointLive>,
        provider: &Arc<ProviderLive>,
        clock: Clock,
        prices: Option<Prices>,
        jitter: f64,
        last_resort: bool,
    ) -> Result<Self, SkipReason> {
        if !provider.enter() {
            return Err(SkipReason::AtLimit);
        }
        let claimed = endpoint.with_health(Health::begin);
        if !claimed && !last_resort {
            provider.in_flight.fetch_sub(1, Relaxed);
            return Err(SkipReason::Probing);
        }
        endpoint.in_flight.fetch_add(1, Relaxed);
        Ok(Self {
            endpoint: Arc::clone(endpoint),
            provider: Arc::clone(provider),
            clock,
            prices,
            ended: false,
            usage: TokenUsage::default(),
            usage_is_estimated: false,
            jitter,
        })
    }

    /// The first content came: the endpoint works, whatever becomes of the rest.
    pub fn committed(&self) {
        self.record(Outcome::Success);
    }

    /// Tokens used so far; the last word counts.
    pub fn used(&mut self, usage: TokenUsage, estimated: bool) {
        self.usage = usage;
        self.usage_is_estimated = estimated;
    }

    /// What the tokens used so far cost; zero where no price is known.
    pub fn cost(&self) -> PicoUsd {
        self.prices.as_ref().map_or(PicoUsd(0), |prices| prices.cost(&self.usage))
    }

    /// It ended.
    pub fn end(mut self, end: FlightEnd) {
        self.finish(end);
    }

    fn finish(&mut self, end: FlightEnd) {
        self.ended = true;
        match end {
            FlightEnd::Success => self.endpoint.counters.record(None),
            FlightEnd::Failure { kind, retry_at } => {
                self.endpoint.counters.record(Some(kind));
                self.record(outcome_of(kind, retry_at));
            }
        }
        if !self.usage.is_empty() {
            self.endpoint.counters.spend(&self.usage, self.cost(), self.usage_is_estimated);
        }
    }

    fn record(&self, outcome: Outcome) {
        let now = self.clock.now();
        self.endpoint.with_health(|health| health.record(outcome, now, self.jitter));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.ended {
            self.finish(FlightEnd::Failure { kind: FailureKind::ClientGone, retry_at: None });
        }
        self.endpoint.in_flight.fetch_sub(1, Relaxed);
        self.provider.in_flight.fetch_sub(1, Relaxed);
    }
}
