//! Does every alert fire when what it is for happens, and end when it is mended?
//!
//! Five gateways, a Redis, providers that can be broken, callers who misbehave, and rules whose
//! clock runs faster. All faults happen at once, then all are mended.
//!
//! `PointsmanSeriesNear` would take thousands of aliases; it is tested by `promtool`.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::files::{documents, list, string};
use super::prometheus::Prometheus;
use super::scaled;
use crate::support::admin::{Admin, If};
use crate::support::chat::{Asked, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::{BINARY, Gateway, Signal, folder};
use crate::support::redis::Redis;
use crate::support::sim::Sim;
use crate::support::toxic::{Mood, Toxic};
use crate::support::{PATIENCE, eventually, http};

/// Alerts that no test brings about, since that would take too long.
const BY_PROMTOOL: &[&str] = &["PointsmanSeriesNear"];

/// What can make an alert fire, where that is more than one thing; each has to.
fn causes(alert: &str) -> &'static [&'static str] {
    match alert {
        "PointsmanCredentialRefused" => &["credential", "model_gone"],
        "PointsmanRedisDegraded" => &["late", "not at all"],
        _ => &[""],
    }
}

/// The gateways: three that share a Redis, of which the second will lose it and the third, who has
/// nothing to ask it for callers, will wait for its answers; one that will lose its disk and its file,
/// and is asked hard questions; one that will stand still.
const WELL: usize = 0;
const CUT_OFF: usize = 1;
const FAR: usize = 2;
const TROUBLED: usize = 3;
const STOPPED: usize = 4;

/// Providers: how they are, and how when something is wrong.
fn providers() -> Vec<(&'static str, Value, Value)> {
    let even = json!({"ttft_ms": 100});
    let mut all = vec![
        ("down", json!({}), json!({"faults": [{"kind": "status", "code": 503}]})),
        ("late", json!({}), json!({"ttft_ms": 2700})),
        ("closed", json!({}), json!({"api_key": "another"})),
        ("gone", json!({}), json!({"faults": [{"kind": "status", "code": 404}]})),
        ("h1", json!({}), json!({})),
        ("h2", json!({}), json!({})),
        // Late now and then, and not so slow that others are preferred.
        (
            "uneven",
            even.clone(),
            json!({"ttft_ms": 100, "faults": [{"kind": "slow_headers", "ms": 900, "share": 0.17}]}),
        ),
        ("even", even.clone(), even.clone()),
    ];
    all.extend(ALIKE.map(|name| (name, even.clone(), even.clone())));
    all
}

/// Providers that are as good as each other.
const ALIKE: [&str; 8] = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"];

fn configured(sims: &[Sim]) -> ConfigText {
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for sim in sims {
        config = config.provider(sim.name(), sim.protocol(), &sim.base_url(), "");
        let price = if sim.name() == "h1" { "usd_per_mtok = { input = 1000, output = 1000 }" } else { "" };
        config = config.model(sim.name(), price);
    }
    config
        .alias("fails", &["down"], "")
        .alias("late", &["late"], "")
        .alias("closed", &["closed"], "")
        .alias("gone", &["gone"], "")
        .alias("herd", &["h1", "h2"], "")
        .alias("dear", &["h1"], "budget = \"$0.5/day\"")
        .alias("hedged", &["uneven", "even"], "hedge = 0.2")
        // Only who is known is asked for a second copy.
        .alias("known", &["even"], "")
        .alias("explored", &ALIKE, "strategy = \"lowest-latency\"\nexplore = 0.2")
        .toml(
            "[[aliases]]\nname = \"by-task\"\nstrategy = \"category\"\nclassifier = { budget = \"5s\" }\n\
             [[aliases.categories]]\nname = \"coding\"\nstrategy = \"priority\"\ntargets = [{ model = \"h2/m\" }]\n\
             [[aliases.categories]]\nname = \"default\"\nstrategy = \"priority\"\ntargets = [{ model = \"h2/m\" }]\n",
        )
}

struct World {
    sims: Vec<Sim>,
    gateways: Vec<Arc<Gateway>>,
    /// Those of [`CUT_OFF`] and of [`FAR`].
    ways_to_redis: [Toxic; 2],
    _redis: Redis,
}

