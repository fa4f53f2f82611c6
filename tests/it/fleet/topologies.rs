//! Every kind of Redis that `store.url` can name carries two replicas, and goes on doing so
//! when a part of it dies.

use std::time::Duration;

use serde_json::json;

use super::{Replica, ask, configured};
use crate::support::admin::If;
use crate::support::gateway::{Gateway, folder};
use crate::support::redis::{Certificates, Redis, Setup};
use crate::support::redis_sets::{RedisCluster, Watched};
use crate::support::traffic::sim;
use crate::support::{eventually, http};

/// Two replicas over a store, which is `[store]` without the name of the replica.
struct Two {
    replicas: Vec<Replica>,
    client: reqwest::Client,
    asked: u64,
    _sims: Vec<crate::support::sim::Sim>,
}

impl Two {
    async fn over(store: &str) -> Self {
        let sims = vec![sim("one", json!({})).await, sim("two", json!({})).await];
        let mut replicas = Vec::new();
        for name in ["r0", "r1"] {
            let config = configured(&sims, "priority").toml(&format!("[store]\n{store}\nreplica = \"{name}\"\n"));
            replicas.push(Replica::of(Gateway::start_in(&folder(), &config).await, name));
        }
        Self { replicas, client: http(), asked: 0, _sims: sims }
    }

    /// A change at one is served by both, and both know what both have used.
    async fn act_as_one(&mut self) {
        for (provider, at) in [("two", 0), ("one", 1)] {
            let targets = json!({"targets": [{"model": format!("{provider}/m")}]});
            // What Redis had when a part of it died, its heir may not have.
            eventually("a change is made", async || {
                let told = self.replicas[at].admin.patch("aliases", "a", &targets, If::Any).await;
                told.status == 200 && told.good::<pointsman::api::change::ChangeReport>().unconfirmed.is_empty()
            })
            .await;
            for replica in &self.replicas {
                let got = ask(&self.client, replica, "a", "pm-it").await;
                assert_eq!(got.status, 200, "{got:?}");
                assert!(got.header("x-pointsman-target").ends_with(provider), "{got:?}");
                self.asked += 1;
            }
        }
        for replica in &self.replicas {
            let asked = self.asked;
            eventually("all that was used is known", async || replica.admin.total().await.requests == asked).await;
            eventually("all that was seen is known", async || replica.attempts().await == asked).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_few_rights_over_tls() {
    let users = vec!["app on >secret ~{pointsman* &{pointsman* +@all -@admin -@dangerous".to_owned()];
    let certificates = Certificates::made();
    let redis = Redis::with(Setup { users, tls: Some(certificates.clone()), ..Setup::default() }).await;
    let password = folder();
    let file = password.path().join("password");
    std::fs::write(&file, "secret\n").expect("a file");
    let url = redis.tls_url("app:x").replace(":x@", "@");
    let store = format!(
        "url = \"{url}\"\nca_file = \"{}\"\npassword_file = \"{}\"",
        certificates.ca_file().display(),
        file.display()
    );
    Two::over(&store).await.act_as_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket() {
    let redis = Redis::start().await;
    Two::over(&format!("url = \"{}\"", redis.socket_url())).await.act_as_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_a_node() {
    let mut cluster = RedisCluster::start(1, Setup::default()).await;
    let mut two = Two::over(&format!("url = \"{}\"", cluster.url_of_all())).await;
    two.act_as_one().await;
    // The heir has what its master had a moment ago.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let owner = cluster.owner("{pointsman}:x").await;
    cluster.nodes[owner].kill();
    two.act_as_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_choose_another_master() {
    let mut watched = Watched::start(Setup::default()).await;
    let mut two = Two::over(&format!("url = \"{}\"", watched.url())).await;
    two.act_as_one().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    watched.servers[0].kill();
    two.act_as_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fleets_in_one_redis() {
    let redis = Redis::start().await;
    let mut one = Two::over(&format!("url = \"{}\"\nprefix = \"one\"", redis.url())).await;
    let mut other = Two::over(&format!("url = \"{}\"\nprefix = \"other\"", redis.url())).await;
    one.act_as_one().await;
    other.act_as_one().await;
    other.act_as_one().await;
    let revisions = [one.replicas[0].admin.revision().await, other.replicas[0].admin.revision().await];
    assert_eq!(revisions, [3, 5]);
    let keys: Vec<String> = redis.ask(&["KEYS", "*"]).await;
    assert!(keys.iter().all(|key| key.starts_with("{one") || key.starts_with("{other")), "{keys:?}");
}
