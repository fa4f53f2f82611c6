//! What the modules share: a gateway as its own process, simulated providers in this one,
//! and Python with the official SDKs.

pub mod admin;
pub mod browser;
pub mod bystander;
pub mod chat;
pub mod config;
pub mod gateway;
pub mod link;
pub mod packages;
pub mod python;
pub mod redis;
pub mod redis_sets;
pub mod sim;
pub mod skew;
pub mod toxic;
pub mod traffic;

use std::time::Duration;

use tokio::time::Instant;

/// Nothing that a test waits for takes longer, even on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client for plain HTTP. The test binary has no TLS provider until the first is made.
pub fn http() -> reqwest::Client {
    // A second installation is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Waits until something holds; `what` names it if it never does.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
