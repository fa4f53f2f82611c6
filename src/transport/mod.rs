//! HTTP as the shell uses it: the connections to a provider, and bodies read within limits.

pub mod answer;
pub mod client;
pub mod collect;
pub mod collector;
mod dial;
mod http1;
mod http2;
pub mod payload;
mod pool;
mod stream;
