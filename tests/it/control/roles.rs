//! Who may do what at the admin listener? Every route of its own description, for nobody, a
//! guess, a viewer, an editor and an admin.

use std::collections::BTreeSet;

use pointsman::api::key::{KeyCreated, KeyFields};
use pointsman::api::token::{Me, Role};
use pointsman::domain::provider::Protocol;
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, alias};
use crate::support::admin::{Admin, If};
use crate::support::{eventually, http};

use Role::{Admin as Admins, Editor as Editors, Viewer as Viewers};

/// A route: method and path as described; how it is called so that whoever may call it gets
/// the status at the end.
type Row = (&'static str, &'static str, &'static str, Option<fn() -> Value>, Role, u16);

fn one_alias() -> Value {
    json!({"name": "new", "strategy": "priority", "targets": [{"model": "one/m"}]})
}

fn same_alias() -> Value {
    alias("priority", &["one", "two"])
}

fn provider() -> Value {
    json!({"id": "one", "protocol": "openai", "base_url": "http://127.0.0.1:9/v1", "auth": "none", "private_addresses": true})
}

fn model() -> Value {
    json!({"id": "one/m", "endpoints": [{"provider": "one", "upstream_model": "m"}]})
}

/// Changes are dry wherever they can be, so that the next row finds what this one did.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("GET", "/admin/v1/me", "/admin/v1/me", None, Viewers, 200),
    ("GET", "/admin/v1/replicas", "/admin/v1/replicas", None, Viewers, 200),
    ("GET", "/admin/v1/logging", "/admin/v1/logging", None, Viewers, 200),
    ("PATCH", "/admin/v1/logging", "/admin/v1/logging", Some(|| json!({"requests": "none"})), Admins, 200),
    ("GET", "/admin/v1/aliases", "/admin/v1/aliases", None, Viewers, 200),
    ("POST", "/admin/v1/aliases", "/admin/v1/aliases?dry_run=true", Some(one_alias), Editors, 201),
    ("GET", "/admin/v1/aliases/{name}", "/admin/v1/aliases/a", None, Viewers, 200),
    ("PUT", "/admin/v1/aliases/{name}", "/admin/v1/aliases/a?dry_run=true", Some(same_alias), Editors, 200),
    ("PATCH", "/admin/v1/aliases/{name}", "/admin/v1/aliases/a?dry_run=true", Some(|| json!({"max_attempts": 2})), Editors, 200),
    ("DELETE", "/admin/v1/aliases/{name}", "/admin/v1/aliases/a?dry_run=true", None, Editors, 200),
    ("POST", "/admin/v1/aliases/{name}/targets", "/admin/v1/aliases/b/targets?dry_run=true", Some(|| json!({"target": {"model": "two/m"}})), Editors, 200),
    ("PATCH", "/admin/v1/aliases/{name}/targets/{target}", "/admin/v1/aliases/a/targets/0?dry_run=true", Some(|| json!({"weight": 2})), Editors, 200),
    ("DELETE", "/admin/v1/aliases/{name}/targets/{target}", "/admin/v1/aliases/a/targets/0?dry_run=true", None, Editors, 200),
    ("PUT", "/admin/v1/aliases/{name}/order", "/admin/v1/aliases/a/order?dry_run=true", Some(|| json!({"targets": ["1", "0"]})), Editors, 200),
    ("PUT", "/admin/v1/aliases/{name}/weights", "/admin/v1/aliases/a/weights?dry_run=true", Some(|| json!({"weights": {"0": 3}})), Editors, 200),
    ("POST", "/admin/v1/aliases/{name}/rename", "/admin/v1/aliases/a/rename?dry_run=true", Some(|| json!({"name": "c"})), Editors, 200),
    ("GET", "/admin/v1/providers", "/admin/v1/providers", None, Viewers, 200),
    ("POST", "/admin/v1/providers", "/admin/v1/providers?dry_run=true", Some(|| json!({"id": "groq"})), Admins, 201),
    ("GET", "/admin/v1/providers/{name}", "/admin/v1/providers/one", None, Viewers, 200),
    ("PUT", "/admin/v1/providers/{name}", "/admin/v1/providers/one?dry_run=true", Some(provider), Admins, 200),
    ("PATCH", "/admin/v1/providers/{name}", "/admin/v1/providers/one?dry_run=true", Some(|| json!({"max_in_flight": 3})), Admins, 200),
    ("DELETE", "/admin/v1/providers/{name}", "/admin/v1/providers/alone?dry_run=true", None, Admins, 200),
    ("GET", "/admin/v1/providers/{name}/status", "/admin/v1/providers/one/status", None, Viewers, 200),
    ("POST", "/admin/v1/providers/{name}/test", "/admin/v1/providers/one/test", None, Editors, 200),
    ("GET", "/admin/v1/status/providers", "/admin/v1/status/providers", None, Viewers, 200),
    ("GET", "/admin/v1/catalogue/models", "/admin/v1/catalogue/models", None, Viewers, 200),
    ("GET", "/admin/v1/models", "/admin/v1/models", None, Viewers, 200),
    ("POST", "/admin/v1/models", "/admin/v1/models?dry_run=true", Some(|| json!({"id": "new/m", "endpoints": [{"provider": "one", "upstream_model": "n"}]})), Editors, 201),
    ("GET", "/admin/v1/models/{name}", "/admin/v1/models/one%2Fm", None, Viewers, 200),
    ("PUT", "/admin/v1/models/{name}", "/admin/v1/models/one%2Fm?dry_run=true", Some(model), Editors, 200),
    ("PATCH", "/admin/v1/models/{name}", "/admin/v1/models/one%2Fm?dry_run=true", Some(|| json!({"hidden": true})), Editors, 200),
    ("DELETE", "/admin/v1/models/{name}", "/admin/v1/models/spare%2Fm?dry_run=true", None, Editors, 200),
    ("GET", "/admin/v1/projects", "/admin/v1/projects", None, Viewers, 200),
    ("POST", "/admin/v1/projects", "/admin/v1/projects?dry_run=true", Some(|| json!({"name": "new"})), Editors, 201),
    ("GET", "/admin/v1/projects/{name}", "/admin/v1/projects/p", None, Viewers, 200),
    ("PUT", "/admin/v1/projects/{name}", "/admin/v1/projects/p?dry_run=true", Some(|| json!({"description": "x"})), Editors, 200),
    ("PATCH", "/admin/v1/projects/{name}", "/admin/v1/projects/p?dry_run=true", Some(|| json!({"description": "x"})), Editors, 200),
    ("DELETE", "/admin/v1/projects/{name}", "/admin/v1/projects/p?dry_run=true", None, Editors, 200),
    ("GET", "/admin/v1/projects/{name}/standing", "/admin/v1/projects/p/standing", None, Viewers, 200),
    ("GET", "/admin/v1/keys", "/admin/v1/keys", None, Viewers, 200),
    // Where a secret is made there is no dry run, which only whoever may make one is told.
    ("POST", "/admin/v1/keys", "/admin/v1/keys?dry_run=true", Some(|| json!({"name": "new"})), Editors, 400),
    ("GET", "/admin/v1/keys/{name}", "/admin/v1/keys/it", None, Viewers, 200),
    ("PATCH", "/admin/v1/keys/{name}", "/admin/v1/keys/it?dry_run=true", Some(|| json!({"enabled": false})), Editors, 200),
    ("DELETE", "/admin/v1/keys/{name}", "/admin/v1/keys/it?dry_run=true", None, Editors, 200),
    ("POST", "/admin/v1/keys/{name}/rotate", "/admin/v1/keys/it/rotate?dry_run=true", Some(|| json!({})), Editors, 400),
    ("POST", "/admin/v1/keys/{name}/revoke", "/admin/v1/keys/it/revoke?dry_run=true", None, Editors, 200),
    ("GET", "/admin/v1/keys/{name}/standing", "/admin/v1/keys/it/standing", None, Viewers, 200),
    ("GET", "/admin/v1/tokens", "/admin/v1/tokens", None, Admins, 200),
    ("POST", "/admin/v1/tokens", "/admin/v1/tokens", Some(|| json!({"name": "made", "role": "viewer"})), Admins, 201),
    ("DELETE", "/admin/v1/tokens/{name}", "/admin/v1/tokens/made", None, Admins, 204),
    ("POST", "/admin/v1/secrets/reseal", "/admin/v1/secrets/reseal", None, Admins, 400),
    ("GET", "/admin/v1/revisions", "/admin/v1/revisions", None, Viewers, 200),
    ("GET", "/admin/v1/revisions/{number}", "/admin/v1/revisions/1", None, Viewers, 200),
    ("POST", "/admin/v1/revisions/{number}/rollback", "/admin/v1/revisions/1/rollback?dry_run=true", None, Editors, 200),
    ("GET", "/admin/v1/compare", "/admin/v1/compare?from=1", None, Viewers, 200),
    ("GET", "/admin/v1/audit", "/admin/v1/audit", None, Admins, 200),
    ("POST", "/admin/v1/apply", "/admin/v1/apply?dry_run=true", Some(|| json!({"aliases": [one_alias()]})), Editors, 200),
    ("GET", "/admin/v1/export", "/admin/v1/export", None, Viewers, 200),
    ("GET", "/admin/v1/usage", "/admin/v1/usage", None, Viewers, 200),
    ("POST", "/admin/v1/explain", "/admin/v1/explain", Some(|| json!({"alias": "a"})), Viewers, 200),
    ("POST", "/admin/v1/classify", "/admin/v1/classify", Some(|| json!({"tier": "fast", "prompts": ["hello"]})), Viewers, 200),
    ("GET", "/admin/v1/decisions", "/admin/v1/decisions", None, Viewers, 200),
    ("GET", "/admin/v1/statistics", "/admin/v1/statistics", None, Viewers, 200),
    ("GET", "/admin/v1/overview", "/admin/v1/overview", None, Viewers, 200),
    ("GET", "/admin/v1/aliases/{name}/traffic", "/admin/v1/aliases/a/traffic", None, Viewers, 200),
    ("POST", "/admin/v1/playground", "/admin/v1/playground", Some(|| json!({"alias": "a", "messages": [{"role": "user", "content": "hello"}]})), Editors, 200),
    ("GET", "/admin/v1/simulated", "/admin/v1/simulated", None, Viewers, 200),
    ("PATCH", "/admin/v1/simulated/{name}", "/admin/v1/simulated/one", Some(|| json!({})), Editors, 404),
    ("POST", "/admin/v1/simulated/{name}/reset", "/admin/v1/simulated/one/reset", None, Editors, 404),
    ("GET", "/admin/v1/events", "/admin/v1/events", None, Viewers, 200),
];

