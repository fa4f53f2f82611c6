//! What has happened lately at each endpoint? Sums and quantiles over a window, of all
//! replicas together where there are several.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::asker::Asker;
use super::error::AdminError;
use super::input::Asked;
use crate::api::error::ErrorReport;
use crate::api::statistics::{Quantiles, Statistics, TargetStatistics};
use crate::control::Control;
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::live::View;
use crate::proxy::Gateway;
use crate::stats::Distribution;
use crate::stats::share::Voices;
use crate::store::record::Role;

/// The longest window that is kept, in seconds.
const LONGEST_S: u64 = 900;

/// What is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// The window, in seconds.
    #[param(minimum = 5, maximum = 900, default = 300)]
    window_s: Option<u64>,
    /// Of all replicas together, or of this one alone.
    #[param(inline, default = "fleet")]
    scope: Option<Scope>,
}

/// Whose statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Those of all replicas, as far as they have told: the last five seconds of others may be
    /// missing.
    #[default]
    Fleet,
    /// Those of this replica.
    Replica,
}

/// Sums and quantiles of every endpoint that has done anything.
#[utoipa::path(
    get, path = "/admin/v1/statistics", operation_id = "read_statistics", tag = "traffic", params(Wanted),
    responses((status = 200, body = Statistics), (status = "4XX", body = ErrorReport))
)]
pub async fn statistics(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    State(control): State<Arc<Control>>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Answer<Statistics>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let seconds = wanted.window_s.unwrap_or(300);
    if !(5..=LONGEST_S).contains(&seconds) {
        return Err(AdminError::Bad(format!("The query: window_s is {seconds}; expected 5 to {LONGEST_S}.")));
    }
    let scope = wanted.scope.unwrap_or_default();
    let view = gateway.live.view();
    let now = gateway.live.clock.now();
    let window = Duration::from_secs(seconds);
    let count = u32::try_from(view.catalog.endpoints.len()).unwrap_or(u32::MAX);
    let targets = (0..count).map(EndpointIdx).filter_map(|idx| of_endpoint(&view, idx, scope, window, now)).collect();
    let heard = control.fleet.as_ref().filter(|_| scope == Scope::Fleet);
    let heard = heard.map(|fleet| super::replica::heard(&fleet.telemetry.standing().fleet, now));
    Ok(Answer(Statistics { window_s: seconds, heard, targets }))
}

/// Those of one endpoint, if it was ever called.
pub fn of_endpoint(
    view: &View,
    idx: EndpointIdx,
    scope: Scope,
    window: Duration,
    now: UnixMillis,
) -> Option<TargetStatistics> {
    view.endpoint(idx).histories(|history, voices| {
        let voices = voices.filter(|_| scope == Scope::Fleet);
        let others = voices.map_or(0, |voices| voices.since_start().attempts());
        if history.since_start().attempts() + others == 0 {
            return None;
        }
        let mut sums = history.sums(window, now);
        if let Some(voices) = voices {
            voices.history().add_sums(&mut sums, window, now);
        }
        let quantiles = |what| {
            let mut others = voices.into_iter().flat_map(|voices| voices.history().buckets(what, window, now));
            let times = history.quantiles(what, [0.5, 0.95, 0.99], window, now, &mut others);
            let [p50, p95, p99] = times.map_or([None; 3], |times| times.map(|time| Some(time.as_secs_f64() * 1e3)));
            Quantiles { p50, p95, p99 }
        };
        let failures = FailureKind::ALL.iter().zip(sums.failures).filter(|(_, count)| *count > 0);
        let memory = history.memory_bytes() + voices.map_or(0, Voices::memory_bytes);
        Some(TargetStatistics {
            target: view.catalog.endpoint(idx).id.to_string(),
            attempts: sums.attempts(),
            successes: sums.successes,
            failures: failures.map(|(kind, count)| (kind.to_string(), count)).collect(),
            streams: sums.streams,
            input_tokens: sums.usage.input,
            cached_input_tokens: sums.usage.cached_input,
            output_tokens: sums.usage.output,
            cost_usd: sums.cost.as_usd(),
            tokens_per_second: (sums.generation_us > 0)
                .then(|| sums.generated as f64 / (sums.generation_us as f64 / 1e6)),
            ttft_ms: quantiles(Distribution::FirstToken),
            token_ms: quantiles(Distribution::PerToken),
            stream_total_ms: quantiles(Distribution::StreamTotal),
            answer_total_ms: quantiles(Distribution::AnswerTotal),
            queued_ms: quantiles(Distribution::Queued),
            memory_bytes: memory as u64,
        })
    })
}
