//! What was used and spent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Usage of some days.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// The first day, as `2026-11-01`, in UTC.
    pub from: String,
    /// The last day.
    pub to: String,
    /// By what it is summed.
    pub by: Vec<String>,
    /// The sums.
    pub rows: Vec<UsageRow>,
    /// All of them together.
    pub total: UsageNumbers,
}

/// A sum. Of the names only those are set by which it is summed; one is empty where there
/// is none, as of the key in open mode or of the target of a request that nobody served.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UsageRow {
    /// The day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The endpoint, `model@provider`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How much.
    #[serde(flatten)]
    pub numbers: UsageNumbers,
}

/// How much was used.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UsageNumbers {
    /// Requests of callers, each counted where it was served.
    pub requests: u64,
    /// Calls to providers.
    pub attempts: u64,
    /// Those that failed.
    pub failures: u64,
    /// Calls whose tokens are estimated, since nobody reported them.
    pub estimated_attempts: u64,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// The part of them that was read from a cache.
    pub cached_input_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
}
