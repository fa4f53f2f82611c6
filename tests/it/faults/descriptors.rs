//! No descriptors left: whoever is there is served on, idle connections give theirs back, the log
//! is not flooded, and when there are some again it is as if nothing had been.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::json;

use super::{limit, sim};
use crate::support::bystander::Bystander;
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_those_who_idle_make_room() {
    let good = sim("good", json!({})).await;
    let config = ConfigText::new("").sim(&good, "").key("it", "pm-it", None).alias("a", &["good"], "");
    let gateway = Arc::new(Gateway::start(&config).await);
    let bystander = Bystander::of(&gateway).await;
    let address = gateway.url("").trim_start_matches("http://").to_owned();
    limit(&gateway, &format!("--nofile={}:", gateway.descriptors() + 12));
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(tokio::net::TcpStream::connect(&address).await.expect("the system queues it"));
    }
    eventually("there are none", async || gateway.log().contains("cannot be accepted")).await;
    // Nobody of the sixty leaves, and still whoever comes now is let in.
    eventually("a late client is served", async || {
        let asked = Asked { alias: "a", ..Asked::default() };
        tokio::time::timeout(Duration::from_secs(20), ask(&gateway, &asked)).await.is_ok_and(|got| got.status == 200)
    })
    .await;
    let told = gateway.log().matches("cannot be accepted").count();
    assert!(told <= 6, "told {told} times");
    limit(&gateway, "--nofile=1024:");
    drop(idle);
    for _ in 0..20 {
        assert_eq!(ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await.status, 200);
    }
    assert!(bystander.was_served().await.served > 10);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_could_not_even_be_asked_is_not_blamed() {
    let (near, far) = (sim("near", json!({})).await, sim("far", json!({})).await);
    let config = ConfigText::new("").sim(&near, "").sim(&far, "").key("it", "pm-it", None);
    let config = config.alias("near", &["near"], "").alias("far", &["far"], "").alias("both", &["far", "near"], "");
    let gateway = Gateway::start(&config).await;
    // One connection, which is kept: another would not be accepted.
    let address = gateway.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let stream = TokioIo::new(tokio::net::TcpStream::connect(address).await.expect("a connection"));
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    let mut asked = async |alias: &str| {
        let body = json!({"model": alias, "messages": [{"role": "user", "content": "hello"}]}).to_string();
        let request = Request::post("/v1/chat/completions").header("host", "x").header("authorization", "Bearer pm-it");
        let answer = client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.expect("an answer");
        let attempts = answer.headers().get("x-pointsman-attempts").map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.expect("the whole answer").to_bytes();
        client.ready().await.expect("the connection is kept");
        (status, attempts.unwrap_or_default(), String::from_utf8_lossy(&text).into_owned())
    };
    // There is a connection to one of them, and none to the other.
    assert_eq!(asked("near").await.0, 200);
    limit(&gateway, "--nofile=8:");
    for _ in 0..20 {
        let (status, attempts, text) = asked("far").await;
        assert_eq!((status, text.contains("no_socket")), (503, true), "{text}");
        assert!(attempts.starts_with("far/m@far no_socket"), "{attempts}");
        let (status, attempts, text) = asked("both").await;
        assert_eq!(status, 200, "whoever has a connection serves: {text}");
        assert!(attempts.contains("far/m@far no_socket") && attempts.contains("near/m@near ok"), "{attempts}");
    }
    limit(&gateway, "--nofile=1024:");
    let (status, attempts, text) = asked("far").await;
    assert_eq!(status, 200, "nothing is held against it: {attempts} {text}");
}
