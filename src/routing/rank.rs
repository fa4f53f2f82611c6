//! In what order should the endpoints of an alias be tried?
//!
//! Every strategy comes down to a sort key. `priority` sorts by rank and draws within
//! equal ranks; `random-shuffle` draws among all; the others sort by a score
//! ([`super::score`]).
//!
//! What stands behind the others whatever the strategy says, but is never left out for it:
//! who returns from a failure and was not drawn this time, and who fails or dawdles far more
//! than its peers.

use rand::{Rng, RngExt};
use smallvec::SmallVec;

use super::draw;
use super::eligibility::{self, SkipReason};
use super::explore;
use super::facts::{EndpointState, Narrowing, RequestFacts, Snapshot};
use super::score::{self, Demand, Forecast, Score};
use super::stand_by;
use crate::domain::alias::{Alias, LatencyMetric, Scoring, Strategy};
use crate::domain::catalog::Catalog;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::health::Standing;
use crate::stats::Purpose;

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
    /// What is lost by exploring with the first candidate, in costs of the best one.
    pub excess: f64,
    /// Some candidate could be better than the best: exploring is worth more.
    pub promising: bool,
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
    /// Why it is asked.
    pub purpose: Purpose,
    /// What its strategy made of it, in the strategy's unit; `None` where nothing is compared.
    pub score: Option<f64>,
    /// Predicted seconds to the first token and to the end.
    pub predicted_s: (f64, f64),
    /// Where another candidate stands by: leave it after so many seconds without content.
    pub give_up_s: Option<f64>,
    /// Where another candidate is about as fast: ask that one too after so many seconds.
    pub hedge_s: Option<f64>,
    /// When an attempt had last gone out to it.
    pub seen_sent_at: UnixMillis,
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
    /// Its score.
    Score,
    /// Its conversation was served here, and its prompt is likely cached.
    Home,
    /// It comes back from a failure and was put behind the others this time.
    SlowStart {
        /// Its share of its usual traffic.
        share: f64,
    },
    /// It fails far more often than its peers and was put behind them.
    Failing {
        /// Share of its attempts that fail.
        share: f64,
    },
    /// It is far slower than it can be, and than its peers, and was put behind them.
    Slow {
        /// By what factor.
        factor: f64,
    },
    /// It was never measured: a few requests find out.
    Cold,
    /// It is due to be looked at again, though another looks better.
    Explore,
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
pub(super) struct Key {
    pub(super) last_resort: bool,
    callers_position: usize,
    behind: bool,
    pub(super) rank: u32,
    away: bool,
    group: u8,
    value: f64,
    target_draw: f64,
    target: usize,
    endpoint_position: usize,
    endpoint_draw: f64,
}

/// A candidate while it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: Key,
    pub(super) candidate: Candidate,
    pub(super) state: &'a EndpointState,
    pub(super) forecast: Forecast,
    tie: f64,
}

pub(super) type Entries<'a> = SmallVec<[Entry<'a>; 8]>;

/// Orders the endpoints of an alias for one request.
pub fn rank(query: &Query<'_>, snapshot: &Snapshot, rng: &mut impl Rng) -> Plan {
    let mut plan = Plan::default();
    let mut entries = gather(query, snapshot, &mut plan, rng);
    if entries.is_empty() {
        return plan;
    }
    plan.soonest = None;
    put_behind(query, &mut entries);
    let scoring = query.alias.strategy.scoring();
    if let Some(scoring) = scoring {
        give_scores(query, snapshot, scoring, &mut entries);
    }
    // The draws and scores are never NaN, and equal keys keep their configured order.
    let order = |a: &Entry<'_>, b: &Entry<'_>| a.key.partial_cmp(&b.key).unwrap_or(std::cmp::Ordering::Equal);
    entries.sort_unstable_by(order);
    if let Some(scoring) = scoring {
        let band = score::band(scoring) + score::unheard(scoring, &snapshot.fleet, query.now);
        choose_among_ties(band, &mut entries, rng);
    }
    explore::bring_forward(query, snapshot, scoring, &mut entries, &mut plan, rng);
    stand_by::give_times(query, snapshot, &mut entries);
    plan.candidates = entries.iter().map(|entry| entry.candidate).collect();
    plan
}