impl World {
    async fn new() -> Self {
        let mut sims = Vec::new();
        for (name, well, _) in providers() {
            sims.push(Sim::start(name, Protocol::OpenAi, well).await);
        }
        let redis = Redis::start().await;
        let ways_to_redis = [Toxic::before(redis.port()).await, Toxic::before(redis.port()).await];
        let mut gateways = Vec::new();
        let [cut_off, far] = &ways_to_redis;
        for (name, url) in [("r0", redis.url()), ("r1", cut_off.url()), ("r2", far.url())] {
            let store = format!("[store]\npath = \"pointsman.db\"\nurl = \"{url}\"\nreplica = \"{name}\"\n");
            gateways.push(Arc::new(Gateway::start(&configured(&sims).toml(&store)).await));
        }
        for _ in [TROUBLED, STOPPED] {
            // It is told when a file cannot grow, instead of being killed for it.
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", BINARY]);
            let alone = Gateway::try_start_by(command, &folder(), &configured(&sims)).await;
            gateways.push(Arc::new(alone.unwrap_or_else(|none| panic!("{none:?}"))));
        }
        Self { sims, gateways, ways_to_redis, _redis: redis }
    }

    async fn break_everything(&self) {
        for (sim, (.., fault)) in self.sims.iter().zip(providers()) {
            sim.behave(fault).await;
        }
        let [cut_off, far] = &self.ways_to_redis;
        cut_off.be(Mood::Refusing).await;
        far.be(Mood::Delaying(Duration::from_millis(80))).await;
        self.reload("nonsense = 1");
        self.limit(TROUBLED, "--fsize=65536:");
        self.leave_few_descriptors();
        self.signal(STOPPED, "STOP");
    }

    /// A limit close above the descriptors that a gateway has open at the moment.
    fn leave_few_descriptors(&self) {
        let open = format!("/proc/{}/fd", self.gateways[CUT_OFF].pid());
        let open = std::fs::read_dir(open).expect("its descriptors").count();
        self.limit(CUT_OFF, &format!("--nofile={}:", open + open / 8));
    }

    async fn mend_everything(&self) {
        for (sim, (_, well, _)) in self.sims.iter().zip(providers()) {
            sim.behave(well).await;
        }
        for way in &self.ways_to_redis {
            way.be(Mood::Well).await;
        }
        self.reload(configured(&self.sims).text());
        self.limit(TROUBLED, "--fsize=unlimited:");
        self.limit(CUT_OFF, "--nofile=1024:");
        self.signal(STOPPED, "CONT");
        for (alias, patch) in [
            ("dear", json!({"budget": "$100/day"})),
            ("hedged", json!({"hedge": false})),
            ("explored", json!({"explore": 0})),
        ] {
            self.change(alias, &patch).await;
        }
    }

    /// Changes an alias; again, should Redis be late on a busy machine.
    async fn change(&self, alias: &str, patch: &Value) {
        let admin = Admin::of(&self.gateways[WELL]);
        eventually("the change is made", async || admin.patch("aliases", alias, patch, If::Unsaid).await.status == 200)
            .await;
    }

    /// What the configuration file says from now on.
    fn reload(&self, text: &str) {
        std::fs::write(self.gateways[TROUBLED].config_file(), text).unwrap();
        self.gateways[TROUBLED].signal(Signal::Hangup);
    }

    /// A limit of a gateway's process.
    fn limit(&self, gateway: usize, what: &str) {
        let pid = self.gateways[gateway].pid().to_string();
        let set = Command::new("prlimit").args([what, "--pid", &pid]).output().expect("prlimit of util-linux is there");
        assert!(set.status.success(), "{set:?}");
    }

    fn signal(&self, gateway: usize, name: &str) {
        let pid = self.gateways[gateway].pid();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
        assert!(sent.is_ok_and(|status| status.success()), "signal {name} was not sent");
    }

    /// Requests to an alias at a steady rate, so many at once each time, until the set is dropped.
    fn flow(&self, into: &mut JoinSet<()>, gateway: usize, alias: &'static str, (a_second, at_once): (f64, usize)) {
        let (gateway, client) = (Arc::clone(&self.gateways[gateway]), http());
        into.spawn(async move {
            let mut under_way = JoinSet::new();
            let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / a_second));
            loop {
                due.tick().await;
                for _ in 0..at_once {
                    under_way.spawn(ask(client.clone(), Arc::clone(&gateway), alias, &[]));
                }
                while under_way.try_join_next().is_some() {}
            }
        });
    }

    /// Callers who all prefer one target, and a moment later all the other.
    fn herd(&self, into: &mut JoinSet<()>) {
        let (gateway, client) = (Arc::clone(&self.gateways[WELL]), http());
        into.spawn(async move {
            let since = Instant::now();
            let mut under_way = JoinSet::new();
            let mut due = tokio::time::interval(Duration::from_millis(60));
            loop {
                due.tick().await;
                let first = (since.elapsed().as_millis() / 2000).is_multiple_of(2);
                let order: &[_] = if first { &[("x-pointsman-order", "h1")] } else { &[("x-pointsman-order", "h2")] };
                under_way.spawn(ask(client.clone(), Arc::clone(&gateway), "herd", order));
                while under_way.try_join_next().is_some() {}
            }
        });
    }
}

