//! How the shipped weights are made: `cargo run --release --features training --bin train`.
//!
//! [`data`] reads labelled prompts, [`base`] the encoder that training begins with. [`strong`]
//! fine-tunes it: [`backward`] is the way back through its layers, [`optimiser`] turns gradients
//! into better weights. The same seed and data give the same weights, whatever the number of
//! threads: what threads share is cut into parts that do not depend on it, and sums are made in
//! one order.

pub mod backward;
pub mod base;
pub mod card;
pub mod checkpoint;
pub mod data;
pub mod export;
pub mod fast;
pub mod finish;
pub mod optimiser;
pub mod pca;
pub mod report;
pub mod run;
pub mod strong;
pub mod table;
pub mod teacher;
pub mod topic;
pub mod workers;
