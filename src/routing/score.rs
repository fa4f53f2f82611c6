//! What is each endpoint worth for this request? One scoring function per strategy; lower
//! is better. All of them read predictions for *this* request: its prompt, the output
//! expected of it.

use super::facts::{EndpointState, RequestFacts};
use crate::domain::alias::{LatencyMetric, LatencyOptions, PriceOptions, Scoring, ThroughputMetric, UsageUnit};
use crate::domain::catalog::Endpoint;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::stats::share::FleetReading;
use crate::stats::{Prediction, Reading};

/// A failed attempt is charged so many of its costs: the time until it fails, and that the
/// next one starts late; but no more seconds than this beside its own cost. (A fixed charge
/// of two seconds made one failure in a hundred outweigh everything among targets that
/// answer in a tenth of a second.)
const FAILURE_COSTS: f64 = 4.0;
const FAILURE_S: f64 = 2.0;
const FAILURE_PART: f64 = 1.5;
/// A stream that breaks is charged at least this many seconds, or so many costs: nobody can
/// repair it.
const BROKEN_S: f64 = 20.0;
const BROKEN_COSTS: f64 = 4.0;
/// The share of a prompt that is found in the cache where its conversation is at home.
const CACHED_AT_HOME: f64 = 0.8;
/// Until so many samples a target's window is kept, though no queue has shown.
const OPENING: u32 = 16;

/// What a request may expect of an endpoint, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Forecast {
    /// Of its speed.
    pub speed: Prediction,
    /// Wait for a slot, what it costs others included.
    pub wait_s: f64,
    /// First token and generation, without failures.
    pub total_s: f64,
    /// The expected cost of choosing it, failures included.
    pub cost_s: f64,
}

/// What all strategies need to know of a request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Demand {
    /// Prompt tokens in thousands.
    pub kilotokens: f64,
    /// Output tokens expected.
    pub output: f64,
    /// Now.
    pub now: UnixMillis,
}

/// The wait for a slot: zero below the window. Twice, since whoever comes next waits too.
fn wait(reading: &Reading, holding_s: f64) -> f64 {
    let beyond = f64::from(reading.in_flight) + 1.0 - reading.window;
    if beyond <= 0.0 || !(reading.queued || reading.samples < OPENING) {
        return 0.0;
    }
    2.0 * beyond * holding_s / reading.window
}

/// The prediction for an endpoint. `home`: its conversation was served there last.
pub fn forecast(reading: &Reading, demand: &Demand, metric: LatencyMetric, home: bool) -> Forecast {
    let now = demand.now;
    let mut speed = reading.predict(demand.kilotokens, now);
    if home {
        let growth = 1.0 + reading.slope * demand.kilotokens;
        speed.first_s *= (1.0 + reading.slope * demand.kilotokens * (1.0 - CACHED_AT_HOME)) / growth;
    }
    let generation = demand.output * speed.token_s;
    let holding = if reading.holding_s > 0.0 { reading.holding_s } else { speed.first_s + generation };
    let wait_s = wait(reading, holding);
    let total_s = speed.first_s + wait_s + generation;
    let base = match metric {
        LatencyMetric::Total => total_s,
        LatencyMetric::FirstToken => speed.first_s + wait_s,
    };
    Forecast { speed, wait_s, total_s, cost_s: with_failures(base, reading, now) }
}

fn with_failures(cost: f64, reading: &Reading, now: UnixMillis) -> f64 {
    let failing = reading.failure_rate(now);
    cost * (1.0 + FAILURE_PART * failing)
        + failing * FAILURE_S.min(FAILURE_COSTS * cost)
        + of_broken_streams(cost, reading)
}

/// What streams that break are expected to cost.
pub fn of_broken_streams(cost: f64, reading: &Reading) -> f64 {
    reading.breaking * (BROKEN_COSTS * cost).max(BROKEN_S)
}

/// The standard normal quantile (Abramowitz and Stegun, formula 26.2.23; absolute error
/// below 4.5e-4).
fn normal_quantile(q: f64) -> f64 {
    let tail = q.min(1.0 - q).max(1e-9);
    let t = (-2.0 * tail.ln()).sqrt();
    let z =
        t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    if q < 0.5 { -z } else { z }
}

/// How an endpoint compares. Lower comes first, field by field.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Default)]
pub struct Score {
    /// Those of a higher group only follow those of a lower one.
    pub group: u8,
    /// In the strategy's own unit.
    pub value: f64,
    /// Among values within the strategy's band of ties.
    pub tie: f64,
}

/// How near to the best a value has to be to count as equal.
pub fn band(scoring: &Scoring) -> f64 {
    match scoring {
        Scoring::LowestLatency(_) | Scoring::HighestThroughput(_) => 0.02,
        Scoring::LowestPrice(_) => 0.01,
        Scoring::LowestUsage(_) => 0.0,
    }
}

