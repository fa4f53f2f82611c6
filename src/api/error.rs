//! What is said when something is not done.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An answer that is none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorReport {
    /// What is wrong.
    pub error: ErrorBody,
}

/// What is wrong.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// A word for programs: `invalid`, `conflict`, `not_found` …
    #[serde(default)]
    pub code: String,
    /// In words, for people: what is wrong and what to do.
    pub message: String,
    /// What may have been meant by a name that nobody has, best first.
    #[serde(default)]
    pub nearest: Vec<String>,
    /// All that is wrong with a configuration.
    #[serde(default)]
    pub problems: Vec<ProblemReport>,
    /// The revision that what was to be changed has now.
    #[serde(default)]
    pub revision: Option<u64>,
}

/// One thing that is wrong with a configuration, or probably not what was meant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ProblemReport {
    /// Where: `aliases.prod-chat.targets[2].model`.
    pub path: String,
    /// What.
    pub message: String,
    /// What would have been right.
    #[serde(default)]
    pub expected: Option<String>,
    /// The nearest valid names, best first.
    #[serde(default)]
    pub suggestions: Vec<String>,
}
