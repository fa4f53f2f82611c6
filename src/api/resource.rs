//! Documents, whole and by part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A document: a provider, model, project or alias as its table in a configuration file
/// would be. Its revision is its `ETag` as well.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// `provider`, `model`, `project` or `alias`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The revision that changed it last.
    pub revision: u64,
    /// Its fields. Values of a provider's headers are hidden; sent back hidden, they stay.
    #[schema(value_type = Object)]
    pub document: Map<String, Value>,
}

/// A target to put in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetToAdd {
    /// Its fields, `model` at least.
    #[schema(value_type = Object)]
    pub target: Map<String, Value>,
    /// The position that it takes, counted from 0; at the end if it is not given.
    #[serde(default)]
    pub at: Option<u32>,
}

/// The order of an alias's targets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetOrder {
    /// Every target once: by its model, or by its position until now, counted from 0.
    pub targets: Vec<String>,
}

/// The weights of an alias's targets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetWeights {
    /// By the target's model, or by its position, counted from 0. Those that are not named
    /// keep theirs.
    pub weights: BTreeMap<String, f64>,
}

/// Another name for an alias.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    /// The name.
    pub name: String,
}

/// Documents to be applied together, each as its table in a file would be.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentLists {
    /// Providers.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub providers: Vec<Map<String, Value>>,
    /// Models.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub models: Vec<Map<String, Value>>,
    /// Projects.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub projects: Vec<Map<String, Value>>,
    /// Aliases.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub aliases: Vec<Map<String, Value>>,
    /// Keys, each with its `hash`; they are put in or changed, never taken out.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub keys: Vec<Map<String, Value>>,
}
