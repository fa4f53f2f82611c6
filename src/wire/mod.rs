//! The protocols, as pure functions from bytes to values and back. No I/O.
//!
//! A client speaks one of three chat *dialects* ([`Dialect`]); a provider speaks one of
//! three *protocols* ([`Protocol`](crate::domain::provider::Protocol)). Where the two are
//! the same, a body passes through: [`peek`] reads the few fields that routing needs and
//! [`splice`] replaces the model's name. Where they differ, the request becomes a
//! [`chat::ChatRequest`] and the answer a [`chat::ChatResponse`] or a run of
//! [`event::Event`]s, once, in the middle.
//!
//! Each dialect's folder has the same files: `request` (decode what clients send, encode
//! what providers get), `response`, `stream`, `native` (what must be known of answers that
//! pass through) and `error`.

pub mod anthropic;
pub mod chat;
pub mod conversation;
pub mod error;
pub mod event;
pub mod gemini;
pub mod list;
pub mod meta;
pub mod native;
pub mod openai;
pub mod opening;
pub mod peek;
pub mod relay;
pub mod responses;
pub mod scan;
pub mod splice;
pub mod sse;
pub mod strings;
pub mod tree;
pub mod turn;

/// The chat API a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Dialect {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/responses`.
    Responses,
}
