//! What a process logs, which may be changed while it runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which requests get a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestLines {
    /// None.
    None,
    /// Those that did not end well.
    Failed,
    /// All of them.
    All,
}

/// What a process logs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LoggingReport {
    /// A level, or a list of `target=level`; `null` where nothing is logged at all.
    pub filter: Option<String>,
    /// Which requests get a line.
    pub requests: RequestLines,
    /// The share of requests that ended well which get one, in [0, 1].
    pub sample: f64,
    /// What may quote a prompt or an answer is logged too.
    pub content: bool,
}

/// What is to be logged otherwise, by this process and until it ends.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoggingChange {
    /// A level such as `debug`, or a list of `target=level`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Which requests get a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestLines>,
    /// The share of requests that ended well which get one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub sample: Option<f64>,
    /// Log what may quote a prompt or an answer too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<bool>,
}