/// A short answer to a prompt of its own, of which the classifier is in doubt.
async fn ask(
    client: reqwest::Client,
    gateway: Arc<Gateway>,
    alias: &'static str,
    headers: &'static [(&'static str, &'static str)],
) {
    let prompt = format!("Could you look at thing {} and say something of it?", rand::random::<u64>());
    let more = json!({"max_tokens": 8});
    ask_with(&client, &gateway, &Asked { alias, stream: true, prompt: &prompt, more, headers, ..Asked::default() })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_fires_on_its_fault_and_ends_with_it() {
    let world = World::new().await;
    let addresses: Vec<String> =
        world.gateways.iter().map(|of| of.admin_url("").trim_start_matches("http://").to_owned()).collect();
    let prometheus = Prometheus::start("500ms", &addresses, &scaled::rules(1)).await;
    let mut traffic = JoinSet::new();
    for (alias, a_second) in [
        ("fails", 6.0),
        ("late", 6.0),
        ("closed", 4.0),
        ("gone", 4.0),
        ("dear", 4.0),
        ("hedged", 15.0),
        ("known", 3.0),
        ("explored", 3.0),
    ] {
        world.flow(&mut traffic, WELL, alias, (a_second, 1));
    }
    world.flow(&mut traffic, TROUBLED, "herd", (4.0, 1));
    tokio::time::sleep(Duration::from_secs(2)).await;

    world.break_everything().await;
    let mut misbehaviour = JoinSet::new();
    world.herd(&mut misbehaviour);
    world.flow(&mut misbehaviour, TROUBLED, "by-task", (1.0, 16));
    // What the replica that is cut off does not hear of.
    world.change("late", &json!({"deadline": "1m"})).await;
    let mut silent = declared().await;
    let since = Instant::now();
    while !silent.is_empty() {
        for alert in prometheus.firing().await {
            let name = alert.label("alertname");
            let cause = match name {
                "PointsmanCredentialRefused" => alert.label("outcome"),
                "PointsmanRedisDegraded" if alert.label("instance") == addresses[CUT_OFF] => "not at all",
                // Not because calls have failed, as they may on a busy machine.
                "PointsmanRedisDegraded" if prometheus.ask(&failing_calls(&addresses[FAR])).await.is_empty() => "late",
                _ => "",
            };
            if silent.remove(&(name.to_owned(), cause.to_owned())) && name == "PointsmanCredentialRefused" {
                // Each refusal is believed for longer than the one before: from half a minute on.
                let of = if cause == "credential" { "closed" } else { "gone" };
                let refusing = world.sims.iter().find(|sim| sim.name() == of).expect("it is one of them");
                refusing.behave(json!({})).await;
            }
        }
        if silent.iter().any(|(name, _)| name == "PointsmanDescriptorsNear") {
            // Fewer are open once those to Redis are closed.
            world.leave_few_descriptors();
        }
        assert!(since.elapsed() < PATIENCE, "these do not fire: {silent:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }

    drop(misbehaviour);
    world.mend_everything().await;
    let since = Instant::now();
    loop {
        let firing = prometheus.firing().await;
        if firing.is_empty() {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "these do not end: {firing:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// A gateway's share of calls of Redis that fail, if that is more than may.
fn failing_calls(instance: &str) -> String {
    let calls =
        |which: &str| format!("sum(increase(pointsman_redis_calls_total{{instance=\"{instance}\"{which}}}[5s]))");
    format!("{} / {} > 0.05", calls(",result!=\"answered\""), calls(""))
}

/// The alerts that there are, each with its causes, but for those that are tested otherwise.
async fn declared() -> BTreeSet<(String, String)> {
    let files = documents(&["grafana/prometheus/alerts.yml"]).await;
    let rules = list(&files[0]["groups"]).flat_map(|group| list(&group["rules"]));
    let names = rules.map(|rule| string(&rule["alert"]).to_owned());
    let names = names.filter(|name| !BY_PROMTOOL.contains(&name.as_str()));
    names.flat_map(|name| causes(&name).iter().map(move |cause| (name.clone(), (*cause).to_owned()))).collect()
}
