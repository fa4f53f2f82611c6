//! Keys of callers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key, without what it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct KeyReport {
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// `active`, `disabled`, `expired` or `revoked`.
    pub state: String,
    /// For people.
    pub description: Option<String>,
    /// The aliases it may call; `null` is all.
    pub aliases: Option<Vec<String>>,
    /// The models that may serve it; `null` is all.
    pub models: Option<Vec<String>>,
    /// The providers that may serve it; `null` is all.
    pub providers: Option<Vec<String>>,
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u32>,
    /// Requests under way at once.
    pub max_in_flight: Option<u32>,
    /// Budgets, each as `$50/day`.
    pub budget: Vec<String>,
    /// When it ends.
    pub expires_ms: Option<u64>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// What shows that a caller has it: two while it is being rotated.
    pub secrets: Vec<SecretReport>,
    /// When it was made.
    pub created_ms: u64,
    /// By whom.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// It came from the configuration file.
    pub of_file: bool,
    /// The revision that changed it last; its `ETag` as well.
    pub revision: u64,
}

/// One of the secrets by which a key is known, as far as it may be seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SecretReport {
    /// How it begins.
    pub prefix: String,
    /// When it was made.
    pub created_ms: u64,
    /// When it ends, since another took its place.
    pub expires_ms: Option<u64>,
}

/// A key that was made, or has another secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyCreated {
    /// It.
    pub key: KeyReport,
    /// What the caller has to send. It is shown only now.
    pub secret: String,
    /// The revision that holds it.
    pub revision: u64,
}

/// A key that somebody wants, or fields of one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFields {
    /// Its name: letters, digits and `- _ . / : @`.
    pub name: String,
    /// Its project; `default` if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The aliases, and models called directly, that it may name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// The models that may serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// The providers that may serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Prompt and output tokens per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// Requests under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Budgets, each as `$50/day`, `$300/week` or `$1000/month`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Vec<String>>,
    /// When it ends: a moment such as `2027-01-31T12:00:00Z`, or a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether it is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// How a key is given another secret.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the secret of before stays valid, in seconds; a day if it is not given.
    #[serde(default)]
    pub grace_s: Option<u32>,
}
