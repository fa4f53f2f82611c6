//! Five hundred changes at four replicas under load: no request that is sent after a change
//! was acknowledged is served by an older revision, whichever replica it asks.
//!
//! What the changes took is printed; run it with `--nocapture` to see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pointsman::api::change::ChangeReport;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Fleet;
use crate::support::admin::If;

const REPLICAS: usize = 4;
const CHANGES: u64 = 500;
/// Requests at once.
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_changes_are_served_everywhere_as_soon_as_they_are_acknowledged() {
    let fleet = Arc::new(Fleet::new(REPLICAS).await);
    let (acknowledged, ended) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (fleet, acknowledged, ended) = (fleet.clone(), acknowledged.clone(), ended.clone());
        callers.spawn(async move {
            let (mut asked, mut replica) = (0u64, caller);
            while !ended.load(Ordering::SeqCst) {
                replica = (replica + 1) % REPLICAS;
                let least = acknowledged.load(Ordering::SeqCst);
                let got = fleet.ask_by(&fleet.replicas[replica], "a", "pm-it").await;
                let served: u64 = got.header("x-pointsman-revision").parse().expect("a revision");
                assert_eq!(got.status, 200, "{got:?}");
                assert!(served >= least, "r{replica} served {served} after {least} was acknowledged");
                // Every revision says by itself who serves.
                let provider = if served.is_multiple_of(2) { "two" } else { "one" };
                assert!(got.header("x-pointsman-target").ends_with(provider), "{served}: {got:?}");
                asked += 1;
            }
            asked
        });
    }

    let (mut took, mut late) = (Vec::new(), 0);
    for i in 0..CHANGES {
        let provider = if i % 2 == 0 { "two" } else { "one" };
        let replica = &fleet.replicas[usize::try_from(i).expect("few") % REPLICAS];
        let targets = json!({"targets": [{"model": format!("{provider}/m")}]});
        let begun = Instant::now();
        let report: ChangeReport = replica.admin.patch("aliases", "a", &targets, If::Any).await.good();
        took.push(begun.elapsed());
        assert_eq!(report.revision, i + 2, "{}", replica.name);
        if report.unconfirmed.is_empty() {
            acknowledged.store(report.revision, Ordering::SeqCst);
        } else {
            late += 1;
        }
    }
    // A machine that is busy with other tests may keep a replica waiting for longer than a change
    // waits for it, which is told.
    assert!(late <= CHANGES / 50, "{late} changes were not confirmed");
    ended.store(true, Ordering::SeqCst);
    let asked: u64 = callers.join_all().await.iter().sum();
    assert!(asked > CHANGES, "only {asked} requests");
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{CHANGES} changes at {REPLICAS} replicas, {asked} requests meanwhile: acknowledged after {:?} (p50), {:?} (p99), {:?} (longest)",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let history = fleet.replicas[0].admin.history().await;
    assert_eq!(history[0].number, CHANGES + 1);
    for replica in &fleet.replicas {
        assert_eq!(replica.admin.history().await, history, "{}", replica.name);
    }
}
