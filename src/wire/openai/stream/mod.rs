//! Streamed Chat Completions, in both directions.

mod calls;
mod decode;
mod encode;

pub use decode::StreamDecoder;
pub use encode::StreamEncoder;
