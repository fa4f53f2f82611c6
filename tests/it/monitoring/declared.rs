//! Do dashboards, rules and the product speak of the same metrics?

use std::collections::{BTreeMap, BTreeSet};

use pointsman::telemetry::metrics::{ALL, Kind, Metric};

use super::files::{Dashboard, documents, list, string, text};
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
        assert!(!named.selectors.is_empty() || expression.starts_with("vector("), "{at} asks for nothing: {expression}");
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

#[test]
fn what_a_panel_takes_for_a_failure_is_one() {
    use pointsman::domain::failure::FailureKind;
    let failures: BTreeSet<&str> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
    for file in ["grafana/prometheus/rules.yml", "grafana/prometheus/alerts.yml"] {
        for word in ["connect|timeout|rate_limited|server_error|credential|model_gone|malformed|broken_stream"] {
            let named = text(file).contains(word);
            assert!(!named || word.split('|').all(|kind| failures.contains(kind)), "{file}: {word}");
        }
    }
}
