//! What may a key call, and who may serve it? What it, its project and the alias allow, and
//! `/v1/models` lists exactly that.

use std::collections::BTreeSet;

use pointsman::api::key::KeyFields;
use serde_json::{Value, json};

use super::World;
use crate::support::http;

/// Every name there is, of aliases and of models.
const NAMES: [&str; 8] = ["both", "two-only", "shop-only", "by-hidden", "one/m", "two/m", "three/m", "hidden/m"];

async fn world() -> World {
    World::new(&["one", "two", "three"], |config| {
        config
            .toml("[[models]]\nid = \"hidden/m\"\nhidden = true\nendpoints = [{ provider = \"three\", upstream_model = \"m\" }]")
            .alias("both", &["one", "two"], "")
            .alias("two-only", &["two"], "")
            .alias("shop-only", &["one"], "projects = [\"shop\"]")
            .alias("by-hidden", &["hidden"], "")
            .toml("[[projects]]\nname = \"shop\"")
            .toml("[[projects]]\nname = \"narrow\"\nproviders = [\"one\"]\naliases = [\"both\", \"two-only\", \"one/m\"]")
    })
    .await
}

/// A key with these fields.
async fn key(world: &World, name: &str, mut fields: Value) -> String {
    fields["name"] = json!(name);
    let fields: KeyFields = serde_json::from_value(fields).expect("fields of a key");
    world.admin.new_key(&fields).await.secret
}

/// What `/v1/models` lists, as OpenAI's SDK asks or as Anthropic's.
async fn listed(world: &World, key: &str, anthropic: bool) -> BTreeSet<String> {
    let request = http().get(world.gateway.url("/v1/models"));
    let request = match anthropic {
        true => request.header("x-api-key", key).header("anthropic-version", "2023-06-01"),
        false => request.bearer_auth(key),
    };
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    let ids = body["data"].as_array().expect("a list").iter().map(|model| model["id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_listed_is_exactly_what_may_be_called() {
    let world = world().await;
    let scopes: [(Value, &[&str]); 9] = [
        (json!({}), &["both", "two-only", "by-hidden", "one/m", "two/m", "three/m"]),
        (json!({"project": "shop"}), &["both", "two-only", "shop-only", "by-hidden", "one/m", "two/m", "three/m"]),
        (json!({"aliases": ["both", "one/m"]}), &["both", "one/m"]),
        (json!({"aliases": ["shop-only"]}), &[]),
        (json!({"models": ["one/m"]}), &["both", "one/m"]),
        (json!({"providers": ["two", "three"]}), &["both", "two-only", "by-hidden", "two/m", "three/m"]),
        (json!({"models": ["hidden/m"]}), &["by-hidden"]),
        (json!({"project": "narrow"}), &["both", "one/m"]),
        (json!({"project": "narrow", "aliases": ["both", "three/m"], "models": ["one/m"]}), &["both"]),
    ];
    for (i, (fields, allowed)) in scopes.into_iter().enumerate() {
        let key = key(&world, &format!("k{i}"), fields.clone()).await;
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed(&world, &key, false).await, allowed, "{fields}");
        assert_eq!(listed(&world, &key, true).await, allowed, "{fields}");
        for name in NAMES {
            let got = world.ask(name, &key).await;
            assert_eq!(got.status == 200, allowed.contains(name), "{fields}, {name}: {got:?}");
            let one = http().get(world.gateway.url(&format!("/v1/models/{name}"))).bearer_auth(&key).send().await;
            assert_eq!(one.unwrap().status().as_u16(), got.status, "{fields}, {name}");
            if name == "hidden/m" {
                assert_eq!(got.status, 404, "nobody learns that it is there: {got:?}");
            } else if !allowed.contains(name) {
                assert_eq!(got.status, 403, "{fields}, {name}: {got:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_right_to_an_alias_does_not_widen_who_may_serve() {
    let world = world().await;
    let by_two = key(&world, "by-two", json!({"aliases": ["both"], "providers": ["two"]})).await;
    for _ in 0..5 {
        assert_eq!(world.ask("both", &by_two).await.header("x-pointsman-target"), "two/m@two");
    }
    // Neither where the one that is left fails.
    world.sims[1].behave(json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let got = world.ask("both", &by_two).await;
    assert!(got.status >= 500 && !got.header("x-pointsman-attempts").contains("one/m"), "{got:?}");
    assert_eq!(world.sims[0].stats().await["requests"], json!({}), "never asked");
    // A caller can narrow that further, and not widen it.
    let of_one = key(&world, "of-one", json!({"models": ["one/m"]})).await;
    let ask = async |headers: &[(&str, &str)]| {
        let asked = crate::support::chat::Asked { alias: "both", key: &of_one, headers, ..Default::default() };
        crate::support::chat::ask(&world.gateway, &asked).await
    };
    assert_eq!(ask(&[("x-pointsman-order", "two")]).await.header("x-pointsman-target"), "one/m@one");
    assert_eq!(ask(&[("x-pointsman-only", "two")]).await.status, 400);
}

#[tokio::test]
async fn an_edit_of_scopes_holds_from_the_next_request_on() {
    let world = world().await;
    let admin = &world.admin;
    let key = key(&world, "k", json!({"project": "shop", "aliases": ["both"]})).await;
    let status = async |name: &str| world.ask(name, &key).await.status;
    assert_eq!((status("both").await, status("two-only").await), (200, 403));
    admin.change("keys", "k", &json!({"aliases": ["two-only"]})).await;
    assert_eq!((status("both").await, status("two-only").await), (403, 200));
    admin.change("keys", "k", &json!({"aliases": null})).await;
    assert_eq!((status("both").await, status("shop-only").await), (200, 200));
    admin.change("projects", "shop", &json!({"aliases": ["shop-only"]})).await;
    assert_eq!((status("both").await, status("shop-only").await), (403, 200));
    admin.change("aliases", "shop-only", &json!({"projects": ["narrow"]})).await;
    assert_eq!(status("shop-only").await, 403);
    admin.change("keys", "k", &json!({"project": "default"})).await;
    assert_eq!((status("both").await, status("shop-only").await), (200, 403));
    admin.change("models", "two/m", &json!({"hidden": true})).await;
    assert_eq!((status("two/m").await, status("two-only").await), (404, 200));
    // Whoever may call an alias may call it by its other name.
    admin.change("keys", "k", &json!({"aliases": ["both"]})).await;
    let path = crate::support::admin::at("aliases", "both");
    assert_eq!(admin.post(&format!("{path}/rename"), &json!({"name": "all/two"})).await.status, 200);
    assert_eq!((status("both").await, status("all/two").await), (404, 200));
    assert_eq!(admin.key("k").await.aliases, Some(vec!["all/two".to_owned()]));
}

#[tokio::test]
async fn nobody_learns_names_that_it_may_not_use() {
    let world = world().await;
    let narrow = key(&world, "k", json!({"aliases": ["both"]})).await;
    let got = world.ask("two-onyl", &narrow).await;
    assert_eq!(got.status, 404);
    assert!(!got.error.clone().unwrap_or_default().contains("two-only`"), "{got:?}");
    let got = world.ask("boht", &narrow).await;
    assert!(got.status == 404 && got.error.clone().unwrap_or_default().contains("`both`"), "{got:?}");
    let got = world.ask("hidden/n", "pm-it").await;
    assert!(got.status == 404 && !got.error.clone().unwrap_or_default().contains("hidden/m"), "{got:?}");
}
