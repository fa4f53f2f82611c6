//! Do dashboards, rules and the product speak of the same metrics?

use std::collections::{BTreeMap, BTreeSet};

use pointsman::domain::client_protocol::ClientProtocol;
use pointsman::domain::failure::FailureKind;
use pointsman::domain::outcome::RequestOutcome;
use pointsman::domain::purpose::Purpose;
use pointsman::live::sorting::Reason;
use pointsman::telemetry::metrics::labels::{
    CALL_RESULTS, KEY_STATES, SPAN_RESULTS, STRATEGIES, TARGET_STATES, TOKEN_TYPES,
};
use pointsman::telemetry::metrics::{ALL, Kind, Metric};

use super::files::{Dashboard, documents, list, string};
use super::promql::{Matcher, named};

/// Labels that Prometheus adds to whatever it scrapes.
const SCRAPED: &[&str] = &["instance", "job"];
/// Series of Prometheus's own, with their labels.
const ITS_OWN: &[(&str, &[&str])] =
    &[("up", &[]), ("ALERTS", &["alertname", "alertstate", "severity", "alias", "target", "name"])];

/// Labels whose values are names that somebody has chosen.
const NAMES: &[&str] = &["alertname", "alias", "gen_ai_request_model", "instance", "job", "project", "target"];

/// What is declared: the name of every series, and its labels.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for Metric { name, kind, labels, .. } in ALL {
        let labels: BTreeSet<String> = labels.iter().chain(SCRAPED).map(|label| (*label).to_owned()).collect();
        if matches!(kind, Kind::Histogram(_)) {
            let buckets = labels.iter().cloned().chain(["le".to_owned()]).collect();
            all.insert(format!("{name}_bucket"), buckets);
            all.insert(format!("{name}_sum"), labels.clone());
            all.insert(format!("{name}_count"), labels);
        } else {
            all.insert((*name).to_owned(), labels);
        }
    }
    for (name, labels) in ITS_OWN {
        all.insert((*name).to_owned(), labels.iter().chain(SCRAPED).map(|label| (*label).to_owned()).collect());
    }
    all
}

/// Everything that is asked, with where it stands; and what recording rules make, with their labels, which are those
/// before the colon.
async fn asked() -> (Vec<(String, String)>, BTreeMap<String, BTreeSet<String>>) {
    let mut asked: Vec<(String, String)> = Dashboard::all().iter().flat_map(Dashboard::expressions).collect();
    let mut recorded = BTreeMap::new();
    for file in documents(&["grafana/prometheus/rules.yml", "grafana/prometheus/alerts.yml"]).await {
        for rule in list(&file["groups"]).flat_map(|group| list(&group["rules"])) {
            if let Some(name) = rule["record"].as_str() {
                let labels = name.split(':').next().unwrap_or_default().split('_').filter(|of| *of != "pointsman");
                recorded.insert(name.to_owned(), labels.map(str::to_owned).collect());
            }
            let name = rule["record"].as_str().or(rule["alert"].as_str()).expect("a name");
            asked.push((name.to_owned(), string(&rule["expr"]).to_owned()));
        }
    }
    (asked, recorded)
}

