//! Spans of requests that did not go straight: each has one of its own and one for each attempt,
//! however they end.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;
use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use super::collector::{Collector, attributes, hex};
use crate::support::chat::{Asked, ask_with};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http;
use crate::support::sim::Sim;

/// The attributes of a span, and the code of its status: 0 where nothing is said, 2 for an error.
type Said = (HashMap<String, String>, i32);

/// A gateway over these providers, whose spans go to a collector at once.
async fn traced(collector: &Collector, sims: &[&Sim], alias: &str) -> Gateway {
    let config = ConfigText::new("").toml(&format!("[traces]\nendpoint = \"{}\"", collector.url));
    let config = sims.iter().fold(config, |config, sim| config.sim(sim, ""));
    let names: Vec<&str> = sims.iter().map(|sim| sim.name()).collect();
    let config = config.alias("chat", &names, alias).key("team", "pm-it", None);
    Gateway::start(&config.env("OTEL_BSP_SCHEDULE_DELAY", "50")).await
}

/// The context of the nth trace of a test, as its caller sends it.
fn context(n: u64) -> String {
    format!("00-{n:032x}-00f067aa0ba902b7-01")
}

/// The span of the only request of a trace, and those of its attempts, in the order in which they
/// began.
async fn spans(collector: &Collector, n: u64, attempts: usize) -> (Said, Vec<Said>) {
    let mut spans = Vec::new();
    eventually("the spans have come", async || {
        spans = collector.spans();
        spans.retain(|span| hex(&span.trace_id) == format!("{n:032x}"));
        spans.iter().any(|span| span.kind == 2)
    })
    .await;
    spans.sort_by_key(|span| (span.kind, span.start_time_unix_nano));
    assert!(spans[1..].iter().all(|span| span.kind == 3 && span.parent_span_id == spans[0].span_id), "{spans:?}");
    let mut said: Vec<Said> = spans
        .iter()
        .map(|span| (attributes(&span.attributes), span.status.as_ref().map_or(0, |status| status.code)))
        .collect();
    let request = said.remove(0);
    assert_eq!(said.len(), attempts, "{said:?}");
    assert_eq!(request.0["pointsman.attempts"], attempts.to_string(), "{request:?}");
    (request, said)
}

#[track_caller]
fn assert_says(of: &Said, expected: &[(&str, &str)], status: i32) {
    for (name, value) in expected {
        assert_eq!(of.0.get(*name).map(String::as_str), Some(*value), "{name} of {of:?}");
    }
    assert_eq!(of.1, status, "{of:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_a_race_says_that_it_was_superseded() {
    let even = json!({"ttft_ms": {"median": 40, "sigma": 0.1}});
    let late = Sim::start("late", Protocol::OpenAi, even.clone()).await;
    let other = Sim::start("other", Protocol::Anthropic, even).await;
    let collector = Collector::start().await;
    let alias = "strategy = \"priority\"\nhedge = 0.2\ngive_up_early = false";
    let gateway = traced(&collector, &[&late, &other], alias).await;
    let (client, asked) = (http(), Asked { alias: "chat", stream: true, ..Asked::default() });
    // Only who is known is asked for a second copy, and copies are earned by requests.
    for provider in ["other", "late"] {
        let only = [("x-pointsman-only", provider)];
        for _ in 0..30 {
            let got = ask_with(&client, &gateway, &Asked { headers: &only, ..asked.clone() }).await;
            assert!(got.complete, "{got:?}");
        }
    }
    late.behave(json!({"ttft_ms": 2000})).await;
    let context = context(1);
    let headers = [("traceparent", context.as_str())];
    let got = ask_with(&client, &gateway, &Asked { headers: &headers, ..asked }).await;
    assert!(got.header("x-pointsman-attempts").ends_with(" hedge"), "{got:?}");
    let (request, attempts) = spans(&collector, 1, 2).await;
    assert_says(&request, &[("pointsman.outcome", "ok"), ("pointsman.target", "other/m@other")], 0);
    assert_says(&attempts[0], &[("pointsman.target", "late/m@late"), ("error.type", "superseded")], 0);
    assert_says(&attempts[1], &[("pointsman.target", "other/m@other"), ("pointsman.purpose", "hedge")], 0);
    assert!(!attempts[1].0.contains_key("error.type"), "{attempts:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_of_its_request_and_of_its_attempt() {
    let cut = json!({"faults": [{"kind": "cut", "after_tokens": 5}]});
    let (sim, collector) = (Sim::start("a", Protocol::OpenAi, cut).await, Collector::start().await);
    let gateway = traced(&collector, &[&sim], "").await;
    let context = context(1);
    let headers = [("traceparent", context.as_str())];
    let got =
        ask_with(&http(), &gateway, &Asked { alias: "chat", stream: true, headers: &headers, ..Asked::default() })
            .await;
    assert!(got.error.is_some(), "{got:?}");
    let (request, attempts) = spans(&collector, 1, 1).await;
    let broken = [("error.type", "broken_stream"), ("gen_ai.response.model", "m")];
    assert_says(&request, &broken, 2);
    assert_says(&request, &[("pointsman.outcome", "broken_stream"), ("http.response.status_code", "200")], 2);
    assert_says(&attempts[0], &broken, 2);
}

#[tokio::test]
async fn a_caller_that_leaves_is_nobodys_error_before_content_or_after() {
    let (sim, collector) =
        (Sim::start("a", Protocol::OpenAi, json!({"faults": [{"kind": "hang"}]})).await, Collector::start().await);
    let gateway = traced(&collector, &[&sim], "").await;
    let left = async |n: u64| {
        let body = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
        let request = http().request(Method::POST, gateway.url("/v1/chat/completions")).bearer_auth("pm-it");
        let sent = request.header("traceparent", context(n)).body(body.to_string()).send();
        let first = async { sent.await.expect("an answer").chunk().await.expect("a first piece") };
        tokio::time::timeout(Duration::from_millis(500), first).await.ok()
    };
    let gone = [("error.type", "client_gone")];
    for (n, behaviour) in [(1, Value::Null), (2, json!({"token_ms": 50, "output_tokens": 1000}))] {
        if !behaviour.is_null() {
            sim.behave(behaviour).await;
        }
        assert_eq!(left(n).await.is_some(), n == 2);
        let (request, attempts) = spans(&collector, n, 1).await;
        assert_says(&request, &gone, 0);
        assert_says(&request, &[("pointsman.outcome", "client_gone"), ("gen_ai.request.model", "chat")], 0);
        assert_says(&attempts[0], &gone, 0);
    }
}
