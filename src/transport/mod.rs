//! HTTP as the shell uses it: the connections to a provider, and bodies read within limits.

pub mod answer;
pub mod client;
pub mod collect;
pub mod collector;
mod dial;
pub mod http1;
mod http2;
pub mod payload;
pub mod pool;
pub mod stream;
