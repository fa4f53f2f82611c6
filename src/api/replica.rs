//! The replicas of a fleet, and what they share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How this replica stands to the others.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct FleetReport {
    /// Whether anything is shared: `store.url` is set.
    pub shared: bool,
    /// Where Redis is, without its password.
    pub redis: Option<String>,
    /// Whether Redis answers.
    pub connected: bool,
    /// Since when it does not, in milliseconds since the Unix epoch.
    pub down_since_ms: Option<u64>,
    /// Why it does not.
    pub why: Option<String>,
    /// How long ago this replica knew last that it serves the latest revision, in milliseconds.
    pub age_ms: Option<u64>,
    /// Why it cannot serve what the others do, if it cannot.
    pub trouble: Option<String>,
    /// What was heard of the others' targets.
    #[serde(default)]
    pub heard: HeardReport,
    /// Slices of this replica's statistics that wait until Redis takes them.
    #[serde(default)]
    pub slices_waiting: u64,
    /// Those that were given up, since nobody's window reaches so far back or too many waited.
    #[serde(default)]
    pub slices_dropped: u64,
    /// The replicas, this one first.
    pub replicas: Vec<ReplicaReport>,
}

/// How fresh is what other replicas told of their targets.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct HeardReport {
    /// Other replicas that have said something in the last ten seconds.
    pub others: u32,
    /// How long ago that was true which the one heard longest ago of them said, in
    /// milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// How old the newest word of any is, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_ms: Option<u64>,
}

/// One replica.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplicaReport {
    /// Drawn when it started.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Where its admin listener is.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Whether it has been heard of lately. If not it may still serve what it knew.
    pub alive: bool,
    /// The revision that it serves.
    pub revision: u64,
    /// Why it cannot serve what the others do, if it cannot.
    pub trouble: Option<String>,
}
