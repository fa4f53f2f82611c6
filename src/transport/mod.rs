//! HTTP as the shell uses it: the connections to a provider, and bodies read within limits.

pub mod client;
pub mod collect;
pub mod collector;
