//! Providers beyond their documents, and what the catalogue knows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a provider stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ProviderStatus {
    /// Its id.
    pub id: String,
    /// Where requests go.
    pub base_url: String,
    /// `openai`, `anthropic` or `gemini`.
    pub protocol: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether a key is sent: `set`, `missing`, or `none` where it wants none.
    pub key: String,
    /// Why it cannot be used, if it cannot.
    pub unusable: Option<String>,
    /// Requests under way.
    pub in_flight: u32,
}

/// What came of calling a provider to see whether it answers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ConnectionTest {
    /// Whether it answered as it should.
    pub ok: bool,
    /// The HTTP status, if it answered at all.
    pub status: Option<u16>,
    /// How long it took, in milliseconds, the connection included.
    pub took_ms: u64,
    /// How many models it listed.
    pub models: Option<u64>,
    /// In words.
    pub message: String,
}

/// A model that the catalogue knows or a document describes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ModelReport {
    /// Its id.
    pub id: String,
    /// Whether anybody who is configured serves it.
    pub served: bool,
    /// Callers may not name it.
    pub hidden: bool,
    /// Prompt and output together, in tokens.
    pub context_window: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it is known to lack.
    pub lacks: Vec<String>,
    /// Where it is served.
    pub endpoints: Vec<EndpointReport>,
}

/// A model at a provider.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct EndpointReport {
    /// The provider.
    pub provider: String,
    /// What it calls the model.
    pub upstream_model: String,
    /// US dollars per million prompt tokens; `null` if it is not known.
    pub input_usd_per_mtok: Option<f64>,
    /// US dollars per million generated tokens.
    pub output_usd_per_mtok: Option<f64>,
    /// US dollars per million prompt tokens read from a cache.
    pub cached_input_usd_per_mtok: Option<f64>,
    /// Whether prices depend on the length of the prompt.
    pub tiered: bool,
}
