//! Are the rules right, and does every alert say what to do?

use std::collections::BTreeSet;
use std::process::Command;

use pointsman::telemetry::metrics::{Kind, table};

use super::declared::le;
use super::files::{documents, list, path, string, text};
use super::prometheus::promtool;
use crate::support::gateway::BINARY;

const RULES: &str = "grafana/prometheus/rules.yml";
const ALERTS: &str = "grafana/prometheus/alerts.yml";

#[test]
fn promtool_finds_no_fault_with_rules_and_configuration() {
    // Which checks the files of rules that the configuration names as well.
    let said = promtool(&["check", "config", "prometheus.yml"], &path("grafana/prometheus"), None);
    assert!(!said.contains("WARNING") && said.matches("SUCCESS").count() == 4, "{said}");
}

#[test]
fn rules_hold_in_the_cases_that_take_hours() {
    promtool(&["test", "rules", "rules_test.yml", "slow_rules_test.yml"], &path("tests/monitoring"), None);
}

/// Prometheus 3 writes `1.0` for the bound that 2 keeps as `1`, and rules that ask for the other see nothing.
#[test]
fn every_bound_that_is_offered_for_the_objective_works_in_either_version_of_prometheus() {
    let page = text("docs/monitoring.md");
    let line = page.lines().find(|line| line.contains("the group `pointsman-first-token`")).expect("a paragraph");
    let offered: Vec<&str> = line.split('`').filter(|code| code.starts_with("le=")).collect();
    let Kind::Histogram(bounds) = table::FIRST_TOKEN_TIME.kind else { panic!("a histogram") };
    let sensible = bounds.iter().filter(|bound| (0.5..=10.0).contains(*bound));
    assert_eq!(offered, sensible.clone().map(|bound| le(*bound)).collect::<Vec<_>>());
    for (bound, wanted) in sensible.zip(offered) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let put = |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("a file");
        put("rules.yml", text(RULES).replace("le=\"2.5\"", wanted));
        let ratio = "job_alias:pointsman_first_token_late:ratio_rate5m";
        let (mut series, mut samples) = (String::new(), String::new());
        for (version, spelt) in [("two", format!("{bound}")), ("three", format!("{bound:?}"))] {
            for (suffix, le, count) in [("bucket", format!(",le=\"{spelt}\""), 25), ("count", String::new(), 100)] {
                let name = format!("{}_{suffix}", table::FIRST_TOKEN_TIME.name);
                series += &format!(
                    "      - {{series: '{name}{{job=\"pointsman\",gen_ai_request_model=\"{version}\"{le}}}', values: 0+{count}x9}}\n"
                );
            }
            samples +=
                &format!("          - {{labels: '{ratio}{{job=\"pointsman\",alias=\"{version}\"}}', value: 0.75}}\n");
        }
        put(
            "test.yml",
            format!(
                "rule_files: [rules.yml]\ntests:\n  - interval: 1m\n    input_series:\n{series}    promql_expr_test:\n      \
                 - expr: {ratio}\n        eval_time: 9m\n        exp_samples:\n{samples}"
            ),
        );
        promtool(&["test", "rules", "test.yml"], dir.path(), None);
    }
}

#[tokio::test]
async fn every_alert_says_how_urgent_it_is_what_happened_and_what_to_do() {
    let runbooks = text("docs/runbooks.md");
    let alerts = documents(&[ALERTS]).await;
    let rules: Vec<_> = list(&alerts[0]["groups"]).flat_map(|group| list(&group["rules"])).collect();
    assert!(rules.len() > 20);
    for rule in &rules {
        let name = string(&rule["alert"]);
        assert!(name.starts_with("Pointsman"), "{name}");
        assert!(["page", "warning"].contains(&string(&rule["labels"]["severity"])), "{name}");
        let annotations = &rule["annotations"];
        assert!(string(&annotations["summary"]).len() > 20, "{name}");
        assert!(string(&annotations["description"]).ends_with('.'), "{name}");
        assert_eq!(annotations["runbook_url"], format!("docs/runbooks.md#{}", name.to_lowercase()));
        let (_, paragraph) = runbooks.split_once(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("no {name}"));
        let paragraph = paragraph.split("\n#").next().unwrap_or_default();
        for part in ["**Means**", "**Look**", "**Do**"] {
            assert!(paragraph.contains(part), "the runbook of {name} lacks {part}");
        }
    }
    let named: BTreeSet<&str> = rules.iter().map(|rule| string(&rule["alert"])).collect();
    let described: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(named, described);
}

#[test]
fn commands_of_runbooks_are_commands() {
    let pages = text("docs/runbooks.md") + &text("docs/monitoring.md");
    let lines: Vec<&str> = pages.lines().filter_map(|line| line.strip_prefix("$ pointsman ")).collect();
    assert!(lines.len() > 25, "{}", lines.len());
    for line in lines {
        // What follows is the shell's; what stands before `--help` is looked at all the same.
        let words = line.split(" < ").next().unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec \"$0\" {words} --help")).arg(BINARY);
        let help = shell.output().expect("a shell");
        assert!(help.status.success(), "{line}: {}", String::from_utf8_lossy(&help.stderr));
    }
}

#[tokio::test]
async fn the_operator_of_kubernetes_gets_the_same_rules() {
    let [rules, alerts, operator] =
        documents(&[RULES, ALERTS, "deploy/kubernetes/prometheusrule.yaml"]).await.try_into().expect("three");
    let groups: Vec<_> = list(&rules["groups"]).chain(list(&alerts["groups"])).cloned().collect();
    assert_eq!(operator["spec"]["groups"], serde_json::Value::Array(groups));
}
