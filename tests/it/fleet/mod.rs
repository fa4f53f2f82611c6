//! Do several replicas act as one? Real processes over a real Redis, which is stopped, killed
//! and emptied in between.

mod balance;
mod changes;
mod clocks;
mod moods;
mod outages;
mod propagation;
mod quota;
mod quota_cost;
mod statistics;
mod sums;
mod topologies;

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::support::admin::Admin;
use crate::support::chat::{Asked, Got, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, folder};
use crate::support::http;
use crate::support::redis::Redis;
use crate::support::sim::Sim;
use crate::support::traffic::sim;

/// Gateways that share a Redis, and the providers behind them.
struct Fleet {
    redis: Redis,
    /// Where the gateways find it.
    url: String,
    sims: Vec<Sim>,
    replicas: Vec<Replica>,
    client: reqwest::Client,
}

/// One of the gateways.
struct Replica {
    gateway: Gateway,
    admin: Admin,
    name: String,
}

/// A configuration over these providers with the key `it` and the alias `a`, which prefers
/// the first if its strategy is `priority`.
fn configured(sims: &[Sim], strategy: &str) -> ConfigText {
    let names: Vec<&str> = sims.iter().map(Sim::name).collect();
    let config = sims.iter().fold(ConfigText::new("").key("it", "pm-it", None), |config, sim| config.sim(sim, ""));
    config.alias("a", &names, &format!("strategy = \"{strategy}\""))
}

/// What a replica of this name is told of a Redis.
fn sharing(config: ConfigText, url: &str, name: &str) -> ConfigText {
    config.toml(&format!("[store]\npath = \"pointsman.db\"\nurl = \"{url}\"\nreplica = \"{name}\"\n"))
}

impl Fleet {
    /// So many replicas over the providers `one` and `two`.
    async fn new(replicas: usize) -> Self {
        let redis = Redis::start().await;
        let url = redis.url();
        Self::over(redis, url, replicas).await
    }

    /// So many that find Redis there.
    async fn over(redis: Redis, url: String, replicas: usize) -> Self {
        let sims = vec![sim("one", json!({})).await, sim("two", json!({})).await];
        let mut fleet = Self { redis, url, sims, replicas: Vec::new(), client: http() };
        for i in 0..replicas {
            let replica = fleet.another(&format!("r{i}"), &folder()).await;
            fleet.replicas.push(replica);
        }
        fleet
    }

    /// One more replica, in a folder that may have something.
    async fn another(&self, name: &str, dir: &Arc<TempDir>) -> Replica {
        let config = sharing(configured(&self.sims, "priority"), &self.url, name);
        Replica::of(Gateway::start_in(dir, &config).await, name)
    }

    /// One chat through a replica.
    async fn ask_by(&self, replica: &Replica, alias: &str, key: &str) -> Got {
        ask(&self.client, replica, alias, key).await
    }

    /// By which provider each replica serves an alias.
    async fn served_by(&self, alias: &str) -> Vec<String> {
        let mut served = Vec::new();
        for replica in &self.replicas {
            let got = self.ask_by(replica, alias, "pm-it").await;
            assert_eq!(got.status, 200, "{}: {got:?}", replica.name);
            let target = got.header("x-pointsman-target");
            served.push(target.split_once('@').map_or("", |(_, provider)| provider).to_owned());
        }
        served
    }
}

/// One chat through a replica.
async fn ask(client: &reqwest::Client, replica: &Replica, alias: &str, key: &str) -> Got {
    ask_with(client, &replica.gateway, &Asked { alias, key, ..Asked::default() }).await
}

impl Replica {
    fn of(gateway: Gateway, name: &str) -> Self {
        Self { admin: Admin::of(&gateway), gateway, name: name.to_owned() }
    }
}
