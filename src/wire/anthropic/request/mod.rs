//! Requests: read from clients, written for providers.
//!
//! [`peek()`] reads what routing needs, [`decode_request`] the whole, [`encode_request`]
//! writes for a provider, and [`strip_foreign_seals`] mends a body that passes through but
//! carries opaque state which Anthropic would refuse.

mod blocks;
mod decode;
mod encode;
pub mod generation;
mod peek;
mod reasoning;
mod schema;
mod seals;
mod turns;

pub use decode::decode_request;
pub use encode::{EXPRESSIBLE, encode_request};
pub use peek::peek;
pub(super) use peek::peek_any;
pub use seals::strip_foreign_seals;
