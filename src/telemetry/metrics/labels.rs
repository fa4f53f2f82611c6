//! Words of ours that labels hold, where no type of the domain has them: each is a closed set.

/// Strategies, and none where a name led nowhere.
pub const STRATEGIES: [&str; 8] = [
    "",
    "priority",
    "random-shuffle",
    "lowest-latency",
    "highest-throughput",
    "lowest-usage",
    "lowest-price",
    "category",
];

/// What tokens are counted as.
pub const TOKEN_TYPES: [&str; 5] = ["input", "cached_input", "cache_write", "output", "reasoning"];

/// States of a target.
pub const TARGET_STATES: [&str; 6] = ["ready", "slow_start", "probe_due", "probing", "open", "rate_limited"];

/// States of a key.
pub const KEY_STATES: [&str; 4] = ["active", "disabled", "expired", "revoked"];

/// How calls of Redis end.
pub const CALL_RESULTS: [&str; 3] = ["answered", "unanswered", "refused"];

/// What becomes of spans.
pub const SPAN_RESULTS: [&str; 2] = ["exported", "dropped"];
