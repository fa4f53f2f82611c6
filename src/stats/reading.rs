//! What does a decision read of an endpoint, and how does it read it without waiting?
//!
//! A [`Reading`] is a few dozen numbers. Whoever changes an endpoint's statistics (under
//! its lock) publishes them as words behind a version that is odd while they are written
//! (a sequence lock, as in the Linux kernel); a reader copies the words and tries again if
//! the version has moved. Readers write nothing, so decisions on many threads do not slow
//! each other down.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use super::endpoint::FAILING_MEMORY;
use super::fading::faded;
use super::minute::Usage;
use super::speed::variance_at;
use super::waiting::{Wait, raise};
use crate::domain::failure::FailureKind;
use crate::domain::time::UnixMillis;
use crate::health::{HealthReading, State};

/// What is known of an endpoint, as of its last change.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Reading {
    /// Its health.
    pub health: HealthReading,
    /// Expected seconds to the first token of an empty prompt.
    pub first_s: f64,
    /// Logarithm of the same, and its uncertainty when it was last observed.
    pub first_mean: f64,
    /// Variance of `first_mean` at `first_at`.
    pub first_variance: f64,
    /// Variance of samples around it.
    pub first_noise: f64,
    /// When it was last observed.
    pub first_at: UnixMillis,
    /// Expected seconds per output token.
    pub token_s: f64,
    /// Variance of its logarithm at `token_at`.
    pub token_variance: f64,
    /// Variance of samples around it.
    pub token_noise: f64,
    /// When it was last observed.
    pub token_at: UnixMillis,
    /// Growth of the time to the first token per thousand prompt tokens.
    pub slope: f64,
    /// Attempts whose speed was observed.
    pub samples: u32,
    /// Share of recent attempts that failed before their first content.
    pub failing: f64,
    /// When that was last observed.
    pub failing_at: UnixMillis,
    /// Share of recent streams that broke.
    pub breaking: f64,
    /// Attempts under way.
    pub in_flight: u32,
    /// Requests without a first content that are furthest beyond their prediction.
    pub waits: [Wait; 2],
    /// Requests it bears at once.
    pub window: f64,
    /// Whether it has ever shown a queue or a limit.
    pub queued: bool,
    /// Seconds a request holds a slot.
    pub holding_s: f64,
    /// The most in flight at which no queue showed.
    pub peak: f64,
    /// Logarithm of the seconds to the first token that it reaches at best; NaN is unknown.
    pub potential: f64,
    /// What was used in the last minute, reservations included; by other replicas too, as far
    /// as they told.
    pub usage: Usage,
    /// The part of its requests that went out from other replicas.
    pub others_requests: u64,
    /// The used share of its own limits, 1 where nothing is left; NaN where it has none.
    pub limit_used: f64,
    /// Requests per second that it bears, as learned; 0 is unknown.
    pub rate: f64,
    /// A limit of ours or one we know of keeps it until then.
    pub limited_until: UnixMillis,
    /// Share of prompt tokens that came from its cache.
    pub cached: f64,
    /// When an attempt last went out.
    pub sent_at: UnixMillis,
    /// Explorations in a row that changed nothing.
    pub explored: u32,
    /// When all this was brought up to date.
    pub read_at: UnixMillis,
    /// 95 % quantile of the first token's time in the last minutes; 0 is unknown.
    pub first_p95_s: f64,
}

/// What a request may expect of an endpoint.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Prediction {
    /// Seconds to the first token.
    pub first_s: f64,
    /// Seconds per output token.
    pub token_s: f64,
    /// Standard deviation of the logarithm of the time to the first token, luck included.
    pub deviation: f64,
    /// The same of the time per token.
    pub token_deviation: f64,
    /// By how much requests that still wait have raised it, as a logarithm.
    pub raised: f64,
}

impl Reading {
    /// Whether it was never measured well enough to be compared.
    pub fn is_cold(&self) -> bool {
        self.samples < 3
    }

