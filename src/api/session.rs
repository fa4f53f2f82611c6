//! Being logged in at the dashboard.

use serde::{Deserialize, Serialize};

use super::token::Role;

/// The header in which a change in a session carries [`Session::csrf`].
pub const CSRF_HEADER: &str = "x-pointsman-csrf";

/// Whoever wants to log in. It is only read: what it holds must not be printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// An admin token.
    pub token: String,
}

/// Whoever is logged in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The token's name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// What a change has to carry in its header [`CSRF_HEADER`].
    pub csrf: String,
    /// When the session ends at the latest.
    pub ends_ms: u64,
}
