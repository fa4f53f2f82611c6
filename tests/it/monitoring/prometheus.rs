//! A real Prometheus, from Debian's package: it scrapes what the tests start, evaluates rules,
//! and is asked over its API. `promtool` comes with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::Once;

use serde_json::Value;
use tempfile::TempDir;

use super::files::{list, string};
use crate::support::packages::see_to;
use crate::support::redis::{free_port, quiet};
use crate::support::{eventually, http};

/// A Prometheus. It is killed when this is dropped.
pub struct Prometheus {
    child: Child,
    url: String,
    dir: TempDir,
    client: reqwest::Client,
}

/// A series of an answer: its labels and its value.
#[derive(Debug)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Series {
    /// A label; empty where it is missing.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Prometheus {
    /// One that scrapes these addresses as the job `pointsman` and evaluates rules of these names and texts, so often.
    pub async fn start(every: &str, addresses: &[String], rules: &[(&str, String)]) -> Self {
        installed();
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in rules {
            fs::write(dir.path().join(name), text).expect("a file of rules");
        }
        let names: Vec<&str> = rules.iter().map(|(name, _)| *name).collect();
        let config = format!(
            "global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: {every}}}\n\
             rule_files: {names:?}\n\
             scrape_configs:\n- job_name: pointsman\n  static_configs:\n  - targets: {addresses:?}\n"
        );
        fs::write(dir.path().join("prometheus.yml"), config).expect("its configuration");
        let port = free_port();
        let mut command = Command::new("prometheus");
        let path = |name: &str| dir.path().join(name).display().to_string();
        command.arg(format!("--config.file={}", path("prometheus.yml")));
        command.arg(format!("--storage.tsdb.path={}", path("data")));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=warn");
        // What is gone is gone, also where it was not said so.
        command.arg("--query.lookback-delta=5s");
        let log = fs::File::create(dir.path().join("log")).expect("its log");
        let child = quiet(&mut command).stderr(log).spawn().expect("prometheus starts");
        let prometheus = Self { child, url: format!("http://127.0.0.1:{port}"), dir, client: http() };
        eventually("prometheus is ready", async || {
            let answer = prometheus.client.get(format!("{}/-/ready", prometheus.url)).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        prometheus
    }

    /// Asks for an instant; `Err` is what it has against the expression.
    pub async fn try_ask(&self, expression: &str) -> Result<Vec<Series>, String> {
        let answer = self.api(&format!("query?query={}", escaped(expression))).await;
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        let data = &answer["data"];
        match string(&data["resultType"]) {
            "scalar" => Ok(vec![Series { labels: BTreeMap::new(), value: value(&data["result"]) }]),
            "vector" => Ok(list(&data["result"])
                .map(|series| Series { labels: labels(series), value: value(&series["value"]) })
                .collect()),
            other => Err(format!("a {other} is nothing to show")),
        }
    }

    /// Asks for the last ten seconds, as a graph does; each series with its last number, or `NaN` if it has none.
    pub async fn try_draw(&self, expression: &str) -> Result<Vec<Series>, String> {
        let now = self.ask("time()").await[0].value;
        let span = format!("start={}&end={now}&step=1", now - 10.0);
        let answer = self.api(&format!("query_range?query={}&{span}", escaped(expression))).await;
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        let last = |series: &Value| list(&series["values"]).map(value).filter(|value| !value.is_nan()).last();
        let series = list(&answer["data"]["result"]);
        Ok(series.map(|of| Series { labels: labels(of), value: last(of).unwrap_or(f64::NAN) }).collect())
    }

    /// Asks for an instant.
    pub async fn ask(&self, expression: &str) -> Vec<Series> {
        let answer = self.try_ask(expression).await;
        answer.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The values of an expression by one of its labels.
    pub async fn by(&self, label: &str, expression: &str) -> BTreeMap<String, f64> {
        self.ask(expression).await.into_iter().map(|series| (series.label(label).to_owned(), series.value)).collect()
    }

    /// The names of the alerts that fire.
    pub async fn firing(&self) -> Vec<Series> {
        self.ask("ALERTS{alertstate=\"firing\"}").await
    }

    /// Every rule: its name, its expression, and what went wrong with it, if anything did.
    pub async fn rules(&self) -> Vec<(String, String, Option<String>)> {
        let answer = self.api("rules").await;
        let rules = list(&answer["data"]["groups"]).flat_map(|group| list(&group["rules"]));
        let text = |value: &Value| string(value).to_owned();
        let error = |rule: &Value| rule["lastError"].as_str().filter(|error| !error.is_empty()).map(str::to_owned);
        rules.map(|rule| (text(&rule["name"]), text(&rule["query"]), error(rule))).collect()
    }

    async fn api(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/api/v1/{path}", self.url)).send().await.expect("prometheus answers");
        serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).expect("JSON")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("—— the log of prometheus ——\n{log}——");
        }
    }
}

/// Runs promtool; what it says is the message if it finds fault.
pub fn promtool(args: &[&str], in_folder: &Path, input: Option<&Path>) -> String {
    installed();
    let mut command = Command::new("promtool");
    command.args(args).current_dir(in_folder);
    if let Some(input) = input {
        command.stdin(fs::File::open(input).expect("what it reads"));
    }
    let Output { status, stdout, stderr } = command.output().expect("promtool runs");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "promtool {args:?}: {said}");
    said
}

/// Sees to it that there is a Prometheus.
fn installed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let runs =
            |program: &str| quiet(Command::new(program).arg("--version")).status().is_ok_and(|status| status.success());
        let there = || runs("prometheus") && runs("promtool");
        assert!(see_to(&["prometheus"], there), "these tests need prometheus and promtool");
    });
}

/// The labels of a series.
fn labels(series: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(series["metric"].clone()).expect("labels")
}

/// The value of a pair of a time and a value.
fn value(pair: &Value) -> f64 {
    string(&pair[1]).parse().expect("a number")
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric().then(|| char::from(byte).to_string());
    text.bytes().map(|byte| plain(byte).unwrap_or_else(|| format!("%{byte:02X}"))).collect()
}
