//! The response object, whole or as far as it has come.

use serde::Serialize;

use super::echo::RequestEcho;
use super::item::{Item, ItemStatus};
use crate::domain::usage::TokenUsage;
use crate::wire::chat::Finish;
use crate::wire::meta::ReplyMeta;

/// A response object: the answer itself, and what each lifecycle event of a stream shows.
#[derive(Serialize)]
pub(super) struct ResponseObject<'a> {
    id: String,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    error: Option<Failure<'a>>,
    incomplete_details: Option<IncompleteDetails>,
    model: &'a str,
    output: &'a [Item],
    #[serde(flatten)]
    echo: &'a RequestEcho,
    usage: Option<Usage>,
}

/// How far the response has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome<'a> {
    /// It is being made.
    InProgress,
    /// The model was done, or waits for the results of its calls.
    Completed,
    /// It was cut; the reason as the API spells it.
    Incomplete(&'static str),
    /// It broke.
    Failed(Failure<'a>),
}

/// Why a response failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Failure<'a> {
    pub(super) code: &'static str,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
struct IncompleteDetails {
    reason: &'static str,
}

#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl<'a> ResponseObject<'a> {
    /// The object for an answer whose provider calls its model `model`.
    pub(super) fn new(
        meta: &'a ReplyMeta,
        echo: &'a RequestEcho,
        model: &'a str,
        outcome: Outcome<'a>,
        output: &'a [Item],
        usage: &TokenUsage,
    ) -> Self {
        Self {
            id: format!("resp_{}", meta.id),
            object: "response",
            created_at: meta.created,
            status: match outcome {
                Outcome::InProgress => "in_progress",
                Outcome::Completed => "completed",
                Outcome::Incomplete(_) => "incomplete",
                Outcome::Failed(_) => "failed",
            },
            background: false,
            error: if let Outcome::Failed(failure) = outcome { Some(failure) } else { None },
            incomplete_details: if let Outcome::Incomplete(reason) = outcome {
                Some(IncompleteDetails { reason })
            } else {
                None
            },
            model: if model.is_empty() { &meta.model } else { model },
            output,
            echo,
            usage: (!usage.is_empty()).then(|| Usage::from(usage)),
        }
    }
}

impl From<&TokenUsage> for Usage {
    fn from(usage: &TokenUsage) -> Self {
        Self {
            input_tokens: usage.input,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.output,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning },
            total_tokens: usage.input.saturating_add(usage.output),
        }
    }
}

/// What the reason for an answer's end makes of the response. A refusal without words
/// of its own would look like an empty answer; it is told as a filter's doing.
pub(super) fn outcome(finish: &Finish, refusal_said: bool) -> Outcome<'static> {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => Outcome::Completed,
        Finish::Refusal if refusal_said => Outcome::Completed,
        Finish::Refusal | Finish::ContentFilter => Outcome::Incomplete("content_filter"),
        Finish::Length => Outcome::Incomplete("max_output_tokens"),
    }
}

impl Outcome<'_> {
    /// The status of items that were open when the response ended so.
    pub(super) fn of_open_items(self) -> ItemStatus {
        match self {
            Self::InProgress => ItemStatus::InProgress,
            Self::Completed => ItemStatus::Completed,
            Self::Incomplete(_) | Self::Failed(_) => ItemStatus::Incomplete,
        }
    }
}

/// JSON text of one of this folder's own types.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write_json(value, &mut out);
    out
}

/// Appends JSON text of one of this folder's own types.
pub(super) fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    // Unwrap safety: writing to memory cannot fail, and these types have neither keys that
    // are not strings nor `Serialize` implementations that refuse a value.
    serde_json::to_writer(out, value).expect("own types can be written as JSON");
}
