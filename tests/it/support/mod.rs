//! What the modules share: a gateway as its own process, simulated providers in this one,
//! and Python with the official SDKs.

pub mod config;
pub mod gateway;
pub mod python;
pub mod sim;

/// A client for plain HTTP. The test binary has no TLS provider until the first is made.
pub fn http() -> reqwest::Client {
    // A second installation is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
