//! kill -9 under load, again and again: the next start serves the configuration that was
//! acknowledged, and no request is counted twice.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{client, sim};
use crate::support::admin::{Admin, If};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, folder};
use crate::support::http;

/// Usage is written down as often as that, and has to be on the disk then.
const WRITTEN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_under_load_counts_nothing_twice_and_forgets_no_change() {
    let (one, two) = (sim("one", json!({})).await, sim("two", json!({})).await);
    let config = ConfigText::new("").sim(&one, "").sim(&two, "").key("it", "pm-it", None);
    let config = config.alias("a", &["one"], "");
    let dir = folder();
    let (sent, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (mut least, mut weight) = (0, 0);
    for round in 0..3 {
        let gateway = Gateway::start_in(&dir, &config).await;
        let admin = Admin::of(&gateway);
        // What the kills before have lost stays lost: only what came since is owed.
        let (counted, before) = (admin.total().await.requests, answered.load(SeqCst));
        if round > 0 {
            assert!((least..=sent.load(SeqCst)).contains(&counted), "{counted} of {sent:?}, at least {least}");
            let alias = admin.document("aliases", "a").await;
            assert_eq!(alias.document["targets"][0]["weight"], weight, "{alias:?}");
        }
        let mut load = JoinSet::new();
        for _ in 0..16 {
            let (url, client) = (gateway.url("/v1/chat/completions"), client());
            let (sent, answered) = (Arc::clone(&sent), Arc::clone(&answered));
            load.spawn(async move {
                let body = json!({"model": "a", "messages": [{"role": "user", "content": "hello"}]}).to_string();
                loop {
                    sent.fetch_add(1, SeqCst);
                    let Ok(answer) = client.post(&url).bearer_auth("pm-it").body(body.clone()).send().await else {
                        return;
                    };
                    assert_eq!(answer.status(), 200);
                    if answer.bytes().await.is_err() {
                        return;
                    }
                    answered.fetch_add(1, SeqCst);
                }
            });
        }
        // One change after the other, until long after what is counted for sure.
        for i in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            weight = round * 100 + i + 1;
            let targets = json!({"targets": [{"model": if i % 2 == 0 { "one/m" } else { "two/m" }, "weight": weight}]});
            assert_eq!(admin.patch("aliases", "a", &targets, If::Any).await.status, 200);
        }
        least = counted + answered.load(SeqCst) - before;
        tokio::time::sleep(WRITTEN).await;
        gateway.killed().await;
        while let Some(ended) = load.join_next().await {
            ended.expect("every answer was good");
        }
    }
    // What the simulators were asked is the most that could be counted.
    let gateway = Gateway::start_in(&dir, &config).await;
    let total = Admin::of(&gateway).total().await;
    assert!((least..=sent.load(SeqCst)).contains(&total.requests), "{total:?}, {sent:?} sent, at least {least}");
    assert!(http().get(gateway.url("/health/live")).send().await.is_ok_and(|answer| answer.status() == 200));
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}
