//! Which alias is meant, may the caller use it, and is there room and money for it?

use std::sync::Arc;

use super::Gateway;
use super::error::GatewayError;
use super::respond::Trace;
use crate::domain::ids::AliasIdx;
use crate::domain::money::PicoUsd;
use crate::domain::names::NameError;
use crate::limits::{self, Kind, Permit, Refusal, Reservation, Standing};
use crate::live::{Caller, Touched, View, over_budget};
use crate::routing::RequestFacts;
use crate::routing::eligibility::SkipReason;

/// The alias that a name means, if the caller may use it. A caller learns no names that it
/// may not use.
///
/// # Errors
/// If nobody, or more than one, has that name, or the caller may not use it.
pub fn resolve(view: &View, caller: &Caller, name: &str) -> Result<AliasIdx, GatewayError> {
    let may_use = |alias| caller.may_use(view.catalog.alias(alias), &view.catalog);
    let allowed = |name: &String| view.catalog.resolve(name).is_ok_and(may_use);
    let alias = view.catalog.resolve(name).map_err(|error| match error {
        NameError::Unknown { nearest } => {
            GatewayError::UnknownModel { name: name.to_owned(), nearest: nearest.into_iter().filter(allowed).collect() }
        }
        NameError::Ambiguous { candidates } => GatewayError::AmbiguousModel {
            name: name.to_owned(),
            candidates: candidates.into_iter().filter(allowed).collect(),
        },
    })?;
    if may_use(alias) { Ok(alias) } else { Err(GatewayError::Forbidden { alias: name.to_owned() }) }
}

/// Lets the request in, as far as its key and its project are limited.
///
/// # Errors
/// If a limit is reached.
pub async fn admit(
    gateway: &Gateway,
    view: &View,
    caller: &Caller,
    alias: AliasIdx,
    facts: &RequestFacts,
    trace: &mut Trace,
) -> Result<Option<Arc<Permit>>, GatewayError> {
    let accounts = view.accounts_of(caller);
    if accounts.is_empty() {
        return Ok(None);
    }
    let expected = view.alias(alias).stats.reading(facts.max_output_tokens).expected_output;
    // A float of at most a few million.
    let output = facts.max_output_tokens.unwrap_or(u64::MAX).min(expected as u64);
    let (tokens, now) = (facts.prompt_tokens + output, || gateway.live.clock.now());
    let entered = match &gateway.quota {
        Some(quota) => quota.enter(&accounts, tokens).await,
        None => limits::enter(&accounts, tokens, now()),
    };
    let now = now();
    // Told in either case, as it is with this request in or out.
    trace.standing = accounts.iter().map(|account| account.standing(now)).reduce(Standing::tightest);
    entered.map(|permit| Some(Arc::new(permit))).map_err(|refusal| {
        count(gateway, &refusal);
        GatewayError::Limited(refusal)
    })
}

/// Sets aside what an attempt may cost, with everybody who has a budget for it.
///
/// # Errors
/// If one of them has less than that left.
pub async fn set_aside(gateway: &Gateway, touched: &Touched, cost: PicoUsd) -> Result<Option<Reservation>, SkipReason> {
    if touched.is_empty() {
        return Ok(None);
    }
    let now = || gateway.live.clock.now();
    let reserved = match &gateway.quota {
        Some(quota) => quota.reserve(touched, cost).await,
        None => limits::reserve(touched, cost, now()),
    };
    reserved.map(Some).map_err(|refusal| {
        count(gateway, &refusal);
        SkipReason::OverBudget(over_budget(&refusal, now()))
    })
}

/// Counts a request that nobody's budget for it allows, by one who has too little left.
pub fn count_over_budget(gateway: &Gateway, whose: &'static str) {
    if let Some(owner) = Kind::ALL.into_iter().find(|kind| kind.as_str() == whose) {
        gateway.live.telemetry.metrics.refused((owner as usize, whose), BUDGET);
    }
}

/// The number and the name of budgets among limits.
const BUDGET: (usize, &str) = (4, "budget");

/// Counts whom a limit has refused.
fn count(gateway: &Gateway, refusal: &Refusal) {
    let (owner, limit) = (refusal.owner.kind, &refusal.limit);
    gateway.live.telemetry.metrics.refused((owner as usize, owner.as_str()), (limit.number(), limit.as_str()));
}
