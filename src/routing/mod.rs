//! Which endpoints may serve this request, and in what order? Pure arithmetic.
//!
//! [`rank`] orders; it does not pick. Fallback walks the list with [`retry::next_step`].
//! Both see only what they are handed: no I/O, no clock, no randomness of their own.

mod draw;
pub mod eligibility;
mod explore;
pub mod facts;
pub mod rank;
pub mod retry;
pub mod score;
mod stand_by;
#[cfg(test)]
pub(crate) mod tests_support;

pub use draw::chance;
pub use facts::{EndpointState, Narrowing, RequestFacts, Snapshot};
pub use rank::{Candidate, Plan, Query, Skipped, Why, rank};
