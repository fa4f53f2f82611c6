//! A streamed answer, piece by piece, as every dialect can say it.

use super::chat::{Finish, Seal};
use super::error::ProviderError;
use crate::domain::usage::TokenUsage;

/// One step of a streamed answer.
///
/// A well-formed stream is `Start`, then content, then `Finish`, with `Usage` anywhere
/// (a later one replaces an earlier one field by field where it is larger). Decoders hold
/// to that whatever the provider sends; encoders rely on it.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The answer begins. Not content.
    Start {
        /// The provider's id of the answer; empty where it gives none.
        id: String,
        /// The model that answers, as the provider names it.
        model: String,
    },
    /// More text.
    Text(String),
    /// More of a refusal.
    Refusal(String),
    /// More reasoning.
    Reasoning(String),
    /// The reasoning so far (possibly none was shown) carries this opaque state; ends that
    /// piece of reasoning.
    ReasoningSeal(Seal),
    /// A tool call begins.
    ToolCall {
        /// Counts the tool calls of this answer from 0.
        index: u32,
        /// Joins the call and its result; never empty.
        id: String,
        /// The function.
        name: String,
        /// Opaque provider state of the call.
        seal: Option<Seal>,
    },
    /// More JSON text of a call's arguments. Calls may interleave.
    ToolArguments {
        /// Which call.
        index: u32,
        /// The next piece.
        json: String,
    },
    /// Tokens counted so far.
    Usage(TokenUsage),
    /// Why it ended. Only `Usage` may follow.
    Finish(Finish),
    /// The provider reports an error inside the stream. Nothing follows.
    Error(ProviderError),
}

impl Event {
    /// Whether this is real content: the point from which the caller is committed to this
    /// attempt. Role-only chunks, pings, empty pieces and usage are not.
    pub fn commits(&self) -> bool {
        match self {
            Self::Text(t) | Self::Refusal(t) | Self::Reasoning(t) => !t.is_empty(),
            Self::ToolArguments { json, .. } => !json.is_empty(),
            Self::ToolCall { .. } => true,
            Self::Start { .. } | Self::ReasoningSeal(_) | Self::Usage(_) | Self::Finish(_) | Self::Error(_) => false,
        }
    }
}
