//! What it costs to tell of a request and an attempt, and to make the page for Prometheus.
//!
//! `cargo bench --bench telemetry`

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use pointsman::domain::client_protocol::{ClientProtocol, OperationName};
use pointsman::domain::ids::EndpointId;
use pointsman::domain::money::PicoUsd;
use pointsman::domain::outcome::RequestOutcome;
use pointsman::domain::purpose::Purpose;
use pointsman::domain::usage::TokenUsage;
use pointsman::telemetry::Telemetry;
use pointsman::telemetry::metrics::{Ended, Metrics, Page};
use pointsman::telemetry::request::OpenRequest;
use tokio::time::Instant;

fn main() {
    divan::main();
}

const USAGE: TokenUsage = TokenUsage { input: 120, cached_input: 0, cache_write: 0, output: 50, reasoning: 0 };

fn ended() -> Ended {
    Ended {
        strategy: "lowest-latency",
        protocol: ClientProtocol::ChatCompletions,
        outcome: RequestOutcome::Ok,
        took: Duration::from_millis(900),
        first_token: Some(Duration::from_millis(300)),
        streamed_tokens: Some(50),
    }
}

/// Values of histograms are kept until they are put into buckets, as the gateway does every two
/// seconds; here after so many.
const UPKEEP_AFTER: usize = 4096;

/// A request of a stream: a counter and three histograms.
#[divan::bench(threads = [1, 2])]
fn a_request_ends(bencher: Bencher<'_, '_>) {
    let metrics = Arc::new(Metrics::default());
    let alias = metrics.alias("chat");
    let count = std::sync::atomic::AtomicUsize::new(0);
    bencher.bench(|| {
        alias.ended(&ended());
        if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(UPKEEP_AFTER) {
            metrics.upkeep();
        }
    });
}

/// An attempt: four counters, three histograms and a sum.
#[divan::bench(threads = [1, 2])]
fn an_attempt_ends(bencher: Bencher<'_, '_>) {
    let metrics = Arc::new(Metrics::default());
    let pair = metrics.alias("chat").pair(&EndpointId::new("m@p"));
    let target = metrics.target("m@p", "p", "m");
    let count = std::sync::atomic::AtomicUsize::new(0);
    bencher.bench(|| {
        pair.attempted(Purpose::Usual, None, &USAGE, PicoUsd(100));
        target.attempted(OperationName::Chat, None, Duration::from_millis(900), &USAGE);
        if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(UPKEEP_AFTER) {
            metrics.upkeep();
        }
    });
}

/// All of a request's own account, nothing logged and nothing traced.
#[divan::bench]
fn a_request_from_its_head_to_its_end(bencher: Bencher<'_, '_>) {
    let telemetry = Arc::new(Telemetry::default());
    let alias = telemetry.metrics.alias("chat");
    let headers = http::HeaderMap::new();
    let mut count = 0;
    bencher.bench_local(|| {
        let open = OpenRequest::new(&telemetry);
        open.came_by(ClientProtocol::ChatCompletions, &headers, "/v1/chat/completions");
        open.read(Instant::now(), true, b"");
        open.resolved(Arc::clone(&alias), "lowest-latency");
        open.committed(Instant::now());
        open.attempted(true, None, &USAGE, PicoUsd(100));
        count += 1;
        if count % UPKEEP_AFTER == 0 {
            telemetry.metrics.upkeep();
        }
    });
}

/// The page of so many aliases with three targets each, one way of failing seen.
#[divan::bench(args = [10, 1000])]
fn the_page(bencher: Bencher<'_, '_>, aliases: usize) {
    let metrics = Arc::new(Metrics::default());
    for i in 0..aliases {
        let alias = metrics.alias(&format!("alias-{i}"));
        alias.ended(&ended());
        alias.ended(&Ended { outcome: RequestOutcome::UpstreamFailed, ..ended() });
        for target in ["m@a", "m@b", "m@c"] {
            alias.pair(&EndpointId::new(target)).attempted(Purpose::Usual, None, &USAGE, PicoUsd(100));
        }
    }
    bencher.bench_local(|| metrics.render(Page::default()).len());
}
