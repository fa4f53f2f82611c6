//! An alias: the stable name callers use, and how it becomes an endpoint.

use std::time::Duration;

use serde_json::{Map, Value};

use super::budget::Budgets;
use super::grouping::{Group, Grouping};
use super::ids::{AliasName, EndpointIdx, ModelIdx, ProjectName};
use super::money::PicoUsd;

/// How an alias orders its targets.
#[derive(Clone, PartialEq, Debug)]
pub enum Strategy {
    /// Ascending rank; equal ranks are ordered among themselves by weight, or by `within`.
    Priority {
        /// What orders targets of equal rank.
        within: Option<Scoring>,
    },
    /// First pick by weight, the rest weighted without replacement.
    RandomShuffle {
        /// Keeps whoever this names on the same target.
        sticky_by: Option<Identity>,
    },
    /// By what is observed of them.
    Scored(Scoring),
    /// By what the prompt asks for: each category has targets and a strategy of its own.
    Category(Box<Grouping>),
}

impl Strategy {
    /// The name as the configuration and the answer's headers spell it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Priority { .. } => "priority",
            Self::RandomShuffle { .. } => "random-shuffle",
            Self::Scored(scoring) => scoring.as_str(),
            Self::Category(_) => "category",
        }
    }

    /// What scores its targets, if anything does.
    pub fn scoring(&self) -> Option<&Scoring> {
        match self {
            Self::Priority { within } => within.as_ref(),
            Self::RandomShuffle { .. } | Self::Category(_) => None,
            Self::Scored(scoring) => Some(scoring),
        }
    }
}

/// How targets are compared by what is observed of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scoring {
    /// The shortest predicted time.
    LowestLatency(LatencyOptions),
    /// The highest rate that can be sustained.
    HighestThroughput(ThroughputMetric),
    /// The least used in the last minute.
    LowestUsage(UsageOptions),
    /// The least expected cost.
    LowestPrice(PriceOptions),
}

impl Scoring {
    /// The name as the configuration spells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::LowestLatency(_) => "lowest-latency",
            Self::HighestThroughput(_) => "highest-throughput",
            Self::LowestUsage(_) => "lowest-usage",
            Self::LowestPrice(_) => "lowest-price",
        }
    }
}

/// What "latency" is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LatencyMetric {
    /// Until the last token of an answer of the expected length.
    #[default]
    Total,
    /// Until the first token.
    FirstToken,
}

/// Options of lowest-latency.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct LatencyOptions {
    /// What is predicted.
    pub metric: LatencyMetric,
    /// The quantile of it that is compared, in (0, 1); `None` is the mean.
    pub quantile: Option<f64>,
}

/// What "throughput" is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ThroughputMetric {
    /// Requests per second that the alias can sustain: the least utilised target.
    #[default]
    Requests,
    /// Tokens per second of one answer.
    TokensPerSecond,
}

/// What usage is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UsageUnit {
    /// Prompt and output tokens.
    #[default]
    Tokens,
    /// Requests.
    Requests,
    /// What they cost.
    Cost,
}

/// Whose usage is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UsageScope {
    /// Everybody's.
    #[default]
    Fleet,
    /// That of the project whose key asks.
    Project,
    /// That of the key which asks.
    Key,
}

/// Options of lowest-usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsageOptions {
    /// `None`: the tightest limit where every candidate has limits, else tokens.
    pub unit: Option<UsageUnit>,
    /// Whose.
    pub scope: UsageScope,
}

/// Options of lowest-price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PriceOptions {
    /// A target whose price is not known is never chosen.
    pub strict: bool,
    /// Only targets whose predicted 90 % quantile meets this, if there are any.
    pub max_latency: Option<Duration>,
}

/// What tells two callers, or two conversations, apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The end user that the application names in the request.
    User,
    /// The request's `prompt_cache_key`.
    PromptCacheKey,
    /// The first messages of the conversation.
    Conversation,
    /// A header.
    Header(http::HeaderName),
}

/// The highest prices that an alias accepts, per token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MaxPrice {
    /// Of a prompt token.
    pub input: Option<PicoUsd>,
    /// Of a generated token.
    pub output: Option<PicoUsd>,
}

/// What an alias may spend on knowing better.
#[derive(Clone, PartialEq, Debug)]
pub struct Adaptivity {
    /// Exploration: how much may be lost by trying targets other than the best, as a share
    /// of what requests cost. 0 switches it off.
    pub explore: f64,
    /// Leave an attempt whose first content is far later than predicted, where another
    /// candidate stands by.
    pub give_up_early: bool,
    /// The share of requests that may be sent twice when the first content is late; 0 is off.
    pub hedge: f64,
    /// What a conversation is known by, that is kept where its prompt is cached.
    pub affinity: Option<Identity>,
}

impl Default for Adaptivity {
    fn default() -> Self {
        Self { explore: 0.03, give_up_early: true, hedge: 0.0, affinity: None }
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
    /// What this alias may spend at this target.
    pub budgets: Budgets,
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
    /// At least one, unless it is of categories, which have them.
    pub targets: Vec<Target>,
    /// Limits on one request.
    pub limits: RequestLimits,
    /// When to fall back.
    pub fallback: FallbackPolicy,
    /// Endpoints that cost more, or whose price is not known, are left out.
    pub max_price: Option<MaxPrice>,
    /// What may be spent on knowing better.
    pub adaptivity: Adaptivity,
    /// The projects whose keys may call it; `None` is all.
    pub projects: Option<Vec<ProjectName>>,
    /// What its targets may cost, apart from those that cost nothing or are a last resort.
    pub budgets: Budgets,
    /// Not configured, but made for a model that callers may name directly.
    pub direct: bool,
    /// Leave out what a target's protocol cannot say instead of passing the target over.
    pub drop_unsupported: bool,
    /// It serves a category of the alias whose name it has, and nobody can call it.
    pub group: Option<Group>,
}

impl Alias {
    /// Whether it stands in the configuration by itself.
    pub fn is_configured(&self) -> bool {
        !self.direct && self.group.is_none()
    }

    /// Its categories, if it is of categories.
    pub fn grouping(&self) -> Option<&Grouping> {
        match &self.strategy {
            Strategy::Category(grouping) => Some(grouping),
            _ => None,
        }
    }

    /// What it wants to know of who asks, if anything.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.strategy {
            Strategy::RandomShuffle { sticky_by: Some(identity) } => Some(identity),
            _ => self.adaptivity.affinity.as_ref(),
        }
    }
}
