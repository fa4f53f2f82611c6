//! What a change changed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::error::ProblemReport;

/// A change that was made, or would be.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ChangeReport {
    /// The revision that holds it: the next request is served by it. The latest one where
    /// nothing was changed.
    pub revision: u64,
    /// Nothing was changed, only looked at what would be.
    pub dry_run: bool,
    /// What it changed.
    pub changes: Vec<Change>,
    /// The changes as a unified diff of the lines that a configuration file would have.
    pub diff: String,
    /// What is probably not meant.
    pub warnings: Vec<ProblemReport>,
    /// Replicas that do not serve it yet, as far as is known. Without any, every replica
    /// answers its next request by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconfirmed: Vec<UnconfirmedReplica>,
}

/// A replica that does not serve a change yet, as far as is known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UnconfirmedReplica {
    /// What it is called.
    pub replica: String,
    /// Why not.
    pub why: String,
}

/// What was done to one document or key.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// `provider`, `model`, `project`, `alias` or `key`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it was; `null` if it is new.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Map<String, Value>>,
    /// What it became; `null` if it is gone.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Map<String, Value>>,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
}

/// One field that differs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Where: `targets[2].weight`.
    pub path: String,
    /// What it was; `null` if it was not there.
    #[schema(value_type = Option<Value>, nullable)]
    pub before: Option<Value>,
    /// What it is; `null` if it is not there.
    #[schema(value_type = Option<Value>, nullable)]
    pub after: Option<Value>,
}
