//! What health checks say while targets go and come back.

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;

#[tokio::test]
async fn a_gateway_is_ready_while_any_alias_can_be_served_and_says_which_cannot() {
    let (one, two) =
        (Sim::start("one", Protocol::OpenAi, json!({})).await, Sim::start("two", Protocol::OpenAi, json!({})).await);
    let config = ConfigText::new("").sim(&one, "").sim(&two, "").alias("a", &["one"], "").alias("b", &["two"], "");
    let gateway = Gateway::start(&config.key("team", "pm-it", None)).await;
    let admin = Admin::of(&gateway).without_token();
    let ready = async || {
        let told = admin.get("/health/ready").await;
        (told.status, serde_json::from_str::<Value>(&told.body).expect("JSON"))
    };
    // Its breaker opens for a second at first, then for longer: somebody has to go on asking.
    let becomes = async |what: &str, status: u16, whole: Value| {
        eventually(what, async || {
            for alias in ["a", "b"] {
                ask(&gateway, &Asked { alias, ..Asked::default() }).await;
            }
            ready().await == (status, whole.clone())
        })
        .await;
    };
    assert_eq!(ready().await, (200, json!({"ready": true, "revision": 1})));
    let down = json!({"faults": [{"kind": "status", "code": 503}]});
    let (no_a, no_b) = ("no target of `a` can be used now", "no target of `b` can be used now");
    one.behave(down.clone()).await;
    becomes("one is out", 200, json!({"ready": true, "revision": 1, "degraded": [no_a]})).await;
    let target = gateway.target("one/m@one").await;
    assert_eq!((&target["state"], &target["cause"]), (&json!("open"), &json!("server_error")), "{target}");
    assert!(
        target["back_in_ms"].as_u64() > Some(0) && target["failures"]["server_error"].as_u64() > Some(2),
        "{target}"
    );
    two.behave(down).await;
    becomes("both are out", 503, json!({"ready": false, "revision": 1, "degraded": [no_a, no_b]})).await;
    one.behave(json!({})).await;
    two.behave(json!({})).await;
    becomes("both are back", 200, json!({"ready": true, "revision": 1})).await;
}
