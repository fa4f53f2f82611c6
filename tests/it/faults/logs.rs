//! A log that cannot be written, because its disk is full, is no reason to end.

use serde_json::json;

use super::{limit, sim};
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Signal};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_logged_is_served_all_the_same() {
    let (bad, good) = (sim("bad", json!({"faults": [{"kind": "reset"}]})).await, sim("good", json!({})).await);
    let config = ConfigText::new("").sim(&bad, "").sim(&good, "").key("it", "pm-it", None);
    let config = config.alias("a", &["bad", "good"], "").env("POINTSMAN_LOG", "debug");
    let mut gateway = Gateway::start_ignoring_file_limits(&config).await;
    limit(&gateway, "--fsize=1:");
    for _ in 0..5 {
        let got = ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await;
        assert_eq!((got.status, got.header("x-pointsman-target")), (200, "good/m@good"), "{got:?}");
    }
    // Usage cannot be written down either, which it wants to tell.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await.status, 200);
    limit(&gateway, "--fsize=unlimited:");
    gateway.signal(Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0));
}
