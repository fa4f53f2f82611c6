//! In what order should the endpoints of an alias be tried?
//!
//! Every strategy comes down to a sort key. `priority` sorts by rank and draws within
//! equal ranks; `random-shuffle` draws among all. A weighted draw without replacement is
//! an exponential race: each target runs a time of −ln(u)/w, the order of arrival is the
//! order of the list (Efraimidis and Spirakis, "Weighted random sampling with a
//! reservoir", 2006).

use rand::{Rng, RngExt};

use super::eligibility::{self, SkipReason};
use super::facts::{Narrowing, Observations, RequestFacts};
use crate::domain::alias::{Alias, Strategy};
use crate::domain::catalog::Catalog;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::health::Standing;

/// Everything a decision depends on, except observations and chance.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Where indexes lead.
    pub catalog: &'a Catalog,
    /// Whose targets are ordered.
    pub alias: &'a Alias,
    /// What the request is.
    pub facts: &'a RequestFacts,
    /// What the caller excludes or prefers.
    pub narrowing: &'a Narrowing,
    /// The time of the decision.
    pub now: UnixMillis,
}

/// An ordered decision.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// To be tried in this order.
    pub candidates: Vec<Candidate>,
    /// Left out, in configured order.
    pub skipped: Vec<Skipped>,
    /// Where reasons that end by themselves have left no candidate: the one that is back
    /// first, for a single attempt.
    pub soonest: Option<Soonest>,
}

/// An endpoint to try.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Candidate {
    /// Where.
    pub endpoint: EndpointIdx,
    /// Position of the target in its alias.
    pub target: usize,
    /// What put it in its place.
    pub why: Why,
}

/// What put a candidate in its place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Why {
    /// The caller asked for this order.
    CallerOrder,
    /// Its rank, and a draw among equals.
    Rank(u32),
    /// A draw with this weight.
    Draw {
        /// As configured.
        weight: f64,
    },
    /// It comes back from a failure and was put behind the others this time.
    SlowStart {
        /// Its share of its usual traffic.
        share: f64,
    },
    /// Its time out is over; this request finds out whether it works again.
    Probe,
    /// Only when all others have failed.
    LastResort,
}

/// An endpoint left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Skipped {
    /// Which.
    pub endpoint: EndpointIdx,
    /// Why.
    pub reason: SkipReason,
}

/// The candidate that is back first, when all are out for a while.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Soonest {
    /// It.
    pub candidate: Candidate,
    /// When an attempt makes sense: its block's end, or at once where its breaker is only
    /// a guess that it still fails.
    pub at: UnixMillis,
}

/// Lower comes first, field by field.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
struct Key {
    last_resort: bool,
    callers_position: usize,
    slow_start: bool,
    rank: u32,
    target_draw: f64,
    target: usize,
    endpoint_position: usize,
    endpoint_draw: f64,
}

/// Orders the endpoints of an alias for one request.
pub fn rank(query: &Query<'_>, observed: &impl Observations, rng: &mut impl Rng) -> Plan {
    let Query { catalog, alias, facts, narrowing, now } = *query;
    let mut keyed: Vec<(Key, Candidate)> = Vec::with_capacity(alias.targets.len());
    let mut plan = Plan::default();
    // The soft ones, with when they are back.
    let mut soonest: Option<(UnixMillis, Soonest)> = None;

    for (position, target) in alias.targets.iter().enumerate() {
        let target_draw = draw(target.weight, rng);
        for (endpoint_position, &endpoint) in target.endpoints.iter().enumerate() {
            let at = catalog.endpoint(endpoint);
            let callers_position = narrowing.position(&catalog.provider(at.provider).id, &at.id);
            let why = match &alias.strategy {
                _ if target.last_resort => Why::LastResort,
                _ if callers_position < narrowing.order.len() => Why::CallerOrder,
                Strategy::Priority { .. } => Why::Rank(target.rank),
                Strategy::RandomShuffle { .. } | Strategy::Scored(_) => Why::Draw { weight: target.weight },
            };
            let mut candidate = Candidate { endpoint, target: position, why };
            if let Some(reason) = eligibility::hard(catalog, alias, target, endpoint, facts, narrowing) {
                plan.skipped.push(Skipped { endpoint, reason });
                continue;
            }
            let state = observed.state(endpoint);
            if let Some(reason) = eligibility::soft(&state) {
                let back = match &reason {
                    SkipReason::CoolingDown { until, .. } => Some((*until, now)),
                    SkipReason::RateLimited { until } => Some((*until, *until)),
                    SkipReason::Probing => Some((now, now)),
                    _ => None,
                };
                if let Some((back, at)) = back
                    && soonest.as_ref().is_none_or(|(earliest, _)| back < *earliest)
                {
                    soonest = Some((back, Soonest { candidate, at }));
                }
                plan.skipped.push(Skipped { endpoint, reason });
                continue;
            }
            let mut slow_start = false;
            match state.standing {
                Standing::Ready { share } if share < 1.0 => {
                    slow_start = rng.random::<f64>() >= share;
                    if slow_start {
                        candidate.why = Why::SlowStart { share };
                    }
                }
                Standing::Probe => candidate.why = Why::Probe,
                _ => {}
            }
            let key = Key {
                last_resort: target.last_resort,
                callers_position,
                slow_start,
                rank: match alias.strategy {
                    Strategy::Priority { .. } => target.rank,
                    Strategy::RandomShuffle { .. } | Strategy::Scored(_) => 0,
                },
                target_draw,
                target: position,
                endpoint_position: endpoint_position.min(target.ordered),
                endpoint_draw: if endpoint_position < target.ordered { 0.0 } else { rng.random() },
            };
            keyed.push((key, candidate));
        }
    }

    // Unwrap-free: the draws are never NaN, and equal keys keep their configured order.
    keyed.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    plan.candidates = keyed.into_iter().map(|(_, candidate)| candidate).collect();
    if plan.candidates.is_empty() {
        plan.soonest = soonest.map(|(_, soonest)| soonest);
    }
    plan
}

/// The running time of a target in the race; infinite for weight zero.
fn draw(weight: f64, rng: &mut impl Rng) -> f64 {
    // In (0, 1], so that the logarithm is finite.
    let u = 1.0 - rng.random::<f64>();
    if weight > 0.0 { -u.ln() / weight } else { f64::INFINITY }
}

#[cfg(test)]
mod tests;
