//! Streams: read from providers, written for clients.

mod decode;
mod encode;

pub use decode::StreamDecoder;
pub(super) use decode::StreamEvent;
pub use encode::{StreamEncoder, error_frame};
