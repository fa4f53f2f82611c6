//! Which keys let a caller in, from which moment on, and what is such a caller told?

use std::time::Duration;

use pointsman::api::key::{KeyCreated, KeyFields};
use pointsman::clock::Clock;
use serde_json::{Value, json};

use super::{World, configured, sims};
use crate::support::admin::{Admin, If, at};
use crate::support::gateway::Gateway;
use crate::support::{eventually, http};

fn fields(name: &str) -> KeyFields {
    KeyFields { name: name.to_owned(), ..KeyFields::default() }
}

async fn world() -> World {
    World::new(&["one"], |config| {
        config.alias("a", &["one"], "").toml("[[projects]]\nname = \"shop\"\ndescription = \"of a shop\"")
    })
    .await
}

/// How a caller that shows a key is answered on each path: the status, and the kind and the
/// message of its error in the shape of the path.
async fn answers(world: &World, key: &str) -> Vec<(u16, String, String)> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let asked = [
        ("/v1/chat/completions", json!({"model": "a", "messages": messages})),
        ("/v1/responses", json!({"model": "a", "input": "hello"})),
        ("/v1/messages", json!({"model": "a", "max_tokens": 9, "messages": messages})),
    ];
    let mut answers = Vec::new();
    for (path, body) in asked {
        // Each SDK shows the key in its own way.
        let request = http().post(world.gateway.url(path)).body(body.to_string());
        let request = if path == "/v1/messages" { request.header("x-api-key", key) } else { request.bearer_auth(key) };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
        let error = &body["error"];
        if path == "/v1/messages" && status != 200 {
            assert_eq!(body["type"], "error", "Anthropic's shape: {body}");
        }
        let kind = if path == "/v1/messages" { &error["type"] } else { &error["code"] };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        answers.push((status, text(kind), text(&error["message"])));
    }
    answers
}

/// It is let in on every path.
#[track_caller]
fn is_let_in(answers: &[(u16, String, String)]) {
    assert!(answers.iter().all(|(status, ..)| *status == 200), "{answers:?}");
}

/// It is refused on every path, in the shape of each, with a word that says why.
#[track_caller]
fn is_refused(answers: &[(u16, String, String)], word: &str) {
    for ((status, kind, message), expected) in
        answers.iter().zip(["invalid_api_key", "invalid_api_key", "authentication_error"])
    {
        assert_eq!((*status, kind.as_str()), (401, expected), "{answers:?}");
        assert!(message.contains(word), "{answers:?}");
    }
}

#[tokio::test]
async fn a_key_is_let_in_while_it_is_valid_and_otherwise_told_why_not() {
    let world = world().await;
    let admin = &world.admin;
    let key = admin.new_key(&KeyFields { project: Some("shop".into()), ..fields("k") }).await;
    assert!(key.secret.starts_with(&key.key.secrets[0].prefix) && key.key.secrets[0].prefix.len() == 10, "{key:?}");
    is_let_in(&answers(&world, &key.secret).await);
    is_refused(&answers(&world, "pm-0123456789abcdef0123456789abcdef0123456789abcdef").await, "no key that is known");
    is_refused(&answers(&world, &key.secret[..key.secret.len() - 1]).await, "no key that is known");

    admin.change("keys", "k", &json!({"enabled": false})).await;
    assert_eq!(admin.key("k").await.state, "disabled");
    is_refused(&answers(&world, &key.secret).await, "switched off");
    admin.change("keys", "k", &json!({"enabled": true})).await;
    is_let_in(&answers(&world, &key.secret).await);
    admin.change("projects", "shop", &json!({"enabled": false})).await;
    is_refused(&answers(&world, &key.secret).await, "switched off");
    admin.change("projects", "shop", &json!({"enabled": true})).await;
    is_let_in(&answers(&world, &key.secret).await);

    assert_eq!(admin.delete("projects", "shop").await.status, 400, "it still has a key");
    assert_eq!(admin.post(&format!("{}/revoke", at("keys", "k")), &json!({})).await.status, 200);
    is_refused(&answers(&world, &key.secret).await, "revoked");
    // For good.
    admin.change("keys", "k", &json!({"enabled": true, "expires": null})).await;
    assert_eq!(admin.key("k").await.state, "revoked");
    is_refused(&answers(&world, &key.secret).await, "revoked");
    assert_eq!(admin.post(&format!("{}/rotate", at("keys", "k")), &json!({})).await.status, 400);
    let back = admin.post(&format!("/admin/v1/revisions/{}/rollback", key.revision), &json!({})).await;
    assert_eq!(back.status, 200);
    is_refused(&answers(&world, &key.secret).await, "revoked");
    assert_eq!(admin.delete("keys", "k").await.status, 200);
    is_refused(&answers(&world, &key.secret).await, "no key that is known");
    assert_eq!(admin.delete("projects", "shop").await.status, 200);
}