async fn world() -> World {
    World::new(&["one", "two", "spare"], |config| {
        let alone = config.provider("alone", Protocol::OpenAi, "http://127.0.0.1:9/v1", "");
        let config = alone.alias("a", &["one", "two"], "").alias("b", &["one"], "");
        // Every route is tried with what is no token.
        config.toml("[[projects]]\nname = \"p\"\n[server.limits]\nfailed_auth_per_minute = 0")
    })
    .await
}

/// The status of an answer of which the body may never end.
async fn status(admin: &Admin, (method, _, path, body, ..): &Row) -> u16 {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    if *path == "/admin/v1/events" {
        return admin.head_of(path).await;
    }
    // Whoever replaces something says that it takes any state.
    let condition = if method == Method::PUT { If::Any } else { If::Unsaid };
    admin.send(method, path, body.map(|body| body()).as_ref(), condition).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_those_whom_the_table_names_and_to_nobody_else() {
    let world = world().await;
    let admin = &world.admin;
    let document: Value = admin.without_token().get("/admin/openapi.json").await.good();
    let paths = document["paths"].as_object().expect("paths").iter();
    let described: BTreeSet<(String, &str)> = paths
        .flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(move |(method, _)| (method.to_uppercase(), path.as_str()))
        })
        .collect();
    let listed: BTreeSet<(String, &str)> = ROWS.iter().map(|row| (row.0.to_owned(), row.1)).collect();
    let (missing, superfluous) = (described.difference(&listed), listed.difference(&described));
    assert_eq!(
        (missing.collect(), superfluous.collect()),
        (Vec::new(), Vec::new()),
        "routes without a row, and rows without a route"
    );

    let (viewer, editor) = (admin.new_token("v", Viewers).await, admin.new_token("e", Editors).await);
    let holders = [
        ("nobody", None, admin.without_token()),
        ("a guess", None, admin.with("pma-0123456789abcdef0123456789abcdef0123456789abcdef")),
        ("a key", None, admin.with("pm-it")),
        ("viewer", Some(0), admin.with(&viewer.secret)),
        ("editor", Some(1), admin.with(&editor.secret)),
        ("admin", Some(2), admin.clone()),
    ];
    let rank = |role: &Role| [Viewers, Editors, Admins].iter().position(|one| one == role).expect("one of three");
    let mut wrong = Vec::new();
    for row @ (method, path, .., needed, allowed) in ROWS {
        for (who, role, holder) in &holders {
            let expected = match role {
                None => 401,
                Some(role) if *role < rank(needed) => 403,
                Some(_) => *allowed,
            };
            let got = status(holder, row).await;
            if got != expected {
                wrong.push(format!("{method} {path}: {who} gets {got}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_editor_changes_no_provider_by_whichever_way() {
    let world = world().await;
    let admin = &world.admin;
    let editor = admin.with(&admin.new_token("e", Editors).await.secret);
    let elsewhere = json!({"base_url": "http://127.0.0.1:10/v1"});
    assert_eq!(editor.patch("providers", "one", &elsewhere, If::Unsaid).await.refusal(), (403, "role".into()));
    let mut moved = provider();
    moved["base_url"] = json!("http://127.0.0.1:10/v1");
    let lists = json!({"providers": [moved], "aliases": [one_alias()]});
    assert_eq!(editor.post("/admin/v1/apply", &lists).await.refusal(), (403, "forbidden".into()));
    let pruned = editor.post("/admin/v1/apply?prune=true", &json!({})).await;
    assert_eq!(pruned.refusal(), (403, "forbidden".into()), "what is left out would go");
    assert_eq!(admin.revision().await, 1, "nothing has changed");

    // The same without providers is an editor's work, also if it names one as it is.
    let as_it_is = admin.document("providers", "one").await.document;
    let lists = json!({"providers": [as_it_is], "aliases": [one_alias()]});
    assert_eq!(editor.post("/admin/v1/apply", &lists).await.status, 200);
    admin.change("providers", "one", &elsewhere).await;
    admin.change("aliases", "a", &json!({"max_attempts": 1})).await;
    // From revision 4 back to 3 changes an alias, back to 2 a provider as well.
    let back = async |to: u64| editor.post(&format!("/admin/v1/revisions/{to}/rollback"), &json!({})).await;
    assert_eq!(back(2).await.refusal(), (403, "forbidden".into()));
    assert_eq!(back(3).await.status, 200);
    assert_eq!(admin.document("providers", "one").await.document["base_url"], elsewhere["base_url"]);
    assert_eq!(admin.document("aliases", "a").await.document.get("max_attempts"), None);
}

#[tokio::test]
async fn keys_and_tokens_are_not_each_others_and_neither_are_the_ports() {
    let world = world().await;
    let admin = &world.admin;
    let key = admin.new_key(&KeyFields { name: "k".into(), ..KeyFields::default() }).await;
    assert_eq!(admin.with(&key.secret).get("/admin/v1/me").await.refusal(), (401, "no_token".into()));
    assert_eq!(world.ask("a", crate::support::gateway::ADMIN_TOKEN).await.status, 401);
    let token = admin.new_token("t", Admins).await;
    assert_eq!(world.ask("a", &token.secret).await.status, 401);

    for path in ["/admin/v1/me", "/admin/openapi.json", "/health/targets", "/health/ready"] {
        let answer = http().get(world.gateway.url(path)).bearer_auth(&token.secret).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path} on the data port");
    }
    let body = json!({"model": "a", "messages": [{"role": "user", "content": "hello"}]});
    let chat = admin.with(&key.secret).post("/v1/chat/completions", &body).await;
    assert_eq!(chat.refusal(), (404, "no_such_path".into()));
    // Neither a token in a wrong place is one.
    for (name, value) in [("x-api-key", token.secret.clone()), ("authorization", format!("Basic {}", token.secret))] {
        let answer = http().get(world.gateway.admin_url("/admin/v1/me")).header(name, value).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]));
    }
    let query = format!("/admin/v1/me?token={}", token.secret);
    assert_eq!(admin.without_token().get(&query).await.status, 401);
}