/// All endpoints that may serve, with the part of their keys that no comparison changes.
fn gather<'a>(query: &Query<'a>, snapshot: &'a Snapshot, plan: &mut Plan, rng: &mut impl Rng) -> Entries<'a> {
    let Query { catalog, alias, facts, narrowing, now } = *query;
    let demand = demand(query, snapshot);
    let metric = match alias.strategy.scoring() {
        Some(Scoring::LowestLatency(options)) => options.metric,
        _ => LatencyMetric::Total,
    };
    let mut entries = Entries::new();
    let mut soonest: Option<UnixMillis> = None;
    let mut states = snapshot.endpoints.iter();
    for (position, target) in alias.targets.iter().enumerate() {
        let target_draw = draw::race(query, target, rng);
        // The snapshot has one state for each endpoint of the alias.
        for ((endpoint_position, &endpoint), state) in target.endpoints.iter().enumerate().zip(&mut states) {
            let at = catalog.endpoint(endpoint);
            let callers_position = narrowing.position(&catalog.provider(at.provider).id, &at.id);
            let home = snapshot.home == Some(endpoint);
            let why = match &alias.strategy {
                _ if target.last_resort => Why::LastResort,
                _ if callers_position < narrowing.order.len() => Why::CallerOrder,
                _ if home => Why::Home,
                Strategy::Priority { .. } => Why::Rank(target.rank),
                Strategy::RandomShuffle { .. } => Why::Draw { weight: target.weight },
                // One of categories has no targets of its own.
                Strategy::Scored(_) | Strategy::Category(_) => Why::Score,
            };
            let forecast = score::forecast(&state.reading, &demand, metric, home);
            let mut candidate = Candidate {
                endpoint,
                target: position,
                why,
                purpose: Purpose::Usual,
                score: None,
                predicted_s: (forecast.speed.first_s, forecast.total_s),
                give_up_s: None,
                hedge_s: None,
                seen_sent_at: state.reading.sent_at,
            };
            if let Some(reason) = eligibility::hard(catalog, alias, target, endpoint, state, facts, narrowing) {
                plan.skipped.push(Skipped { endpoint, reason });
                continue;
            }
            if let Some(reason) = eligibility::soft(state, now) {
                let back = match &reason {
                    SkipReason::CoolingDown { until, .. } => Some((*until, now)),
                    SkipReason::RateLimited { until } => Some((*until, *until)),
                    SkipReason::Probing => Some((now, now)),
                    _ => None,
                };
                if let Some((back, at)) = back
                    && soonest.is_none_or(|earliest| back < earliest)
                {
                    soonest = Some(back);
                    plan.soonest = Some(Soonest { candidate, at });
                }
                plan.skipped.push(Skipped { endpoint, reason });
                continue;
            }
            let mut behind = false;
            match state.reading.health.standing(now) {
                Standing::Ready { share } if share < 1.0 => {
                    behind = rng.random::<f64>() >= share;
                    if behind {
                        candidate.why = Why::SlowStart { share };
                    }
                }
                Standing::Probe => candidate.why = Why::Probe,
                _ => {}
            }
            let key = Key {
                last_resort: target.last_resort,
                callers_position,
                behind,
                rank: if matches!(alias.strategy, Strategy::Priority { .. }) { target.rank } else { 0 },
                // Where nothing is compared, home is simply better than away.
                away: alias.strategy.scoring().is_none() && snapshot.home.is_some() && !home,
                group: 0,
                value: 0.0,
                target_draw,
                target: position,
                endpoint_position: endpoint_position.min(target.ordered),
                endpoint_draw: if endpoint_position < target.ordered { 0.0 } else { rng.random() },
            };
            entries.push(Entry { key, candidate, state, forecast, tie: 0.0 });
        }
    }
    entries
}

pub(super) fn demand(query: &Query<'_>, snapshot: &Snapshot) -> Demand {
    // Far below 2^53.
    let kilotokens = query.facts.prompt_tokens as f64 / 1000.0;
    Demand { kilotokens, output: snapshot.alias.expected_output, now: query.now }
}

