//! The admin listener: off the data port, on loopback unless the operator says otherwise.

mod health;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::proxy::Gateway;

/// The router of the admin listener.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/targets", get(health::targets))
        .with_state(gateway)
}
