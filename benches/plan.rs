//! What does a decision cost? `rank` over 2, 8 and 64 targets that are all well, with the
//! allocations it makes; and what does recording an attempt cost? `cargo bench --bench plan`.

use std::fmt::Write as _;
use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use pointsman::config;
use pointsman::domain::catalog::Catalog;
use pointsman::domain::feature::FeatureSet;
use pointsman::domain::provider::Limits;
use pointsman::domain::time::UnixMillis;
use pointsman::routing::facts::Fit;
use pointsman::routing::{EndpointState, Narrowing, Query, RequestFacts, Snapshot, rank};
use pointsman::stats::{AliasStats, Ask, End, EndpointStats, Reading};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const TARGETS: [usize; 3] = [2, 8, 64];

fn main() {
    divan::main();
}

#[divan::bench(args = TARGETS)]
fn priority(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "priority", targets);
}

#[divan::bench(args = TARGETS)]
fn random_shuffle(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "random-shuffle", targets);
}

#[divan::bench(args = TARGETS)]
fn lowest_latency(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "lowest-latency", targets);
}

#[divan::bench(args = TARGETS)]
fn highest_throughput(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "highest-throughput", targets);
}

#[divan::bench(args = TARGETS)]
fn lowest_usage(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "lowest-usage", targets);
}

#[divan::bench(args = TARGETS)]
fn lowest_price(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "lowest-price", targets);
}

fn decide(bencher: Bencher<'_, '_>, strategy: &str, targets: usize) {
    let catalog = catalog(strategy, targets);
    let alias = catalog.alias(catalog.alias_by_name["bench"]);
    let able = Some(FeatureSet::EMPTY);
    let facts = RequestFacts {
        fit: Fit { openai: able, openai_responses: able, anthropic: able, gemini: able },
        prompt_tokens: 1000,
        ..RequestFacts::default()
    };
    let narrowing = Narrowing::default();
    let query = Query { catalog: &catalog, alias, facts: &facts, narrowing: &narrowing, now: UnixMillis(1_000_000) };
    let state = EndpointState { reading: measured(query.now), ..EndpointState::default() };
    let snapshot = Snapshot {
        endpoints: std::iter::repeat_n(state, targets).collect(),
        alias: AliasStats::default().reading(None),
        home: None,
    };
    let mut rng = StdRng::seed_from_u64(1);
    bencher.bench_local(|| {
        let plan = rank(&query, &snapshot, &mut rng);
        assert_eq!(plan.candidates.len(), targets);
        plan
    });
}

/// What is known of an endpoint after a hundred streams.
fn measured(now: UnixMillis) -> Reading {
    let mut stats = EndpointStats::new(Limits::default());
    for _ in 0..100 {
        record(&mut stats, now);
    }
    stats.reading(now)
}

/// One stream, told of when it begins, at its first token and at its end.
fn record(stats: &mut EndpointStats, now: UnixMillis) {
    let ask = Ask { prompt_tokens: 100, output_tokens: 100, stream: true, ..Ask::default() };
    if let Ok(mut ticket) = stats.begin(&ask, now) {
        stats.first_token(&mut ticket, Duration::from_millis(200), now);
        stats.end(ticket, &End { elapsed: Duration::from_millis(900), ..End::default() }, now, 0.5);
    }
}

/// A whole attempt as it is recorded: what it costs beside a decision.
#[divan::bench]
fn recording(bencher: Bencher<'_, '_>) {
    let now = UnixMillis(1_000_000);
    let mut stats = EndpointStats::new(Limits::default());
    bencher.bench_local(|| {
        record(&mut stats, now);
        stats.reading(now)
    });
}

/// An alias over so many models, each at a provider of its own.
fn catalog(strategy: &str, targets: usize) -> Catalog {
    let mut text = String::new();
    let mut list = String::new();
    for at in 0..targets {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n\
             [[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n"
        );
        let _ = write!(list, "{{ model = \"p{at}/m\", weight = {} }}, ", at + 1);
    }
    let _ = write!(text, "[[aliases]]\nname = \"bench\"\nstrategy = \"{strategy}\"\ntargets = [{list}]\n");
    let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    match config::parse(&text, &|_| None, &files) {
        Ok(config) => config.catalog,
        Err(problems) => panic!("{problems}"),
    }
}
