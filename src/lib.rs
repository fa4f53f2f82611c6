//! Pointsman: a routing engine and proxy for language models.
#![forbid(unsafe_code)]

pub mod domain;
pub mod wire;
