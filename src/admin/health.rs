//! Is the gateway up, can it serve, and how are its targets?

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::Ending;
use super::replica::heard;
use crate::api::replica::HeardReport;
use crate::control::{Control, Fleet};
use crate::domain::alias::Alias;
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::fleet::State as LinkState;
use crate::health::Standing;
use crate::live::View;
use crate::proxy::Gateway;

/// Looked for every second, what replicas share is late after this.
const STALE: Duration = Duration::from_secs(5);

/// The process answers.
pub async fn live() -> &'static str {
    "ok"
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    revision: u64,
    /// What does not work as it should: a process that ends, aliases that nobody could serve now,
    /// usage that cannot be written down, a Redis that is away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
    /// How fresh is what is known from other replicas, where anything is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard: Option<HeardReport>,
}

/// Whether traffic should come here: 503 only when no alias can be served at all, or when the
/// process is about to end.
pub async fn ready(
    State(gateway): State<Arc<Gateway>>,
    State(control): State<Arc<Control>>,
    State(ending): State<Ending>,
) -> Response {
    let view = gateway.live.view();
    let now = gateway.live.clock.now();
    let configured = || view.catalog.aliases.iter().filter(|alias| alias.is_configured());
    let mut degraded: Vec<String> = configured()
        .filter(|alias| !servable(&view, alias, now))
        .map(|alias| format!("no target of `{}` can be used now", alias.name))
        .collect();
    let draining = ending.draining.is_cancelled();
    let ready = !draining && (degraded.is_empty() || degraded.len() < configured().count());
    if draining {
        degraded.insert(0, "draining: requests under way may finish, and no new connection is accepted".to_owned());
    }
    if let Some(why) = control.store_failing() {
        degraded.push(format!("usage is kept in memory, since it cannot be written down: {why}"));
    }
    if let Some(fleet) = &control.fleet {
        degraded.extend(apart(fleet, now));
    }
    let heard = control.fleet.as_ref().map(|fleet| heard(&fleet.telemetry.standing().fleet, now));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, revision: view.revision.0, degraded, heard })).into_response()
}

/// In which way this replica is apart from the others.
pub fn apart(fleet: &Fleet, now: UnixMillis) -> Option<String> {
    let age = || match fleet.age(now) {
        Some(age) => format!("what replicas share was read last {} s ago", age.as_secs()),
        None => "what replicas share was never read".to_owned(),
    };
    match (fleet.link.state(), fleet.trouble()) {
        (LinkState::Down { why, .. }, _) => Some(format!("Redis is away, {}: {why}", age())),
        (LinkState::Up, Some(trouble)) => Some(format!("this replica does not serve what the others do: {trouble}")),
        (LinkState::Up, None) if fleet.age(now).is_none_or(|age| age > STALE) => Some(age()),
        _ => None,
    }
}

/// Whether any target of an alias can be used.
pub fn servable(view: &View, alias: &Alias, now: UnixMillis) -> bool {
    let targets = view.catalog.serving(alias).flat_map(|group| &group.targets);
    targets.filter(|target| target.enabled).flat_map(|target| &target.endpoints).any(|endpoint| {
        let provider = view.catalog.provider_of(*endpoint);
        let up = !matches!(view.endpoint(*endpoint).standing(now), Standing::Open { .. } | Standing::Blocked { .. });
        up && provider.enabled && provider.unusable.is_none()
    })
}

#[derive(Serialize)]
struct TargetReport<'a> {
    target: &'a str,
    state: &'static str,
    /// Milliseconds until it may be used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    back_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    in_flight: u32,
    successes: u64,
    failures: serde_json::Map<String, serde_json::Value>,
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    /// Attempts whose tokens are estimated, since their provider reported none.
    estimated_attempts: u64,
    cost_usd: f64,
}

/// Every endpoint that an alias names or that has been used: its health, and what it has
/// done since the start.
pub async fn targets(State(gateway): State<Arc<Gateway>>) -> Response {
    let view = gateway.live.view();
    let now = gateway.live.clock.now();
    let named = named(&view);
    let reports: Vec<TargetReport<'_>> = (0u32..)
        .map(EndpointIdx)
        .take(view.catalog.endpoints.len())
        .map(|idx| (idx, report(&view, idx, now)))
        .filter(|(idx, report)| named.contains(idx) || report.successes > 0 || !report.failures.is_empty())
        .map(|(_, report)| report)
        .collect();
    Json(reports).into_response()
}

/// The endpoints that configured aliases name.
pub fn named(view: &View) -> HashSet<EndpointIdx> {
    let configured = view.catalog.aliases.iter().filter(|alias| !alias.direct);
    configured.flat_map(|alias| alias.targets.iter().flat_map(|target| target.endpoints.iter().copied())).collect()
}

/// The state of an endpoint, in a word.
pub fn state_of(view: &View, idx: EndpointIdx, now: UnixMillis) -> &'static str {
    in_a_word(view.endpoint(idx).standing(now))
}

fn in_a_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready { share } if share < 1.0 => "slow_start",
        Standing::Ready { .. } => "ready",
        Standing::Probe => "probe_due",
        Standing::Probing => "probing",
        Standing::Open { .. } => "open",
        Standing::Blocked { .. } => "rate_limited",
    }
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug)]
pub struct InWords {
    /// In a word.
    pub state: &'static str,
    /// Milliseconds until it may be used again.
    pub back_in_ms: Option<u64>,
    /// What took it out.
    pub cause: Option<&'static str>,
}

/// The state of an endpoint, and how long it stays out.
pub fn standing_of(view: &View, idx: EndpointIdx, now: UnixMillis) -> InWords {
    let standing = view.endpoint(idx).standing(now);
    let (until, cause) = match standing {
        Standing::Open { until, cause } => (Some(until), Some(cause.as_str())),
        Standing::Blocked { until } => (Some(until), None),
        _ => (None, None),
    };
    let back_in_ms = until.map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX));
    InWords { state: in_a_word(standing), back_in_ms, cause }
}

fn report(view: &View, idx: EndpointIdx, now: UnixMillis) -> TargetReport<'_> {
    let live = view.endpoint(idx);
    let InWords { state, back_in_ms, cause } = standing_of(view, idx, now);
    let reading = live.history(|history| *history.since_start());
    let failures = FailureKind::ALL
        .iter()
        .zip(reading.failures)
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| (kind.to_string(), count.into()))
        .collect();
    TargetReport {
        target: view.catalog.endpoint(idx).id.as_str(),
        state,
        back_in_ms,
        cause,
        in_flight: live.reading(now).in_flight,
        successes: reading.successes,
        failures,
        input_tokens: reading.usage.input,
        cached_input_tokens: reading.usage.cached_input,
        output_tokens: reading.usage.output,
        estimated_attempts: reading.estimated,
        cost_usd: reading.cost.as_usd(),
    }
}
