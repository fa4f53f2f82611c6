//! What has happened lately at each endpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::replica::HeardReport;

/// Sums and quantiles over a window.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Statistics {
    /// The window, in seconds.
    pub window_s: u64,
    /// What was heard of other replicas, whose part is in here; nothing where only this one's
    /// is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<HeardReport>,
    /// Every endpoint that has done anything since the start.
    pub targets: Vec<TargetStatistics>,
}

/// Those of one endpoint.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TargetStatistics {
    /// `model@provider`.
    pub target: String,
    /// Calls.
    pub attempts: u64,
    /// Those that were answered.
    pub successes: u64,
    /// Those that were not, by class.
    pub failures: BTreeMap<String, u64>,
    /// Answers that were streamed.
    pub streams: u64,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// The part of them that was read from a cache.
    pub cached_input_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// Output tokens per second of generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Until the first token of a stream.
    pub ttft_ms: Quantiles,
    /// Per token after the first.
    pub token_ms: Quantiles,
    /// Of a whole stream.
    pub stream_total_ms: Quantiles,
    /// Of an answer that was not streamed.
    pub answer_total_ms: Quantiles,
    /// Spent on a connection before the call could begin.
    pub queued_ms: Quantiles,
    /// What remembering all that takes, in bytes.
    pub memory_bytes: u64,
}

/// Empty where nothing was recorded.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Quantiles {
    /// The median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// The 95 % quantile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// The 99 % quantile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}
