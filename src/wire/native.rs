//! What must be known of an answer that passes through: when it commits, when it ends,
//! what it used.
//!
//! Each dialect's `native` file has an `Inspector` with
//! `inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed>` for streams, and
//! `inspect_answer(body: &[u8]) -> Result<Seen, Malformed>` for whole answers. Until the
//! first content a frame is read in full; afterwards only as much as its end needs.

use super::chat::Finish;
use super::error::ProviderError;
use crate::domain::usage::TokenUsage;

/// What one frame of a passing stream means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Nothing that a caller waits for: comments, pings, role-only chunks, empty pieces.
    Noise,
    /// Real content; the first one commits the attempt.
    Content,
    /// A chunk that holds usage and nothing else: kept from callers that did not ask for it.
    UsageOnly,
    /// The dialect's own end of the stream.
    End,
    /// The provider reports an error inside the stream.
    Error(ProviderError),
}

/// What an answer has told of itself so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Tokens as reported; empty where nothing was reported.
    pub usage: TokenUsage,
    /// Why it ended, once that was said.
    pub finish: Option<Finish>,
    /// Pieces of content so far: where usage is never reported, about one token each.
    pub pieces: u64,
}
