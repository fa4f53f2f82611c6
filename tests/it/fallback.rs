//! A target fails in some way; the caller gets one clean answer of the next one, or one
//! honest error.

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;

const PROTOCOLS: [Protocol; 3] = [Protocol::OpenAi, Protocol::Anthropic, Protocol::Gemini];

/// Every way to fail before the first content, and the class it belongs to.
fn ways() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"kind": "status", "code": 500}), "server_error"),
        (json!({"kind": "status", "code": 503, "retry_after": 7}), "server_error"),
        (json!({"kind": "status", "code": 529, "body": "html"}), "server_error"),
        (json!({"kind": "status", "code": 502, "body": "empty"}), "server_error"),
        (json!({"kind": "status", "code": 429, "retry_after": 2}), "rate_limited"),
        (json!({"kind": "status", "code": 401}), "credential"),
        (json!({"kind": "status", "code": 403}), "credential"),
        (json!({"kind": "status", "code": 404}), "model_gone"),
        (json!({"kind": "hang"}), "timeout"),
        (json!({"kind": "hang_after_headers"}), "timeout"),
        (json!({"kind": "reset"}), "connect"),
        (json!({"kind": "cut", "after_tokens": 0}), "malformed"),
        (json!({"kind": "cut", "after_tokens": 0, "half_event": true}), "malformed"),
        (json!({"kind": "error_event"}), "malformed"),
        (json!({"kind": "role_then_error"}), "malformed"),
        (json!({"kind": "empty"}), "malformed"),
        (json!({"kind": "empty_answer"}), "malformed"),
        (json!({"kind": "garbage"}), "malformed"),
        (json!({"kind": "invalid_json"}), "malformed"),
        (json!({"kind": "truncated_body"}), "malformed"),
    ]
}

