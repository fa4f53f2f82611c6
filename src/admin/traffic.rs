//! How have the requests of an alias gone in the last minutes, and who served them?

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Shared;
use super::asker::Asker;
use super::error::AdminError;
use super::explain::unknown;
use super::health::standing_of;
use super::input::{Asked, Named};
use super::overview::{endpoints, spent_today};
use super::statistics::{Scope, of_endpoint};
use crate::api::error::ErrorReport;
use crate::api::statistics::Quantiles;
use crate::api::traffic::{AliasTraffic, Flow, Latencies, TargetTraffic};
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::live::View;
use crate::stats::traffic::{Part, SLICE, SLICES, Stretch, Times, Traffic, first};
use crate::store::record::Role;

/// What is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// The window, in seconds.
    #[param(minimum = 10, maximum = 600, default = 600)]
    window_s: Option<u64>,
}

/// Shows how requests of an alias went, and by whom they were served.
#[utoipa::path(
    get, path = "/admin/v1/aliases/{name}/traffic", operation_id = "read_alias_traffic", tag = "traffic",
    params(("name" = String, Path, description = "its name"), Wanted),
    responses((status = 200, body = AliasTraffic), (status = "4XX", body = ErrorReport))
)]
pub async fn of_alias(
    asker: Asker,
    State(shared): State<Shared>,
    Named(name): Named<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Answer<AliasTraffic>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let window = window(wanted.window_s, 600)?;
    let view = shared.gateway.live.view();
    let idx = view.catalog.resolve(&name).map_err(|error| unknown(&name, error))?;
    let alias = view.catalog.alias(idx);
    let spent = spent_today(&shared.control, Some(alias.name.as_str())).await;
    let now = shared.gateway.live.clock.now();
    let report = view.alias(idx).traffic(|traffic| {
        let sum = traffic.sum(window, now);
        let targets = endpoints(&view, alias, &sum).into_iter().map(|(target, known)| {
            let of = |slice: &Stretch| slice.parts.iter().find(|part| part.endpoint.as_str() == target).cloned();
            let served = series(traffic, window, now, |slice| of(slice).map_or(0, |part| part.served));
            let failed = series(traffic, window, now, |slice| of(slice).map_or(0, |part| failures(&part)));
            let all = of(&sum);
            TargetTraffic {
                served: all.as_ref().map_or(0, |part| u64::from(part.served)),
                failures: all
                    .iter()
                    .flat_map(|part| &part.failures)
                    .map(|(kind, count)| (kind.to_string(), u64::from(*count)))
                    .collect(),
                series: served,
                failed_series: failed,
                ..now_of(&view, target, known, window, now)
            }
        });
        AliasTraffic {
            alias: alias.name.to_string(),
            window_s: window.as_secs(),
            step_s: SLICE.as_secs(),
            from_ms: first(window, now).0,
            series: series(traffic, window, now, |slice| slice.requests),
            unserved_series: series(traffic, window, now, |slice| slice.unserved),
            targets: targets.collect(),
            latency: latencies(&sum.first_token),
            flow: flow(&sum, now, spent.map(|spent| spent.values().sum())),
        }
    });
    Ok(Answer(report))
}

/// How a target stands.
fn now_of(
    view: &View,
    target: String,
    known: Option<(EndpointIdx, bool)>,
    window: Duration,
    now: UnixMillis,
) -> TargetTraffic {
    let Some((idx, enabled)) = known else {
        return TargetTraffic { target, state: "gone".to_owned(), ..TargetTraffic::default() };
    };
    let standing = standing_of(view, idx, now);
    TargetTraffic {
        target,
        state: standing.state.to_owned(),
        back_in_ms: standing.back_in_ms,
        cause: standing.cause.map(str::to_owned),
        enabled,
        in_flight: view.endpoint(idx).reading(now).in_flight,
        lately: of_endpoint(view, idx, Scope::Fleet, window, now),
        ..TargetTraffic::default()
    }
}

fn failures(part: &Part) -> u32 {
    part.failures.iter().map(|(_, count)| count).sum()
}

/// A window that is asked for, in whole slices.
///
/// # Errors
/// If so much is not kept.
pub fn window(asked: Option<u64>, usual: u64) -> Result<Duration, AdminError> {
    let (shortest, longest) = (SLICE.as_secs(), SLICE.as_secs() * SLICES as u64);
    let asked = asked.unwrap_or(usual);
    if (shortest..=longest).contains(&asked) {
        return Ok(Duration::from_secs(asked / shortest * shortest));
    }
    Err(AdminError::Bad(format!("The query: window_s is {asked}; expected {shortest} to {longest}.")))
}

/// Something of each slice of a window, those in which nothing happened included.
pub fn series(traffic: &Traffic, window: Duration, now: UnixMillis, what: impl Fn(&Stretch) -> u32) -> Vec<u32> {
    let first = first(window, now);
    let mut all = vec![0; (window.as_secs() / SLICE.as_secs()) as usize];
    for slice in traffic.slices(window, now) {
        let at = slice.start.since(first).as_secs() / SLICE.as_secs();
        if let Some(place) = all.get_mut(at as usize) {
            *place = what(slice);
        }
    }
    all
}

/// How requests went, in numbers.
pub fn flow(sum: &Stretch, now: UnixMillis, spent_today_usd: Option<f64>) -> Flow {
    let requests = f64::from(sum.requests);
    // The last slice is not over yet.
    let seconds = now.since(sum.start).as_secs_f64().max(1.0);
    Flow {
        requests: u64::from(sum.requests),
        requests_per_s: requests / seconds,
        success: (sum.requests > 0).then(|| 1.0 - f64::from(sum.unserved) / requests),
        fallbacks: u64::from(sum.fallbacks),
        ttft_ms: quantiles(&sum.first_token),
        answer_ms: quantiles(&sum.answer),
        spent_today_usd,
    }
}

fn quantiles(times: &Times) -> Quantiles {
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| times.quantile_ms(q));
    Quantiles { p50, p95, p99 }
}

fn latencies(times: &Times) -> Latencies {
    let (le_ms, counts) = times.buckets().unzip();
    Latencies { le_ms, counts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::traffic::Fate;

    #[test]
    fn a_series_has_every_slice_and_the_last_is_the_one_that_is_being_filled() {
        let mut traffic = Traffic::default();
        let nobody = Fate { served_by: None, stream: false, waited: Duration::ZERO };
        let now = UnixMillis(1_800_000_003_000);
        for (ago, times) in [(55, 1), (49, 1), (30, 2), (0, 3)] {
            (0..times).for_each(|_| traffic.record(now - Duration::from_secs(ago), nobody, [].into_iter()));
        }
        let minute = Duration::from_secs(60);
        assert_eq!(series(&traffic, minute, now, |slice| slice.requests), [1, 0, 2, 0, 0, 3]);
        assert_eq!(series(&traffic, SLICE, now, |slice| slice.requests), [3]);
        assert_eq!(first(minute, now), UnixMillis(1_799_999_950_000));
        let flow = flow(&traffic.sum(minute, now), now, None);
        assert_eq!((flow.requests, flow.success), (6, Some(0.0)));
        assert!((flow.requests_per_s - 6.0 / 53.0).abs() < 1e-9, "{flow:?}");
    }

    #[test]
    fn a_window_is_of_whole_slices() {
        assert_eq!(window(Some(59), 300).unwrap(), Duration::from_secs(50));
        assert_eq!(window(None, 300).unwrap(), Duration::from_secs(300));
        assert!(window(Some(9), 300).is_err() && window(Some(601), 300).is_err());
    }
}
