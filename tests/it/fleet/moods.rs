//! Redis is refused, mute, slow, stopped, full, read-only, or has forgotten its scripts:
//! requests go on all the while, a change is made or plainly not, and afterwards all have the
//! same and nothing is counted twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use tokio::task::JoinSet;

use super::Fleet;
use crate::support::admin::If;
use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::toxic::{Mood, Toxic};

/// For so long Redis is in each mood.
const LASTS: Duration = Duration::from_secs(2);

/// Redis, and the network before it.
struct Outage<'r> {
    redis: &'r Redis,
    network: Toxic,
}

impl Outage<'_> {
    async fn begins(&self, what: &str) {
        match what {
            "refused" => self.network.be(Mood::Refusing).await,
            "mute" => self.network.be(Mood::Swallowing).await,
            "slow" => self.network.be(Mood::Delaying(Duration::from_millis(500))).await,
            "stopped" => self.redis.pause(),
            "full" => self.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await,
            "read-only" => self.redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await,
            _ => self.redis.ask(&["SCRIPT", "FLUSH"]).await,
        }
    }

    async fn ends(&self, what: &str) {
        match what {
            "refused" | "mute" | "slow" => self.network.be(Mood::Well).await,
            "stopped" => self.redis.resume(),
            "full" => self.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await,
            "read-only" => self.redis.ask(&["REPLICAOF", "NO", "ONE"]).await,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_redis_does_requests_go_on_and_all_comes_together_again() {
    let redis = Redis::start().await;
    let network = Toxic::before(redis.port()).await;
    let fleet = Arc::new(Fleet::over(redis, network.url(), 2).await);
    let outage = Outage { redis: &fleet.redis, network };
    let (served, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for at in 0..2 {
        let (fleet, served, ended) = (fleet.clone(), served.clone(), ended.clone());
        callers.spawn(async move {
            while !ended.load(Ordering::SeqCst) {
                let got = fleet.ask_by(&fleet.replicas[at], "a", "pm-it").await;
                assert_eq!(got.status, 200, "{got:?}");
                served.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }

    for what in ["refused", "mute", "slow", "stopped", "full", "read-only", "forgetful"] {
        outage.begins(what).await;
        tokio::time::sleep(LASTS / 2).await;
        let before = served.load(Ordering::SeqCst);
        let told = fleet.replicas[0].admin.patch("aliases", "a", &only("two"), If::Any).await;
        match told.status {
            // Slow may be fast enough.
            200 => assert!(matches!(what, "forgetful" | "slow"), "{what}: {told:?}"),
            _ => assert!(matches!(told.refusal().1.as_str(), "redis" | "undecided"), "{what}: {told:?}"),
        }
        tokio::time::sleep(LASTS / 2).await;
        assert!(served.load(Ordering::SeqCst) > before, "{what}: nobody was served");
        outage.ends(what).await;
        eventually("a change is made everywhere", async || {
            let told = fleet.replicas[1].admin.patch("aliases", "a", &only("one"), If::Any).await;
            told.status == 200 && told.good::<Value>()["unconfirmed"].as_array().is_none_or(Vec::is_empty)
        })
        .await;
        eventually("nobody is degraded", async || {
            let mut well = true;
            for replica in &fleet.replicas {
                well &= replica.admin.get("/health/ready").await.good::<Value>()["degraded"].is_null();
            }
            well
        })
        .await;
        assert_eq!(fleet.replicas[0].admin.history().await, fleet.replicas[1].admin.history().await, "after {what}");
    }
    ended.store(true, Ordering::SeqCst);
    callers.join_all().await;
    let served = served.load(Ordering::SeqCst);
    for replica in &fleet.replicas {
        eventually("all that was used is known, once", async || replica.admin.total().await.requests == served).await;
    }
}

fn only(provider: &str) -> Value {
    json!({"targets": [{"model": format!("{provider}/m")}]})
}
