//! How many series can there be? Everything that labels can hold is counted once, and what
//! comes of it is held to the table of `docs/metrics.md`.

use std::sync::Arc;
use std::time::Duration;

use pointsman::domain::client_protocol::{ClientProtocol, OperationName};
use pointsman::domain::failure::FailureKind;
use pointsman::domain::ids::EndpointId;
use pointsman::domain::money::PicoUsd;
use pointsman::domain::outcome::RequestOutcome;
use pointsman::domain::provider::Protocol;
use pointsman::domain::purpose::Purpose;
use pointsman::domain::usage::TokenUsage;
use pointsman::limits;
use pointsman::live::sorting::Reason;
use pointsman::telemetry::metrics::labels::STRATEGIES;
use pointsman::telemetry::metrics::table as of;
use pointsman::telemetry::metrics::{ALL, Ended, Kind, Metric, Metrics, Page};
use serde_json::json;
use tokio::time::Instant;

use super::collector::Collector;
use super::metrics::Scrape;
use crate::support::PATIENCE;
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::redis::Redis;
use crate::support::sim::Sim;

/// Rows of the table and their metrics; the last has all the others.
const ROWS: &[(&str, &[Metric])] = &[
    (
        "requests by alias",
        &[
            of::REQUESTS,
            of::REQUEST_DURATION,
            of::FIRST_TOKEN_TIME,
            of::OUTPUT_TOKEN_TIME,
            of::FALLBACKS,
            of::ALIAS_IN_FLIGHT,
            of::ALIAS_INFO,
            of::ALIAS_SERVABLE,
        ],
    ),
    ("attempts by alias and target", &[of::ATTEMPTS, of::TOKENS_USED, of::COST]),
    ("calls by target", &[of::OPERATION_DURATION, of::FIRST_CHUNK_TIME, of::TOKEN_USAGE]),
    (
        "targets now",
        &[
            of::TARGET_INFO,
            of::TARGET_STATE,
            of::TARGET_IN_FLIGHT,
            of::TARGET_CAPACITY,
            of::TARGET_FIRST_TOKEN,
            of::TARGET_PER_TOKEN,
            of::TARGET_FAILING,
            of::TARGET_BREAKING,
            of::TARGET_LIMIT_USED,
            of::TARGET_LAST_SENT,
        ],
    ),
    ("categories", &[of::CATEGORIES, of::CATEGORIES_EXHAUSTED, of::CATEGORY_CONFIDENCE]),
    ("projects, providers", &[of::PROJECT_REQUESTS, of::PROJECT_COST, of::CONNECT_TIME, of::PROVIDER_IN_FLIGHT]),
    ("limits and budgets", &[of::LIMIT_USED, of::BUDGET_LIMIT, of::BUDGET_REMAINING]),
];

/// What the letters stand for here: as many names of each kind, and all words of each set.
fn letter(letter: char) -> usize {
    match letter {
        'A' | 'T' | 'J' | 'V' | 'G' | 'L' | 'B' => 2,
        'P' | 'C' => 3,
        's' => STRATEGIES.len() - 1,
        'p' => ClientProtocol::COUNT,
        'o' => OperationName::COUNT,
        'f' => FailureKind::ALL.len(),
        other => panic!("{other} stands for nothing"),
    }
}

/// The value of a formula of letters, numbers, `+`, `·` and brackets.
fn value(formula: &str) -> usize {
    let mut depth = 0;
    let (mut sum, mut product) = (None, None);
    for (at, sign) in formula.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            '+' if depth == 0 => sum = Some(at),
            '·' if depth == 0 => product = Some(at),
            _ => {}
        }
    }
    let left = |at: usize| value(&formula[..at]);
    let right = |at: usize| value(formula[at..].trim_start_matches(['+', '·']));
    match (sum, product) {
        (Some(at), _) => left(at) + right(at),
        (None, Some(at)) => left(at) * right(at),
        (None, None) => match formula.trim() {
            inner if inner.starts_with('(') => value(&inner[1..inner.len() - 1]),
            name if name.len() == 1 && name.starts_with(char::is_alphabetic) => name.chars().map(letter).sum(),
            number => number.parse().unwrap_or_else(|_| panic!("{number} is no number")),
        },
    }
}

