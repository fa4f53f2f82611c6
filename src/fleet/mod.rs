//! How do many processes act as one? Through a Redis that they share: this room has the way
//! to it, the keys in it, and who else is there.
//!
//! - [`Link`] is the connection: calls with a bound on their time, refused at once while Redis
//!   is away; it heals by itself and tells how it stands.
//! - [`Keys`] spells every key; [`script`] has the scripts that run inside Redis.
//! - [`replicas`] keeps the list of the processes that live.
//! - [`quota`] makes limits and budgets hold for all of them together.
//! - [`telemetry`] carries what they learn of endpoints.
//!
//! What is shared, and what the loss of Redis means for it, belongs to those who use the link.
//! Nothing here is on the way of a routing decision.

mod error;
pub mod journal;
mod keys;
mod link;
pub mod quota;
pub mod replicas;
pub mod script;
mod slot;
pub mod telemetry;
pub mod usage;

pub use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, ToRedisArgs, Value, cmd, pipe, streams};

pub use error::LinkError;
pub use keys::Keys;
pub use link::{Figures, Link, OpenError, ServerTime, Signal, State, Subscription, Timing};
#[doc(hidden)]
pub use link::{Heard, heard};
pub use slot::slot_of;
