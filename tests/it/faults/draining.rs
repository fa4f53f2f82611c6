//! SIGTERM while there is much to do: what is under way comes to its end, or to that of its time,
//! and is counted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{client, sim, stream};
use crate::support::admin::Admin;
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, Gateway, Signal, folder};
use crate::support::sim::Sim;
use crate::support::{eventually, http};
use crate::telemetry::metrics::Scrape;

fn configured(sim: &Sim, server: &str) -> ConfigText {
    ConfigText::new(server).sim(sim, "").key("it", "pm-it", None).alias("a", &[sim.name()], "")
}

async fn drains(streams: u64) {
    let slow = sim("slow", json!({"token_ms": 40, "output_tokens": 50})).await;
    let (dir, config) = (folder(), configured(&slow, ""));
    let gateway = Arc::new(Gateway::start_in(&dir, &config).await);
    let (client, mut begun) = (client(), JoinSet::new());
    for _ in 0..streams {
        let (client, gateway) = (client.clone(), Arc::clone(&gateway));
        begun.spawn(async move { stream(&client, &gateway, "a").await });
    }
    let begun = begun.join_all().await;
    gateway.signal(Signal::Terminate);
    let mut reading = JoinSet::new();
    for answer in begun {
        reading.spawn(async move { answer.bytes().await.is_ok_and(|rest| rest.ends_with(b"data: [DONE]\n\n")) });
    }
    let whole = reading.join_all().await.into_iter().filter(|whole| *whole).count() as u64;
    assert_eq!(whole, streams, "streams that came to their end");
    let mut gateway = Arc::into_inner(gateway).expect("nobody else has it");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let next = Gateway::start_in(&dir, &config).await;
    let total = Admin::of(&next).total().await;
    assert_eq!((total.requests, total.attempts, total.failures), (streams, streams, 0));
    assert_eq!(total.output_tokens, streams * 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_finish_before_the_process_ends() {
    // They take two descriptors each of this process, which some systems do not give.
    let enough = pointsman::proxy::descriptors::raise().is_none_or(|limit| limit >= 4096);
    drains(if enough { 1000 } else { 300 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_longer_than_the_drain_time_are_cut_and_counted() {
    let endless = sim("endless", json!({"faults": [{"kind": "endless"}], "token_ms": 20})).await;
    let (dir, config) = (folder(), configured(&endless, "limits = { drain_timeout = \"1s\" }"));
    let mut gateway = Gateway::start_in(&dir, &config).await;
    let client = client();
    let (one, other) = (stream(&client, &gateway, "a").await, stream(&client, &gateway, "a").await);
    gateway.signal(Signal::Terminate);
    let cut = async |answer: reqwest::Response| answer.bytes().await.is_err();
    let waiting = async { tokio::join!(cut(one), cut(other)) };
    let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("they are cut");
    assert_eq!(ended, (true, true), "nobody takes them for whole");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let next = Gateway::start_in(&dir, &config).await;
    let total = Admin::of(&next).total().await;
    assert_eq!((total.requests, total.attempts), (2, 2));
    assert!(total.output_tokens > 10, "{total:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_sees_the_drain_to_its_end() {
    let sim = sim("slow", json!({"token_ms": 40, "output_tokens": 30})).await;
    let (dir, config) = (folder(), configured(&sim, ""));
    let mut gateway = Gateway::start_in(&dir, &config).await;
    let (client, admin) = (client(), Admin::of(&gateway));
    let short = stream(&client, &gateway, "a").await;
    sim.behave(json!({"token_ms": 40, "output_tokens": 100})).await;
    let long = stream(&client, &gateway, "a").await;
    // Whoever listens for events holds nothing up, nor does a second signal.
    let listening = http().get(gateway.admin_url("/admin/v1/events")).bearer_auth(ADMIN_TOKEN);
    let listening = listening.send().await.expect("the admin listener answers");
    assert_eq!(admin.get("/health/ready").await.status, 200);
    gateway.signal(Signal::Terminate);
    eventually("it says that it drains", async || admin.get("/health/ready").await.status == 503).await;
    gateway.signal(Signal::Terminate);
    let ready = admin.get("/health/ready").await;
    let told: Value = serde_json::from_str(&ready.body).expect("JSON");
    let why = told["degraded"][0].as_str().unwrap_or_default();
    assert!(told["ready"] == false && why.starts_with("draining"), "{told}");
    assert_eq!(admin.get("/health/live").await.status, 200);
    assert!(http().get(gateway.url("/v1/models")).send().await.is_err(), "nothing new is accepted");
    assert!(short.bytes().await.expect("it is whole").ends_with(b"data: [DONE]\n\n"));
    // What ends meanwhile is on the page, and what is changed meanwhile is kept.
    eventually("the short one is counted", async || {
        let page = Scrape::of(&gateway).await;
        let ok = page.sum("pointsman_requests_total", &[("alias", "a"), ("outcome", "ok")]);
        (ok, page.sum("pointsman_requests_in_flight", &[])) == (1.0, 1.0)
    })
    .await;
    admin.change("aliases", "a", &json!({"max_attempts": 2})).await;
    assert!(long.bytes().await.expect("it is whole").ends_with(b"data: [DONE]\n\n"));
    let since = Instant::now();
    assert_eq!(gateway.ended().await.code(), Some(0));
    // It waits for nobody any more: far from the 30 s that a drain may take.
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    drop(listening);
    let next = Gateway::start_in(&dir, &config).await;
    assert_eq!(Admin::of(&next).revision().await, 2);
}
