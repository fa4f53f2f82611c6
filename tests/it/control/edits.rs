//! A thousand edits under load: no request fails, each is served as the revision it names
//! allows, and whoever asks after an edit was acknowledged sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{World, configured, seed, sims};
use crate::support::admin::{Admin, If, at};
use crate::support::chat::{Asked, ask_with};
use crate::support::gateway::Gateway;
use crate::support::http;

const EDITS: usize = 1000;
const CLIENTS: usize = 10;
const PROVIDERS: [&str; 3] = ["one", "two", "three"];
/// Each has an editor of its own, so that revisions of one come between those of the other.
const ALIASES: [&str; 2] = ["a", "b"];

/// What an editor believes its alias to be.
#[derive(Clone, Debug)]
struct Model {
    strategy: &'static str,
    targets: Vec<Target>,
}

#[derive(Clone, Debug)]
struct Target {
    provider: &'static str,
    weight: u32,
    enabled: bool,
}

impl Model {
    fn new() -> Self {
        let target = |provider| Target { provider, weight: 1, enabled: true };
        Self { strategy: "priority", targets: PROVIDERS.map(target).to_vec() }
    }

    /// Who may serve it while nothing fails, in the order in which they would be asked.
    fn may(&self) -> May {
        let usable = self.targets.iter().filter(|target| target.enabled && target.weight > 0);
        let endpoints = usable.map(|target| format!("{0}/m@{0}", target.provider)).collect();
        May { endpoints, ordered: self.strategy == "priority" }
    }

    fn documents(&self) -> Vec<Value> {
        let document = |target: &Target| {
            json!({
                "model": format!("{}/m", target.provider), "weight": target.weight, "enabled": target.enabled,
            })
        };
        self.targets.iter().map(document).collect()
    }

    /// Some other state, and the question that makes it so.
    fn edit(&mut self, alias: &str, rng: &mut impl Rng) -> (Method, String, Value) {
        let before = self.clone();
        let path = at("aliases", alias);
        loop {
            *self = before.clone();
            let i = rng.random_range(0..self.targets.len());
            let asked = match rng.random_range(0..6) {
                0 => {
                    let other = rng.random_range(0..self.targets.len());
                    self.targets.swap(i, other);
                    let order: Vec<String> =
                        self.targets.iter().map(|target| format!("{}/m", target.provider)).collect();
                    (Method::PUT, format!("{path}/order"), json!({"targets": order}))
                }
                1 => {
                    self.targets[i].weight = rng.random_range(0..4);
                    let (model, weight) = (format!("{}/m", self.targets[i].provider), self.targets[i].weight);
                    (Method::PUT, format!("{path}/weights"), json!({"weights": {model: weight}}))
                }
                2 => {
                    self.targets[i].enabled = !self.targets[i].enabled;
                    (Method::PATCH, format!("{path}/targets/{i}"), json!({"enabled": self.targets[i].enabled}))
                }
                3 => {
                    let strategies = ["priority", "random-shuffle", "lowest-usage"];
                    self.strategy = strategies[rng.random_range(0..strategies.len())];
                    (Method::PATCH, path.clone(), json!({"strategy": self.strategy}))
                }
                4 => {
                    self.targets.remove(i);
                    (Method::DELETE, format!("{path}/targets/{i}"), Value::Null)
                }
                _ => {
                    let absent = |name: &&&str| !before.targets.iter().any(|target| target.provider == **name);
                    let Some(provider) = PROVIDERS.iter().find(absent) else { continue };
                    self.targets.insert(i, Target { provider, weight: 1, enabled: true });
                    let target = self.documents().swap_remove(i);
                    (Method::POST, format!("{path}/targets"), json!({"target": target, "at": i}))
                }
            };
            // Somebody has to be left, and something to change.
            if !self.may().endpoints.is_empty() && format!("{self:?}") != format!("{before:?}") {
                return asked;
            }
        }
    }
}

/// Who may serve an alias.
#[derive(Clone, Debug)]
struct May {
    endpoints: Vec<String>,
    /// The first of them, unless it is far slower than the others at the moment.
    ordered: bool,
}

/// Who may serve an alias from each revision on that changed it.
type Book = BTreeMap<u64, May>;

