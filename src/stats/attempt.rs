//! One attempt as the statistics see it: what is asked, why it may not begin, what is kept
//! while it is under way, and how it ended.

use std::time::Duration;

use crate::domain::failure::FailureKind;
use crate::domain::money::PicoUsd;
pub use crate::domain::purpose::Purpose;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;

/// What is asked of an endpoint.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Ask {
    /// Estimated.
    pub prompt_tokens: u64,
    /// Expected.
    pub output_tokens: u64,
    /// The answer is a stream.
    pub stream: bool,
    /// It says nothing of the speed of answers (counting tokens, say).
    pub unmeasured: bool,
    /// Why it is asked.
    pub purpose: Purpose,
    /// When the decision last saw an attempt go out: an exploration that another request
    /// has made in the meantime is not repeated.
    pub seen_sent_at: UnixMillis,
}

/// Why an attempt cannot begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Another attempt is finding out whether it works.
    Probing,
    /// A limit is reached.
    AtLimit,
    /// Another request has just made the exploration.
    Explored,
}

/// An attempt under way.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ticket {
    pub(super) ask: Ask,
    pub(super) begun: UnixMillis,
    /// Its place among the watched waits.
    pub(super) place: Option<usize>,
    /// In flight with it when it was sent, itself included.
    pub(super) in_flight: u32,
    /// Predicted seconds until its first content, or its whole answer.
    pub(super) predicted_s: f64,
    pub(super) first_token: Option<Duration>,
    /// Tokens, as counted in pieces, that the speed has followed already.
    pub(super) fed: u64,
    pub(super) fed_over: Duration,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct End {
    /// `None`: it delivered its whole answer.
    pub failure: Option<FailureKind>,
    /// When the provider wants to be asked again.
    pub retry_at: Option<UnixMillis>,
    /// Tokens used.
    pub usage: TokenUsage,
    /// They are our own estimate.
    pub estimated: bool,
    /// Pieces of content that came.
    pub pieces: u64,
    /// What they cost.
    pub cost: PicoUsd,
    /// Time on the wire.
    pub elapsed: Duration,
    /// Time before the wire: connecting.
    pub queued: Duration,
}
