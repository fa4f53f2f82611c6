//! Does control keep what it promises? Everything here goes through the real binary: changes
//! by the admin API, requests by the data plane, and what is left after a kill.

mod addresses;
mod aside;
mod budgets;
mod description;
mod disk;
mod editors;
mod edits;
mod events;
mod file;
mod keys;
mod kills;
mod limits;
mod roles;
mod scopes;
mod sdks;
mod secrets;
mod usage;

use rand::RngExt;
use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::chat::{Asked, Got, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::http;
use crate::support::sim::Sim;
use crate::support::traffic::sim;

/// A gateway over simulated providers, and its admin API.
struct World {
    gateway: Gateway,
    admin: Admin,
    sims: Vec<Sim>,
    client: reqwest::Client,
}

/// Simulated OpenAIs of these names and behaviours.
async fn sims(all: &[(&str, Value)]) -> Vec<Sim> {
    let mut sims = Vec::new();
    for (name, behaviour) in all {
        sims.push(sim(name, behaviour.clone()).await);
    }
    sims
}

/// A configuration with these as providers, and the key `it`.
fn configured(sims: &[Sim]) -> ConfigText {
    sims.iter().fold(ConfigText::new("").key("it", "pm-it", None), |config, sim| config.sim(sim, ""))
}

impl World {
    /// Providers that answer at once, and what `config` adds.
    async fn new(names: &[&str], config: impl FnOnce(ConfigText) -> ConfigText) -> Self {
        let all: Vec<_> = names.iter().map(|name| (*name, json!({}))).collect();
        let sims = sims(&all).await;
        let config = config(configured(&sims));
        Self::of(Gateway::start(&config).await, sims)
    }

    /// Of what runs already.
    fn of(gateway: Gateway, sims: Vec<Sim>) -> Self {
        Self { admin: Admin::of(&gateway), gateway, sims, client: http() }
    }

    /// One chat by a key, not streamed.
    async fn ask(&self, alias: &str, key: &str) -> Got {
        ask_with(&self.client, &self.gateway, &Asked { alias, key, ..Asked::default() }).await
    }
}

/// The document of an alias over the models of these providers.
fn alias(strategy: &str, providers: &[&str]) -> Value {
    let targets: Vec<Value> = providers.iter().map(|name| json!({"model": format!("{name}/m")})).collect();
    json!({"strategy": strategy, "targets": targets})
}

/// A seed that a failing test shows; `IT_SEED` in the environment repeats it.
fn seed() -> u64 {
    let given = std::env::var("IT_SEED").ok().map(|text| text.parse().expect("IT_SEED is a number"));
    let seed = given.unwrap_or_else(|| rand::rng().random());
    println!("seed {seed}");
    seed
}
