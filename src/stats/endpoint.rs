//! What is learned of one endpoint, attempt by attempt.
//!
//! An attempt's clock starts when it is on the wire: connecting and queueing inside this
//! process are never charged to the target. Each attempt is recorded once when it ends, in
//! whatever way; its first content and the progress of its stream are told as they come,
//! because an answer may take minutes.

mod ended;
mod shared;

use std::time::Duration;

use super::attempt::{Ask, Purpose, Refused, Ticket};
use super::bucket::Bucket;
use super::fading::Fading;
use super::history::{Distribution, History};
use super::minute::{Minute, Usage};
use super::pace::Pace;
use super::reading::Reading;
use super::speed::{Observation, Speed};
use super::waiting::Waiting;
use super::window::Window;
use crate::domain::provider::Limits;
use crate::domain::rate::{Allowance, RateHint};
use crate::domain::time::UnixMillis;
use crate::health::Health;
use shared::Shared;

/// Never-measured targets get this many requests at a time.
pub const COLD_AT_ONCE: u32 = 2;
/// Failures are forgotten in this time, if nothing happens.
pub(super) const FAILING_MEMORY: Duration = Duration::from_secs(30);
/// How long what a provider told of its limits is believed without a reset time.
const HINT_MEMORY: Duration = Duration::from_secs(60);
/// An answer that is not streamed is not late before one so many times as long as expected
/// would be: how long it will be nobody knows, and the lengths of answers spread widely.
const LONG_ANSWER: f64 = 4.0;
/// The quantile shown to people and used by hedging is taken over this window.
const QUANTILE_WINDOW: Duration = Duration::from_secs(300);

/// What is known of one endpoint.
#[derive(Debug)]
pub struct EndpointStats {
    health: Health,
    speed: Speed,
    window: Window,
    waiting: Waiting,
    failing: Fading,
    breaking: Fading,
    minute: Minute,
    pace: Pace,
    limits: Limits,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    told: RateHint,
    told_at: UnixMillis,
    in_flight: u32,
    samples: u32,
    failing_at: UnixMillis,
    /// Tokens per piece of a stream.
    piece_tokens: Option<f64>,
    cached: f64,
    sent_at: UnixMillis,
    explored: u32,
    history: History,
    first_p95_s: f64,
    first_p95_at: UnixMillis,
    /// What is told to other replicas and heard of them.
    shared: Shared,
}

impl EndpointStats {
    /// Nothing is known; `limits` are our own towards it.
    pub fn new(limits: Limits) -> Self {
        let mut stats = Self {
            health: Health::default(),
            speed: Speed::default(),
            window: Window::default(),
            waiting: Waiting::default(),
            failing: Fading::new(0.12, FAILING_MEMORY),
            breaking: Fading::new(0.02, Duration::from_secs(600)),
            minute: Minute::default(),
            pace: Pace::default(),
            limits: Limits::default(),
            requests: None,
            tokens: None,
            told: RateHint::default(),
            told_at: UnixMillis(0),
            in_flight: 0,
            samples: 0,
            failing_at: UnixMillis(0),
            piece_tokens: None,
            cached: 0.0,
            sent_at: UnixMillis(0),
            explored: 0,
            history: History::default(),
            first_p95_s: 0.0,
            first_p95_at: UnixMillis(0),
            shared: Shared::default(),
        };
        stats.set_limits(limits);
        stats
    }

    /// Other limits from now on; buckets whose size stays keep their level.
    pub fn set_limits(&mut self, limits: Limits) {
        if limits.requests_per_minute != self.limits.requests_per_minute {
            self.requests = limits.requests_per_minute.map(|n| Bucket::new(u64::from(n)));
        }
        if limits.tokens_per_minute != self.limits.tokens_per_minute {
            self.tokens = limits.tokens_per_minute.map(Bucket::new);
        }
        self.limits = limits;
    }

