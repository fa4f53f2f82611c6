//! May this endpoint serve this request at all, and if not, for good or for now?

use std::fmt;
use std::time::Duration;

use super::facts::{EndpointState, Narrowing, OverBudget, RequestFacts};
use crate::domain::alias::{Alias, PriceOptions, Scoring, Target};
use crate::domain::catalog::{Catalog, Endpoint};
use crate::domain::failure::FailureKind;
use crate::domain::feature::FeatureSet;
use crate::domain::ids::{EndpointId, EndpointIdx, ProviderId};
use crate::domain::time::UnixMillis;
use crate::health::Standing;

/// Why an endpoint is passed over.
#[derive(Clone, PartialEq, Debug)]
pub enum SkipReason {
    /// The target or its provider is switched off.
    Disabled,
    /// The provider cannot be used as configured (its key is not set).
    Unusable(String),
    /// The caller may not be served by it.
    Forbidden,
    /// A budget has less left than the request is expected to cost.
    OverBudget(OverBudget),
    /// The caller asked not to use it.
    Narrowed,
    /// The target's weight is zero.
    Drained,
    /// Its protocol has nothing like this request.
    NoSuchOperation,
    /// The model is known to lack these.
    ModelLacks(FeatureSet),
    /// Its protocol cannot express these.
    ProtocolLacks(FeatureSet),
    /// Prompt and requested output do not fit.
    ContextWindow {
        /// Tokens needed, as estimated.
        needed: u64,
        /// Tokens there are.
        window: u64,
    },
    /// The breaker is open.
    CoolingDown {
        /// Until when.
        until: UnixMillis,
        /// What opened it.
        cause: FailureKind,
    },
    /// A probe is under way.
    Probing,
    /// The provider asked to wait.
    RateLimited {
        /// Until when.
        until: UnixMillis,
    },
    /// Our own limit towards the provider is reached.
    AtLimit,
    /// It costs more than the alias accepts.
    TooDear,
    /// The alias compares prices and its own is not known.
    NoPrice,
    /// Another request has just explored it.
    Explored,
}

impl SkipReason {
    /// Whether it ends by itself.
    pub fn is_soft(&self) -> bool {
        matches!(
            self,
            Self::CoolingDown { .. } | Self::Probing | Self::RateLimited { .. } | Self::AtLimit | Self::Explored
        )
    }

    /// For people, with times relative to `now`.
    pub fn describe(&self, now: UnixMillis) -> String {
        let left = |until: &UnixMillis| format!("{:.1} s", until.since(now).as_secs_f64());
        match self {
            Self::Disabled => "switched off".into(),
            Self::Unusable(why) => why.clone(),
            Self::Forbidden => "not allowed to this key".into(),
            Self::OverBudget(OverBudget { whose, until: Some(until) }) => {
                format!("the budget of the {whose} is used up for {}", in_words(until.since(now)))
            }
            Self::OverBudget(OverBudget { whose, until: None }) => {
                format!("it may cost more than the whole budget of the {whose}")
            }
            Self::Narrowed => "excluded by the caller".into(),
            Self::Drained => "weight 0".into(),
            Self::NoSuchOperation => "its protocol has no such operation".into(),
            Self::ModelLacks(features) => format!("the model has no {features}"),
            Self::ProtocolLacks(features) => format!("its protocol cannot express {features}"),
            Self::ContextWindow { needed, window } => {
                format!("about {needed} tokens needed, context window {window}")
            }
            Self::CoolingDown { until, cause } => format!("cooling down {} ({cause})", left(until)),
            Self::Probing => "a probe is under way".into(),
            Self::RateLimited { until } => format!("rate limited for {}", left(until)),
            Self::AtLimit => "a limit of ours is reached".into(),
            Self::TooDear => "costs more than max_price".into(),
            Self::NoPrice => "its price is not known".into(),
            Self::Explored => "another request has just explored it".into(),
        }
    }
}

/// A time of hours and days, as far as people care.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

/// The class of the reason alone, a stable word.
impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Unusable(_) => "unusable",
            Self::Forbidden => "forbidden",
            Self::OverBudget(_) => "over_budget",
            Self::Narrowed => "narrowed",
            Self::Drained => "drained",
            Self::NoSuchOperation => "no_such_operation",
            Self::ModelLacks(_) => "model_lacks_feature",
            Self::ProtocolLacks(_) => "protocol_lacks_feature",
            Self::ContextWindow { .. } => "context_window",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Probing => "probing",
            Self::RateLimited { .. } => "rate_limited",
            Self::AtLimit => "at_limit",
            Self::TooDear => "too_dear",
            Self::NoPrice => "no_price",
            Self::Explored => "explored",
        })
    }
}

