//! What has happened lately at each endpoint? Sums and quantiles over a window.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asker::Asker;
use super::error::AdminError;
use super::input::Asked;
use crate::api::error::ErrorReport;
use crate::api::statistics::{Quantiles, Statistics, TargetStatistics};
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::live::View;
use crate::proxy::Gateway;
use crate::stats::Distribution;
use crate::store::record::Role;

/// The longest window that is kept, in seconds.
const LONGEST_S: u64 = 900;

/// The window wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// The window, in seconds.
    #[param(minimum = 5, maximum = 900, default = 300)]
    window_s: Option<u64>,
}

/// Sums and quantiles of every endpoint that has done anything since the start.
#[utoipa::path(
    get, path = "/admin/v1/statistics", operation_id = "read_statistics", tag = "traffic", params(Wanted),
    responses((status = 200, body = Statistics), (status = "4XX", body = ErrorReport))
)]
pub async fn statistics(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Answer<Statistics>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let seconds = wanted.window_s.unwrap_or(300);
    if !(5..=LONGEST_S).contains(&seconds) {
        return Err(AdminError::Bad(format!("The query: window_s is {seconds}; expected 5 to {LONGEST_S}.")));
    }
    let view = gateway.live.view();
    let now = gateway.live.clock.now();
    let window = Duration::from_secs(seconds);
    let count = u32::try_from(view.catalog.endpoints.len()).unwrap_or(u32::MAX);
    let targets = (0..count).map(EndpointIdx).filter_map(|idx| of_endpoint(&view, idx, window, now)).collect();
    Ok(Answer(Statistics { window_s: seconds, targets }))
}

fn of_endpoint(view: &View, idx: EndpointIdx, window: Duration, now: UnixMillis) -> Option<TargetStatistics> {
    view.endpoint(idx).history(|history| {
        if history.since_start().attempts() == 0 {
            return None;
        }
        let sums = history.sums(window, now);
        let quantiles = |what| {
            let at = |q| history.quantile(what, q, window, now).map(|time| time.as_secs_f64() * 1e3);
            Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
        };
        let failures = FailureKind::ALL.iter().zip(sums.failures).filter(|(_, count)| *count > 0);
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
            memory_bytes: history.memory_bytes() as u64,
        })
    })
}
