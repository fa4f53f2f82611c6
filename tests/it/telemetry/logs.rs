//! What stands in the log, and what does not.

use http::Method;
use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use crate::support::admin::{Admin, If};
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::{Gateway, Signal};
use crate::support::sim::Sim;

/// Lines about requests, of a gateway that logs JSON.
fn lines(gateway: &Gateway) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    gateway.log().lines().map(read).filter(|line| line["target"] == "pointsman::request").collect()
}

fn config(sim: &Sim, logs: &str) -> ConfigText {
    ConfigText::new("")
        .toml(logs)
        .sim(sim, "")
        .alias("chat", &[sim.name()], "")
        .key("team", "pm-it", None)
        .env("POINTSMAN_LOG", "info")
        .env("POINTSMAN_LOG_FORMAT", "json")
}

#[tokio::test]
async fn one_line_tells_of_a_request_and_neither_prompt_nor_key_is_in_it() {
    let sim = Sim::start("a", Protocol::OpenAi, json!({})).await;
    let gateway = Gateway::start(&config(&sim, "[logs]\nrequests = \"all\"")).await;
    let asked = Asked { alias: "chat", stream: true, prompt: "my diary", ..Asked::default() };
    let got = ask(&gateway, &asked).await;
    ask(&gateway, &Asked { alias: "chat", key: "pm-wrong-key-1", ..asked.clone() }).await;
    ask(&gateway, &Asked { alias: "nowhere", ..asked }).await;
    eventually("the lines are there", async || lines(&gateway).len() == 3).await;
    let [served, denied, unknown] = &lines(&gateway)[..] else { panic!("three lines") };
    for (field, value) in [
        ("request", json!(got.header("x-pointsman-request-id"))),
        ("outcome", json!("ok")),
        ("status", json!(200)),
        ("alias", json!("chat")),
        ("strategy", json!("priority")),
        ("served_by", json!("a/m@a")),
        ("attempts", json!(1)),
        ("protocol", json!("chat_completions")),
        ("stream", json!(true)),
        ("project", json!("default")),
        ("key", json!("team")),
        ("level", json!("INFO")),
    ] {
        assert_eq!(served[field], value, "{field} of {served}");
    }
    assert!(served["duration_ms"].as_f64().unwrap() >= served["first_token_ms"].as_f64().unwrap(), "{served}");
    assert!(served["output_tokens"].as_u64().unwrap() > 0, "{served}");
    assert_eq!((&denied["outcome"], &denied["status"]), (&json!("denied"), &json!(401)));
    assert_eq!((&unknown["outcome"], &unknown["key"]), (&json!("unknown_model"), &json!("team")));
    for secret in ["my diary", "pm-it", "pm-wrong-key-1"] {
        assert!(!gateway.log().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_is_logged_is_changed_while_the_process_runs() {
    let sim = Sim::start("a", Protocol::OpenAi, json!({})).await;
    let gateway = Gateway::start(&config(&sim, "")).await;
    let admin = Admin::of(&gateway);
    let asked = Asked { alias: "chat", ..Asked::default() };
    ask(&gateway, &asked).await;
    let change = async |change: Value| {
        admin.send(Method::PATCH, "/admin/v1/logging", Some(&change), If::Unsaid).await.good::<Value>()
    };
    let told = change(json!({"requests": "failed", "filter": "info,pointsman::routing=debug"})).await;
    assert_eq!(told["filter"], "info,pointsman::routing=debug");
    ask(&gateway, &asked).await;
    ask(&gateway, &Asked { alias: "nowhere", ..asked.clone() }).await;
    eventually("the failed one is there", async || lines(&gateway).len() == 1).await;
    assert_eq!(lines(&gateway)[0]["outcome"], "unknown_model");
    change(json!({"requests": "all"})).await;
    ask(&gateway, &asked).await;
    eventually("every one is there", async || lines(&gateway).len() == 2).await;
    change(json!({"filter": "off"})).await;
    ask(&gateway, &asked).await;
    assert_eq!(change(json!({"filter": "info"})).await["requests"], "all");
    assert_eq!(lines(&gateway).len(), 2, "off is off");

    let loud = json!({"filter": "pointsman=loud"});
    let refused = admin.send(Method::PATCH, "/admin/v1/logging", Some(&loud), If::Unsaid).await;
    assert!(refused.error().message.contains("expected a level"), "{:?}", refused.error());
    // What was changed stays until the file says otherwise.
    std::fs::write(gateway.config_file(), config(&sim, "# nothing new").text()).unwrap();
    gateway.signal(Signal::Hangup);
    eventually("the file was read", async || gateway.log().contains("read again")).await;
    assert_eq!(admin.get("/admin/v1/logging").await.good::<Value>()["requests"], "all");
    std::fs::write(gateway.config_file(), config(&sim, "[logs]\nrequests = \"failed\"").text()).unwrap();
    gateway.signal(Signal::Hangup);
    eventually("the file counts", async || {
        admin.get("/admin/v1/logging").await.good::<Value>()["requests"] == "failed"
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_failures_is_a_line_a_second() {
    let failing = json!({"faults": [{"kind": "status", "code": 503}]});
    let sim = Sim::start("a", Protocol::OpenAi, failing).await;
    let gateway = Gateway::start(&config(&sim, "")).await;
    for _ in 0..20 {
        ask(&gateway, &Asked { alias: "chat", ..Asked::default() }).await;
    }
    let told = gateway.log().lines().filter(|line| line.contains("an attempt failed")).count();
    assert!((1..=10).contains(&told), "{told} lines");
}
