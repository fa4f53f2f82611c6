//! A chat by whoever is logged in, to see what an alias does.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A chat.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlaygroundRequest {
    /// What a caller would put in `model`.
    pub alias: String,
    /// The name of the key that would ask; nobody in particular if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// All else that a chat completion has: `messages`, `stream`, `max_tokens` …
    #[serde(flatten)]
    pub chat: Map<String, Value>,
}
