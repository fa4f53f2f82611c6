//! What stands in the log, and what does not.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::task::JoinSet;

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

/// A provider that repeats what it was asked, where it should say what is wrong with it: `fail` in
/// the words of a 500, `odd` in an answer of the wrong shape, `breaks` in the middle of a stream.
async fn echo() -> Echo {
    async fn answer(Path(how): Path<String>, Json(asked): Json<Value>) -> Response {
        let prompt = asked["messages"][0]["content"].clone();
        match how.as_str() {
            "fail" => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": {"message": prompt}}))).into_response(),
            "odd" => Json(json!({"choices": prompt})).into_response(),
            _ => {
                let content = json!({"choices": [{"index": 0, "delta": {"content": "x"}}]});
                let pieces =
                    [content, json!({"choices": [], "usage": prompt})].map(|piece| format!("data: {piece}\n\n"));
                let pieces = stream::iter(pieces).then(async |piece| {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok::<_, Infallible>(piece)
                });
                ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
            }
        }
    }
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/{how}/chat/completions", post(answer));
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Echo { url, _task: task }
}

struct Echo {
    url: String,
    _task: JoinSet<()>,
}

#[tokio::test]
async fn what_a_provider_repeats_of_a_prompt_is_logged_only_by_choice() {
    const WAYS: [&str; 3] = ["fail", "odd", "breaks"];
    let echo = echo().await;
    let config = WAYS.iter().fold(ConfigText::new("").key("team", "pm-it", None), |config, how| {
        let config = config.provider(how, Protocol::OpenAi, &format!("{}/{how}", echo.url), "").model(how, "");
        config.alias(how, &[how], "")
    });
    let gateway = Gateway::start(&config.env("POINTSMAN_LOG", "info").env("POINTSMAN_LOG_FORMAT", "json")).await;
    let ask_all = async || {
        for alias in WAYS {
            ask(&gateway, &Asked { alias, stream: alias == "breaks", prompt: "my diary", ..Asked::default() }).await;
        }
    };
    ask_all().await;
    let told = |words: &str| gateway.log().lines().filter(|line| line.contains(words)).count();
    eventually("all are told", async || told("an attempt failed") >= 2 && told("a stream broke") == 1).await;
    assert_eq!(told("my diary"), 0, "{}", gateway.log());
    let line = gateway.log().lines().find(|line| line.contains("server_error")).expect("a line").to_owned();
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["status"], &line["endpoint"]), (&json!(500), &json!("fail/m@fail")), "{line}");
    assert!(line.to_string().contains("(8 bytes, not logged)"), "{line}");

    let change = json!({"content": true});
    Admin::of(&gateway).send(Method::PATCH, "/admin/v1/logging", Some(&change), If::Unsaid).await.good::<Value>();
    // Failures of one class are told once a second.
    for (way, words) in [("500", "server_error"), ("a wrong shape", "malformed"), ("a broken stream", "a stream broke")]
    {
        eventually(way, async || {
            ask_all().await;
            gateway.log().lines().any(|line| line.contains(words) && line.contains("my diary"))
        })
        .await;
    }
}

#[tokio::test]
async fn of_good_requests_a_sample_is_told_by_their_ids_and_of_others_every_one_also_as_text() {
    let sim = Sim::start("a", Protocol::OpenAi, json!({})).await;
    let logs = "[logs]\nrequests = \"all\"\nsample = 0.25";
    let config = config(&sim, logs).env("POINTSMAN_LOG_FORMAT", "text");
    let gateway = Gateway::start(&config).await;
    let mut expected = BTreeSet::new();
    for _ in 0..60 {
        let got = ask(&gateway, &Asked { alias: "chat", ..Asked::default() }).await;
        let id = got.header("x-pointsman-request-id").to_owned();
        if u32::from_str_radix(&id[..8], 16).expect("digits") < u32::MAX / 4 {
            expected.insert(id);
        }
        let got = ask(&gateway, &Asked { alias: "nowhere", ..Asked::default() }).await;
        expected.insert(got.header("x-pointsman-request-id").to_owned());
    }
    let log = || gateway.log().lines().filter(|line| line.contains("pointsman::request")).map(str::to_owned).collect();
    let mut told: Vec<String> = Vec::new();
    eventually("the lines are there", async || {
        told = log();
        told.len() >= expected.len()
    })
    .await;
    let id = |line: &String| line.split("request=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    assert_eq!(told.iter().filter_map(id).collect::<BTreeSet<_>>(), expected);
    assert_eq!(told.len(), expected.len());
    let served = told.iter().find(|line| line.contains("outcome=\"ok\"")).expect("one of sixty is in a quarter");
    let (at, words) = served.split_once("  INFO pointsman::request: request request=").expect("level and target");
    assert!(at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    for field in ["status=200", "alias=\"chat\"", "served_by=\"a/m@a\"", "attempts=1", "output_tokens=24"] {
        assert!(words.split(' ').any(|word| word == field), "{field} in {words}");
    }
    assert!(!served.contains('\u{1b}'), "no colours where nobody looks");
}