    /// An attempt goes on the wire: counts it as in flight and reserves its tokens.
    ///
    /// # Errors
    /// If a limit is reached, or another attempt has taken the probe's or explorer's place.
    pub fn begin(&mut self, ask: &Ask, now: UnixMillis) -> Result<Ticket, Refused> {
        let forced = ask.purpose == Purpose::LastResort;
        let reserved = (ask.prompt_tokens + ask.output_tokens) as f64;
        let in_flight = self.in_flight.saturating_add(self.shared.others.in_flight);
        if self.limits.max_in_flight.is_some_and(|max| in_flight >= max)
            || (!forced && self.limited_until(reserved, now) > now)
        {
            return Err(Refused::AtLimit);
        }
        match ask.purpose {
            Purpose::Cold if self.in_flight >= COLD_AT_ONCE => return Err(Refused::Explored),
            Purpose::Explore if self.sent_at != ask.seen_sent_at => return Err(Refused::Explored),
            _ => {}
        }
        if !self.health.begin() && !forced {
            return Err(Refused::Probing);
        }
        for (bucket, amount) in [(&mut self.requests, 1.0), (&mut self.tokens, reserved)] {
            if let Some(bucket) = bucket {
                bucket.take(amount, now);
            }
        }
        self.pace.sent(now);
        let tokens = ask.prompt_tokens + ask.output_tokens;
        self.minute.add(Usage { requests: 1, tokens, cost: 0 }, now);
        self.in_flight += 1;
        self.sent_at = now;
        self.shared.sent(tokens);
        if ask.purpose == Purpose::Explore {
            self.explored = self.explored.saturating_add(1);
            self.shared.explored = self.shared.explored.saturating_add(1);
        }
        let predicted_s = self.predicted(ask, 1.0);
        let late_s = self.predicted(ask, LONG_ANSWER);
        let place = if ask.unmeasured { None } else { self.waiting.begin(now, late_s) };
        Ok(Ticket {
            ask: *ask,
            begun: now,
            place,
            in_flight: self.in_flight,
            predicted_s,
            first_token: None,
            fed: 0,
            fed_over: Duration::ZERO,
        })
    }

    /// Seconds until the first content of a stream, or until a whole answer so many times as
    /// long as expected.
    fn predicted(&self, ask: &Ask, lengths: f64) -> f64 {
        let first = self.speed.first.mean.exp() * self.speed.growth(ask.prompt_tokens as f64 / 1000.0);
        if ask.stream { first } else { first + lengths * ask.output_tokens as f64 * self.speed.token.mean.exp() }
    }

    /// The first content came, `waited` after the request went on the wire.
    pub fn first_token(&mut self, ticket: &mut Ticket, waited: Duration, now: UnixMillis) {
        self.end_wait(ticket);
        self.works(ticket.begun, now);
        if !ticket.ask.stream {
            return;
        }
        ticket.first_token = Some(waited);
        let kilotokens = ticket.ask.prompt_tokens as f64 / 1000.0;
        let seconds = waited.as_secs_f64().max(1e-4);
        self.window.first_token(
            (seconds / self.speed.growth(kilotokens)).ln(),
            ticket.in_flight,
            self.speed.first.noise,
        );
        let seen = Observation { seconds, prompt_kilotokens: Some(kilotokens), tokens: 0.0 };
        self.observe(&seen, now);
        self.samples = self.samples.saturating_add(1);
    }

    /// `pieces` of a running stream came in the last `over`.
    pub fn progress(&mut self, ticket: &mut Ticket, pieces: u64, over: Duration, now: UnixMillis) {
        ticket.fed += pieces;
        ticket.fed_over += over;
        let tokens = pieces as f64 * self.piece_tokens.unwrap_or(1.0);
        let seen = Observation { seconds: over.as_secs_f64(), prompt_kilotokens: None, tokens };
        self.observe(&seen, now);
    }

    /// The provider told of its limits.
    pub fn told(&mut self, hint: &RateHint, now: UnixMillis) {
        self.shared.told(hint);
        for (known, new) in [(&mut self.told.requests, hint.requests), (&mut self.told.tokens, hint.tokens)] {
            if let Some(new) = new {
                *known = Some(new);
                self.told_at = now;
            }
        }
    }

