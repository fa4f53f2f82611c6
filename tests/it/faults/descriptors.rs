//! No descriptors left: whoever is there is served on, idle connections give theirs back, the log
//! is not flooded, and when there are some again it is as if nothing had been.

use std::sync::Arc;
use std::time::Duration;

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
