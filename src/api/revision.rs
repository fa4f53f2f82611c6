//! The history of the configuration, and the log of who did what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::Change;

/// A revision.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RevisionReport {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub at_ms: u64,
    /// By whom: the name of an admin token, `file` or `start`.
    pub author: String,
    /// By which way: `api`, `cli`, `dashboard`, `file` or `start`.
    pub via: String,
    /// What the author said of it.
    pub note: Option<String>,
    /// What it changed.
    pub changes: Vec<Touched>,
}

/// A document or key that a revision changed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Touched {
    /// `provider`, `model`, `project`, `alias` or `key`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `added`, `changed` or `removed`.
    pub action: String,
}

/// A revision and all that it changed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RevisionDetail {
    /// The revision.
    pub revision: RevisionReport,
    /// What it changed, field by field.
    pub changes: Vec<Change>,
    /// The same as a unified diff.
    pub diff: String,
}

/// The difference between two revisions, in what a rollback restores.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// The one.
    pub from: u64,
    /// The other.
    pub to: u64,
    /// What lies between them, field by field.
    pub changes: Vec<Change>,
    /// The same as a unified diff.
    pub diff: String,
}

/// An entry of the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub number: u64,
    /// When.
    pub at_ms: u64,
    /// Who.
    pub author: String,
    /// By which way.
    pub via: String,
    /// What: `alias.put`, `key.revoke` …
    pub action: String,
    /// To what.
    pub subject: String,
    /// `ok`, or why it was not done.
    pub outcome: String,
    /// The revision that it made.
    pub revision: Option<u64>,
}
