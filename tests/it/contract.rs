//! One contract, whatever keeps what is configured: every promise of control is asked of a
//! gateway with a store of its own, and of two that share a Redis, where one makes the change
//! and the other is asked for it.

use pointsman::api::Page;
use pointsman::api::change::ChangeReport;
use pointsman::api::key::{KeyCreated, KeyFields};
use pointsman::api::resource::Resource;
use pointsman::api::revision::{AuditEntry, Comparison};
use pointsman::api::token::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::admin::{Admin, If, at};
use crate::support::chat::{Asked, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, folder};
use crate::support::http;
use crate::support::redis::Redis;
use crate::support::sim::Sim;
use crate::support::traffic::sim;

/// What keeps things, seen from two sides.
struct World {
    /// Where changes are made.
    here: Admin,
    /// Where they are looked for.
    there: Admin,
    /// Serves the side that is looked at; the last one of `gateways`.
    client: reqwest::Client,
    gateways: Vec<Gateway>,
    _sims: Vec<Sim>,
    _redis: Option<Redis>,
}

async fn configured() -> (Vec<Sim>, ConfigText) {
    let sims = vec![sim("one", json!({})).await, sim("two", json!({})).await];
    let config = sims.iter().fold(ConfigText::new("").key("it", "pm-it", None), |config, sim| config.sim(sim, ""));
    (sims, config.alias("a", &["one", "two"], ""))
}

impl World {
    async fn embedded() -> Self {
        let (sims, config) = configured().await;
        Self::of(vec![Gateway::start(&config).await], sims, None)
    }

    async fn shared() -> Self {
        let (sims, config) = configured().await;
        let redis = Redis::start().await;
        let config = config.toml(&format!("[store]\nurl = \"{}\"\n", redis.url()));
        let gateways = vec![Gateway::start_in(&folder(), &config).await, Gateway::start_in(&folder(), &config).await];
        Self::of(gateways, sims, Some(redis))
    }

    fn of(gateways: Vec<Gateway>, _sims: Vec<Sim>, _redis: Option<Redis>) -> Self {
        let [here, there] = [&gateways[0], &gateways[gateways.len() - 1]].map(Admin::of);
        Self { here, there, client: http(), gateways, _sims, _redis }
    }

    /// The status of a chat on the side that is looked at, and who served it.
    async fn ask(&self, alias: &str, key: &str) -> (u16, String) {
        let gateway = &self.gateways[self.gateways.len() - 1];
        let got = ask_with(&self.client, gateway, &Asked { alias, key, ..Asked::default() }).await;
        (got.status, got.header("x-pointsman-target").to_owned())
    }

    async fn served_by(&self, alias: &str) -> String {
        self.ask(alias, "pm-it").await.1
    }
}

fn alias(provider: &str) -> Value {
    json!({"strategy": "priority", "targets": [{"model": format!("{provider}/m")}]})
}

/// Each of these asks something of both kinds of worlds.
macro_rules! contract {
    ($($promise:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise(super::World::embedded().await).await;
            })*
        }
        mod shared {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise(super::World::shared().await).await;
            })*
        }
    };
}

contract! {
    a_change_is_served_when_it_returns
    documents_are_put_changed_and_taken_out
    two_editors_get_a_conflict
    what_does_not_fit_changes_nothing
    a_dry_run_changes_nothing
    a_name_changes_everywhere
    documents_are_applied_as_one_revision
    one_can_go_back
    keys_are_made_rotated_and_revoked
    tokens_are_made_and_taken_back
    what_was_done_is_in_the_audit_log
    usage_is_counted_once
    what_is_exported_can_be_applied
}

async fn a_change_is_served_when_it_returns(world: World) {
    assert_eq!(world.served_by("a").await, "one/m@one");
    for provider in ["two", "one", "two"] {
        world.here.change("aliases", "a", &alias(provider)).await;
        assert_eq!(world.served_by("a").await, format!("{provider}/m@{provider}"));
    }
    let revision = world.here.revision().await;
    assert_eq!((revision, world.there.revision().await), (4, 4));
}

async fn documents_are_put_changed_and_taken_out(world: World) {
    let put: ChangeReport = world.here.put("aliases", "b", &alias("one"), If::Absent).await.good();
    assert_eq!(world.there.document("aliases", "b").await.revision, put.revision);
    assert_eq!(world.here.put("aliases", "b", &alias("two"), If::Unsaid).await.status, 428);
    world.here.change("aliases", "b", &json!({"max_attempts": 2, "targets": [{"model": "two/m"}]})).await;
    let now: Resource = world.there.document("aliases", "b").await;
    assert_eq!((now.document["max_attempts"].as_u64(), now.document["strategy"].as_str()), (Some(2), Some("priority")));
    assert_eq!(world.served_by("b").await, "two/m@two");
    assert_eq!(world.here.delete("aliases", "b").await.status, 200);
    assert_eq!(world.there.get(&at("aliases", "b")).await.status, 404);
    assert_eq!(world.ask("b", "pm-it").await.0, 404);
}

