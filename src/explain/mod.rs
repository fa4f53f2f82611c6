//! Why does a request go where it goes? The shape in which a gateway tells it
//! ([`report`]), the same for people's eyes ([`table`]), and the command that asks
//! ([`command`]).

pub mod command;
pub mod report;
pub mod table;
