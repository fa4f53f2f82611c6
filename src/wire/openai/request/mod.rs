//! Chat Completions requests: peeked at, decoded from clients, encoded for providers.

mod content;
mod decode;
mod encode;
mod glance;
mod messages;
mod outgoing;
mod peek;
mod turns;

pub use decode::decode_request;
pub use encode::{EXPRESSIBLE, encode_request};
pub(super) use messages::gemini_seal;
pub use peek::peek;
pub(super) use turns::extra_content;
