//! An alias: the stable name callers use, and how it becomes an endpoint.

use std::time::Duration;

use serde_json::{Map, Value};

use super::ids::{AliasName, EndpointIdx, ModelIdx};

/// How an alias orders its targets.
#[derive(Clone, PartialEq, Debug)]
pub enum Strategy {
    /// Ascending rank; equal ranks are ordered among themselves by weight.
    Priority,
    /// First pick by weight, the rest weighted without replacement.
    RandomShuffle,
}

impl Strategy {
    /// The name as the configuration and the answer's headers spell it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::RandomShuffle => "random-shuffle",
        }
    }
}

/// Changes made to the body that a target's provider receives, in that provider's own
/// field names.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ParamOverrides {
    /// Merged into the body (RFC 7396: objects merge, `null` removes, all else replaces).
    pub set: Map<String, Value>,
}

impl ParamOverrides {
    /// Whether the body stays as it is.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// One entry of an alias: a model, and the endpoints that may serve it.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The model.
    pub model: ModelIdx,
    /// Where it may be served, after `only` and `ignore`, in the order to try them.
    pub endpoints: Vec<EndpointIdx>,
    /// How many at the head of `endpoints` stand in the order the person asked for
    /// (`order`); the rest are equals.
    pub ordered: usize,
    /// Position under `priority`; equal ranks form a group.
    pub rank: u32,
    /// Share under `random-shuffle` and within a group; finite and not negative. Zero
    /// means drained: never chosen, unless `last_resort`.
    pub weight: f64,
    /// Tried when every other candidate has failed or is out, whatever its weight.
    pub last_resort: bool,
    /// A switched-off target is never chosen.
    pub enabled: bool,
    /// What is changed in the body for this target.
    pub params: ParamOverrides,
    /// Overrides the alias's limit for the first content of a stream.
    pub first_token_timeout: Option<Duration>,
}

/// Limits on one request through an alias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestLimits {
    /// Upstream calls at most, retries included.
    pub max_attempts: u32,
    /// One attempt of a stream: until the first content.
    pub first_token_timeout: Duration,
    /// One attempt of a request that is not streamed: until the whole answer.
    pub answer_timeout: Duration,
    /// The whole request until its first content, over all attempts.
    pub deadline: Duration,
    /// The whole request, its last byte included.
    pub total_timeout: Duration,
    /// Silence within a stream that has begun.
    pub stream_idle_timeout: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_token_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(300),
            deadline: Duration::from_secs(600),
            total_timeout: Duration::from_secs(1800),
            stream_idle_timeout: Duration::from_secs(120),
        }
    }
}

/// When a failure that would normally be the caller's is worth another target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FallbackPolicy {
    /// Also fall back on 400 and 422, as some gateways do.
    pub any_error: bool,
    /// Also fall back when a provider refuses the content.
    pub content_policy: bool,
}

/// A virtual model: what `model` in a request resolves to.
#[derive(Clone, PartialEq, Debug)]
pub struct Alias {
    /// Its name.
    pub name: AliasName,
    /// How targets are ordered.
    pub strategy: Strategy,
    /// At least one.
    pub targets: Vec<Target>,
    /// Limits on one request.
    pub limits: RequestLimits,
    /// When to fall back.
    pub fallback: FallbackPolicy,
    /// Not configured, but made for a model that callers may name directly.
    pub direct: bool,
    /// Leave out what a target's protocol cannot say instead of passing the target over.
    pub drop_unsupported: bool,
}