#[tokio::test]
async fn a_token_ends_with_its_time_or_when_it_is_taken_back() {
    let world = world().await;
    let admin = &world.admin;
    let made: pointsman::api::token::TokenCreated =
        admin.post("/admin/v1/tokens", &json!({"name": "short", "role": "viewer", "expires_in_s": 1})).await.good();
    let short = admin.with(&made.secret);
    let me: Me = short.get("/admin/v1/me").await.good();
    assert_eq!((me.name.as_str(), me.role), ("short", Viewers));
    eventually("its time is over", async || short.get("/admin/v1/me").await.status == 401).await;
    let over = made.token.expires_ms.expect("an end") - made.token.created_ms;
    assert!((900..=1100).contains(&over), "{made:?}");

    let taken = admin.with(&admin.new_token("taken", Admins).await.secret);
    assert_eq!(taken.get("/admin/v1/me").await.status, 200);
    assert_eq!(taken.delete("tokens", "taken").await.status, 204);
    assert_eq!(taken.get("/admin/v1/me").await.status, 401);
    // What it did is still known to be its doing.
    let audit = admin.get("/admin/v1/audit?limit=1").await.body;
    assert!(audit.contains("token.delete") && audit.contains("\"author\":\"taken\""), "{audit}");
}

#[tokio::test]
async fn what_was_refused_to_somebody_is_in_the_audit_log() {
    let world = world().await;
    let admin = &world.admin;
    let viewer = admin.with(&admin.new_token("v", Viewers).await.secret);
    let editor = admin.with(&admin.new_token("e", Editors).await.secret);
    assert_eq!(viewer.post("/admin/v1/keys", &json!({"name": "k"})).await.status, 403);
    assert_eq!(editor.put("aliases", "a", &one_alias(), If::Match(9)).await.status, 400);
    assert_eq!(editor.put("aliases", "a", &same_alias(), If::Match(9)).await.status, 412);
    let made: KeyCreated = editor.post("/admin/v1/keys?note=for%20the%20shop", &json!({"name": "k"})).await.good();
    let page: pointsman::api::Page<pointsman::api::revision::AuditEntry> = admin.get("/admin/v1/audit").await.good();
    let found = |author: &str, action: &str, outcome: &str| {
        page.items.iter().find(|entry| {
            entry.author == author && entry.action == action && entry.outcome.contains(outcome) && entry.via == "api"
        })
    };
    let kept = found("e", "key.create", "ok").unwrap_or_else(|| panic!("{page:#?}"));
    assert_eq!((kept.revision, kept.subject.as_str()), (Some(made.revision), "k"));
    assert!(found("e", "alias.put", "changed in the meantime").is_some(), "{page:#?}");
    assert!(found("v", "key.create", "role").is_some(), "docs/control.md: every one that was refused: {page:#?}");
    // Nobody fills the disk with it.
    let long = "x".repeat(100_000);
    assert_eq!(viewer.post("/admin/v1/keys", &json!({"name": long})).await.status, 403);
    assert!(admin.get("/admin/v1/audit?limit=1").await.body.len() < 1000);
    let revision = admin.get(&format!("/admin/v1/revisions/{}", made.revision)).await.body;
    assert!(revision.contains("\"note\":\"for the shop\""), "{revision}");
}
