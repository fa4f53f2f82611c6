//! Requests at a steady rate, whatever becomes of the earlier ones, and what was seen of them.

use std::sync::Arc;
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::chat::{Asked, Got, ask_with};
use super::config::ConfigText;
use super::gateway::Gateway;
use super::http;
use super::sim::Sim;

/// So many.
pub fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

/// Answers of 24 tokens: `first_ms` until the first, then two milliseconds each; `slower`
/// times all of it.
pub fn speed(first_ms: f64, slower: f64) -> Value {
    json!({"ttft_ms": {"median": first_ms * slower, "sigma": 0.1}, "token_ms": 2.0 * slower})
}

/// A gateway whose alias `a` has these providers.
pub async fn gateway(sims: &[&Sim], alias: &str) -> Gateway {
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for sim in sims {
        config = config.sim(sim, "");
    }
    let names: Vec<&str> = sims.iter().map(|sim| sim.name()).collect();
    Gateway::start(&config.alias("a", &names, alias)).await
}

/// A simulated OpenAI.
pub async fn sim(name: &str, behaviour: Value) -> Sim {
    Sim::start(name, Protocol::OpenAi, behaviour).await
}

/// One request and its answer.
#[derive(Debug)]
pub struct Served {
    /// When it was sent.
    pub at: Instant,
    /// How long its whole answer took.
    pub took: Duration,
    /// The answer.
    pub got: Got,
}

impl Served {
    /// Seconds from some moment to when it was sent; negative if it was sent before.
    pub fn after(&self, moment: Instant) -> f64 {
        let (late, early) = (self.at.saturating_duration_since(moment), moment.saturating_duration_since(self.at));
        late.as_secs_f64() - early.as_secs_f64()
    }

    /// The provider that was asked first; empty if none was.
    pub fn first(&self) -> &str {
        self.asked().next().unwrap_or_default()
    }

    /// The providers that were asked, in the order of the header.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        let attempts = self.got.header("x-pointsman-attempts").split(", ").filter(|attempt| !attempt.is_empty());
        attempts.map(|attempt| attempt.split('/').next().unwrap_or_default())
    }

    /// The provider that served it.
    pub fn by(&self) -> &str {
        self.got.header("x-pointsman-target").split('/').next().unwrap_or_default()
    }
}

/// Tests about speeds of a tenth of a second do not run beside each other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Streams through one alias, named `a`, at one gateway, or at one of several after the other.
pub struct Traffic {
    _alone: MutexGuard<'static, ()>,
    gateways: Vec<Arc<Gateway>>,
    client: reqwest::Client,
    sent: JoinSet<Served>,
}

impl Traffic {
    /// None yet.
    pub async fn to(gateway: Gateway) -> Self {
        Self::to_all(vec![gateway]).await
    }

    /// None yet, to any number of gateways.
    pub async fn to_all(gateways: Vec<Gateway>) -> Self {
        let gateways = gateways.into_iter().map(Arc::new).collect();
        Self { _alone: ALONE.lock().await, gateways, client: http(), sent: JoinSet::new() }
    }

    /// Where it goes; the first of several.
    pub fn gateway(&self) -> &Gateway {
        &self.gateways[0]
    }

    /// Sends so many a second for a while; it waits for no answer.
    pub async fn run(&mut self, per_second: f64, lasting: Duration) {
        let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
        let end = Instant::now() + lasting;
        loop {
            due.tick().await;
            if Instant::now() >= end {
                return;
            }
            let next = Arc::clone(&self.gateways[self.sent.len() % self.gateways.len()]);
            let (gateway, client) = (next, self.client.clone());
            self.sent.spawn(async move {
                let at = Instant::now();
                let got = ask_with(&client, &gateway, &Asked { alias: "a", stream: true, ..Asked::default() }).await;
                Served { at, took: at.elapsed(), got }
            });
        }
    }

    /// Waits for all answers; in the order in which they were asked for.
    pub async fn all(&mut self) -> Vec<Served> {
        let mut all = Vec::new();
        while let Some(served) = self.sent.join_next().await {
            all.push(served.expect("the request did not panic"));
        }
        all.sort_by_key(|served| served.at);
        all
    }
}

/// Whether a request was sent to this provider first.
pub fn first_is<'a>(name: &'a str) -> impl Fn(&Served) -> bool + 'a {
    move |served| served.first() == name
}

/// None was lost, and none saw an error.
pub fn assert_all_served(all: &[Served]) {
    for served in all {
        assert!(served.got.status == 200 && served.got.complete, "{served:?}");
    }
}

/// Those sent between two moments, in seconds after `since`.
pub fn between(all: &[Served], since: Instant, from_s: f64, to_s: f64) -> Vec<&Served> {
    all.iter().filter(|served| (from_s..to_s).contains(&served.after(since))).collect()
}

/// The part of them for which something holds.
pub fn share(of: &[&Served], holds: impl Fn(&Served) -> bool) -> f64 {
    assert!(!of.is_empty(), "no request was sent in that time");
    of.iter().filter(|served| holds(served)).count() as f64 / of.len() as f64
}

/// Who was asked first, second by second, for the message of a test that fails.
pub fn by_second(all: &[Served], since: Instant) -> String {
    let mut lines = std::collections::BTreeMap::<i64, std::collections::BTreeMap<&str, usize>>::new();
    for served in all {
        *lines.entry(served.after(since).floor() as i64).or_default().entry(served.first()).or_default() += 1;
    }
    lines.iter().map(|(second, first)| format!("{second:+} s: {first:?}\n")).collect()
}

/// The time that a share `q` of them did not exceed.
pub fn quantile(of: &[&Served], q: f64) -> Duration {
    let mut times: Vec<Duration> = of.iter().map(|served| served.took).collect();
    times.sort();
    times[((times.len() - 1) as f64 * q).round() as usize]
}
