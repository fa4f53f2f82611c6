//! Replicas whose clocks differ by minutes act as one all the same.

use pointsman::api::change::ChangeReport;
use pointsman::api::replica::FleetReport;
use pointsman::api::usage::UsageReport;
use serde_json::json;

use super::{Fleet, Replica, configured, sharing};
use crate::support::admin::If;
use crate::support::eventually;
use crate::support::gateway::{Gateway, folder};
use crate::support::redis::Data;
use crate::support::skew::ahead;

/// Around midnight it is another day where a clock is ahead.
const EVERY_DAY: &str = "/admin/v1/usage?by=day&from=2000-01-01&to=2100-01-01";

const SKEWS: [i64; 4] = [-600, 0, 45, 600];

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_minutes_change_nothing() {
    let mut fleet = Fleet::new(0).await;
    for skew in SKEWS {
        let name = format!("at{skew}");
        let config = ahead(sharing(configured(&fleet.sims, "priority"), &fleet.url, &name), skew);
        fleet.replicas.push(Replica::of(Gateway::start_in(&folder(), &config).await, &name));
    }
    let mut times = Vec::new();
    for (i, replica) in fleet.replicas.iter().enumerate() {
        let provider = if i % 2 == 0 { "two" } else { "one" };
        let targets = json!({"targets": [{"model": format!("{provider}/m")}]});
        let report: ChangeReport = replica.admin.patch("aliases", "a", &targets, If::Any).await.good();
        assert_eq!(report.unconfirmed, [], "{}", replica.name);
        assert_eq!(fleet.served_by("a").await, [provider; 4]);
        times.push(replica.admin.history().await[0].at_ms);
    }
    // They really differ.
    assert!(times[0] + 500_000 < times[1] && times[1] + 500_000 < times[3], "{times:?}");

    // Everybody lives, whoever is asked, and goes on doing so.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    for replica in &fleet.replicas {
        let report: FleetReport = replica.admin.get("/admin/v1/replicas").await.good();
        assert!(report.replicas.len() == 4 && report.replicas.iter().all(|other| other.alive), "{report:?}");
    }
    let requests = 4 * 4;
    for replica in &fleet.replicas {
        eventually("all that was used is known", async || {
            replica.admin.get(EVERY_DAY).await.good::<UsageReport>().total.requests == requests
        })
        .await;
    }
    fleet.redis.restart(Data::Lost).await;
    eventually("a change is made everywhere", async || {
        let told = fleet.replicas[3].admin.patch("aliases", "a", &json!({"max_attempts": 2}), If::Any).await;
        told.status == 200 && told.good::<ChangeReport>().unconfirmed.is_empty()
    })
    .await;
    let history = fleet.replicas[0].admin.history().await;
    for replica in &fleet.replicas {
        assert_eq!(replica.admin.history().await, history, "{}", replica.name);
    }
}
