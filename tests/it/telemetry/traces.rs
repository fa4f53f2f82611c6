//! Spans of requests and attempts, as a collector gets them.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use pointsman::domain::provider::Protocol;
use serde_json::json;
use tokio::task::JoinSet;

use super::collector::{Collector, attributes, hex};
use super::metrics::Scrape;
use crate::support::chat::{Asked, ask, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Signal};
use crate::support::sim::Sim;
use crate::support::{eventually, http};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A provider that fails and one that serves, behind one alias.
async fn fallback(collector: &Collector, traces: &str) -> (Gateway, Sim, Sim) {
    let down = Sim::start("down", Protocol::OpenAi, json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let up = Sim::start("up", Protocol::Anthropic, json!({"cached_share": 0.5})).await;
    let config = ConfigText::new("")
        .toml(&format!("[traces]\nendpoint = \"{}\"\n{traces}", collector.url))
        .sim(&down, "")
        .sim(&up, "")
        .alias("chat", &["down", "up"], "")
        .key("team", "pm-it", None)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue%20team")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    (Gateway::start(&config).await, down, up)
}

async fn spans(collector: &Collector, count: usize) -> Vec<Span> {
    eventually("the spans have come", async || collector.spans().len() >= count).await;
    collector.spans()
}

/// A header of the first request that a provider got.
fn sent(requests: &serde_json::Value, name: &str) -> String {
    let headers = requests[0]["headers"].as_array().into_iter().flatten();
    let found = headers.filter(|header| header[0] == name).find_map(|header| header[1].as_str());
    found.unwrap_or_else(|| panic!("{name} in {requests}")).to_owned()
}

#[tokio::test]
async fn a_trace_goes_from_the_client_through_the_request_and_each_attempt_to_the_provider() {
    let collector = Collector::start().await;
    let (gateway, down, up) = fallback(&collector, "").await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=1")];
    let got = ask(&gateway, &Asked { alias: "chat", stream: true, headers: &headers, ..Asked::default() }).await;
    assert!(got.complete, "{got:?}");

    let spans = spans(&collector, 3).await;
    assert_eq!(spans.len(), 3, "one of the request, one of each attempt");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("{name} in {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>()))
    };
    let request = named("chat chat");
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(request.kind, 2, "a server");
    assert_eq!(request.trace_state, "vendor=1");
    let said = attributes(&request.attributes);
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "chat"),
        ("gen_ai.request.stream", "true"),
        ("http.response.status_code", "200"),
        ("url.path", "/v1/chat/completions"),
        ("pointsman.target", "up/m@up"),
        ("pointsman.strategy", "priority"),
        ("pointsman.attempts", "2"),
        ("pointsman.outcome", "ok"),
        ("gen_ai.response.model", "m"),
        ("gen_ai.response.finish_reasons", "[stop]"),
        ("pointsman.key", "team"),
        ("pointsman.request.id", got.header("x-pointsman-request-id")),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{name} of {said:?}");
    }
    let tokens = |of: &str| said[&format!("gen_ai.usage.{of}_tokens")].parse::<u64>().unwrap();
    assert!(tokens("output") > 0 && (1..tokens("input")).contains(&tokens("cache_read.input")), "{said:?}");
    assert!(!said.contains_key("pointsman.request.body"), "what was asked stays out unless it is wanted");

    let attempts: Vec<&Span> = spans.iter().filter(|span| span.kind == 3).collect();
    let of = |target: &str| {
        attempts.iter().find(|span| attributes(&span.attributes)["pointsman.target"] == target).copied().unwrap()
    };
    for attempt in &attempts {
        assert_eq!(attempt.parent_span_id, request.span_id);
        assert!(attempt.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= request.end_time_unix_nano + 5_000_000);
    }
    let failed = of("down/m@down");
    assert_eq!(attributes(&failed.attributes)["error.type"], "server_error");
    assert_eq!(failed.status.as_ref().unwrap().code, 2);
    let served = attributes(&of("up/m@up").attributes);
    assert_eq!(format!("http://{}:{}", served["server.address"], served["server.port"]), up.origin());
    for (name, value) in [
        ("gen_ai.provider.name", "up"),
        ("gen_ai.response.model", "m"),
        ("gen_ai.response.finish_reasons", "[stop]"),
        ("gen_ai.usage.cache_read.input_tokens", &said["gen_ai.usage.cache_read.input_tokens"]),
    ] {
        assert_eq!(served.get(name).map(String::as_str), Some(value), "{name} of {served:?}");
    }

    // Each provider got the context of its own attempt.
    for (sim, target) in [(&down, "down/m@down"), (&up, "up/m@up")] {
        let sent = sent(&sim.requests().await, "traceparent");
        assert_eq!(sent, format!("00-{TRACE}-{}-01", hex(&of(target).span_id)));
    }
    assert_eq!(collector.resource()["service.name"], "pointsman");
    assert_eq!(collector.header("x-tenant").as_deref(), Some("blue team"));
    let page = Scrape::of(&gateway).await;
    assert_eq!(page.sum("pointsman_spans_total", &[("result", "exported")]), 3.0);
}

