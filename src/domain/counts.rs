//! What calls add up to: how many, how many tokens, how much money.

use super::money::PicoUsd;

/// What was used, by any number of calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Requests of callers, each counted where it was served.
    pub requests: u64,
    /// Calls to providers.
    pub attempts: u64,
    /// Those that failed.
    pub failures: u64,
    /// Calls whose tokens are estimated, since nobody reported them.
    pub estimated: u64,
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// The part of them that was read from a cache.
    pub cached_input: u64,
    /// Generated tokens.
    pub output: u64,
    /// What it cost.
    pub cost: PicoUsd,
}

impl Counts {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.attempts += other.attempts;
        self.failures += other.failures;
        self.estimated += other.estimated;
        self.input += other.input;
        self.cached_input += other.cached_input;
        self.output += other.output;
        self.cost = PicoUsd(self.cost.0.saturating_add(other.cost.0));
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