    /// Uncertainty of the level of first tokens at `now`.
    pub fn variance(&self, now: UnixMillis) -> f64 {
        variance_at(self.first_variance, self.first_at, now)
    }

    /// What a request with so many thousand prompt tokens may expect at `now`.
    pub fn predict(&self, prompt_kilotokens: f64, now: UnixMillis) -> Prediction {
        let deviation = (self.variance(now) + self.first_noise).sqrt();
        let token_variance = variance_at(self.token_variance, self.token_at, now);
        let raised = if self.waits[0].predicted_s > 0.0 { raise(&self.waits, deviation, now) } else { 0.0 };
        let (slower, slower_token) = if raised > 0.0 { (raised.exp(), (raised / 2.0).exp()) } else { (1.0, 1.0) };
        Prediction {
            first_s: self.first_s * (1.0 + self.slope * prompt_kilotokens) * slower,
            token_s: self.token_s * slower_token,
            deviation,
            token_deviation: (token_variance + self.token_noise).sqrt(),
            raised,
        }
    }

    /// Share of attempts expected to fail before their first content.
    pub fn failure_rate(&self, now: UnixMillis) -> f64 {
        if self.failing == 0.0 {
            return 0.0;
        }
        self.failing * faded(now.since(self.failing_at), FAILING_MEMORY)
    }

    /// By what factor it is slower than at its best; 1 where that is not known.
    pub fn slowdown(&self, prediction: &Prediction) -> f64 {
        if self.potential.is_nan() { 1.0 } else { (self.first_mean - self.potential + prediction.raised).exp() }
    }

    /// When it was last known of, whichever way.
    pub fn age(&self, now: UnixMillis) -> Duration {
        now.since(self.first_at.max(self.token_at))
    }
}

/// Something that fits into a word.
trait Word {
    fn to_word(&self) -> u64;
    fn from_word(word: u64) -> Self;
}

impl Word for f64 {
    fn to_word(&self) -> u64 {
        self.to_bits()
    }
    fn from_word(word: u64) -> Self {
        Self::from_bits(word)
    }
}

impl Word for u64 {
    fn to_word(&self) -> u64 {
        *self
    }
    fn from_word(word: u64) -> Self {
        word
    }
}

impl Word for u32 {
    fn to_word(&self) -> u64 {
        u64::from(*self)
    }
    fn from_word(word: u64) -> Self {
        // Only ever made from a u32.
        word as Self
    }
}

impl Word for bool {
    fn to_word(&self) -> u64 {
        u64::from(*self)
    }
    fn from_word(word: u64) -> Self {
        word != 0
    }
}

impl Word for UnixMillis {
    fn to_word(&self) -> u64 {
        self.0
    }
    fn from_word(word: u64) -> Self {
        Self(word)
    }
}

const WORDS: usize = 41;
/// Words that are no fields of their own.
const OF_HEALTH: usize = 5;

/// The words of a reading, in order.
macro_rules! words {
    ($($field:ident$(.$inner:ident)*$([$i:literal].$part:ident)?),* $(,)?) => {
        impl Reading {
            fn to_words(self) -> [u64; WORDS] {
                let [state, since, round] = state_words(&self.health.state);
                [state, since, round, self.health.blocked_until.0, self.health.probe_from.0,
                    $(self.$field$(.$inner)*$([$i].$part)?.to_word()),*]
            }

            fn from_words(words: [u64; WORDS]) -> Self {
                let mut reading = Self::default();
                reading.health.state = state_of(words[0], words[1], words[2]);
                reading.health.blocked_until = UnixMillis(words[3]);
                reading.health.probe_from = UnixMillis(words[4]);
                let mut at = OF_HEALTH;
                $(
                    reading.$field$(.$inner)*$([$i].$part)? = Word::from_word(words[at]);
                    at += 1;
                )*
                debug_assert_eq!(at, WORDS);
                reading
            }
        }
    };
}

