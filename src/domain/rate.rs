//! What a provider tells of its own limits.

use super::time::UnixMillis;

/// One limit, as far as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allowance {
    /// What may be used in a window.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// When it is whole again.
    pub reset_at: Option<UnixMillis>,
}

/// What the headers of one answer told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateHint {
    /// Of requests.
    pub requests: Option<Allowance>,
    /// Of tokens, the tightest where there are several kinds.
    pub tokens: Option<Allowance>,
}
