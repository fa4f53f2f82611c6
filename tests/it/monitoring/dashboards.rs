//! Can the dashboards be imported, and are they whole?

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::{Dashboard, list, path, string};
use crate::support::python::python;

/// Panels that every Grafana has.
const CORE: &[&str] = &["bargauge", "heatmap", "row", "stat", "state-timeline", "table", "timeseries"];

/// Shares and times of which none is better than another.
const NEUTRAL: &[&str] = &["Read from caches", "Up for"];

#[tokio::test]
async fn dashboards_fit_what_grafana_publishes_of_its_dashboards() {
    let files: Vec<String> = Dashboard::all().iter().map(|of| path(&of.file).display().to_string()).collect();
    assert_eq!(files.len(), 6);
    let args: Vec<&str> = ["dashboards.py"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let said = python("monitoring", &args, &[]).await;
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), files.len(), "{said}");
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_asks_the_chosen_data_source() {
    for dashboard in Dashboard::all() {
        assert!(string(&dashboard.json["description"]).len() > 20, "{}", dashboard.file);
        for panel in dashboard.panels() {
            let at = format!("{}: {}", dashboard.file, panel["title"]);
            assert!(!string(&panel["title"]).is_empty(), "{at}");
            let description = string(&panel["description"]);
            assert!(description.len() > 10 && description.ends_with('.'), "{at}: {description}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{at} has no unit");
            let queries: Vec<&Value> = list(&panel["targets"]).collect();
            assert!(!queries.is_empty(), "{at} asks nothing");
            for source in queries.iter().map(|query| &query["datasource"]).chain([&panel["datasource"]]) {
                assert_eq!(source["uid"], "${datasource}", "{at}");
                assert_eq!(source["type"], "prometheus", "{at}");
            }
            let names: BTreeSet<&str> = queries.iter().map(|query| string(&query["refId"])).collect();
            assert_eq!(names.len(), queries.len(), "{at}: two queries have one name");
        }
    }
}

#[test]
fn figures_that_are_good_or_bad_change_their_colour() {
    for dashboard in Dashboard::all() {
        let figures =
            dashboard.panels().into_iter().filter(|panel| panel["type"] == "stat" || panel["type"] == "bargauge");
        for panel in figures {
            let at = format!("{}: {}", dashboard.file, panel["title"]);
            let defaults = &panel["fieldConfig"]["defaults"];
            let steps: Vec<&Value> = list(&defaults["thresholds"]["steps"]).collect();
            let is_judged = ["percentunit", "s"].contains(&string(&defaults["unit"]));
            assert!(
                steps.len() > 1 || !is_judged || NEUTRAL.contains(&string(&panel["title"])),
                "{at} has no thresholds"
            );
            assert!(steps[0]["value"].is_null(), "{at}: the first step has no beginning");
            let from: Vec<f64> = steps[1..].iter().map(|step| step["value"].as_f64().expect("a number")).collect();
            assert!(from.is_sorted_by(|a, b| a < b), "{at}: {from:?}");
            let warns = steps.iter().any(|step| step["color"] == "orange" || step["color"] == "red");
            assert!(steps.len() == 1 || warns && defaults["color"]["mode"] == "thresholds", "{at} never warns");
        }
    }
}

#[test]
fn dashboards_use_panels_of_grafana_itself_and_number_them_once() {
    for dashboard in Dashboard::all() {
        let panels = dashboard.all_panels();
        let kinds: BTreeSet<&str> = panels.iter().map(|panel| string(&panel["type"])).collect();
        assert!(kinds.iter().all(|kind| CORE.contains(kind)), "{}: {kinds:?}", dashboard.file);
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
        assert_eq!(ids.len(), panels.len(), "{}: an id stands twice", dashboard.file);
        assert!(dashboard.json["id"].is_null(), "{}: an id of some Grafana's own", dashboard.file);
        for panel in panels {
            let of = |what: &str| panel["gridPos"][what].as_u64().expect("a place");
            assert!(of("x") + of("w") <= 24 && of("h") > 0, "{}: {}", dashboard.file, panel["title"]);
        }
    }
}

#[test]
fn no_two_panels_lie_on_each_other() {
    for dashboard in Dashboard::all() {
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard.json["panels"]) {
            let of = |what: &str| panel["gridPos"][what].as_u64().expect("a place");
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(taken.insert((x, y)), "{}: {} lies on another", dashboard.file, panel["title"]);
                }
            }
        }
    }
}

#[test]
fn variables_are_there_where_they_are_used() {
    for dashboard in Dashboard::all() {
        let variables: Vec<&Value> = list(&dashboard.json["templating"]["list"]).collect();
        let names: BTreeSet<&str> = variables.iter().map(|variable| string(&variable["name"])).collect();
        assert!(names.is_superset(&["datasource", "instance"].into()), "{}: {names:?}", dashboard.file);
        for (at, expression) in dashboard.expressions() {
            for used in expression.split('$').skip(1) {
                let end = used.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(used.len());
                let known = names.contains(&used[..end]) || used.starts_with("__") || used.starts_with('1');
                assert!(known, "{at}: ${} is no variable", &used[..end]);
            }
        }
        for name in names.iter().filter(|name| **name != "datasource") {
            let used = dashboard.json["panels"].to_string().contains(&format!("${name}"));
            assert!(used, "{}: the variable {name} changes nothing", dashboard.file);
        }
    }
}

#[test]
fn dashboards_lead_to_each_other() {
    let all = Dashboard::all();
    let uids: BTreeSet<&str> = all.iter().map(Dashboard::uid).collect();
    assert_eq!(uids.len(), all.len());
    for dashboard in &all {
        assert_eq!(dashboard.file, format!("grafana/dashboards/{}.json", dashboard.uid()));
        assert!(list(&dashboard.json["tags"]).any(|tag| tag == "pointsman"), "{}", dashboard.file);
        let link = &dashboard.json["links"][0];
        assert_eq!((&link["type"], &link["tags"][0]), (&"dashboards".into(), &"pointsman".into()));
        assert!(link["includeVars"] == true && link["keepTime"] == true, "{}", dashboard.file);
        let text = dashboard.json.to_string();
        for link in text.split("\"/d/").skip(1) {
            let (uid, parameters) = link.split_once('?').expect("parameters");
            assert!(uids.contains(uid), "{}: {uid} is no dashboard", dashboard.file);
            let parameters = parameters.split('"').next().unwrap_or_default();
            for kept in ["${datasource:queryparam}", "${__url_time_range}"] {
                assert!(parameters.contains(kept), "{}: {parameters}", dashboard.file);
            }
        }
    }
    // Everything that names an alias or a target leads there.
    let everything: String = all.iter().map(|of| of.json.to_string()).collect();
    for way in ["/d/pointsman-alias?var-alias=", "/d/pointsman-targets?var-target="] {
        assert!(everything.matches(way).count() > 3, "{way}");
    }
}
