//! The commands that ask a running gateway: what its admin listener can do, from a shell.

pub mod explain;
