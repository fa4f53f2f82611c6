//! Two replicas under a load with failures, refusals and callers who leave, and a real
//! Prometheus: does every expression have something to show, and are the counts the same?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::files::{Dashboard, list, string};
use super::load::{Counted, Until, send};
use super::prometheus::{Prometheus, Series, promtool};
use super::scaled;
use crate::support::chat::Asked;
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::redis::Redis;
use crate::support::sim::Sim;
use crate::support::{PATIENCE, eventually, http};
use crate::telemetry::collector::Collector;

/// A table whose columns are labels of alerts, of which not all fire here.
const ALERTS: &str = "Alerts";

/// Providers: their names and behaviour. Some answer, the others have one fault each.
fn providers() -> Vec<(&'static str, Value)> {
    vec![
        ("one", json!({"cached_share": 0.5})),
        ("two", json!({})),
        ("bad", json!({"faults": [{"kind": "status", "code": 503}]})),
        ("worse", json!({"faults": [{"kind": "status", "code": 500}]})),
        ("cutting", json!({"faults": [{"kind": "cut", "after_tokens": 5}]})),
        ("slow", json!({"token_ms": 40, "output_tokens": 200})),
        ("f1", json!({"ttft_ms": 10, "faults": [{"kind": "slow_headers", "ms": 200, "share": 0.2}]})),
        ("f2", json!({"ttft_ms": 10, "faults": [{"kind": "slow_headers", "ms": 200, "share": 0.2}]})),
    ]
}

const CODING: &str = "Write a Python function that checks whether a string is a palindrome.";

/// A round of requests: to whom, how, by which key, and how long their callers stay.
fn round() -> Vec<(Asked<'static>, Until)> {
    let asked = |alias| Asked { alias, ..Asked::default() };
    let stream = |alias| Asked { alias, stream: true, ..Asked::default() };
    let mut all = vec![
        (asked("whole"), Until::TheEnd),
        (stream("whole"), Until::TheEnd),
        (stream("whole"), Until::TheEnd),
        (asked("flaky"), Until::TheEnd),
        (stream("flaky"), Until::TheEnd),
        (stream("broken"), Until::TheEnd),
        (asked("failing"), Until::TheEnd),
        (stream("left"), Until::TheFirstContent),
        (Asked { prompt: CODING, ..stream("by-task") }, Until::TheEnd),
        (asked("by-task"), Until::TheEnd),
        (asked("invented-by-a-caller"), Until::TheEnd),
        (Asked { key: "pm-wrong", ..asked("whole") }, Until::TheEnd),
        (Asked { more: json!({"temperature": "hot"}), ..asked("whole") }, Until::TheEnd),
        (Asked { key: "pm-few", ..asked("whole") }, Until::TheEnd),
        (Asked { key: "pm-poor", ..asked("whole") }, Until::TheEnd),
    ];
    all.extend((0..6).map(|_| (stream("fastest"), Until::TheEnd)));
    all
}

struct World {
    sims: Vec<Sim>,
    gateways: Vec<Arc<Gateway>>,
    prometheus: Prometheus,
    _redis: Redis,
    _collector: Collector,
}

