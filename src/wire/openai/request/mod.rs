//! Chat Completions requests: peeked at, decoded from clients, encoded for providers.

mod decode;
mod encode;
mod glance;
mod messages;
mod peek;

pub use decode::decode_request;
pub use encode::{EXPRESSIBLE, encode_request};
pub use peek::peek;
