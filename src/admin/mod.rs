//! The admin listener: off the data port, on loopback unless the operator says otherwise.

mod explain;
mod health;
mod statistics;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::proxy::Gateway;

/// The router of the admin listener.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/targets", get(health::targets))
        .route("/admin/v1/explain", post(explain::explain))
        .route("/admin/v1/decisions", get(explain::decisions))
        .route("/admin/v1/statistics", get(statistics::statistics))
        .with_state(gateway)
}
