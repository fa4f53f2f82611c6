//! What is known of an endpoint and of an alias, in bounded memory, as plain arithmetic.
//!
//! Two kinds of knowledge. Histograms and sums in time slices ([`History`]) answer people,
//! dashboards and quantiles. Trackers ([`Speed`]) answer decisions, because a histogram
//! answers late. [`EndpointStats`] is told of every attempt when it begins, when its first
//! content comes, while it runs and when it ends; a decision reads a [`Reading`] of it. What
//! replicas tell each other of it is in [`share`].

mod alias;
mod attempt;
mod bucket;
mod endpoint;
mod fading;
mod history;
mod minute;
mod pace;
mod reading;
pub mod share;
mod speed;
pub mod traffic;
mod waiting;
mod window;

pub use alias::{AliasReading, AliasStats};
pub use attempt::{Ask, End, Purpose, Refused, Ticket};
pub use bucket::Bucket;
pub use endpoint::{COLD_AT_ONCE, EndpointStats};
pub use history::{Distribution, History, Sample, Slice, Sums};
pub use minute::{Minute, Usage};
pub use reading::{Prediction, Published, Reading};
pub use speed::{Observation, Speed, Tracker};
pub use waiting::Wait;