async fn edit(admin: Admin, alias: &'static str, acknowledged: Arc<AtomicU64>, mut rng: StdRng) -> Book {
    let mut model = Model::new();
    let mut book = Book::from([(1, model.may())]);
    for _ in 0..EDITS / ALIASES.len() {
        let (method, path, body) = model.edit(alias, &mut rng);
        let body = Some(body).filter(|body| !body.is_null());
        let told = admin.send(method, &path, body.as_ref(), If::Unsaid).await;
        let report: pointsman::api::change::ChangeReport = told.good();
        assert!(book.insert(report.revision, model.may()).is_none(), "two edits with one revision: {report:?}");
        acknowledged.fetch_max(report.revision, SeqCst);
    }
    book
}

/// What a client saw.
struct Seen {
    alias: &'static str,
    revision: u64,
    target: String,
    attempts: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_edits_under_load_fail_no_request_and_are_seen_at_once() {
    let seed = seed();
    let sims = sims(&PROVIDERS.map(|name| (name, json!({"ttft_ms": 25})))).await;
    let config = ALIASES.iter().fold(configured(&sims), |config, alias| config.alias(alias, &PROVIDERS, "explore = 0"));
    let world = World::of(Gateway::start(&config).await, sims);
    let gateway = Arc::new(world.gateway);
    let (acknowledged, over) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (gateway, acknowledged, over) = (Arc::clone(&gateway), Arc::clone(&acknowledged), Arc::clone(&over));
        clients.spawn(async move {
            let http = http();
            let mut seen = Vec::new();
            for n in 0.. {
                let alias = ALIASES[(client + n) % ALIASES.len()];
                let asked = Asked { alias, stream: client % 2 == 0, ..Asked::default() };
                let known = acknowledged.load(SeqCst);
                let got = ask_with(&http, &gateway, &asked).await;
                assert!(got.status == 200 && got.complete && got.error.is_none(), "{got:?}");
                let revision: u64 = got.header("x-pointsman-revision").parse().expect("a revision");
                assert!(revision >= known, "revision {known} was acknowledged before the request: {got:?}");
                let target = got.header("x-pointsman-target").to_owned();
                let provider = target.rsplit('@').next().unwrap_or_default();
                assert!(got.text.starts_with(&format!("[{provider}/m] ")), "another has answered: {got:?}");
                let attempts = got.header("x-pointsman-attempts").to_owned();
                seen.push(Seen { alias, revision, target, attempts });
                if over.load(SeqCst) {
                    break;
                }
            }
            seen
        });
    }
    let mut editors = JoinSet::new();
    for (i, alias) in ALIASES.into_iter().enumerate() {
        let (admin, acknowledged) = (world.admin.clone(), Arc::clone(&acknowledged));
        let rng = StdRng::seed_from_u64(seed + i as u64);
        editors.spawn(async move { (alias, edit(admin, alias, acknowledged, rng).await) });
    }
    let books: BTreeMap<&str, Book> = editors.join_all().await.into_iter().collect();
    over.store(true, SeqCst);
    let seen: Vec<Seen> = clients.join_all().await.into_iter().flatten().collect();

    let (mut in_order, mut ordered) = (0_usize, 0_usize);
    for Seen { alias, revision, target, attempts } in &seen {
        let (since, may) = books[alias].range(..=revision).next_back().expect("every alias has a first revision");
        if !may.endpoints.contains(target) {
            let made = world.admin.get(&format!("/admin/v1/revisions/{since}")).await;
            panic!("{alias} was served by {attempts} of revision {revision}; since {since} {may:?} may: {}", made.body);
        }
        ordered += usize::from(may.ordered);
        in_order += usize::from(may.ordered && may.endpoints[0] == *target);
    }
    // A target that this busy machine makes look slow stands behind the others for a while.
    assert!(in_order as f64 > 0.95 * ordered as f64, "{in_order} of {ordered} were served in order of priority");
    let last = EDITS as u64 + 1;
    let mut revisions: Vec<u64> = seen.iter().map(|seen| seen.revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    println!("{} requests, {} revisions seen", seen.len(), revisions.len());
    assert!(seen.len() > 1000 && revisions.len() > 100, "{} requests, {} revisions", seen.len(), revisions.len());
    let history = world.admin.history().await;
    let numbers: Vec<u64> = history.iter().rev().map(|revision| revision.number).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "every edit is a revision");
}