async fn two_editors_get_a_conflict(world: World) {
    let seen = world.there.document("aliases", "a").await.revision;
    world.here.patch("aliases", "a", &json!({"max_attempts": 1}), If::Match(seen)).await.good::<ChangeReport>();
    let late = world.there.patch("aliases", "a", &json!({"max_attempts": 2}), If::Match(seen)).await;
    assert_eq!(late.refusal(), (412, "conflict".into()));
    assert_eq!(late.error().revision, Some(world.here.document("aliases", "a").await.revision));
    assert_eq!(world.here.document("aliases", "a").await.document["max_attempts"], 1);
    // Any number at once: each sees all before it.
    let many = (0..8).map(|i| {
        let admin = [&world.here, &world.there][i % 2].clone();
        async move {
            admin.patch("aliases", "a", &json!({"max_attempts": i + 2}), If::Any).await.good::<ChangeReport>()
        }
    });
    let reports = futures_util::future::join_all(many).await;
    let mut revisions: Vec<u64> = reports.iter().map(|report| report.revision).collect();
    revisions.sort_unstable();
    let first = revisions[0];
    assert_eq!(revisions, (first..first + 8).collect::<Vec<_>>());
}

async fn what_does_not_fit_changes_nothing(world: World) {
    let before = world.there.revision().await;
    let refused = world.here.put("aliases", "b", &alias("nobody"), If::Unsaid).await;
    assert_eq!(refused.refusal(), (422, "invalid".into()));
    assert_eq!(refused.error().problems[0].path, "aliases.b.targets[0].model");
    assert_eq!(world.here.delete("models", "one/m").await.status, 422);
    assert_eq!(world.here.delete("aliases", "nobody").await.status, 404);
    assert_eq!((world.here.revision().await, world.there.revision().await), (before, before));
    assert_eq!(world.served_by("a").await, "one/m@one");
}

async fn a_dry_run_changes_nothing(world: World) {
    let before = world.there.revision().await;
    let report: ChangeReport =
        world.here.send(Method::PATCH, "/admin/v1/aliases/a?dry_run=true", Some(&alias("two")), If::Any).await.good();
    assert!(report.dry_run && report.diff.contains("two/m") && report.revision == before, "{report:?}");
    assert_eq!(world.there.revision().await, before);
    assert_eq!(world.served_by("a").await, "one/m@one");
}

async fn a_name_changes_everywhere(world: World) {
    let fields = KeyFields { name: "k".into(), aliases: Some(vec!["a".into()]), ..KeyFields::default() };
    let secret = world.here.new_key(&fields).await.secret;
    world.here.post("/admin/v1/aliases/a/rename", &json!({"name": "b"})).await.good::<ChangeReport>();
    assert_eq!((world.ask("a", &secret).await.0, world.ask("b", &secret).await.0), (404, 200));
    assert_eq!(world.there.key("k").await.aliases, Some(vec!["b".into()]));
}

async fn documents_are_applied_as_one_revision(world: World) {
    let before = world.here.revision().await;
    let lists = json!({"aliases": [
        {"name": "a", "strategy": "priority", "targets": [{"model": "two/m"}]},
        {"name": "b", "strategy": "random-shuffle", "targets": [{"model": "one/m"}, {"model": "two/m"}]},
    ]});
    let report: ChangeReport = world.here.post("/admin/v1/apply", &lists).await.good();
    assert_eq!((report.revision, report.changes.len()), (before + 1, 2));
    assert_eq!(world.served_by("a").await, "two/m@two");
    assert_eq!(world.ask("b", "pm-it").await.0, 200);
    let mut kept: Value = world.there.get("/admin/v1/export?format=json").await.good();
    kept["aliases"] = json!([{"name": "b", "strategy": "priority", "targets": [{"model": "one/m"}]}]);
    let kept = json!({"aliases": kept["aliases"], "models": kept["models"], "providers": kept["providers"]});
    world.here.post("/admin/v1/apply?prune=true", &kept).await.good::<ChangeReport>();
    assert_eq!((world.ask("a", "pm-it").await.0, world.served_by("b").await.as_str()), (404, "one/m@one"));
}

async fn one_can_go_back(world: World) {
    let before = world.here.revision().await;
    world.here.change("aliases", "a", &alias("two")).await;
    world.here.put("aliases", "b", &alias("two"), If::Absent).await.good::<ChangeReport>();
    let comparison: Comparison = world.there.get(&format!("/admin/v1/compare?from={before}")).await.good();
    assert_eq!(comparison.changes.len(), 2);
    let back: ChangeReport = world
        .there
        .send(Method::POST, &format!("/admin/v1/revisions/{before}/rollback"), None, If::Unsaid)
        .await
        .good();
    assert_eq!(back.revision, before + 3);
    assert_eq!(world.served_by("a").await, "one/m@one");
    assert_eq!(world.ask("b", "pm-it").await.0, 404);
    assert_eq!(world.here.history().await, world.there.history().await);
}

