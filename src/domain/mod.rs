//! The words of the house: plain values that every other room speaks in.
//!
//! Nothing here does I/O, reads a clock or draws a random number. A value that exists is
//! valid: the doors that build these types ([`crate::config`], [`crate::wire`]) have
//! already refused everything else.

pub mod address;
pub mod alias;
pub mod budget;
pub mod caller;
pub mod catalog;
pub mod category;
pub mod client_protocol;
pub mod conversation;
pub mod counts;
pub mod failure;
pub mod feature;
pub mod grouping;
pub mod ids;
pub mod limits;
pub mod money;
pub mod names;
pub mod nearest;
pub mod outcome;
pub mod period;
pub mod project;
pub mod provider;
pub mod purpose;
pub mod rate;
pub mod spent;
pub mod telemetry;
pub mod time;
pub mod usage;
