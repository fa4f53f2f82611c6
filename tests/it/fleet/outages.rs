//! Redis goes, and comes back with everything, with nothing, or with what it had before:
//! traffic goes on, nothing is changed meanwhile, and afterwards all have the same.

use serde_json::{Value, json};

use super::Fleet;
use crate::support::eventually;
use crate::support::gateway::{Signal, folder};
use crate::support::redis::Data;

fn only(provider: &str) -> Value {
    json!({"targets": [{"model": format!("{provider}/m")}]})
}

impl Fleet {
    /// What each replica says of itself.
    async fn degraded(&self) -> Vec<String> {
        let mut all = Vec::new();
        for replica in &self.replicas {
            let ready: Value = replica.admin.get("/health/ready").await.good();
            assert_eq!(ready["ready"], true, "{}: {ready}", replica.name);
            all.push(ready["degraded"][0].as_str().unwrap_or_default().to_owned());
        }
        all
    }

    /// Waits until every replica is as the others, and has the same history.
    async fn is_one(&self) {
        eventually("all replicas are as one", async || {
            if self.degraded().await.iter().any(|why| !why.is_empty()) {
                return false;
            }
            let mut histories = Vec::new();
            for replica in &self.replicas {
                histories.push(replica.admin.history().await);
            }
            histories.windows(2).all(|pair| pair[0] == pair[1])
        })
        .await;
    }

    /// Changes the alias `a` at one replica, and looks at all others.
    async fn changes(&self, at: usize, provider: &str) {
        let report = self.replicas[at].admin.change("aliases", "a", &only(provider)).await;
        assert_eq!(report.unconfirmed, []);
        assert!(self.served_by("a").await.iter().all(|served| served == provider));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_traffic_goes_on_and_nothing_changes() {
    let mut fleet = Fleet::new(2).await;
    fleet.changes(0, "two").await;
    fleet.redis.kill();
    eventually("the loss is noticed", async || fleet.degraded().await.iter().all(|why| why.contains("Redis is away")))
        .await;
    assert_eq!(fleet.served_by("a").await, ["two", "two"]);
    let refused = fleet.replicas[0].admin.patch("aliases", "a", &only("one"), crate::support::admin::If::Any).await;
    assert_eq!(refused.refusal(), (503, "redis".into()));
    assert!(refused.error().message.contains("nothing can be changed now"), "{refused:?}");

    // A process that starts serves what it knew last; a new one what its file says.
    let dir = fleet.replicas.remove(1).gateway.killed().await;
    let again = fleet.another("r1", &dir).await;
    assert!(again.gateway.log().contains("the last known configuration is served"), "{}", again.gateway.log());
    let new = fleet.another("r2", &folder()).await;
    assert!(new.gateway.log().contains("the configuration file is served"), "{}", new.gateway.log());
    fleet.replicas.extend([again, new]);
    assert_eq!(fleet.served_by("a").await, ["two", "two", "one"]);

    fleet.redis.restart(Data::Kept).await;
    fleet.is_one().await;
    assert_eq!(fleet.served_by("a").await, ["two", "two", "two"]);
    fleet.changes(2, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_lost_the_replicas_bring_back() {
    let mut fleet = Fleet::new(3).await;
    fleet.changes(0, "two").await;
    let snapshot = fleet.redis.snapshot();
    fleet.changes(1, "one").await;
    fleet.changes(2, "two").await;
    let history = fleet.replicas[0].admin.history().await;

    // It comes back as it was two changes ago, and then empty.
    for data in [Data::Older(&snapshot), Data::Lost] {
        fleet.redis.restart(data).await;
        fleet.is_one().await;
        assert_eq!(fleet.served_by("a").await, ["two", "two", "two"]);
        assert_eq!(fleet.replicas[0].admin.history().await, history);
    }
    let new = fleet.another("r3", &folder()).await;
    fleet.replicas.push(new);
    assert_eq!(fleet.replicas[3].admin.history().await, history);
    fleet.changes(3, "one").await;
    let history = fleet.replicas[3].admin.history().await;
    fleet.is_one().await;
    assert_eq!(history[0].number, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_edited_without_redis_is_taken_when_it_is_back() {
    let mut fleet = Fleet::new(2).await;
    fleet.redis.kill();
    eventually("the loss is noticed", async || fleet.degraded().await.iter().all(|why| why.contains("Redis is away")))
        .await;
    let gateway = &fleet.replicas[0].gateway;
    let file = gateway.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("strategy = \"priority\"", "strategy = \"priority\"\nmax_attempts = 7"))
        .unwrap();
    gateway.signal(Signal::Hangup);
    eventually("it says so", async || gateway.log().contains("is done when Redis is back")).await;
    fleet.redis.restart(Data::Kept).await;
    for replica in &fleet.replicas {
        eventually("the file is taken", async || {
            replica.admin.document("aliases", "a").await.document.get("max_attempts") == Some(&json!(7))
        })
        .await;
    }
    fleet.is_one().await;
}

/// One replica alone has seen a change that Redis lost, and meanwhile the others have made
/// another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_went_another_way_gives_way_and_keeps_what_it_had() {
    let mut fleet = Fleet::new(2).await;
    let snapshot = fleet.redis.snapshot();
    let two = fleet.replicas.remove(1).gateway.killed().await;
    fleet.replicas[0].admin.change("aliases", "a", &only("two")).await;
    let one = fleet.replicas.remove(0).gateway.killed().await;

    fleet.redis.restart(Data::Older(&snapshot)).await;
    let two = fleet.another("r1", &two).await;
    two.admin.change("aliases", "a", &json!({"targets": [{"model": "two/m"}, {"model": "one/m"}]})).await;
    let one = fleet.another("r0", &one).await;
    let lost = std::fs::read_dir(one.gateway.folder()).unwrap().map(|entry| entry.unwrap().path());
    let lost: Vec<_> = lost.filter(|path| path.to_string_lossy().contains(".lost-")).collect();
    let kept = std::fs::read_to_string(&lost[0]).unwrap();
    assert_eq!((lost.len(), kept.lines().count()), (1, 1), "{lost:?}: {kept}");
    assert!(kept.contains("\"alias\"") && one.gateway.log().contains("it follows the others now"), "{kept}");
    fleet.replicas.extend([one, two]);
    fleet.is_one().await;
    assert_eq!(fleet.replicas[0].admin.document("aliases", "a").await.document["targets"].as_array().unwrap().len(), 2);
    fleet.changes(0, "one").await;
}