#[tokio::test]
async fn a_key_ends_at_its_time() {
    let world = world().await;
    let clock = Clock::new();
    let end = clock.now() + Duration::from_secs(2);
    let expires = Some(jiff::Timestamp::from_millisecond(end.0 as i64).expect("a moment").to_string());
    let key = world.admin.new_key(&KeyFields { expires, ..fields("k") }).await;
    is_let_in(&answers(&world, &key.secret).await);
    assert!(clock.now() < end, "this machine is too slow for this test");
    eventually("its time is over", async || world.ask("a", &key.secret).await.status == 401).await;
    assert!(clock.now() >= end, "not before");
    is_refused(&answers(&world, &key.secret).await, "expired");
    assert_eq!(world.admin.key("k").await.state, "expired");
    // What has ended may go on.
    world.admin.change("keys", "k", &json!({"expires": null})).await;
    is_let_in(&answers(&world, &key.secret).await);
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_for_a_while_and_never_three() {
    let world = world().await;
    let rotate = async |grace_s: u32| -> KeyCreated {
        world.admin.post(&format!("{}/rotate", at("keys", "k")), &json!({"grace_s": grace_s})).await.good()
    };
    let first = world.admin.new_key(&fields("k")).await.secret;
    let second = rotate(2).await;
    assert_eq!(second.key.secrets.len(), 2);
    is_let_in(&answers(&world, &first).await);
    is_let_in(&answers(&world, &second.secret).await);
    eventually("the grace is over", async || world.ask("a", &first).await.status == 401).await;
    is_refused(&answers(&world, &first).await, "expired");
    is_let_in(&answers(&world, &second.secret).await);

    let third = rotate(3600).await;
    is_let_in(&answers(&world, &second.secret).await);
    let fourth = rotate(3600).await;
    assert_eq!(fourth.key.secrets.len(), 2);
    is_refused(&answers(&world, &second.secret).await, "no key that is known");
    is_let_in(&answers(&world, &third.secret).await);
    let fifth = rotate(0).await;
    assert_eq!(fifth.key.secrets.len(), 1);
    is_refused(&answers(&world, &fourth.secret).await, "no key that is known");
    is_let_in(&answers(&world, &fifth.secret).await);
    assert_eq!(world.admin.total().await.requests, world.admin.usage("key").await.rows[0].numbers.requests, "one key");
}

#[tokio::test]
async fn a_stream_under_way_ends_well_when_its_key_is_revoked() {
    let sims = sims(&[("slow", json!({"token_ms": 25, "output_tokens": 40}))]).await;
    let config = configured(&sims).alias("a", &["slow"], "");
    let world = World::of(Gateway::start(&config).await, sims);
    let key = world.admin.new_key(&fields("k")).await.secret;
    let body = json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let request = http().post(world.gateway.url("/v1/chat/completions")).bearer_auth(&key).body(body.to_string());
    let mut stream = request.send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    assert_eq!(world.admin.post(&format!("{}/revoke", at("keys", "k")), &json!({})).await.status, 200);
    assert_eq!(world.ask("a", &key).await.status, 401, "from the next request on");
    let mut text = String::new();
    while let Some(chunk) = stream.chunk().await.expect("the stream is not cut") {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let used = world.admin.usage("key").await;
    assert_eq!((used.rows[0].key.as_deref(), used.total.output_tokens), (Some("k"), 40));
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_with_every_reason() {
    let world = world().await;
    let admin = &world.admin;
    let wrong = async |fields: Value| {
        let told = admin.post("/admin/v1/keys", &fields).await;
        assert!((400..423).contains(&told.status), "{fields}: {told:?}");
        let error = told.error();
        format!("{} {:?}", error.message, error.problems)
    };
    for (fields, reason) in [
        (json!({"name": ""}), "name"),
        (json!({}), "name"),
        (json!({"name": "k k"}), "name"),
        (json!({"name": "k", "projct": "shop"}), "project"),
        (json!({"name": "k", "project": "shpo"}), "shop"),
        (json!({"name": "k", "aliases": ["one/n"]}), "one/m"),
        (json!({"name": "k", "requests_per_minute": 0}), "requests_per_minute"),
        (json!({"name": "k", "budget": ["$5/year"]}), "budget"),
        (json!({"name": "k", "expires": "soon"}), "expires"),
        (json!({"name": "k", "hash": format!("sha256:{:064}", 1)}), "of its own"),
    ] {
        let said = wrong(fields.clone()).await;
        assert!(said.contains(reason), "{fields}: {said}");
    }
    // Not more than its project has.
    admin.change("projects", "shop", &json!({"requests_per_minute": 10})).await;
    let said = wrong(json!({"name": "k", "project": "shop", "requests_per_minute": 11})).await;
    assert!(said.contains("above that of its project"), "{said}");
    assert_eq!(admin.get(&at("keys", "k")).await.status, 404);
    let kept = admin.patch("keys", "it", &json!({"name": "other"}), If::Unsaid).await;
    assert_eq!(kept.refusal(), (400, "mistake".into()));
}

#[tokio::test]
async fn no_project_goes_and_leaves_its_keys_behind() {
    let world = world().await;
    let admin = &world.admin;
    let before = admin.revision().await;
    assert_eq!(admin.put("projects", "later", &json!({}), If::Absent).await.status, 200);
    let key = admin.new_key(&KeyFields { project: Some("later".into()), ..fields("k") }).await.secret;
    let mut pruned: Value = admin.get("/admin/v1/export?format=json").await.good();
    pruned["projects"] = json!([]);
    for told in [
        admin.delete("projects", "later").await,
        admin.post(&format!("/admin/v1/revisions/{before}/rollback"), &json!({})).await,
        admin.post("/admin/v1/apply?prune=true", &pruned).await,
    ] {
        assert_eq!(told.status, 400, "{told:?}");
        assert!(told.error().message.contains("still has keys, such as \"k\""), "{told:?}");
    }
    is_let_in(&answers(&world, &key).await);
    admin.change("keys", "k", &json!({"project": null})).await;
    assert_eq!(admin.post(&format!("/admin/v1/revisions/{before}/rollback"), &json!({})).await.status, 200);
    is_let_in(&answers(&world, &key).await);
    // The default project is there without a document as well.
    assert_eq!(admin.put("projects", "default", &json!({"requests_per_minute": 5}), If::Absent).await.status, 200);
    assert_eq!(admin.delete("projects", "default").await.status, 200);
    is_let_in(&answers(&world, &key).await);
}

/// The keys of a list, whole.
async fn names(admin: &Admin, query: &str) -> Vec<String> {
    let page: pointsman::api::Page<pointsman::api::key::KeyReport> =
        admin.get(&format!("/admin/v1/keys?{query}")).await.good();
    page.items.into_iter().map(|key| key.name).collect()
}

#[tokio::test]
async fn keys_are_found_by_name_description_project_and_beginning() {
    let world = world().await;
    let admin = &world.admin;
    for i in 0..5 {
        let project = Some(if i < 2 { "shop" } else { "default" }.to_owned());
        let description = Some(format!("Number {i}"));
        admin.new_key(&KeyFields { project, description, ..fields(&format!("k{i}")) }).await;
    }
    let prefix = admin.key("k3").await.secrets[0].prefix.clone();
    assert_eq!(names(admin, "project=shop").await, ["k0", "k1"]);
    assert_eq!(names(admin, "search=number%204").await, ["k4"]);
    assert_eq!(names(admin, &format!("search={prefix}")).await, ["k3"]);
    let first: pointsman::api::Page<pointsman::api::key::KeyReport> =
        admin.get("/admin/v1/keys?search=k&limit=3").await.good();
    assert_eq!(first.next.as_deref(), Some("k2"));
    assert_eq!(names(admin, "search=k&limit=3&after=k2").await, ["k3", "k4"]);
}