/// Everything that events can count: names by [`letter`], all words of each set.
fn filled() -> String {
    let metrics = Arc::new(Metrics::default());
    let failures = || FailureKind::ALL.into_iter().map(Some).chain([None]);
    let usage = TokenUsage { input: 5, cached_input: 1, cache_write: 1, output: 5, reasoning: 1 };
    let ended = |alias: &str, strategy| {
        for (protocol, outcome) in
            ClientProtocol::ALL.into_iter().flat_map(|by| RequestOutcome::ALL.map(|outcome| (by, outcome)))
        {
            let time = Duration::from_secs(1);
            let content = !alias.is_empty();
            metrics.alias(alias).ended(&Ended {
                strategy,
                protocol,
                outcome,
                took: time,
                first_token: content.then_some(time),
                streamed_tokens: content.then_some(9),
            });
        }
    };
    ended("", "");
    for alias in ["a0", "a1"] {
        for strategy in STRATEGIES.into_iter().filter(|strategy| !strategy.is_empty()) {
            ended(alias, strategy);
        }
        for reason in FailureKind::ALL {
            metrics.alias(alias).fell_back(reason);
        }
    }
    for (alias, category) in [("a0", "c0"), ("a0", "c1"), ("a1", "c0")] {
        let reasons = Reason::ALL.into_iter().filter(|reason| *reason != Reason::Exhausted).map(Reason::as_str);
        for reason in reasons.chain(["match"]) {
            metrics.alias(alias).sorted(category, reason, Some(0.5));
        }
        metrics.alias(alias).exhausted(category);
    }
    for (alias, target) in [("a0", "t0"), ("a0", "t1"), ("a1", "t0")] {
        for (purpose, failure) in
            Purpose::ALL.into_iter().flat_map(|purpose| failures().map(move |failure| (purpose, failure)))
        {
            metrics.alias(alias).pair(&EndpointId::new(target)).attempted(purpose, failure, &usage, PicoUsd(1));
        }
    }
    for (target, provider) in [("t0", "v0"), ("t1", "v1")] {
        let target = metrics.target(target, provider, "m");
        target.connected(Duration::from_secs(1));
        for operation in ClientProtocol::ALL.map(ClientProtocol::operation) {
            target.first_chunk(operation, Duration::from_secs(1));
            for failure in failures() {
                target.attempted(operation, failure, Duration::from_secs(1), &usage);
            }
        }
    }
    for project in ["j0", "j1"] {
        metrics.project(project).requested(true, 1);
    }
    for owner in limits::Kind::ALL {
        for limit in ["requests", "tokens", "too_large", "in_flight", "budget"].into_iter().enumerate() {
            metrics.refused((owner as usize, owner.as_str()), limit);
        }
    }
    metrics.render(Page::default())
}

/// A replica of two, with all that a page can have of two targets.
async fn page(filled: &Scrape) -> Scrape {
    let (redis, collector) = (Redis::start().await, Collector::start().await);
    let mut config = ConfigText::new("").key("it", "pm-it", None).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let mut sims = Vec::new();
    for provider in ["v0", "v1"] {
        let sim = Sim::start(provider, Protocol::OpenAi, json!({})).await;
        config = config.provider(provider, Protocol::OpenAi, &sim.base_url(), "");
        config = config.model(provider, "requests_per_minute = 1000");
        sims.push(sim);
    }
    let budget = "budget = [\"$1/day\", \"$1/week\", \"$1/month\"]";
    let limits = "requests_per_minute = 1000\ntokens_per_minute = 1000000";
    config = config.alias("a0", &["v0"], budget).alias("a1", &["v1"], budget).toml(&format!(
        "[[projects]]\nname = \"j0\"\n{limits}\n[[projects]]\nname = \"j1\"\n{limits}\n[traces]\nendpoint = \"{}\"",
        collector.url
    ));
    let mut gateways = Vec::new();
    for replica in ["r0", "r1"] {
        let store = format!("[store]\npath = \"pointsman.db\"\nurl = \"{}\"\nreplica = \"{replica}\"\n", redis.url());
        gateways.push(Gateway::start(&config.clone().toml(&store)).await);
    }
    // Who was measured three times is compared with others.
    for alias in ["a0", "a1"].into_iter().cycle().take(8) {
        assert!(ask(&gateways[0], &Asked { alias, stream: true, ..Asked::default() }).await.complete);
    }
    let since = Instant::now();
    loop {
        let page = Scrape::of(&gateways[0]).await;
        let is_missing = |metric: &&Metric| {
            let of_each = metric.labels.iter().any(|label| ["alias", "target"].contains(label));
            count(&page, metric) + count(filled, metric) < if of_each { 2 } else { 1 }
        };
        let missing = ALL.iter().filter(is_missing);
        let missing: Vec<&str> = missing.map(|metric| metric.name).collect();
        if missing.is_empty() {
            return page;
        }
        assert!(since.elapsed() < PATIENCE / 2, "{missing:?} are not there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The series of a metric.
fn count(page: &Scrape, metric: &Metric) -> usize {
    let is_its = |name: &str| match (metric.kind, name.strip_prefix(metric.name)) {
        (Kind::Histogram(_), Some(part)) => ["_bucket", "_sum", "_count"].contains(&part),
        (_, part) => part == Some(""),
    };
    page.samples.iter().filter(|(name, ..)| is_its(name)).count()
}

#[tokio::test]
async fn there_are_as_many_series_as_the_formula_says_and_no_more() {
    let text = include_str!("../../../docs/metrics.md");
    let documented = |row: &str| -> usize {
        let cells = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| {row} | ")))
            .unwrap_or_else(|| panic!("no {row}"));
        value(cells.trim_end_matches(" |").trim_matches('`'))
    };
    let filled = Scrape::from(filled());
    let page = page(&filled).await;
    let count = |metric: &Metric| match count(&filled, metric) {
        0 => count(&page, metric),
        events => events,
    };
    // Requests whose name led nowhere have a row of their own.
    let nameless = filled.samples.iter().filter(|(_, labels, _)| {
        let has = |label: &str| labels.iter().any(|(name, _)| name == label);
        has("protocol") && !has("alias") && !has("gen_ai_request_model")
    });
    let nameless = nameless.count();
    assert_eq!(nameless, documented("requests without an alias"));
    for (row, metrics) in ROWS {
        let counted: usize = metrics.iter().map(count).sum();
        let counted = if *row == "requests by alias" { counted - nameless } else { counted };
        assert_eq!(counted, documented(row), "{row}");
    }
    let in_a_row = |metric: &&Metric| ROWS.iter().any(|(_, metrics)| metrics.contains(metric));
    let others: usize = ALL.iter().filter(|metric| !in_a_row(metric)).map(count).sum();
    assert_eq!(others, documented("everything else"));
}
