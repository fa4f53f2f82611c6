//! What operators see: the page for Prometheus, the log, traces.

pub mod collector;
mod logs;
mod metrics;
mod series;
mod traces;
