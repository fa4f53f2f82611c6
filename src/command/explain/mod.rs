//! `pointsman explain`: where would a request go, and why?

pub mod command;
pub mod table;