#[tokio::test]
async fn every_metric_and_label_that_is_asked_for_is_declared() {
    let (asked, recorded) = asked().await;
    assert!(asked.len() > 150, "{}", asked.len());
    let mut known = declared();
    known.extend(recorded);
    let mut wrong = Vec::new();
    for (at, expression) in asked {
        let named = named(&expression);
        assert!(
            !named.selectors.is_empty() || expression.starts_with("vector("),
            "{at} asks for nothing: {expression}"
        );
        let mut there = named.made;
        for (metric, matchers) in named.selectors {
            let Some(known) = known.get(&metric) else {
                wrong.push(format!("{at}: there is no {metric}"));
                continue;
            };
            let labels: BTreeSet<String> = matchers.into_iter().map(|matcher| matcher.label).collect();
            wrong.extend(labels.difference(known).map(|label| format!("{at}: {metric} has no label {label}")));
            there.extend(known.iter().cloned());
        }
        wrong.extend(named.grouped.difference(&there).map(|label| format!("{at}: nothing has the label {label}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_metric_that_is_declared_is_shown_somewhere() {
    let (asked, _) = asked().await;
    let used: BTreeSet<String> =
        asked.iter().flat_map(|(_, expression)| named(expression).selectors).map(|(metric, _)| metric).collect();
    let is_used = |metric: &Metric| {
        ["", "_bucket", "_count", "_sum"].iter().any(|part| used.contains(&format!("{}{part}", metric.name)))
    };
    let idle: Vec<&str> = ALL.iter().filter(|metric| !is_used(metric)).map(|metric| metric.name).collect();
    assert!(idle.is_empty(), "neither a dashboard nor a rule uses {idle:?}");
}

/// Every matcher: where it stands, of which metric, and what it wants.
async fn matchers() -> Vec<(String, String, Matcher)> {
    let of_one = |(at, expression): (String, String)| {
        let selectors = named(&expression).selectors.into_iter();
        selectors.flat_map(move |(metric, matchers)| {
            let at = at.clone();
            matchers.into_iter().map(move |matcher| (at.clone(), metric.clone(), matcher))
        })
    };
    asked().await.0.into_iter().flat_map(of_one).collect()
}

#[tokio::test]
async fn what_counts_against_us_is_what_the_product_calls_our_failure() {
    let ours: BTreeSet<&str> = RequestOutcome::ALL
        .into_iter()
        .filter(|outcome| outcome.is_our_failure())
        .map(RequestOutcome::as_str)
        .collect();
    let mut counted = 0;
    let matchers = matchers().await;
    let of_requests = |metric: &str, label: &str| metric == "pointsman_requests_total" && label == "outcome";
    for (at, _, matcher) in matchers.iter().filter(|(_, metric, matcher)| of_requests(metric, &matcher.label)) {
        let failed: BTreeSet<&str> = matcher.value.split('|').filter(|word| ours.contains(word)).collect();
        assert!(failed.is_empty() || failed == ours, "{at} counts some failures and not all: {}", matcher.value);
        counted += usize::from(failed == ours);
    }
    assert!(counted > 10, "{counted}");
}

/// The words that a label of a metric may hold, where that is a closed set.
fn words(metric: &str, label: &str) -> Option<BTreeSet<&'static str>> {
    let failures = || FailureKind::ALL.into_iter().map(FailureKind::as_str);
    let outcomes = || RequestOutcome::ALL.into_iter().map(RequestOutcome::as_str);
    Some(match (metric, label) {
        ("pointsman_requests_total", "outcome") => outcomes().collect(),
        ("pointsman_attempts_total", "outcome") => failures().chain(["ok"]).collect(),
        ("pointsman_project_requests_total", "outcome") => ["ok", "failed"].into(),
        ("pointsman_target_state", "state") => TARGET_STATES.into(),
        ("pointsman_keys", "state") => KEY_STATES.into(),
        ("pointsman_redis_calls_total", "result") => CALL_RESULTS.into(),
        ("pointsman_spans_total", "result") => SPAN_RESULTS.into(),
        ("pointsman_fallbacks_total", "reason") => failures().collect(),
        ("pointsman_category_decisions_total", "reason") => {
            Reason::ALL.into_iter().map(Reason::as_str).chain(["match"]).collect()
        }
        ("ALERTS", "alertstate") => ["pending", "firing"].into(),
        (_, "error_type") => outcomes().chain(failures()).chain([""]).collect(),
        (_, "protocol") => ClientProtocol::ALL.into_iter().map(ClientProtocol::as_str).collect(),
        (_, "purpose") => Purpose::ALL.into_iter().map(Purpose::as_str).collect(),
        (_, "strategy") => STRATEGIES.into(),
        (_, "type") => TOKEN_TYPES.into(),
        _ => return None,
    })
}

#[tokio::test]
async fn every_word_that_is_asked_for_is_one_that_the_product_says() {
    let mut wrong = Vec::new();
    for (at, metric, Matcher { label, operator, value }) in matchers().await {
        let Some(words) = words(&metric, &label) else {
            let bounds = || ALL.iter().find_map(|of| bounds(of).filter(|_| metric == format!("{}_bucket", of.name)));
            let known = match label.as_str() {
                "le" => bounds().into_iter().flatten().any(|bound| le(*bound) == format!("le{operator}\"{value}\"")),
                name => NAMES.contains(&name),
            };
            wrong.extend((!known).then(|| format!("{at}: {metric} with {label}{operator}{value}")));
            continue;
        };
        let unknown = value.split('|').filter(|word| !words.contains(word));
        wrong.extend(unknown.map(|word| format!("{at}: no {label} of {metric} is {word}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The bounds of a histogram.
fn bounds(metric: &Metric) -> Option<&'static [f64]> {
    match metric.kind {
        Kind::Histogram(bounds) => Some(bounds),
        Kind::Counter | Kind::Gauge => None,
    }
}

/// How a bucket is asked for: whole bounds have a point and a zero in Prometheus 3, and none in 2.
pub fn le(bound: f64) -> String {
    if bound.fract() == 0.0 { format!(r#"le=~"{bound}(\\.0)?""#) } else { format!("le=\"{bound}\"") }
}

#[test]
fn every_way_in_which_an_attempt_can_fail_is_on_a_panel() {
    let all: BTreeSet<&str> = FailureKind::ALL.into_iter().map(FailureKind::as_str).collect();
    for of in ["pointsman-alias", "pointsman-targets"] {
        let dashboard = Dashboard::all().into_iter().find(|dashboard| dashboard.uid() == of).expect("it is there");
        let mut shown: Vec<String> = Vec::new();
        for panel in dashboard.panels() {
            for expression in list(&panel["targets"]).map(|query| string(&query["expr"])) {
                let named = named(expression);
                let (metric, matchers) = &named.selectors[0];
                if metric == "pointsman_attempts_total" && named.grouped.contains("outcome") {
                    let outcomes = matchers.iter().find(|matcher| matcher.label == "outcome").expect("outcomes");
                    shown.extend(outcomes.value.split('|').map(str::to_owned));
                }
            }
        }
        let different: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
        assert_eq!(different, all, "{of}");
        assert_eq!(shown.len(), all.len(), "{of} shows some twice");
    }
}