impl World {
    async fn new() -> Self {
        let redis = Redis::start().await;
        let collector = Collector::start().await;
        let mut sims = Vec::new();
        for (name, behaviour) in providers() {
            sims.push(Sim::start(name, Protocol::OpenAi, behaviour).await);
        }
        let mut config = ConfigText::new("")
            .key("it", "pm-it", None)
            .env("KEY_FEW", "pm-few")
            .env("KEY_POOR", "pm-poor")
            .toml(&format!("[traces]\nendpoint = \"{}\"", collector.url))
            .env("OTEL_BSP_SCHEDULE_DELAY", "100");
        for sim in &sims {
            config = config.provider(sim.name(), sim.protocol(), &sim.base_url(), "");
            config = config.model(sim.name(), "requests_per_minute = 100000\nusd_per_mtok = { input = 1, output = 2 }");
        }
        config = config
            .alias("whole", &["one", "two"], "")
            .alias("flaky", &["bad", "two"], "")
            .alias("broken", &["cutting"], "")
            .alias("failing", &["worse"], "")
            .alias("left", &["slow"], "")
            .alias("fastest", &["f1", "f2"], "strategy = \"lowest-latency\"\nhedge = 0.2\nexplore = 0.2")
            .toml(
                "[[aliases]]\nname = \"by-task\"\nstrategy = \"category\"\n\
                 [[aliases.categories]]\nname = \"coding\"\nstrategy = \"priority\"\ntargets = [{ model = \"worse/m\" }]\n\
                 [[aliases.categories]]\nname = \"default\"\nstrategy = \"priority\"\ntargets = [{ model = \"two/m\" }]\n\
                 [[projects]]\nname = \"few\"\nrequests_per_minute = 6\n\
                 [[projects]]\nname = \"poor\"\nbudget = \"$0.000001/day\"\n\
                 [[keys]]\nname = \"few\"\nkey_env = \"KEY_FEW\"\nproject = \"few\"\n\
                 [[keys]]\nname = \"poor\"\nkey_env = \"KEY_POOR\"\nproject = \"poor\"\n",
            );
        let mut gateways = Vec::new();
        for name in ["r0", "r1"] {
            let store = format!("[store]\npath = \"pointsman.db\"\nurl = \"{}\"\nreplica = \"{name}\"\n", redis.url());
            gateways.push(Arc::new(Gateway::start(&config.clone().toml(&store)).await));
        }
        let addresses: Vec<String> =
            gateways.iter().map(|of| of.admin_url("").trim_start_matches("http://").to_owned()).collect();
        let prometheus = Prometheus::start("1s", &addresses, &scaled::rules(3)).await;
        Self { sims, gateways, prometheus, _redis: redis, _collector: collector }
    }