async fn keys_are_made_rotated_and_revoked(world: World) {
    let first = world.here.new_key(&KeyFields { name: "k".into(), ..KeyFields::default() }).await.secret;
    assert_eq!(world.ask("a", &first).await.0, 200);
    assert_eq!(world.here.post("/admin/v1/keys", &json!({"name": "k"})).await.refusal(), (409, "exists".into()));
    let second: KeyCreated = world.here.post("/admin/v1/keys/k/rotate", &json!({"grace_s": 3600})).await.good();
    assert_eq!((world.ask("a", &first).await.0, world.ask("a", &second.secret).await.0), (200, 200));
    let third: KeyCreated = world.there.post("/admin/v1/keys/k/rotate", &json!({"grace_s": 0})).await.good();
    for (secret, status) in [(&first, 401), (&second.secret, 401), (&third.secret, 200)] {
        assert_eq!(world.ask("a", secret).await.0, status);
    }
    world.here.patch("keys", "k", &json!({"aliases": []}), If::Any).await.good::<ChangeReport>();
    assert_eq!(world.ask("a", &third.secret).await.0, 403);
    world.here.patch("keys", "k", &json!({"aliases": null}), If::Any).await.good::<ChangeReport>();
    assert_eq!(world.ask("a", &third.secret).await.0, 200);
    world.here.send(Method::POST, "/admin/v1/keys/k/revoke", None, If::Unsaid).await.good::<ChangeReport>();
    assert_eq!(world.ask("a", &third.secret).await.0, 401);
}

async fn tokens_are_made_and_taken_back(world: World) {
    let token = world.here.new_token("ops", Role::Editor).await.secret;
    let ops = world.there.with(&token);
    ops.change("aliases", "a", &alias("two")).await;
    assert_eq!(world.here.history().await[0].author, "ops");
    assert_eq!(ops.get("/admin/v1/audit").await.status, 403);
    assert_eq!(world.here.delete("tokens", "ops").await.status, 204);
    assert_eq!(ops.get("/admin/v1/me").await.status, 401);
    assert_eq!(world.served_by("a").await, "two/m@two");
}

async fn what_was_done_is_in_the_audit_log(world: World) {
    world.here.change("aliases", "a", &alias("two")).await;
    let viewer = world.here.new_token("looks", Role::Viewer).await.secret;
    assert_eq!(world.here.with(&viewer).patch("aliases", "a", &alias("one"), If::Any).await.status, 403);
    assert_eq!(world.here.put("aliases", "b", &alias("nobody"), If::Unsaid).await.status, 422);
    // What was refused here is read here first of all.
    world.here.get("/admin/v1/audit").await.good::<Page<AuditEntry>>();
    let mut lines = Vec::new();
    let mut query = String::new();
    loop {
        let page: Page<AuditEntry> = world.there.get(&format!("/admin/v1/audit?limit=2{query}")).await.good();
        lines.extend(page.items);
        let Some(next) = page.next else { break };
        query = format!("&before={next}");
    }
    let numbers: Vec<u64> = lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, (1..=lines.len() as u64).rev().collect::<Vec<_>>());
    let said: Vec<(&str, bool)> = lines.iter().map(|line| (line.action.as_str(), line.outcome == "ok")).collect();
    assert_eq!(
        said[..4],
        [("alias.put", false), ("alias.patch", false), ("token.create", true), ("alias.patch", true)]
    );
    assert_eq!(lines[1].author, "looks");
}

async fn usage_is_counted_once(world: World) {
    let [first, last] = [&world.gateways[0], &world.gateways[world.gateways.len() - 1]];
    for gateway in [first, last, last] {
        let asked = Asked { alias: "a", ..Asked::default() };
        assert_eq!(ask_with(&world.client, gateway, &asked).await.status, 200);
    }
    // Each side tells the others what it has seen when it is asked itself.
    for _ in 0..2 {
        world.there.total().await;
        let total = world.here.total().await;
        assert_eq!((total.requests, total.attempts), (3, 3));
    }
    let by_key = world.there.usage("key,target").await;
    assert_eq!((by_key.rows.len(), by_key.rows[0].numbers.requests), (1, 3));
}

async fn what_is_exported_can_be_applied(world: World) {
    let exported = world.there.get("/admin/v1/export").await;
    assert_eq!(exported.status, 200);
    assert!(exported.body.contains("[[aliases]]") && exported.body.contains("one/m"), "{}", exported.body);
    let json: Value = world.there.get("/admin/v1/export?format=json").await.good();
    let lists = json!({"aliases": json["aliases"], "models": json["models"], "providers": json["providers"]});
    let report: ChangeReport = world.here.post("/admin/v1/apply?prune=true", &lists).await.good();
    assert_eq!(report.changes, []);
}
