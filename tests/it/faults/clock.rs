//! The wall clock is set while the process runs: no limit, no breaker and no session notices.

use std::path::Path;

use serde_json::json;

use super::sim;
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::{Gateway, folder};
use crate::support::skew::jumping;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_moves_no_deadline() {
    let (flaky, good) = (sim("flaky", json!({})).await, sim("good", json!({})).await);
    let dir = folder();
    let clock = dir.path().join("clock");
    let set = |path: &Path, seconds: i64| std::fs::write(path, format!("{seconds:+}s\n")).expect("the clock is set");
    set(&clock, 0);
    let config = ConfigText::new("").sim(&flaky, "").sim(&good, "").key("it", "pm-it", None);
    let config = config.alias("a", &["flaky", "good"], "").alias("limited", &["good"], "");
    let config = config.toml("[[keys]]\nname = \"slow\"\nkey_env = \"IT_SLOW\"\nrequests_per_minute = 1");
    let config = jumping(config.env("IT_SLOW", "pm-slow-0123456789"), &clock);
    let gateway = Gateway::start_in(&dir, &config).await;
    let served_by = async || {
        let got = ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("x-pointsman-target").to_owned()
    };
    let limited =
        async || ask(&gateway, &Asked { alias: "limited", key: "pm-slow-0123456789", ..Asked::default() }).await.status;
    assert_eq!(limited().await, 200);
    const DAY: i64 = 86_400;
    for jump in [DAY, -DAY] {
        flaky.behave(json!({"faults": [{"kind": "status", "code": 503}]})).await;
        eventually("the breaker opens", async || {
            served_by().await;
            gateway.target("flaky/m@flaky").await["state"] == "open"
        })
        .await;
        set(&clock, jump);
        assert_eq!(served_by().await, "good/m@good");
        flaky.behave(json!({})).await;
        // In seconds, neither at once nor in a day.
        eventually("it comes back", async || served_by().await == "flaky/m@flaky").await;
        assert_eq!(limited().await, 429, "a minute has not passed");
    }
}
