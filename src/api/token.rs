//! Admin tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a holder of a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything that is no secret.
    Viewer,
    /// Also change aliases, models, projects and keys.
    Editor,
    /// Everything: also providers, tokens and the audit log.
    Admin,
}

/// Whoever asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The token's name.
    pub name: String,
    /// What it allows.
    pub role: Role,
}

/// A token, without what it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenReport {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// How it begins.
    pub prefix: String,
    /// When it was made.
    pub created_ms: u64,
    /// By whom.
    pub created_by: String,
    /// When it ends.
    pub expires_ms: Option<u64>,
}

/// A token that somebody wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenFields {
    /// Its name: letters, digits and `- _ . @ :`.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// How long it is valid, in seconds; for ever if it is not given.
    #[serde(default)]
    pub expires_in_s: Option<u32>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// It.
    pub token: TokenReport,
    /// What its holder has to send. It is shown only now.
    pub secret: String,
}

/// What became of sealed secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resealed {
    /// How many were sealed anew by the newest master key.
    pub resealed: u64,
}