    /// Sends rounds until it is told to stop, and counts.
    fn load(&self, stop: &Arc<AtomicBool>) -> JoinSet<Counted> {
        let mut loads = JoinSet::new();
        for gateway in &self.gateways {
            let (gateway, client, stop) = (Arc::clone(gateway), http(), Arc::clone(stop));
            loads.spawn(async move {
                let mut counted = Counted::default();
                while !stop.load(Ordering::SeqCst) {
                    let mut sent = JoinSet::new();
                    for (asked, until) in round() {
                        let (gateway, client) = (Arc::clone(&gateway), client.clone());
                        sent.spawn(async move { send(&client, &gateway, &asked, until).await });
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    while let Some(one) = sent.join_next().await {
                        counted.add(one.expect("a request does not panic"));
                    }
                }
                counted
            });
        }
        loads
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_and_rules_have_something_to_show_and_the_counts_are_the_load_generators_own() {
    let world = World::new().await;
    let stop = Arc::default();
    let mut loads = world.load(&stop);
    // Until every window of the rules has seen some of it, and everybody is known.
    tokio::time::sleep(Duration::from_secs(6)).await;
    // On a busy machine a scrape may be late, and a short window empty.
    let since = Instant::now();
    loop {
        let mut wrong = not_shown(&world.prometheus).await;
        wrong.extend(not_working(&world.prometheus).await);
        if wrong.is_empty() {
            break;
        }
        assert!(since.elapsed() < PATIENCE / 2, "\n{}", wrong.join("\n"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut counted = Counted::default();
    while let Some(one) = loads.join_next().await {
        counted.add(one.expect("a load does not panic"));
    }
    pages_are_clean(&world).await;
    requests_are_counted(&world.prometheus, &counted).await;
    attempts_are_counted(&world).await;
    tokens_are_counted(&world.prometheus, &counted).await;
}

async fn pages_are_clean(world: &World) {
    for gateway in &world.gateways {
        let page = http().get(gateway.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
        let file = gateway.folder().join("metrics");
        std::fs::write(&file, &page).unwrap();
        let said = promtool(&["check", "metrics"], gateway.folder(), Some(&file));
        assert_eq!(said, "");
        for secret in ["pm-it", "pm-few", "pm-poor", CODING, "invented-by-a-caller"] {
            assert!(!page.contains(secret), "{secret} is in the page");
        }
    }
}

/// What is wrong with panels, by their own expressions.
async fn not_shown(prometheus: &Prometheus) -> Vec<String> {
    let mut wrong = Vec::new();
    for dashboard in Dashboard::all() {
        for panel in dashboard.panels() {
            let title = string(&panel["title"]);
            let at = format!("{}: {title}", dashboard.uid());
            let mut labels = BTreeSet::new();
            for query in list(&panel["targets"]) {
                let way = if query["instant"] == true { Way::Instant } else { Way::Range };
                match shown(prometheus, string(&query["expr"]), way).await {
                    Err(error) => wrong.push(format!("{at}: {error}")),
                    Ok(series) if series.is_empty() => {
                        wrong.push(format!("{at} has nothing to show: {}", query["expr"]));
                    }
                    Ok(series) => {
                        wrong.extend(misshapen(panel, query, &series).map(|how| format!("{at}: {how}")));
                        labels.extend(series.iter().flat_map(|series| series.labels.keys().cloned()));
                    }
                }
            }
            if panel["type"] == "table" && title != ALERTS {
                let columns = columns(panel).filter(|column| !column.starts_with("Value"));
                wrong.extend(
                    columns.filter(|column| !labels.contains(*column)).map(|column| format!("{at}: no {column}")),
                );
            }
        }
        for (at, expression) in dashboard.expressions() {
            if let Err(error) = shown(prometheus, &expression, Way::Instant).await {
                wrong.push(format!("{at}: {error}"));
            }
        }
    }
    wrong
}

/// How a panel asks.
#[derive(Clone, Copy)]
enum Way {
    Instant,
    Range,
}

/// What an expression shows, of the first alias of which it shows anything.
async fn shown(prometheus: &Prometheus, expression: &str, way: Way) -> Result<Vec<Series>, String> {
    let mut expression = expression.to_owned();
    let variables =
        [("$__rate_interval", "10s"), ("$__range", "20s"), ("$instance", ".+"), ("$target", ".*"), ("$project", ".*")];
    for (variable, value) in variables {
        expression = expression.replace(variable, value);
    }
    expression = expression.replace("=~\"$alias\"", "=~\".*\"");
    for alias in ["whole", "flaky", "fastest", "by-task", "broken", "left"] {
        let of_alias = expression.replace("$alias", alias);
        let answer = match way {
            Way::Instant => prometheus.try_ask(&of_alias).await,
            Way::Range => prometheus.try_draw(&of_alias).await,
        };
        let mut series = answer.map_err(|error| format!("{of_alias}: {error}"))?;
        // A quantile of nothing, which is drawn as a gap.
        series.retain(|series| !series.value.is_nan());
        if !series.is_empty() || of_alias == expression {
            return Ok(series);
        }
    }
    Ok(Vec::new())
}

/// What is wrong with the shape of an answer for its panel.
fn misshapen(panel: &Value, query: &Value, series: &[Series]) -> impl Iterator<Item = String> {
    let mut wrong = Vec::new();
    if panel["type"] == "stat" && series.len() != 1 {
        wrong.push(format!("a single figure has {} series", series.len()));
    }
    let legend = query["legendFormat"].as_str().unwrap_or_default();
    for label in legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label) {
        if series.iter().any(|series| !series.labels.contains_key(label)) {
            wrong.push(format!("a series has no {label} for its name"));
        }
    }
    let names: BTreeSet<String> = series.iter().map(|series| format!("{:?}", series.labels)).collect();
    if names.len() != series.len() {
        wrong.push("two series have the same labels".to_owned());
    }
    wrong.into_iter()
}

fn columns(panel: &Value) -> impl Iterator<Item = &str> {
    let filter = list(&panel["transformations"]).find(|step| step["id"] == "filterFieldsByName").expect("columns");
    list(&filter["options"]["include"]["names"]).map(string)
}

/// What is wrong with rules: they are evaluated without errors, and those that record have recorded.
async fn not_working(prometheus: &Prometheus) -> Vec<String> {
    let rules = prometheus.rules().await;
    assert!(rules.len() > 40, "{}", rules.len());
    let mut wrong = Vec::new();
    for (name, query, error) in rules {
        wrong.extend(error.map(|error| format!("{name}: {error}")));
        let series = prometheus.ask(&query).await;
        if name.contains(':') {
            let good = !series.is_empty() && series.iter().all(|series| !series.value.is_nan());
            let recorded = !prometheus.ask(&name).await.is_empty();
            wrong.extend((!good || !recorded).then(|| format!("{name} ({recorded}): {series:?}")));
        }
    }
    wrong
}

async fn requests_are_counted(prometheus: &Prometheus, counted: &Counted) {
    let mut told = BTreeMap::new();
    for tries in 0.. {
        told = BTreeMap::new();
        for series in prometheus.ask("sum by (alias, outcome) (pointsman_requests_total) > 0").await {
            told.insert((series.label("alias").to_owned(), series.label("outcome").to_owned()), series.value as u64);
        }
        if told == counted.requests || tries > 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(told, counted.requests);
    let outcomes: BTreeSet<&str> = told.keys().map(|(_, outcome)| outcome.as_str()).collect();
    for outcome in [
        "ok",
        "client_gone",
        "broken_stream",
        "denied",
        "unknown_model",
        "invalid_request",
        "rate_limited",
        "over_budget",
    ] {
        assert!(outcomes.contains(outcome), "{outcome} did not happen: {outcomes:?}");
    }
    assert!(outcomes.contains("upstream_failed") || outcomes.contains("unavailable"), "{outcomes:?}");
    assert_eq!(prometheus.ask("sum(pointsman_requests_in_flight)").await[0].value, 0.0);
    // Histograms have the same requests.
    let durations = prometheus
        .by("gen_ai_request_model", "sum by (gen_ai_request_model) (gen_ai_server_request_duration_seconds_count)")
        .await;
    for alias in ["whole", "flaky", "broken", "left", "failing", "fastest", "by-task"] {
        let of_alias = counted.requests.iter().filter(|((name, _), _)| name == alias).map(|(_, count)| count);
        assert_eq!(durations.get(alias).copied(), Some(of_alias.sum::<u64>() as f64), "{alias}");
    }
}

async fn attempts_are_counted(world: &World) {
    // Two copies of a request may both come to their end at the provider, so hedged ones are left out.
    for sim in world.sims.iter().filter(|sim| !sim.name().starts_with('f')) {
        let query = format!("sum by (outcome) (pointsman_attempts_total{{target=\"{0}/m@{0}\"}}) > 0", sim.name());
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        eventually("the attempts are those that the provider has seen", async || {
            ours = world.prometheus.by("outcome", &query).await;
            theirs = BTreeMap::new();
            for (outcome, count) in sim.stats().await["outcomes"].as_object().expect("outcomes") {
                let outcome = match outcome.as_str() {
                    "ok" => "ok",
                    "cut" => "broken_stream",
                    "cancelled" => "client_gone",
                    "status 400" => "invalid_request",
                    status if status.starts_with("status 5") => "server_error",
                    other => panic!("{}: {other}", sim.name()),
                };
                *theirs.entry(outcome.to_owned()).or_insert(0.0) += count.as_f64().expect("a number");
            }
            ours == theirs
        })
        .await;
        assert!(!ours.is_empty(), "{} was never asked", sim.name());
    }
}

async fn tokens_are_counted(prometheus: &Prometheus, counted: &Counted) {
    for alias in ["whole", "flaky", "by-task"] {
        let told = prometheus.by("type", &format!("sum by (type) (pointsman_tokens_total{{alias=\"{alias}\"}})")).await;
        for kind in ["input", "output"] {
            let own = counted.tokens[&(alias.to_owned(), kind.to_owned())];
            assert_eq!(told.get(kind).copied(), Some(own as f64), "{alias} {kind}: {told:?}");
        }
    }
    let cached = prometheus.ask("sum(pointsman_tokens_total{type=\"cached_input\"})").await;
    assert!(cached[0].value > 0.0);
}
