//! What operators see of a running gateway.
//!
//! [`metrics`] for Prometheus, a [`log`] for people and machines, [`traces`] for a collector. A
//! [`request::OpenRequest`] is what all of them know of one request.

pub mod lines;
pub mod log;
pub mod metrics;
pub mod request;
pub mod traces;

use std::sync::{Arc, OnceLock};

/// Where everything that happens is told.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// For Prometheus.
    pub metrics: Arc<metrics::Metrics>,
    /// What the log says of requests.
    pub lines: lines::Lines,
    /// Spans, where anything is traced.
    pub traces: OnceLock<traces::Traces>,
}
