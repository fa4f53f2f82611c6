//! Do requests of callers wait for what somebody reads at the admin listener? Not longer than
//! the machine has other things to do.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{World, configured, sims};
use crate::support::gateway::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_that_is_read_holds_up_no_request() {
    let sims = sims(&[("one", json!({}))]).await;
    let mut many = String::new();
    for i in 0..4000 {
        let _ = writeln!(
            many,
            "[[aliases]]\nname = \"a{i}\"\nstrategy = \"priority\"\ntargets = [{{ model = \"one/m\" }}]"
        );
    }
    let world = World::of(Gateway::start(&configured(&sims).toml(&many)).await, sims);
    let since = Instant::now();
    assert_eq!(world.admin.get("/admin/v1/revisions/1").await.status, 200);
    let reading = since.elapsed();
    // As many as there are threads that could be kept from requests.
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..std::thread::available_parallelism().map_or(4, usize::from).min(8) {
        let (admin, over) = (world.admin.clone(), Arc::clone(&over));
        readers.spawn(async move {
            while !over.load(SeqCst) {
                assert_eq!(admin.get("/admin/v1/revisions/1").await.status, 200);
            }
        });
    }
    let mut took = Vec::new();
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let since = Instant::now();
        assert_eq!(world.ask("a1", "pm-it").await.status, 200);
        took.push(since.elapsed());
    }
    over.store(true, SeqCst);
    readers.join_all().await;
    took.sort_unstable();
    println!(
        "one reading takes {reading:?}; of requests beside it half took {:?}, the longest {:?}",
        took[20], took[39]
    );
    assert!(took[30] < reading / 3, "requests wait for readers, who take {reading:?}: {took:?}");
}
