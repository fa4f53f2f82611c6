//! How requests go, alias by alias, as the pages of the dashboard show it.
//!
//! Rates, shares and times are those of requests at the replica that is asked, as their
//! callers saw them, in slices of ten seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::statistics::{Quantiles, TargetStatistics};

/// The gateway at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// When this was so.
    pub at_ms: u64,
    /// The latest revision.
    pub revision: u64,
    /// The window of rates, shares and times, in seconds.
    pub window_s: u64,
    /// All aliases together, and models that are called directly.
    pub total: Flow,
    /// How many aliases there are.
    pub aliases: u64,
    /// The aliases that were asked for, by name.
    pub items: Vec<AliasOverview>,
    /// What to ask for as `after` to get the next part; `null` at the end.
    pub next: Option<String>,
    /// What wants attention in the whole gateway, what matters most first; at most fifty.
    pub attention: Vec<Attention>,
}

/// How requests went.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// Requests that came in the window.
    pub requests: u64,
    /// Of them each second, on average.
    pub requests_per_s: f64,
    /// The share that was served, in [0, 1]; `null` where none came.
    pub success: Option<f64>,
    /// Those that were served after an attempt had failed.
    pub fallbacks: u64,
    /// Until the first content of a stream, failed attempts before it included.
    pub ttft_ms: Quantiles,
    /// Until an answer that is no stream.
    pub answer_ms: Quantiles,
    /// Spent since midnight, in UTC, by all replicas; `null` where that cannot be read now.
    pub spent_today_usd: Option<f64>,
}

/// An alias at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AliasOverview {
    /// Its name.
    pub name: String,
    /// How it chooses.
    pub strategy: String,
    /// The revision that changed it last.
    pub revision: Option<u64>,
    /// How its requests went.
    #[serde(flatten)]
    pub flow: Flow,
    /// Requests in each slice of the window, oldest first.
    pub spark: Vec<u32>,
    /// Who may serve it, in the order of its document, and whoever else has served it.
    pub targets: Vec<ShareReport>,
}

/// A target's part of an alias's traffic.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ShareReport {
    /// `model@provider`.
    pub target: String,
    /// Its share of the requests that were served, in [0, 1]; `null` where none was.
    pub share: Option<f64>,
    /// Its health in a word, as in `/health/targets`; `gone` where the alias has it no more.
    pub state: String,
    /// Whether it may be chosen at all.
    pub enabled: bool,
}

/// Something that wants attention.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// How much.
    pub severity: Severity,
    /// What it is: `unservable`, `store`, `redis`, `budget_spent`, `budget_near`, `key_missing`,
    /// `breaker_open`, `rate_limited`, `never_chosen`.
    pub kind: String,
    /// Whose: the name of an alias, a provider, a `model@provider`, or such as `key shop`.
    pub subject: String,
    /// The alias to look at, if it is about one.
    pub alias: Option<String>,
    /// In words.
    pub message: String,
}

/// How much attention.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Requests fail, or something is about to be lost.
    Critical,
    /// It will, unless somebody acts.
    Warning,
    /// Worth knowing.
    #[default]
    Info,
}

/// How the requests of an alias went.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AliasTraffic {
    /// Its name.
    pub alias: String,
    /// The window, in seconds.
    pub window_s: u64,
    /// The length of a slice of every series, in seconds.
    pub step_s: u64,
    /// When the first of them began.
    pub from_ms: u64,
    /// All of it together.
    #[serde(flatten)]
    pub flow: Flow,
    /// Requests in each slice, oldest first.
    pub series: Vec<u32>,
    /// Those of them that nobody served.
    pub unserved_series: Vec<u32>,
    /// Who may serve it, in the order of its document, and whoever else has.
    pub targets: Vec<TargetTraffic>,
    /// How often which times until the first content came.
    pub latency: Latencies,
}

/// What a target did for an alias.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TargetTraffic {
    /// `model@provider`.
    pub target: String,
    /// Its health in a word, as in `/health/targets`; `gone` where the alias has it no more.
    pub state: String,
    /// Until it may be used again, where it may not now.
    pub back_in_ms: Option<u64>,
    /// Why not.
    pub cause: Option<String>,
    /// Whether it may be chosen at all.
    pub enabled: bool,
    /// Requests under way there, whoever asked.
    pub in_flight: u32,
    /// Requests of this alias that it served.
    pub served: u64,
    /// Attempts for this alias that failed there, by class: what made requests fall back.
    pub failures: BTreeMap<String, u64>,
    /// Requests that it served in each slice, oldest first.
    pub series: Vec<u32>,
    /// Attempts that failed there in each slice.
    pub failed_series: Vec<u32>,
    /// How it does for all aliases and replicas, in the same window; `null` where it was never
    /// called.
    pub lately: Option<TargetStatistics>,
}

/// A distribution of times.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Latencies {
    /// The time up to which each bucket reaches, in milliseconds; only those that are not empty.
    pub le_ms: Vec<f64>,
    /// How many are in it.
    pub counts: Vec<u32>,
}