#[tokio::test]
async fn every_failure_before_content_is_invisible_to_the_caller() {
    let good = Sim::start("good", Protocol::OpenAi, json!({})).await;
    let mut config = ConfigText::new("").sim(&good, "").key("it", "pm-it", None);
    let mut sims = Vec::new();
    let mut cases = Vec::new();
    for protocol in PROTOCOLS {
        for (i, (fault, class)) in ways().into_iter().enumerate() {
            // Its own provider and alias for each case: what one teaches the breaker must
            // not decide another.
            let name = format!("{}-{i}", protocol.as_str());
            let sim = Sim::start(&name, protocol, json!({"faults": [fault]})).await;
            config = config.sim(&sim, "").alias(
                &format!("a-{name}"),
                &[&name, "good"],
                "first_token_timeout = \"400ms\"\nanswer_timeout = \"400ms\"",
            );
            sims.push(sim);
            cases.push((format!("a-{name}"), fault, class));
        }
    }
    let gateway = Gateway::start(&config).await;
    for (alias, fault, class) in cases {
        for stream in [false, true] {
            // A stream that is cut has delivered content before.
            if stream && fault["kind"] == "truncated_body" {
                continue;
            }
            let got = ask(&gateway, &Asked { alias: &alias, stream, ..Asked::default() }).await;
            let what = format!("{alias} {fault} stream={stream}: {got:?}");
            assert_eq!(got.status, 200, "{what}");
            assert_eq!(got.header("x-pointsman-target"), "good/m@good", "{what}");
            assert!(got.text.starts_with("[good/m] "), "{what}");
            assert!(got.complete, "{what}");
            let attempts = got.header("x-pointsman-attempts");
            // The second request may find the first target already out.
            let tried = attempts.contains(&format!("{class} ")) || (stream && !attempts.contains(','));
            assert!(tried && attempts.contains("good/m@good ok"), "{what}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_in_one_honest_error() {
    for protocol in PROTOCOLS {
        for fault in [
            json!({"kind": "cut", "after_tokens": 3}),
            json!({"kind": "cut", "after_tokens": 3, "half_event": true}),
            json!({"kind": "error_after", "after_tokens": 3}),
            json!({"kind": "stall", "after_tokens": 3}),
        ] {
            let sim = Sim::start("bad", protocol, json!({"faults": [fault]})).await;
            let config = ConfigText::new("").sim(&sim, "").key("it", "pm-it", None).alias(
                "a",
                &["bad"],
                "stream_idle_timeout = \"400ms\"",
            );
            let gateway = Gateway::start(&config).await;
            let got = ask(&gateway, &Asked { alias: "a", stream: true, ..Asked::default() }).await;
            let what = format!("{protocol:?} {fault}: {got:?}");
            assert_eq!(got.status, 200, "{what}");
            assert!(!got.text.is_empty() && !got.complete, "{what}");
            let error = got.error.as_deref().unwrap_or_default();
            assert!(error.contains("bad/m@bad") && error.contains("broke"), "{what}");
            let report = gateway.target("bad/m@bad").await;
            assert_eq!(report["failures"]["broken_stream"], 1, "{what}: {report}");
            assert!(report["output_tokens"].as_u64().unwrap() >= 3, "{what}: {report}");
        }
    }
}

#[tokio::test]
async fn when_all_fail_the_error_is_the_most_useful_one_and_lists_them() {
    let cases = [
        (json!([{"kind": "status", "code": 500}]), json!([{"kind": "reset"}]), 502, ""),
        (json!([{"kind": "hang"}]), json!([{"kind": "hang"}]), 504, ""),
        (
            json!([{"kind": "status", "code": 429, "retry_after": 30}]),
            json!([{"kind": "status", "code": 429, "retry_after": 20}]),
            429,
            "20",
        ),
        (json!([{"kind": "refuse_context"}]), json!([{"kind": "refuse_context"}]), 400, ""),
    ];
    for (first, second, status, retry_after) in cases {
        let one = Sim::start("one", Protocol::OpenAi, json!({"faults": first})).await;
        let two = Sim::start("two", Protocol::Anthropic, json!({"faults": second})).await;
        let config = ConfigText::new("").sim(&one, "").sim(&two, "").key("it", "pm-it", None).alias(
            "a",
            &["one", "two"],
            "answer_timeout = \"300ms\"",
        );
        let gateway = Gateway::start(&config).await;
        let got = ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await;
        assert_eq!(got.status, status, "{first}: {got:?}");
        assert_eq!(got.header("retry-after"), retry_after, "{got:?}");
        if status != 400 {
            for name in ["one/m@one", "two/m@two"] {
                assert!(got.error.as_deref().unwrap_or_default().contains(name), "{got:?}");
                assert!(got.header("x-pointsman-attempts").contains(name), "{got:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_callers_own_mistake_goes_to_nobody_else() {
    let fault = json!({"faults": [{"kind": "status", "code": 400}]});
    let strict = Sim::start("strict", Protocol::OpenAi, fault).await;
    let other = Sim::start("other", Protocol::OpenAi, json!({})).await;
    let config = ConfigText::new("")
        .sim(&strict, "")
        .sim(&other, "")
        .key("it", "pm-it", None)
        .alias("a", &["strict", "other"], "")
        .alias("lenient", &["strict", "other"], "fallback = { any_error = true }");
    let gateway = Gateway::start(&config).await;
    assert_eq!(ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await.status, 400);
    let got = ask(&gateway, &Asked { alias: "lenient", ..Asked::default() }).await;
    assert_eq!((got.status, got.header("x-pointsman-target")), (200, "other/m@other"), "{got:?}");
}

#[tokio::test]
async fn a_silent_target_and_a_closed_port_cost_no_more_than_their_limit() {
    // Accepts and never answers; its backlog is enough for this test.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let good = Sim::start("good", Protocol::OpenAi, json!({})).await;
    let config = ConfigText::new("")
        .provider("silent", Protocol::OpenAi, &format!("http://{}/v1", silent.local_addr().unwrap()), "")
        .model("silent", "")
        .provider("closed", Protocol::OpenAi, &format!("http://{closed}/v1"), "")
        .model("closed", "")
        .sim(&good, "")
        .key("it", "pm-it", None)
        .alias("a", &["silent", "closed", "good"], "first_token_timeout = \"300ms\"");
    let gateway = Gateway::start(&config).await;
    let got = ask(&gateway, &Asked { alias: "a", stream: true, ..Asked::default() }).await;
    assert_eq!((got.status, got.header("x-pointsman-target")), (200, "good/m@good"), "{got:?}");
    let attempts = got.header("x-pointsman-attempts");
    assert!(attempts.contains("silent/m@silent timeout") && attempts.contains("closed/m@closed connect"), "{attempts}");
}

#[tokio::test]
async fn a_broken_target_is_left_alone_and_comes_back() {
    let flaky = Sim::start("flaky", Protocol::OpenAi, json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let good = Sim::start("good", Protocol::OpenAi, json!({})).await;
    let config =
        ConfigText::new("").sim(&flaky, "").sim(&good, "").key("it", "pm-it", None).alias("a", &["flaky", "good"], "");
    let gateway = Gateway::start(&config).await;
    let ask = async || ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await;
    for _ in 0..3 {
        assert!(ask().await.header("x-pointsman-attempts").contains("flaky/m@flaky server_error 503"));
    }
    let got = ask().await;
    assert_eq!(got.header("x-pointsman-attempts").split(' ').next(), Some("good/m@good"), "{got:?}");
    assert_eq!(gateway.target("flaky/m@flaky").await["state"], "open");

    flaky.behave(json!({})).await;
    // Its time out is about a second; then one request is the probe.
    let since = tokio::time::Instant::now();
    while ask().await.header("x-pointsman-target") != "flaky/m@flaky" {
        assert!(since.elapsed().as_secs() < 20, "it never came back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(gateway.target("flaky/m@flaky").await["state"], "slow_start");
}