/// The reason that no time mends, if there is one.
pub fn hard(
    catalog: &Catalog,
    alias: &Alias,
    target: &Target,
    endpoint: EndpointIdx,
    state: &EndpointState,
    facts: &RequestFacts,
    narrowing: &Narrowing,
) -> Option<SkipReason> {
    let at = catalog.endpoint(endpoint);
    let provider = catalog.provider(at.provider);
    let model = catalog.model(at.model);
    if state.forbidden {
        return Some(SkipReason::Forbidden);
    }
    if !target.enabled || !provider.enabled {
        return Some(SkipReason::Disabled);
    }
    if let Some(why) = &provider.unusable {
        return Some(SkipReason::Unusable(why.clone()));
    }
    if target.weight <= 0.0 && !target.last_resort {
        return Some(SkipReason::Drained);
    }
    if !narrowing.allows(&provider.id, &at.id) {
        return Some(SkipReason::Narrowed);
    }
    let Some(missing) = facts.fit.of(provider) else {
        return Some(SkipReason::NoSuchOperation);
    };
    if !missing.is_empty() && !alias.drop_unsupported {
        return Some(SkipReason::ProtocolLacks(missing));
    }
    let lacking = facts.needs.missing_from(FeatureSet::ALL.missing_from(model.lacks));
    if !lacking.is_empty() {
        return Some(SkipReason::ModelLacks(lacking));
    }
    // The prompt's length is a guess from its bytes. An endpoint is left out only where
    // even two thirds of the guess do not fit; nearer to the limit the provider decides.
    let needed = (facts.prompt_tokens / 3 * 2).saturating_add(facts.max_output_tokens.unwrap_or(0));
    match model.context_window {
        Some(window) if needed > window => Some(SkipReason::ContextWindow { needed, window }),
        _ => price_reason(alias, at, facts).or_else(|| state.over_budget.map(SkipReason::OverBudget)),
    }
}

/// What its price has against an endpoint.
fn price_reason(alias: &Alias, at: &Endpoint, facts: &RequestFacts) -> Option<SkipReason> {
    let strict = matches!(alias.strategy.scoring(), Some(Scoring::LowestPrice(PriceOptions { strict: true, .. })));
    if strict && at.prices.is_none() {
        return Some(SkipReason::NoPrice);
    }
    let max = alias.max_price?;
    let Some(prices) = &at.prices else { return Some(SkipReason::NoPrice) };
    let rates = prices.rates_for(facts.prompt_tokens);
    let too_dear = |price, max: Option<_>| max.is_some_and(|max| price > max);
    (too_dear(rates.input, max.input) || too_dear(rates.output, max.output)).then_some(SkipReason::TooDear)
}

/// The reason that ends by itself, if there is one.
pub fn soft(state: &EndpointState, now: UnixMillis) -> Option<SkipReason> {
    match state.reading.health.standing(now) {
        Standing::Open { until, cause } => Some(SkipReason::CoolingDown { until, cause }),
        Standing::Blocked { until } => Some(SkipReason::RateLimited { until }),
        Standing::Probing => Some(SkipReason::Probing),
        Standing::Ready { .. } | Standing::Probe if state.full => Some(SkipReason::AtLimit),
        Standing::Ready { .. } | Standing::Probe => {
            let until = state.reading.limited_until;
            (until > now).then_some(SkipReason::RateLimited { until })
        }
    }
}

impl Narrowing {
    fn allows(&self, provider: &ProviderId, endpoint: &EndpointId) -> bool {
        let named = |names: &[String]| names.iter().any(|name| matches(name, provider, endpoint));
        (self.only.is_empty() || named(&self.only)) && !named(&self.ignore)
    }

    /// Position in the caller's order; those it does not name come after all it names.
    pub fn position(&self, provider: &ProviderId, endpoint: &EndpointId) -> usize {
        self.order.iter().position(|name| matches(name, provider, endpoint)).unwrap_or(self.order.len())
    }
}

fn matches(name: &str, provider: &ProviderId, endpoint: &EndpointId) -> bool {
    name == provider.as_str() || name == endpoint.as_str()
}
