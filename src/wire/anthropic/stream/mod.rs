//! Streams: read from providers, written for clients.

mod arguments;
mod decode;
mod encode;
mod event;

pub use decode::StreamDecoder;
pub use encode::{StreamEncoder, error_frame};
pub(super) use event::StreamEvent;
