//! Do dashboards, rules and the product speak of the same metrics?

use std::collections::{BTreeMap, BTreeSet};

use pointsman::domain::failure::FailureKind;
use pointsman::domain::outcome::RequestOutcome;
use pointsman::telemetry::metrics::{ALL, Kind, Metric};

use super::files::{Dashboard, documents, list, string};
use super::promql::named;

/// Labels that Prometheus adds to whatever it scrapes.
const SCRAPED: &[&str] = &["instance", "job"];
/// Series of Prometheus's own, with their labels.
const ITS_OWN: &[(&str, &[&str])] =
    &[("up", &[]), ("ALERTS", &["alertname", "alertstate", "severity", "alias", "target", "name"])];

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
        for (metric, labels) in named.selectors {
            let Some(known) = known.get(&metric) else {
                wrong.push(format!("{at}: there is no {metric}"));
                continue;
            };
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

#[tokio::test]
async fn what_counts_against_us_is_what_the_product_calls_our_failure() {
    let ours: BTreeSet<&str> = RequestOutcome::ALL
        .into_iter()
        .filter(|outcome| outcome.is_our_failure())
        .map(RequestOutcome::as_str)
        .collect();
    let outcomes: BTreeSet<&str> = RequestOutcome::ALL.into_iter().map(RequestOutcome::as_str).collect();
    let attempts: BTreeSet<&str> = FailureKind::ALL.into_iter().map(FailureKind::as_str).chain(["ok"]).collect();
    let mut counted = 0;
    for (at, expression) in asked().await.0 {
        for (before, after) in expression.match_indices("outcome").map(|(at, _)| expression.split_at(at)) {
            let Some((operator, rest)) = after["outcome".len()..].split_once('"') else { continue };
            if !["=", "=~", "!="].contains(&operator) {
                continue;
            }
            let words: BTreeSet<&str> = rest.split('"').next().unwrap_or_default().split('|').collect();
            let metric = before.rsplit('{').nth(1).unwrap_or(before);
            if metric.ends_with("attempts_total") {
                assert!(words.is_subset(&attempts), "{at}: {words:?}");
            } else if metric.ends_with("project_requests_total") {
                assert_eq!(words, ["failed"].into(), "{at}");
            } else {
                assert!(words.is_subset(&outcomes), "{at}: {words:?}");
                let failed: BTreeSet<&str> = words.iter().copied().filter(|word| ours.contains(word)).collect();
                assert!(failed.is_empty() || failed == ours, "{at} counts some failures and not all: {words:?}");
                counted += usize::from(failed == ours);
            }
        }
    }
    assert!(counted > 10, "{counted}");
}