#[tokio::test]
async fn what_a_caller_decided_not_to_sample_is_not_and_its_context_goes_on() {
    let collector = Collector::start().await;
    let (mut gateway, _down, up) = fallback(&collector, "").await;
    let parent = format!("00-{TRACE}-{PARENT}-00");
    let headers = [("traceparent", parent.as_str())];
    ask(&gateway, &Asked { alias: "chat", headers: &headers, ..Asked::default() }).await;
    // One without a word is traced, by a trace of its own; and in the end all is sent.
    ask(&gateway, &Asked { alias: "chat", ..Asked::default() }).await;
    gateway.signal(Signal::Terminate);
    gateway.ended().await;
    let spans = collector.spans();
    assert!(!spans.is_empty() && spans.iter().all(|span| hex(&span.trace_id) != TRACE), "{spans:?}");
    let sent = sent(&up.requests().await, "traceparent");
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"), "{sent}");
}

#[tokio::test]
async fn what_was_asked_is_on_a_span_only_by_choice_and_a_collector_that_refuses_costs_nobody_anything() {
    let collector = Collector::start().await;
    let (gateway, _down, _up) = fallback(&collector, "content = true").await;
    ask(&gateway, &Asked { alias: "chat", prompt: "my diary", ..Asked::default() }).await;
    let seen = spans(&collector, 3).await;
    let bodies: Vec<String> =
        seen.iter().filter_map(|span| attributes(&span.attributes).remove("pointsman.request.body")).collect();
    assert!(matches!(&bodies[..], [body] if body.contains("my diary")), "{bodies:?}");

    collector.refuse();
    let got = ask(&gateway, &Asked { alias: "chat", ..Asked::default() }).await;
    assert!(got.complete, "{got:?}");
    eventually("the loss is counted", async || {
        Scrape::of(&gateway).await.sum("pointsman_spans_total", &[("result", "dropped")]) > 0.0
    })
    .await;
    assert!(gateway.log().contains("spans cannot be exported"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_is_counted_even_if_the_collector_never_answers() {
    const REQUESTS: u32 = 2000;
    let collector = Collector::start().await;
    collector.answer(false);
    let (gateway, down, _up) = fallback(&collector, "").await;
    down.behave(json!({})).await;
    let (gateway, client) = (Arc::new(gateway), http());
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let (gateway, client) = (Arc::clone(&gateway), client.clone());
        asking.spawn(async move {
            for _ in 0..REQUESTS / 8 {
                assert_eq!(ask_with(&client, &gateway, &Asked { alias: "chat", ..Asked::default() }).await.status, 200);
            }
        });
    }
    asking.join_all().await;
    let ended = f64::from(2 * REQUESTS);
    let counted = async |result| Scrape::of(&gateway).await.sum("pointsman_spans_total", &[("result", result)]);
    // As many wait as there is room for.
    eventually("the others are dropped", async || counted("dropped").await >= ended - 2048.0).await;
    assert_eq!(counted("exported").await, 0.0);
    assert!(gateway.log().contains("spans end faster than the collector takes them"), "{}", gateway.log());
    collector.answer(true);
    eventually("none waits any more", async || counted("dropped").await + counted("exported").await == ended).await;
    assert_eq!(counted("exported").await, collector.spans().len() as f64);
}

#[tokio::test]
async fn without_a_collector_a_context_passes_as_it_came() {
    let sim = Sim::start("a", Protocol::OpenAi, json!({})).await;
    let config = ConfigText::new("").sim(&sim, "").alias("chat", &["a"], "").key("team", "pm-it", None);
    let gateway = Gateway::start(&config).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=1")];
    ask(&gateway, &Asked { alias: "chat", headers: &headers, ..Asked::default() }).await;
    let requests = sim.requests().await;
    assert_eq!(sent(&requests, "traceparent"), parent);
    assert_eq!(sent(&requests, "tracestate"), "vendor=1");
}
