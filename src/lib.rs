//! Pointsman: a routing engine and proxy for language models.
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod config;
pub mod domain;
pub mod wire;
