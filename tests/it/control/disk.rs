//! What if the disk is full? Changes are refused and nothing changes, requests go on being
//! served, and what they use is written down when there is room again.
//!
//! The disk is made full by the system's limit on the size of a file, which can be set for a
//! process from outside and needs no disk of its own.

use std::process::Command;

use pointsman::api::key::KeyFields;
use serde_json::json;

use super::{World, alias, configured, sims};
use crate::support::admin::If;
use crate::support::eventually;
use crate::support::gateway::Gateway;

/// No file of the process may become larger from now on; `unlimited` ends that.
fn limit_files(gateway: &Gateway, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit").args([&limit, "--pid", &gateway.pid().to_string()]).output();
    let set = set.expect("prlimit of util-linux is there");
    assert!(set.status.success(), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_changes_requests_go_on_and_usage_is_kept() {
    let sims = sims(&[("one", json!({})), ("two", json!({}))]).await;
    let config = configured(&sims).alias("a", &["one"], "").env("POINTSMAN_LOG", "info");
    let world = World::of(Gateway::start_ignoring_file_limits(&config).await, sims);
    let (gateway, admin) = (&world.gateway, &world.admin);
    assert_eq!(world.ask("a", "pm-it").await.status, 200);
    let before = admin.total().await;
    let size = std::fs::metadata(gateway.folder().join("pointsman.db")).unwrap().len();

    limit_files(gateway, &size.to_string());
    let mut made = 0;
    let refused = loop {
        // Until the room in the file is used up.
        let fields =
            KeyFields { name: format!("k{made}"), description: Some("x".repeat(20_000)), ..KeyFields::default() };
        let told = admin.post("/admin/v1/keys", &json!(fields)).await;
        if told.status != 201 {
            break told;
        }
        made += 1;
        assert!(made < 1000, "the disk is never full");
    };
    assert_eq!(refused.refusal(), (500, "store".into()));
    assert!(!refused.body.contains("pointsman.db"), "{refused:?}");
    // What needs less may still be kept. Then nothing may any more, but for the log.
    limit_files(gateway, "65536");
    let edit = admin.put("aliases", "a", &alias("priority", &["two"]), If::Any).await;
    assert_eq!(edit.refusal(), (500, "store".into()));

    for _ in 0..20 {
        let got = world.ask("a", "pm-it").await;
        assert_eq!((got.status, got.header("x-pointsman-target")), (200, "one/m@one"), "{got:?}");
    }
    eventually("the log says so", async || gateway.log().contains("usage cannot be written down")).await;

    assert!(admin.get("/health/ready").await.status == 200, "reading goes on as well");
    limit_files(gateway, "unlimited");
    eventually("changes are made again", async || {
        admin.put("aliases", "a", &alias("priority", &["two"]), If::Any).await.status == 200
    })
    .await;
    assert_eq!(world.ask("a", "pm-it").await.header("x-pointsman-target"), "two/m@two");
    let after = admin.total().await;
    assert_eq!(after.requests - before.requests, 21, "what was used meanwhile is kept");
    let keys: pointsman::api::Page<pointsman::api::key::KeyReport> =
        admin.get("/admin/v1/keys?search=k&limit=1000").await.good();
    assert_eq!(keys.items.iter().filter(|key| key.description.is_some()).count(), made);

    // And it is all there for the next start.
    let total = admin.total().await;
    let next = Gateway::start_in(&world.gateway.killed().await, &config).await;
    let next = World::of(next, world.sims);
    assert_eq!(next.admin.total().await, total);
    assert_eq!(next.ask("a", "pm-it").await.header("x-pointsman-target"), "two/m@two");
}
