//! End to end: the real binary, real sockets, simulated providers.
//!
//! One binary, so that what the modules share is compiled once. `cargo test --test it sdk`
//! runs one module.

mod abuse;
mod adaptive;
mod category;
mod classifier;
mod classify;
mod command_line;
mod contract;
mod control;
mod dashboard;
mod demo;
mod explain;
mod fallback;
mod faults;
mod fleet;
mod fleet_link;
mod fuzz;
mod golden;
mod import;
mod misbehaviour;
mod monitoring;
mod scenarios;
mod sdk;
mod serve;
mod simulate;
mod storm;
mod strategies;
#[expect(dead_code, reason = "the bench prints more than the tests look at")]
mod study;
mod support;
mod telemetry;
mod tidy;
mod towards;
