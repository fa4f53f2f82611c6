//! What is counted of one alias.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};

use super::labels::STRATEGIES;
use super::lazy::Lazy;
use super::{Metrics, OTHER, PairMeters, table};
use crate::domain::client_protocol::{ClientProtocol, OperationName};
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointId;
use crate::domain::outcome::RequestOutcome;

/// How many requests have ended, and their times, by outcome.
type ByOutcome = Box<Lazy<{ RequestOutcome::COUNT }, (Counter, Histogram)>>;

/// The handles of one alias.
pub struct AliasMeters {
    of: Arc<Metrics>,
    name: String,
    /// By strategy and protocol.
    requests: Lazy<{ STRATEGIES.len() * ClientProtocol::COUNT }, ByOutcome>,
    first_token: Lazy<{ OperationName::COUNT }, Histogram>,
    per_token: Lazy<{ OperationName::COUNT }, Histogram>,
    fallbacks: Lazy<{ FailureKind::ALL.len() }, Counter>,
    confidence: OnceLock<Histogram>,
    /// As many as there are categories and reasons.
    categories: Mutex<HashMap<(String, &'static str), Counter>>,
    /// One for each target that was ever asked.
    pairs: RwLock<Vec<(EndpointId, Arc<PairMeters>)>>,
    /// Requests that have not ended.
    pub in_flight: AtomicI64,
}

impl std::fmt::Debug for AliasMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AliasMeters").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The strategy that served it; empty where it did not come that far.
    pub strategy: &'static str,
    /// How it came.
    pub protocol: ClientProtocol,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// From its beginning to its end.
    pub took: Duration,
    /// Until the first content of a streamed answer.
    pub first_token: Option<Duration>,
    /// Tokens of a stream that came to its end.
    pub streamed_tokens: Option<u64>,
}

impl AliasMeters {
    pub(super) fn new(of: Arc<Metrics>, name: &str) -> Self {
        Self {
            of,
            name: name.to_owned(),
            requests: Lazy::default(),
            first_token: Lazy::default(),
            per_token: Lazy::default(),
            fallbacks: Lazy::default(),
            confidence: OnceLock::new(),
            categories: Mutex::default(),
            pairs: RwLock::default(),
            in_flight: AtomicI64::new(0),
        }
    }

    /// A request has ended.
    pub fn ended(&self, ended: &Ended) {
        let Ended { strategy, protocol, outcome, took, first_token, streamed_tokens } = *ended;
        let strategy_at = STRATEGIES.iter().position(|name| *name == strategy).unwrap_or(0);
        let number = strategy_at * ClientProtocol::COUNT + protocol as usize;
        let operation = protocol.operation();
        let make = || {
            let (strategy, protocol) = (STRATEGIES[strategy_at], protocol.as_str());
            let error = if outcome == RequestOutcome::Ok { "" } else { outcome.as_str() };
            let times = [&self.name, operation.as_str(), strategy, protocol, error];
            let counter = self.of.counter(&table::REQUESTS, &[&self.name, strategy, protocol, outcome.as_str()]);
            (counter, self.of.histogram(&table::REQUEST_DURATION, &times))
        };
        let by_outcome = self.requests.get(number, Default::default);
        if let Some((counter, histogram)) = by_outcome.and_then(|by| by.get(outcome as usize, make)) {
            counter.increment(1);
            histogram.record(took.as_secs_f64());
        }
        let Some(first) = first_token else { return };
        let of_operation = |metric| move || self.of.histogram(metric, &[&self.name, operation.as_str()]);
        if let Some(histogram) = self.first_token.get(operation as usize, of_operation(&table::FIRST_TOKEN_TIME)) {
            histogram.record(first.as_secs_f64());
        }
        if let Some(tokens) = streamed_tokens.filter(|tokens| *tokens > 1)
            && let Some(histogram) = self.per_token.get(operation as usize, of_operation(&table::OUTPUT_TOKEN_TIME))
        {
            histogram.record(took.saturating_sub(first).as_secs_f64() / (tokens - 1) as f64);
        }
    }

    /// After an attempt had failed in this way, somebody was asked again.
    pub fn fell_back(&self, reason: FailureKind) {
        let make = || self.of.counter(&table::FALLBACKS, &[&self.name, reason.as_str()]);
        if let Some(counter) = self.fallbacks.get(reason as usize, make) {
            counter.increment(1);
        }
    }

    /// A request was taken for this category; `confidence` where the classifier was asked.
    pub fn sorted(&self, category: &str, reason: &'static str, confidence: Option<f64>) {
        self.of_category(category, reason, || {
            let category = if self.of.admits(&["category", &self.name, category]) { category } else { OTHER };
            self.of.counter(&table::CATEGORIES, &[&self.name, category, reason])
        });
        if let Some(confidence) = confidence {
            let make = || self.of.histogram(&table::CATEGORY_CONFIDENCE, &[&self.name]);
            self.confidence.get_or_init(make).record(confidence);
        }
    }

    /// Nobody of a category could serve a request.
    pub fn exhausted(&self, category: &str) {
        self.of_category(category, "exhausted", || {
            let category = if self.of.admits(&["category", &self.name, category]) { category } else { OTHER };
            self.of.counter(&table::CATEGORIES_EXHAUSTED, &[&self.name, category])
        });
    }

    fn of_category(&self, category: &str, reason: &'static str, make: impl FnOnce() -> Counter) {
        let mut known = self.categories.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((category.to_owned(), reason)).or_insert_with(make).increment(1);
    }

    /// The meters of this alias at a target.
    pub fn pair(&self, target: &EndpointId) -> Arc<PairMeters> {
        let find = |pairs: &[(EndpointId, Arc<PairMeters>)]| {
            pairs.iter().find(|(known, _)| known == target).map(|(_, meters)| Arc::clone(meters))
        };
        let known = find(&self.pairs.read().unwrap_or_else(PoisonError::into_inner));
        known.unwrap_or_else(|| {
            let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
            find(&pairs).unwrap_or_else(|| {
                let may = self.of.admits(&["pair", &self.name, target.as_str()]);
                let name = if may { target.as_str() } else { OTHER };
                let meters = Arc::new(PairMeters::new(Arc::clone(&self.of), &self.name, name));
                pairs.push((target.clone(), Arc::clone(&meters)));
                meters
            })
        })
    }

    /// Requests that have not ended.
    pub fn under_way(&self) -> i64 {
        self.in_flight.load(Relaxed)
    }
}