    /// When a request that needs so many tokens may be sent, by all limits that are known.
    fn limited_until(&self, tokens: f64, now: UnixMillis) -> UnixMillis {
        let own = |bucket: &Option<Bucket>, amount| bucket.map_or(UnixMillis(0), |b| b.ready_at(amount, now));
        let told = |allowance: Option<Allowance>, amount: f64| match allowance {
            Some(Allowance { remaining: Some(left), reset_at: Some(reset), .. }) if (left as f64) < amount => reset,
            _ => UnixMillis(0),
        };
        own(&self.requests, 1.0)
            .max(own(&self.tokens, tokens))
            .max(told(self.told.requests, 1.0))
            .max(told(self.told.tokens, 1.0))
            .max(self.pace.ready_at(now))
    }

    /// The used share of the tightest limit; NaN where there is none.
    fn limit_used(&self, now: UnixMillis) -> f64 {
        let buckets = [&self.requests, &self.tokens].into_iter().flatten().map(|bucket| bucket.used(now));
        let under_way = self.in_flight.saturating_add(self.shared.others.in_flight);
        let in_flight = self.limits.max_in_flight.map(|max| f64::from(under_way) / f64::from(max.max(1)));
        let believed = now.since(self.told_at) < HINT_MEMORY;
        let told = [self.told.requests, self.told.tokens].into_iter().flatten().filter_map(|told| {
            let fresh = told.reset_at.map_or(believed, |reset| now < reset);
            Some(if fresh { 1.0 - told.remaining? as f64 / told.limit?.max(1) as f64 } else { 0.0 })
        });
        buckets.chain(in_flight).chain(told).fold(f64::NAN, f64::max)
    }

    /// Its health at `now`.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What people and dashboards read.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What a decision reads; brings sliding windows up to `now`.
    pub fn reading(&mut self, now: UnixMillis) -> Reading {
        self.minute.advance(now);
        if now.since(self.first_p95_at) >= Duration::from_secs(5) {
            self.first_p95_at = now;
            let p95 = self.history.quantile(Distribution::FirstToken, 0.95, QUANTILE_WINDOW, now);
            self.first_p95_s = p95.map_or(0.0, |p95| p95.as_secs_f64());
        }
        let others = self.others(now);
        let (first, token) = (&self.speed.first, &self.speed.token);
        let deviation = (first.variance_at(now) + first.noise).sqrt();
        Reading {
            health: self.health.reading(),
            first_s: (first.mean + first.noise / 2.0).exp(),
            first_mean: first.mean,
            first_variance: first.variance,
            first_noise: first.noise,
            first_at: first.at,
            token_s: (token.mean + token.noise / 2.0).exp(),
            token_variance: token.variance,
            token_noise: token.noise,
            token_at: token.at,
            slope: self.speed.slope,
            samples: self.samples,
            failing: self.failing.get(self.failing_at),
            failing_at: self.failing_at,
            breaking: self.breaking.get(now),
            in_flight: self.in_flight,
            waits: self.waiting.longest(deviation, now),
            window: self.window.size(),
            queued: self.window.queued(),
            holding_s: self.window.holding_s(),
            peak: self.window.peak(),
            potential: self.window.potential().unwrap_or(f64::NAN),
            usage: self.minute.sum().with(&others.usage),
            others_requests: others.usage.requests,
            limit_used: self.limit_used(now),
            rate: self.rate(now),
            limited_until: self.limited_until(1.0, now),
            cached: self.cached,
            sent_at: self.sent_at,
            explored: self.explored,
            read_at: now,
            first_p95_s: self.first_p95_s,
        }
    }

    /// Requests per second that its known limits allow; 0 where none is known.
    fn rate(&self, now: UnixMillis) -> f64 {
        let told = self.told.requests.and_then(|told| told.limit).map(|limit| limit as f64 / 60.0);
        let own = self.limits.requests_per_minute.map(|limit| f64::from(limit) / 60.0);
        let rate = [told, own, self.pace.rate(now)].into_iter().flatten().fold(f64::INFINITY, f64::min);
        if rate.is_finite() { rate } else { 0.0 }
    }
}

#[cfg(test)]
mod tests;
