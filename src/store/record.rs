//! What is written down, in the words that are written: JSON, so that a later version can
//! add fields and still read what this one wrote.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Who did something.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Author {
    /// The admin token's name, or what else acted: `file`, `start`.
    pub name: String,
    /// By which way: `api`, `cli`, `dashboard`, `file`.
    pub via: String,
}

impl Author {
    /// By its name and way.
    pub fn new(name: impl Into<String>, via: impl Into<String>) -> Self {
        Self { name: name.into(), via: via.into() }
    }
}

/// One revision of the configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// Its number; one more than the one before.
    pub number: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// By whom.
    pub author: Author,
    /// What the author says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it changed.
    pub changes: Vec<ChangeRecord>,
}

/// What a revision did to one document or key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// `provider`, `model`, `project`, `alias` or `key`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it was; `None` if it is new.
    pub before: Option<Map<String, Json>>,
    /// What it became; `None` if it is gone.
    pub after: Option<Map<String, Json>>,
}

/// A caller's key. What the key is, is nowhere; only digests are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The aliases it may call; `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// The models that may serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// The providers that may serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Its budgets, each as `$50/day`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<String>,
    /// When it ends, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Whether it is switched on.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What shows that a caller has it: two while it is being rotated.
    pub secrets: Vec<SecretRecord>,
    /// When it was made.
    pub created_ms: u64,
    /// By whom.
    pub created_by: String,
    /// When it was revoked, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
    /// It came from the configuration file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_file: bool,
    /// The revision that changed it last.
    #[serde(default)]
    pub revision: u64,
}

fn yes() -> bool {
    true
}

/// One of the secrets by which a key is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// SHA-256 of it, in hexadecimal digits.
    pub digest: String,
    /// How it begins, so that people know it again.
    pub prefix: String,
    /// When it was made.
    pub created_ms: u64,
    /// When it ends, since another took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

impl std::fmt::Debug for SecretRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The digest of a weak key gives the key away.
        f.debug_struct("SecretRecord").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a holder of an admin token may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything that is no secret.
    Viewer,
    /// Also change aliases, models, projects and keys.
    Editor,
    /// Everything: also providers, which hold the money's keys, tokens, and the audit log.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

/// An admin token, of which only a digest is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// What shows that somebody has it.
    pub secret: SecretRecord,
    /// By whom it was made.
    pub created_by: String,
}

/// One thing that somebody did, or tried to do, at the admin listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub author: Author,
    /// What: `alias.put`, `key.revoke`, `token.create` …
    pub action: String,
    /// To what.
    pub subject: String,
    /// `ok`, or why not.
    pub outcome: String,
    /// The revision that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// Under what usage is counted. A name is empty where there is none: of a key in open mode,
/// of a target that nobody reached.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UsageKey {
    /// The project.
    pub project: String,
    /// The key.
    pub key: String,
    /// The alias.
    pub alias: String,
    /// The endpoint, `model@provider`.
    pub target: String,
}

/// Whose money was spent: what a budget can be set for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Spender {
    /// A caller's key.
    Key(String),
    /// A project.
    Project(String),
    /// An alias.
    Alias(String),
    /// An alias at one of its models.
    Target(String, String),
    /// A provider.
    Provider(String),
}