words!(
    first_s,
    first_mean,
    first_variance,
    first_noise,
    first_at,
    token_s,
    token_variance,
    token_noise,
    token_at,
    slope,
    samples,
    failing,
    failing_at,
    breaking,
    in_flight,
    waits[0].since,
    waits[0].predicted_s,
    waits[1].since,
    waits[1].predicted_s,
    window,
    queued,
    holding_s,
    peak,
    potential,
    usage.requests,
    usage.tokens,
    usage.cost,
    others_requests,
    limit_used,
    rate,
    limited_until,
    cached,
    sent_at,
    explored,
    read_at,
    first_p95_s,
);

fn state_words(state: &State) -> [u64; 3] {
    match *state {
        State::Closed { since: None } => [0, 0, 0],
        State::Closed { since: Some(since) } => [1, since.0, 0],
        State::Open { until, round, cause } => [2 | (cause as u64) << 8, until.0, u64::from(round)],
        State::HalfOpen { round, cause } => [3 | (cause as u64) << 8, 0, u64::from(round)],
    }
}

fn state_of(state: u64, time: u64, round: u64) -> State {
    let cause = FailureKind::ALL.get((state >> 8) as usize).copied().unwrap_or(FailureKind::Connect);
    let (time, round) = (UnixMillis(time), round as u32);
    match state & 0xff {
        0 => State::Closed { since: None },
        1 => State::Closed { since: Some(time) },
        2 => State::Open { until: time, round, cause },
        _ => State::HalfOpen { round, cause },
    }
}

/// A reading that many may read while one writes.
#[derive(Debug)]
pub struct Published {
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Published {
    /// With a first reading.
    pub fn new(reading: &Reading) -> Self {
        let words = reading.to_words();
        Self { version: AtomicU64::new(0), words: words.map(AtomicU64::new) }
    }

    /// Replaces the reading. Only one may write at a time: whoever holds the lock of what
    /// is read.
    pub fn publish(&self, reading: &Reading) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(reading.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The reading, unless its writer is in the middle of it for longer than usual (it was
    /// descheduled, say).
    pub fn read(&self) -> Option<Reading> {
        for _ in 0..64 {
            let before = self.version.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let words = std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed));
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == before {
                    return Some(Reading::from_words(words));
                }
            }
            std::hint::spin_loop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_the_words() {
        let mut words: [u64; WORDS] = std::array::from_fn(|i| (i as f64 + 0.5).to_bits());
        let cause = FailureKind::Malformed as u64;
        (words[0], words[1], words[2], words[3], words[4]) = (2 | cause << 8, 77, 3, 88, 99);
        // Those that are no floating-point numbers.
        for i in [9, 13, 15, 17, 19, 20, 22, 29, 30, 31, 32, 35, 37, 38, 39] {
            words[i] = i as u64;
        }
        words[25] = 1;
        let reading = Reading::from_words(words);
        assert_eq!(reading.to_words(), words);
        assert_eq!(
            reading.health.state,
            State::Open { until: UnixMillis(77), round: 3, cause: FailureKind::Malformed }
        );
        assert_eq!(reading.first_p95_s, 40.5);
        for state in [
            State::Closed { since: None },
            State::Closed { since: Some(UnixMillis(5)) },
            State::HalfOpen { round: 9, cause: FailureKind::Timeout },
        ] {
            let health = HealthReading { state, blocked_until: UnixMillis(1), probe_from: UnixMillis(2) };
            let reading = Reading { health, ..Reading::default() };
            assert_eq!(Reading::from_words(reading.to_words()).health, health);
        }
    }

    #[test]
    fn readers_see_whole_readings_only() {
        let published = Published::new(&Reading::default());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for i in 0..20_000u32 {
                    let reading =
                        Reading { first_s: f64::from(i), token_s: f64::from(i), in_flight: i, ..Reading::default() };
                    published.publish(&reading);
                }
            });
            while !writer.is_finished() {
                if let Some(reading) = published.read() {
                    assert_eq!((reading.first_s, reading.token_s), (f64::from(reading.in_flight), reading.first_s));
                }
            }
        });
    }
}
