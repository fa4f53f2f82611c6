//! What operators see: the page for Prometheus, the log, traces.

mod attempts;
pub mod collector;
mod health;
mod logs;
pub mod metrics;
mod series;
mod traces;