/// By how much a value may be wrong because of what other replicas have done since they were
/// heard: all that know the same would choose the same until then.
pub fn unheard(scoring: &Scoring, fleet: &FleetReading, now: UnixMillis) -> f64 {
    /// Others tell what they use this often.
    const TOLD_EVERY_S: f64 = 1.0;
    /// What was used slides out of the sum after this long.
    const WINDOW_S: f64 = 60.0;
    if fleet.others == 0 || !matches!(scoring, Scoring::LowestUsage(_)) {
        return 0.0;
    }
    let age = now.since(fleet.oldest).as_secs_f64().max(TOLD_EVERY_S);
    let theirs = f64::from(fleet.others) / f64::from(fleet.others + 1);
    (theirs * age / WINDOW_S).min(1.0)
}

/// Whether a strategy has to have measured a target to compare it.
pub fn measures(scoring: &Scoring) -> bool {
    matches!(scoring, Scoring::LowestLatency(_) | Scoring::HighestThroughput(_))
}

/// What `quantile` of a strategy's own prediction is compared.
pub fn latency(options: &LatencyOptions, reading: &Reading, forecast: &Forecast, demand: &Demand) -> f64 {
    let Some(quantile) = options.quantile else { return forecast.cost_s };
    let z = normal_quantile(quantile);
    let at = |mean: f64, deviation: f64, noise: f64| mean * (z * deviation - noise / 2.0).exp();
    let first = at(forecast.speed.first_s, forecast.speed.deviation, reading.first_noise) + forecast.wait_s;
    let generation = at(demand.output * forecast.speed.token_s, forecast.speed.token_deviation, reading.token_noise);
    let value = match options.metric {
        LatencyMetric::Total => first + generation,
        LatencyMetric::FirstToken => first,
    };
    with_failures(value, reading, demand.now)
}

/// The least utilised of those without a wait, else the shortest wait; or the fastest
/// stream.
pub fn throughput(metric: ThroughputMetric, reading: &Reading, forecast: &Forecast, demand: &Demand) -> Score {
    let works = (1.0 - reading.failure_rate(demand.now)).max(0.05);
    let token = forecast.speed.token_s / works;
    if metric == ThroughputMetric::TokensPerSecond {
        return Score { group: 0, value: token, tie: forecast.cost_s };
    }
    let holding = if reading.holding_s > 0.0 { reading.holding_s } else { forecast.total_s };
    let in_flight = f64::from(reading.in_flight) + 1.0;
    let limited = reading.queued || reading.rate > 0.0;
    let mut capacity = if reading.queued { reading.window } else { reading.window.max(2.0 * reading.peak) };
    if reading.rate > 0.0 {
        capacity = capacity.min(reading.rate * holding).max(0.1);
    }
    let beyond = in_flight - capacity;
    if limited && beyond > 0.0 {
        return Score { group: 1, value: (beyond * holding / capacity + holding) / works, tie: token };
    }
    let of_limit = if reading.limit_used.is_nan() { 0.0 } else { reading.limit_used };
    let value = (in_flight / capacity).max(of_limit) / works;
    // Those that are slow by an order of magnitude only help once the others are full.
    Score { group: 0, value: value * with_failures(1.0, reading, demand.now).min(10.0), tie: token }
}

/// The used share of the tightest limit, or what was used against the target's weight.
pub fn usage(unit: Option<UsageUnit>, all_limited: bool, state: &EndpointState, weight: f64) -> f64 {
    if unit.is_none() && all_limited && state.by_caller.is_none() {
        return state.reading.limit_used;
    }
    let usage = state.by_caller.unwrap_or(state.reading.usage);
    let used = match unit.unwrap_or_default() {
        UsageUnit::Tokens => usage.tokens,
        UsageUnit::Requests => usage.requests,
        UsageUnit::Cost => usage.cost,
    };
    // Of those that were not used at all the one with less under way comes first.
    (used as f64 + f64::from(state.reading.in_flight) * 1e-3) / weight.max(1e-9)
}

/// Expected US dollars of the request; unknown prices come after all that are known.
pub fn price(
    options: &PriceOptions,
    at: &Endpoint,
    reading: &Reading,
    forecast: &Forecast,
    facts: &RequestFacts,
    demand: &Demand,
    home: bool,
) -> Score {
    let Some(prices) = &at.prices else {
        return Score { group: 2, value: forecast.cost_s, tie: 0.0 };
    };
    let cached = if home { reading.cached.max(CACHED_AT_HOME) } else { reading.cached };
    // A share in [0, 1] of a count fits it.
    let usage = TokenUsage {
        input: facts.prompt_tokens,
        cached_input: (facts.prompt_tokens as f64 * cached.min(1.0)) as u64,
        output: demand.output as u64,
        ..TokenUsage::default()
    };
    let usd = prices.cost(&usage).as_usd() * (1.0 + reading.failure_rate(demand.now));
    let p90 = forecast.total_s * (1.2816 * forecast.speed.deviation).exp();
    let late = options.max_latency.is_some_and(|max| !reading.is_cold() && p90 > max.as_secs_f64());
    Score { group: u8::from(late), value: usd, tie: forecast.cost_s }
}

#[cfg(test)]
mod tests;
