//! What operators see of a running gateway.
//!
//! [`metrics`] for Prometheus, [`log`]s for people and machines. A [`request::OpenRequest`] is
//! what both know of one request.

pub mod log;
pub mod metrics;
pub mod request;

use std::sync::Arc;

/// Where everything that happens is told.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// For Prometheus.
    pub metrics: Arc<metrics::Metrics>,
}