/// Who fails far more often than its peers, or is far slower than it can be and than its
/// peers are, stands behind them; so nobody is left out, and an alias never ejects itself
/// empty. Scores have the speed in them already.
fn put_behind(query: &Query<'_>, entries: &mut Entries<'_>) {
    /// An endpoint that fails less often than this is left alone.
    const FAILING: f64 = 0.3;
    /// So many times as often as the best of its peers.
    const TIMES_PEERS: f64 = 3.0;
    /// Slower than at its best by this factor …
    const SLOW: f64 = 4.0;
    /// … and than the best of its peers by this one.
    const SLOWER: f64 = 3.0;
    if entries.len() < 2 {
        return;
    }
    let now = query.now;
    let measured = query.alias.strategy.scoring().is_some_and(score::measures);
    let mut least_failing = f64::INFINITY;
    let mut fastest = f64::INFINITY;
    for entry in entries.iter().filter(|entry| !entry.key.last_resort) {
        least_failing = least_failing.min(entry.state.reading.failure_rate(now));
        if !entry.state.reading.is_cold() {
            fastest = fastest.min(entry.forecast.cost_s);
        }
    }
    for entry in entries.iter_mut().filter(|entry| !matches!(entry.candidate.why, Why::Probe | Why::CallerOrder)) {
        let reading = &entry.state.reading;
        let share = reading.failure_rate(now);
        if share > FAILING && share > TIMES_PEERS * least_failing {
            entry.key.behind = true;
            entry.candidate.why = Why::Failing { share };
        } else if !measured && !reading.is_cold() && entry.forecast.cost_s > SLOWER * fastest {
            let factor = reading.slowdown(&entry.forecast.speed);
            if factor > SLOW {
                entry.key.behind = true;
                entry.candidate.why = Why::Slow { factor };
            }
        }
    }
}

fn give_scores(query: &Query<'_>, snapshot: &Snapshot, scoring: &Scoring, entries: &mut Entries<'_>) {
    let demand = demand(query, snapshot);
    let all_limited = entries.iter().all(|entry| !entry.state.reading.limit_used.is_nan());
    for entry in entries.iter_mut() {
        let (reading, forecast) = (&entry.state.reading, &entry.forecast);
        let home = snapshot.home == Some(entry.candidate.endpoint);
        let score = match scoring {
            Scoring::LowestLatency(options) => {
                let value = score::latency(options, reading, forecast, &demand);
                Score { group: 0, value, tie: f64::from(reading.in_flight) / reading.window.max(1.0) }
            }
            Scoring::HighestThroughput(metric) => score::throughput(*metric, reading, forecast, &demand),
            Scoring::LowestUsage(options) => {
                let weight = query.alias.targets[entry.candidate.target].weight;
                let used = score::usage(options.unit, all_limited, entry.state, weight);
                // Staying home saves tokens that would be counted elsewhere.
                let value = if home { used * 0.8 } else { used };
                Score { group: 0, value, tie: 0.0 }
            }
            Scoring::LowestPrice(options) => {
                let at = query.catalog.endpoint(entry.candidate.endpoint);
                score::price(options, at, reading, forecast, query.facts, &demand, home)
            }
        };
        (entry.key.group, entry.key.value, entry.tie) = (score.group, score.value, score.tie);
        entry.candidate.score = Some(score.value);
    }
}

/// Of those that are as good as the best, the one with the least `tie` comes first, and of
/// equals of that any: so replicas that know the same do not all choose the same.
fn choose_among_ties(band: f64, entries: &mut Entries<'_>, rng: &mut impl Rng) {
    let best = entries[0].key;
    let equal = |key: &Key| {
        (key.last_resort, key.callers_position, key.behind, key.rank, key.group)
            == (best.last_resort, best.callers_position, best.behind, best.rank, best.group)
            && key.value <= best.value * (1.0 + band)
    };
    let ties = entries.iter().take_while(|entry| equal(&entry.key)).count();
    let mut chosen = 0;
    let mut as_good = 1;
    for at in 1..ties {
        let (challenger, champion) = (entries[at].tie, entries[chosen].tie);
        if challenger < champion {
            (chosen, as_good) = (at, 1);
        } else if challenger == champion {
            as_good += 1;
            if rng.random_range(0..as_good) == 0 {
                chosen = at;
            }
        }
    }
    entries[..=chosen].rotate_right(1);
}

#[cfg(test)]
mod tests;
