//! What is counted of one alias at one target.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::Counter;

use super::labels::TOKEN_TYPES;
use super::lazy::Lazy;
use super::{CostOf, Metrics, table};
use crate::domain::failure::FailureKind;
use crate::domain::money::PicoUsd;
use crate::domain::purpose::Purpose;
use crate::domain::usage::TokenUsage;

/// A success, and each failure.
pub(super) const OUTCOMES: usize = FailureKind::ALL.len() + 1;

/// The number and the name of an attempt's outcome.
pub(super) fn outcome(failure: Option<FailureKind>) -> (usize, &'static str) {
    failure.map_or((0, "ok"), |kind| (kind as usize + 1, kind.as_str()))
}

/// The handles of an alias at a target.
pub struct PairMeters {
    of: Arc<Metrics>,
    alias: String,
    target: String,
    attempts: Lazy<{ Purpose::COUNT }, Box<Lazy<OUTCOMES, Counter>>>,
    tokens: Lazy<{ TOKEN_TYPES.len() }, Counter>,
    cost: Arc<AtomicU64>,
}

impl std::fmt::Debug for PairMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairMeters").field("alias", &self.alias).field("target", &self.target).finish_non_exhaustive()
    }
}

impl PairMeters {
    pub(super) fn new(of: Arc<Metrics>, alias: &str, target: &str) -> Self {
        let cost = of.cost(CostOf::Pair, &[alias, target]);
        let (alias, target) = (alias.to_owned(), target.to_owned());
        Self { of, alias, target, attempts: Lazy::default(), tokens: Lazy::default(), cost }
    }

    /// An attempt has ended.
    pub fn attempted(&self, purpose: Purpose, failure: Option<FailureKind>, usage: &TokenUsage, cost: PicoUsd) {
        let (number, name) = outcome(failure);
        let make = || self.of.counter(&table::ATTEMPTS, &[&self.alias, &self.target, purpose.as_str(), name]);
        let of_purpose = self.attempts.get(purpose as usize, Default::default);
        if let Some(counter) = of_purpose.and_then(|by| by.get(number, make)) {
            counter.increment(1);
        }
        let counts = [usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning];
        let kinds = TOKEN_TYPES.into_iter().zip(counts).enumerate();
        for (at, (kind, tokens)) in kinds.filter(|(_, (_, tokens))| *tokens > 0) {
            let make = || self.of.counter(&table::TOKENS_USED, &[&self.alias, &self.target, kind]);
            if let Some(counter) = self.tokens.get(at, make) {
                counter.increment(tokens);
            }
        }
        if cost.0 > 0 {
            self.cost.fetch_add(cost.0, Relaxed);
        }
    }
}
