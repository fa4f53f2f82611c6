//! What encoders need to know beside the message itself.

use crate::domain::provider::OpenAiQuirks;

/// What an answer says of itself besides its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplyMeta {
    /// The answer's id without a dialect's prefix (`chatcmpl-`, `msg_`, `resp_`): letters and digits.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// What `model` says where the provider did not say it.
    pub model: String,
    /// Chat Completions only: the client asked for usage at the end of a stream.
    pub stream_usage: bool,
}

/// Whom a request is encoded for.
#[derive(Clone, Copy, Debug)]
pub struct EncodeFor<'a> {
    /// What the provider calls the model.
    pub model: &'a str,
    /// The longest answer of the model in tokens, where known: protocols that demand a
    /// limit get this where the client gave none.
    pub max_output_tokens: Option<u64>,
    /// Deviations of an OpenAI-compatible server.
    pub quirks: OpenAiQuirks,
    /// Leave out features that the protocol cannot say instead of refusing.
    pub drop_unsupported: bool,
}
