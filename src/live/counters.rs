//! What an endpoint has done since the start, in a fixed number of counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::domain::failure::FailureKind;
use crate::domain::money::PicoUsd;
use crate::domain::usage::TokenUsage;

/// Counters of one endpoint. Written once per attempt, when it ends.
#[derive(Debug, Default)]
pub struct Counters {
    successes: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    input_tokens: AtomicU64,
    cached_input_tokens: AtomicU64,
    output_tokens: AtomicU64,
    cost: AtomicU64,
    estimated: AtomicU64,
}

/// A reading of [`Counters`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CounterReading {
    /// Attempts that delivered their whole answer.
    pub successes: u64,
    /// Attempts that did not, by class in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
    /// Tokens used, failed and abandoned attempts included.
    pub usage: TokenUsage,
    /// What they cost.
    pub cost: PicoUsd,
    /// Attempts whose tokens are our own estimate, since the provider reported none.
    pub estimated: u64,
}

impl Counters {
    /// An attempt ended: well, or in a failure of this class.
    pub fn record(&self, failure: Option<FailureKind>) {
        match failure {
            None => self.successes.fetch_add(1, Relaxed),
            Some(kind) => self.failures[kind as usize].fetch_add(1, Relaxed),
        };
    }

    /// Tokens were used.
    pub fn spend(&self, usage: &TokenUsage, cost: PicoUsd, estimated: bool) {
        self.input_tokens.fetch_add(usage.input, Relaxed);
        self.cached_input_tokens.fetch_add(usage.cached_input, Relaxed);
        self.output_tokens.fetch_add(usage.output, Relaxed);
        self.cost.fetch_add(cost.0, Relaxed);
        self.estimated.fetch_add(u64::from(estimated), Relaxed);
    }

    /// All of them; each exact, together not of one instant.
    pub fn read(&self) -> CounterReading {
        CounterReading {
            successes: self.successes.load(Relaxed),
            failures: std::array::from_fn(|i| self.failures[i].load(Relaxed)),
            usage: TokenUsage {
                input: self.input_tokens.load(Relaxed),
                cached_input: self.cached_input_tokens.load(Relaxed),
                output: self.output_tokens.load(Relaxed),
                ..TokenUsage::default()
            },
            cost: PicoUsd(self.cost.load(Relaxed)),
            estimated: self.estimated.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_counter_of_its_own() {
        let counters = Counters::default();
        for (i, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
            for _ in 0..=i {
                counters.record(Some(kind));
            }
        }
        counters.record(None);
        let reading = counters.read();
        assert_eq!(reading.failures, std::array::from_fn(|i| i as u64 + 1));
        assert_eq!(reading.successes, 1);
    }
}
