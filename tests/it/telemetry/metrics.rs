//! The page for Prometheus, held to what was really done.

use std::collections::BTreeSet;
use std::ops::Range;

use pointsman::domain::provider::Protocol;
use pointsman::telemetry::metrics::{ALL, Kind};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;
use crate::support::{eventually, http};

/// Names and values.
pub type Labels = Vec<(String, String)>;

/// A page, read.
pub struct Scrape {
    /// Name, labels, value.
    pub samples: Vec<(String, Labels, f64)>,
    text: String,
}

impl Scrape {
    pub async fn of(gateway: &Gateway) -> Self {
        let answer = http().get(gateway.admin_url("/metrics")).send().await.expect("the admin listener answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        answer.text().await.expect("a whole page").into()
    }

    /// The sum of all series of a name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |of: &[(String, String)]| {
            labels.iter().all(|(name, value)| of.iter().any(|(n, v)| (n.as_str(), v.as_str()) == (*name, *value)))
        };
        self.samples.iter().filter(|(n, l, _)| n == name && has(l)).map(|(_, _, value)| value).sum()
    }
}

impl From<String> for Scrape {
    fn from(text: String) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(sample).collect();
        Self { samples, text }
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label: {pair} of {line}"));
        (name.trim_start_matches(',').to_owned(), value.to_owned())
    };
    let labels = labels.trim_end_matches('}').split_terminator('"').collect::<Vec<_>>();
    let labels = labels.chunks(2).map(|parts| pair(&format!("{}\"{}", parts[0], parts.get(1).unwrap_or(&""))));
    (name.to_owned(), labels.collect(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}

#[tokio::test]
async fn counts_are_those_of_whoever_asked() {
    let down = Sim::start("down", Protocol::OpenAi, json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let up = Sim::start("up", Protocol::Anthropic, json!({})).await;
    let config =
        ConfigText::new("").sim(&down, "").sim(&up, "").alias("chat", &["down", "up"], "").key("team", "pm-it", None);
    let gateway = Gateway::start(&config).await;
    for stream in [true, true, true, false] {
        assert!(ask(&gateway, &Asked { alias: "chat", stream, ..Asked::default() }).await.complete);
    }
    ask(&gateway, &Asked { alias: "nobody", ..Asked::default() }).await;
    ask(&gateway, &Asked { alias: "chat", key: "pm-wrong", ..Asked::default() }).await;
    // A stream that its caller leaves in the middle.
    up.behave(json!({"output_tokens": 400, "token_ms": 20})).await;
    let body = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth("pm-it").body(body);
    let mut left = request.header("content-type", "application/json").send().await.unwrap();
    left.chunk().await.unwrap();
    assert_eq!(Scrape::of(&gateway).await.sum("pointsman_requests_in_flight", &[]), 1.0);
    drop(left);
    eventually("it is over", async || Scrape::of(&gateway).await.sum("pointsman_requests_in_flight", &[]) == 0.0).await;

    let page = Scrape::of(&gateway).await;
    let requests = |labels: &[(&str, &str)]| page.sum("pointsman_requests_total", labels);
    let of_chat = |outcome| requests(&[("alias", "chat"), ("strategy", "priority"), ("outcome", outcome)]);
    assert_eq!((of_chat("ok"), of_chat("client_gone"), requests(&[])), (4.0, 1.0, 7.0));
    assert_eq!((requests(&[("outcome", "unknown_model")]), requests(&[("outcome", "denied")])), (1.0, 1.0));
    let attempts = |target, outcome| page.sum("pointsman_attempts_total", &[("target", target), ("outcome", outcome)]);
    assert_eq!((attempts("up/m@up", "ok"), attempts("up/m@up", "client_gone")), (4.0, 1.0));
    let failed = page.sum("pointsman_attempts_total", &[("target", "down/m@down")]);
    let counted = &down.stats().await["requests"]["/v1/chat/completions"];
    assert_eq!(failed, counted.as_f64().unwrap(), "what the provider counted");
    assert_eq!(page.sum("pointsman_fallbacks_total", &[("reason", "server_error")]), failed);
    let count = |name: &str| page.sum(name, &[("gen_ai_request_model", "chat")]);
    assert_eq!(count("gen_ai_server_request_duration_seconds_count"), 5.0);
    assert_eq!(count("gen_ai_server_time_to_first_token_seconds_count"), 4.0, "streams alone");
    assert_eq!(count("gen_ai_server_time_per_output_token_seconds_count"), 3.0, "those that came to their end");
    assert_eq!(page.sum("pointsman_project_requests_total", &[("project", "default"), ("outcome", "ok")]), 4.0);
    assert_eq!(page.sum("pointsman_target_info", &[("target", "up/m@up"), ("provider", "up")]), 1.0);
    assert_eq!(page.sum("pointsman_target_state", &[("target", "up/m@up")]), 1.0, "one state of six");
}

/// Models that callers invent.
const INVENTED: usize = 100_000;

/// Asks for models of these numbers over one connection, many at a time, until all are refused.
async fn invent(address: &str, numbers: Range<usize>) {
    let mut connection = TcpStream::connect(address).await.expect("the gateway listens");
    for first in numbers.clone().step_by(200) {
        let asked = first..numbers.end.min(first + 200);
        let mut requests = String::new();
        for i in asked.clone() {
            let body = format!(r#"{{"model":"invented-{i}","messages":[{{"role":"user","content":"x"}}]}}"#);
            requests += &format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: it\r\nauthorization: Bearer pm-it\r\nx-user: user-{i}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        connection.write_all(requests.as_bytes()).await.expect("the gateway reads");
        let mut answers = Vec::new();
        while String::from_utf8_lossy(&answers).matches("HTTP/1.1 404 ").count() < asked.len() {
            assert!(connection.read_buf(&mut answers).await.expect("the gateway answers") > 0, "it has hung up");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_is_declared_and_names_that_callers_invent_add_none() {
    let sim = Sim::start("a", Protocol::OpenAi, json!({})).await;
    let config = ConfigText::new("").sim(&sim, "").alias("chat", &["a"], "").key("team", "pm-it", None);
    let gateway = Gateway::start(&config).await;
    ask(&gateway, &Asked { alias: "chat", ..Asked::default() }).await;
    ask(&gateway, &Asked { alias: "invented", ..Asked::default() }).await;
    let series = |page: &Scrape| -> BTreeSet<String> {
        page.samples.iter().map(|(name, labels, _)| format!("{name}{labels:?}")).collect()
    };
    let before = Scrape::of(&gateway).await;
    let address = gateway.url("");
    let address = address.trim_start_matches("http://");
    let each = INVENTED / 4;
    futures_util::future::join_all((0..4).map(|i| invent(address, i * each..(i + 1) * each))).await;
    let after = Scrape::of(&gateway).await;
    assert_eq!(after.sum("pointsman_requests_total", &[("outcome", "unknown_model")]), (INVENTED + 1) as f64);
    assert_eq!(series(&before), series(&after));
    assert!(!after.text.contains("invented") && !after.text.contains("user-"));

    for (name, labels, _) in &after.samples {
        let base = |suffix| name.strip_suffix(suffix);
        let of_histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(base).unwrap_or(name);
        let declared = ALL.iter().find(|metric| match metric.kind {
            Kind::Histogram(_) => metric.name == of_histogram,
            _ => metric.name == name,
        });
        let metric = declared.unwrap_or_else(|| panic!("{name} is declared nowhere"));
        for (label, _) in labels.iter().filter(|(label, _)| label != "le") {
            assert!(metric.labels.contains(&label.as_str()), "{label} of {name}");
        }
    }
}
