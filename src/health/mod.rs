//! May this endpoint be used now? What its last attempts say, as a pure state machine.
//!
//! Two things keep an endpoint from being used for a while. Its *breaker* opens when it
//! fails; afterwards a single probe decides whether it comes back, and it then takes
//! traffic gradually. A provider that answered 429 *blocks* it until the time it named,
//! which is no failure at all. Who acts on the answer is [`crate::routing`].

mod breaker;
mod notice;
mod retry_budget;

pub use breaker::{Breaker, OPEN_STEPS, SLOW_START, State};
pub use notice::Notice;
pub use retry_budget::RetryBudget;

use std::time::Duration;

use crate::domain::failure::FailureKind;
use crate::domain::time::UnixMillis;

/// How one attempt ended, as far as health is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It delivered content.
    Success,
    /// It failed.
    Failure(FailureKind),
    /// The provider asked to wait, if it said so until when.
    RateLimited(Option<UnixMillis>),
    /// It says nothing of the endpoint: the caller's mistake, or the caller went away.
    Neutral,
}

/// Whether an endpoint may be used now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Standing {
    /// Yes; `share` of the traffic it would get, below 1 while it comes back.
    Ready {
        /// In (0, 1].
        share: f64,
    },
    /// Its time out is over: the next attempt is the probe.
    Probe,
    /// A probe is under way, here or at another replica.
    Probing,
    /// The breaker is open.
    Open {
        /// Until when.
        until: UnixMillis,
        /// What opened it.
        cause: FailureKind,
    },
    /// The provider asked to wait.
    Blocked {
        /// Until when.
        until: UnixMillis,
    },
}

/// All of an endpoint's health that a decision needs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HealthReading {
    /// Of its breaker.
    pub state: State,
    /// The provider asked to wait until then.
    pub blocked_until: UnixMillis,
    /// Until then the probe is another replica's.
    pub probe_from: UnixMillis,
}

impl HealthReading {
    /// Whether the endpoint may be used at `now`.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        if now < self.blocked_until {
            return Standing::Blocked { until: self.blocked_until };
        }
        match self.state.standing(now) {
            Standing::Probe if now < self.probe_from => Standing::Probing,
            standing => standing,
        }
    }
}

impl Default for HealthReading {
    fn default() -> Self {
        Health::default().reading()
    }
}

/// What is known of an endpoint's health.
#[derive(Clone, Debug, Default)]
pub struct Health {
    breaker: Breaker,
    blocked_until: UnixMillis,
    probe_from: UnixMillis,
    /// 429s in a row without a time, for the guess how long to wait.
    unnamed_blocks: u32,
}

impl Health {
    /// Whether it may be used at `now`.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        self.reading().standing(now)
    }

    /// All that a decision needs.
    pub fn reading(&self) -> HealthReading {
        HealthReading { state: self.breaker.state(), blocked_until: self.blocked_until, probe_from: self.probe_from }
    }

    /// An attempt is about to start. Claims the probe where the breaker is not closed;
    /// `false` if another attempt has claimed it in the meantime.
    pub fn begin(&mut self) -> bool {
        self.breaker.begin()
    }

    /// An attempt ended. `jitter` in [0, 1) spreads the end of a time out by ±10 %, so
    /// that replicas do not come back together.
    pub fn record(&mut self, outcome: Outcome, now: UnixMillis, jitter: f64) {
        match outcome {
            Outcome::RateLimited(until) => {
                let until = until.unwrap_or_else(|| {
                    let wait = 500u64 << self.unnamed_blocks.min(4);
                    self.unnamed_blocks = self.unnamed_blocks.saturating_add(1);
                    now + Duration::from_millis(wait)
                });
                // A later end is never shortened.
                self.blocked_until = self.blocked_until.max(until);
                self.breaker.release();
            }
            Outcome::Success => {
                self.unnamed_blocks = 0;
                self.breaker.success(now);
            }
            Outcome::Failure(kind) => self.breaker.failure(kind, now, jitter),
            Outcome::Neutral => self.breaker.release(),
        }
    }
}

/// What a failure means for the endpoint's health.
pub fn outcome_of(kind: FailureKind, retry_at: Option<UnixMillis>) -> Outcome {
    match kind {
        FailureKind::RateLimited => Outcome::RateLimited(retry_at),
        FailureKind::CallerMistake
        | FailureKind::ContextTooLong
        | FailureKind::ContentPolicy
        | FailureKind::ClientGone
        | FailureKind::Superseded
        | FailureKind::NoSocket => Outcome::Neutral,
        FailureKind::Connect
        | FailureKind::Timeout
        | FailureKind::ServerError
        | FailureKind::Credential
        | FailureKind::ModelGone
        | FailureKind::Malformed
        | FailureKind::BrokenStream => Outcome::Failure(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_429_blocks_until_the_named_time_and_no_earlier_one_shortens_it() {
        let mut health = Health::default();
        health.record(Outcome::RateLimited(Some(UnixMillis(5000))), UnixMillis(1000), 0.5);
        health.record(Outcome::RateLimited(Some(UnixMillis(2000))), UnixMillis(1000), 0.5);
        assert_eq!(health.standing(UnixMillis(4999)), Standing::Blocked { until: UnixMillis(5000) });
        assert_eq!(health.standing(UnixMillis(5000)), Standing::Ready { share: 1.0 });
    }

    #[test]
    fn unnamed_429s_wait_longer_each_time_until_one_succeeds() {
        let mut health = Health::default();
        let wait = |health: &mut Health, now: u64| {
            health.record(Outcome::RateLimited(None), UnixMillis(now), 0.5);
            match health.standing(UnixMillis(now)) {
                Standing::Blocked { until } => until.0 - now,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([wait(&mut health, 0), wait(&mut health, 10_000), wait(&mut health, 20_000)], [500, 1000, 2000]);
        health.record(Outcome::Success, UnixMillis(30_000), 0.5);
        assert_eq!(wait(&mut health, 40_000), 500);
    }

    #[test]
    fn a_callers_mistake_says_nothing_of_the_endpoint() {
        let mut health = Health::default();
        for _ in 0..20 {
            health.record(outcome_of(FailureKind::CallerMistake, None), UnixMillis(0), 0.5);
            health.record(outcome_of(FailureKind::ClientGone, None), UnixMillis(0), 0.5);
        }
        assert_eq!(health.standing(UnixMillis(0)), Standing::Ready { share: 1.0 });
    }
}
