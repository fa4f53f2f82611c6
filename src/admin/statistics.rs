//! What has happened lately at each endpoint? Sums and quantiles over a window.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::live::View;
use crate::proxy::Gateway;
use crate::stats::Distribution;

/// The longest window that is kept, in seconds.
const LONGEST_S: u64 = 900;

/// The window wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    window_s: Option<u64>,
}

/// `GET /admin/v1/statistics?window_s=300`: every endpoint that has done anything since the
/// start.
pub async fn statistics(State(gateway): State<Arc<Gateway>>, Query(wanted): Query<Wanted>) -> Response {
    let seconds = wanted.window_s.unwrap_or(300);
    if !(5..=LONGEST_S).contains(&seconds) {
        let message = format!("window_s is {seconds}; expected 5 to {LONGEST_S}");
        return (StatusCode::BAD_REQUEST, Json(json!({"error": {"message": message}}))).into_response();
    }
    let view = gateway.live.view();
    let now = gateway.live.clock.now();
    let window = Duration::from_secs(seconds);
    let count = u32::try_from(view.catalog.endpoints.len()).unwrap_or(u32::MAX);
    let targets: Vec<TargetStatistics<'_>> =
        (0..count).map(EndpointIdx).filter_map(|idx| of_endpoint(&view, idx, window, now)).collect();
    Json(json!({"window_s": seconds, "targets": targets})).into_response()
}

#[derive(Serialize)]
struct TargetStatistics<'a> {
    target: &'a str,
    attempts: u64,
    successes: u64,
    failures: Map<String, Value>,
    streams: u64,
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    cost_usd: f64,
    /// Output tokens per second of generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second: Option<f64>,
    ttft_ms: Quantiles,
    token_ms: Quantiles,
    stream_total_ms: Quantiles,
    answer_total_ms: Quantiles,
    queued_ms: Quantiles,
    memory_bytes: usize,
}

/// Empty where nothing was recorded.
#[derive(Serialize)]
struct Quantiles {
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
}

fn of_endpoint(view: &View, idx: EndpointIdx, window: Duration, now: UnixMillis) -> Option<TargetStatistics<'_>> {
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
            target: view.catalog.endpoint(idx).id.as_str(),
            attempts: sums.attempts(),
            successes: sums.successes,
            failures: failures.map(|(kind, count)| (kind.to_string(), count.into())).collect(),
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
            memory_bytes: history.memory_bytes(),
        })
    })
}
