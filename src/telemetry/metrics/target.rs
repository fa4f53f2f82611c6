//! What is counted of one target, whoever asked for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::Histogram;

use super::lazy::Lazy;
use super::pair::{OUTCOMES, outcome};
use super::{Metrics, table};
use crate::domain::client_protocol::OperationName;
use crate::domain::failure::FailureKind;
use crate::domain::usage::TokenUsage;
use crate::telemetry::lines::Quiet;

/// The handles of a target.
pub struct TargetMeters {
    of: Arc<Metrics>,
    target: String,
    provider: String,
    model: String,
    durations: Lazy<{ OperationName::COUNT }, Box<Lazy<OUTCOMES, Histogram>>>,
    first_chunk: Lazy<{ OperationName::COUNT }, Histogram>,
    tokens: Lazy<{ OperationName::COUNT }, [Histogram; 2]>,
    connect: OnceLock<Histogram>,
    /// Holds back lines of the log about failures, by their class.
    pub quiet: [Quiet; FailureKind::ALL.len()],
}

impl std::fmt::Debug for TargetMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetMeters").field("target", &self.target).finish_non_exhaustive()
    }
}

impl TargetMeters {
    pub(super) fn new(of: Arc<Metrics>, [target, provider, model]: [&str; 3]) -> Self {
        Self {
            of,
            target: target.to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            durations: Lazy::default(),
            first_chunk: Lazy::default(),
            tokens: Lazy::default(),
            connect: OnceLock::new(),
            quiet: Default::default(),
        }
    }

    /// A connection was made for an attempt.
    pub fn connected(&self, took: Duration) {
        let make = || self.of.histogram(&table::CONNECT_TIME, &[&self.provider]);
        self.connect.get_or_init(make).record(took.as_secs_f64());
    }

    /// The first content of a stream came.
    pub fn first_chunk(&self, operation: OperationName, waited: Duration) {
        let make = || {
            let labels = [&*self.provider, &self.model, operation.as_str(), &self.target];
            self.of.histogram(&table::FIRST_CHUNK_TIME, &labels)
        };
        if let Some(histogram) = self.first_chunk.get(operation as usize, make) {
            histogram.record(waited.as_secs_f64());
        }
    }

    /// An attempt has ended.
    pub fn attempted(
        &self,
        operation: OperationName,
        failure: Option<FailureKind>,
        took: Duration,
        usage: &TokenUsage,
    ) {
        let (number, name) = outcome(failure);
        let make = || {
            let error = if failure.is_some() { name } else { "" };
            let labels = [&*self.provider, &self.model, operation.as_str(), &self.target, error];
            self.of.histogram(&table::OPERATION_DURATION, &labels)
        };
        let of_operation = self.durations.get(operation as usize, Default::default);
        if let Some(histogram) = of_operation.and_then(|by| by.get(number, make)) {
            histogram.record(took.as_secs_f64());
        }
        if usage.is_empty() {
            return;
        }
        let make = || {
            ["input", "output"].map(|kind| {
                let labels = [&*self.provider, &self.model, operation.as_str(), &self.target, kind];
                self.of.histogram(&table::TOKEN_USAGE, &labels)
            })
        };
        if let Some([input, output]) = self.tokens.get(operation as usize, make) {
            input.record(usage.input as f64);
            output.record(usage.output as f64);
        }
    }
}
