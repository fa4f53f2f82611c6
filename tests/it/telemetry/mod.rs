//! What operators see: the page for Prometheus, the log, traces.

mod collector;
mod logs;
mod metrics;
mod traces;
