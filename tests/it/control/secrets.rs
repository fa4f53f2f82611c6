//! Is a provider's key used, and found nowhere? Not on the disk, in the log, in any answer,
//! in the history or in an export; and neither are callers' keys, tokens or their digests.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use pointsman::api::key::KeyFields;
use pointsman::api::provider::ProviderStatus;
use pointsman::api::token::{Resealed, Role};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest as _;
use tempfile::TempDir;

use super::{World, configured, sims};
use crate::support::admin::{Admin, If, Told, at};
use crate::support::config::ConfigText;
use crate::support::gateway::{BINARY, Gateway, folder};
use crate::support::sim::Sim;

const KEY: &str = "sk-hush-0123456789abcdef";
const OTHER_KEY: &str = "sk-hush-fedcba9876543210";
const HEADER: &str = "hush-header-0123456789";

fn master_key() -> String {
    let made = Command::new(BINARY).arg("master-key").output().expect("the binary runs");
    let said = String::from_utf8(made.stdout).expect("text");
    said.lines().find(|line| !line.trim().is_empty()).expect("a key").trim().to_owned()
}

/// A provider that wants a key, and one that does not.
async fn providers() -> Vec<Sim> {
    sims(&[("locked", json!({"api_key": KEY})), ("free", json!({}))]).await
}

/// A configuration in which only the free one is a provider; all that can be logged is.
fn base(sims: &[Sim], master: &str) -> ConfigText {
    let config = ConfigText::new("").key("it", "pm-it-0123456789abcdef", None).sim(&sims[1], "");
    config.env("POINTSMAN_LOG", "trace").env("POINTSMAN_MASTER_KEY", master)
}

fn provider(sim: &Sim, key: &str) -> Value {
    json!({
        "id": "locked", "protocol": "openai", "base_url": sim.base_url(), "private_addresses": true, "api_key": key,
    })
}

async fn with_alias(admin: &Admin) {
    let model = json!({"endpoints": [{"provider": "locked", "upstream_model": "m"}]});
    assert_eq!(admin.put("models", "locked/m", &model, If::Absent).await.status, 200);
    assert_eq!(admin.put("aliases", "a", &super::alias("priority", &["locked"]), If::Absent).await.status, 200);
}

async fn asked(world: &World) -> u16 {
    world.ask("a", "pm-it-0123456789abcdef").await.status
}

/// Every answer that can be had by reading, and some that come of writing.
async fn every_answer(admin: &Admin) -> Vec<(String, Told)> {
    let document: Value = admin.get("/admin/openapi.json").await.good();
    let mut answers = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        if item.get("get").is_none() || path.ends_with("/events") {
            continue;
        }
        let mut paths = vec![path.clone()];
        for (list, names) in [
            ("aliases", ["a"]),
            ("providers", ["locked"]),
            ("models", ["locked%2Fm"]),
            ("keys", ["it"]),
            ("projects", ["default"]),
        ] {
            if path.contains(&format!("/{list}/{{name}}")) {
                paths = names.iter().map(|name| path.replace("{name}", name)).collect();
            }
        }
        if path.contains("{number}") {
            let last = admin.revision().await;
            paths = (1..=last).map(|number| path.replace("{number}", &number.to_string())).collect();
        }
        if path.ends_with("/compare") {
            paths = vec![format!("{path}?from=1")];
        }
        if path.ends_with("/export") {
            paths = vec![path.clone(), format!("{path}?format=json")];
        }
        for path in paths {
            answers.push((path.clone(), admin.get(&path).await));
        }
    }
    for path in ["/health/targets", "/health/ready"] {
        answers.push((path.to_owned(), admin.get(path).await));
    }
    answers.push(("test".into(), admin.post("/admin/v1/providers/locked/test", &json!({})).await));
    answers.push(("explain".into(), admin.post("/admin/v1/explain", &json!({"alias": "a"})).await));
    let wrong = json!({"protocol": "nonsense", "base_url": "http://10.0.0.1", "api_key": KEY, "headers": {"x-team": HEADER, "host": HEADER}});
    answers.push(("a refusal".into(), admin.put("providers", "locked", &wrong, If::Any).await));
    answers.push(("another".into(), admin.post("/admin/v1/apply", &json!({"providers": [wrong]})).await));
    answers
}

/// What must be nowhere, with what it is.
fn assert_nowhere(what: &[(&str, String)], place: &str, bytes: &[u8]) {
    for (name, secret) in what {
        let found = bytes.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()));
        assert!(!found, "{name} is in {place}");
    }
}

fn assert_not_on_disk(what: &[(&str, String)], dir: &Arc<TempDir>) {
    for entry in fs::read_dir(dir.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name != "pointsman.toml") {
            assert_nowhere(what, &path.display().to_string(), &fs::read(&path).expect("a file"));
        }
    }
}

fn digest(secret: &str) -> String {
    sha2::Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_key_reaches_its_provider_and_nobody_else() {
    let (sims, master, dir) = (providers().await, master_key(), folder());
    let config = base(&sims, &master);
    let world = World::of(Gateway::start_in(&dir, &config).await, sims);
    let admin = &world.admin;
    let mut document = provider(&world.sims[0], KEY);
    document["headers"] = json!({"x-team": HEADER});
    let put = admin.put("providers", "locked", &document, If::Absent).await;
    assert_eq!(put.status, 200, "{put:?}");
    with_alias(admin).await;
    assert_eq!(asked(&world).await, 200, "the provider takes no other key");
    let received = world.sims[0].requests().await.to_string();
    assert!(received.contains(&format!("Bearer {KEY}")) && received.contains(HEADER), "{received}");
    assert_eq!(world.ask("free/m", "pm-it-0123456789abcdef").await.status, 200);
    let received = world.sims[1].requests().await.to_string();
    assert!(!received.contains("hush"), "each key goes to its own provider: {received}");

    let key = admin.new_key(&KeyFields { name: "k".into(), ..KeyFields::default() }).await.secret;
    let token = admin.new_token("t", Role::Admin).await.secret;
    assert_eq!(world.ask("a", &key).await.status, 200);
    assert_eq!(admin.with(&token).get("/admin/v1/me").await.status, 200);
    // The provider changes its mind, and says so.
    world.sims[0].behave(json!({"api_key": OTHER_KEY})).await;
    let refused = world.ask("a", &key).await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert_eq!(admin.patch("providers", "locked", &json!({"api_key": OTHER_KEY}), If::Unsaid).await.status, 200);

    let mut what = vec![
        ("the provider's key", KEY.to_owned()),
        ("the provider's other key", OTHER_KEY.to_owned()),
        ("the master key", master.clone()),
        ("a caller's key", key.clone()),
        ("a token", token.clone()),
    ];
    assert_not_on_disk(&what, &dir);
    what.extend([
        ("a header", HEADER.to_owned()),
        ("the digest of a key", digest(&key)),
        ("the digest of a token", digest(&token)),
        ("the digest of a provider's key", digest(KEY)),
    ]);
    assert_nowhere(&what, "the log", world.gateway.log().as_bytes());
    assert_nowhere(&what, "the answer to a caller", format!("{refused:?}").as_bytes());
    let answers = every_answer(admin).await;
    assert!(answers.iter().filter(|(_, told)| told.status == 200).count() > 25, "{answers:#?}");
    for (path, told) in &answers {
        assert_nowhere(&what, path, told.body.as_bytes());
        assert_nowhere(&what, path, format!("{:?}", told.headers).as_bytes());
    }
    assert_nowhere(&what, "the answer to the one who put it there", put.body.as_bytes());
    let shown = admin.document("providers", "locked").await.document;
    assert_eq!((&shown["headers"]["x-team"], shown.get("api_key")), (&json!("[redacted]"), None));
    // The log is grown by that, and so is the store.
    assert_nowhere(&what, "the log", world.gateway.log().as_bytes());
    let dir = world.gateway.killed().await;
    assert_not_on_disk(&what[..5], &dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_stays_as_it_is_when_it_is_sent_back() {
    let sims = sims(&[("one", json!({}))]).await;
    let config = configured(&sims).alias("a", &["one"], "");
    let world = World::of(Gateway::start(&config).await, sims);
    let admin = &world.admin;
    let header = async || {
        assert_eq!(world.ask("a", "pm-it").await.status, 200);
        let requests = world.sims[0].requests().await;
        let headers = requests.as_array().unwrap().last().unwrap()["headers"].as_array().unwrap().clone();
        headers.iter().find(|header| header[0] == "x-team").map(|header| header[1].as_str().unwrap().to_owned())
    };
    admin.change("providers", "one", &json!({"headers": {"x-team": HEADER}})).await;
    assert_eq!(header().await.as_deref(), Some(HEADER));
    let shown = admin.document("providers", "one").await;
    let mut sent = Value::Object(shown.document);
    sent["max_in_flight"] = json!(9);
    admin.put("providers", "one", &sent, If::Match(shown.revision)).await.good::<Value>();
    assert_eq!(header().await.as_deref(), Some(HEADER));
    // A whole configuration that was exported, too.
    let exported: Value = admin.get("/admin/v1/export?format=json").await.good();
    assert!(!exported.to_string().contains(HEADER));
    assert_eq!(admin.post("/admin/v1/apply?prune=true", &exported).await.status, 200);
    assert_eq!(header().await.as_deref(), Some(HEADER));
    // What is hidden cannot be moved to a place that had nothing.
    let told = admin.patch("providers", "one", &json!({"headers": {"x-other": "[redacted]"}}), If::Unsaid).await;
    assert_eq!(told.status, 400, "{told:?}");
    // And going back brings it back.
    let revision = admin.revision().await;
    admin.change("providers", "one", &json!({"headers": null})).await;
    assert_eq!(header().await, None);
    assert_eq!(admin.post(&format!("/admin/v1/revisions/{revision}/rollback"), &json!({})).await.status, 200);
    assert_eq!(header().await.as_deref(), Some(HEADER));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_master_key_only_what_it_sealed_is_lost() {
    let (sims, master, dir) = (providers().await, master_key(), folder());
    let mut world = World::of(Gateway::start_in(&dir, &base(&sims, &master)).await, sims);
    let put = world.admin.put("providers", "locked", &provider(&world.sims[0], KEY), If::Absent).await;
    assert_eq!(put.status, 200, "{put:?}");
    with_alias(&world.admin).await;
    let restart = async |world: &mut World, masters: &str| {
        let config = base(&world.sims, masters);
        world.gateway.signal(crate::support::gateway::Signal::Terminate);
        world.gateway.ended().await;
        world.gateway = Gateway::start_in(&dir, &config).await;
        world.admin = Admin::of(&world.gateway);
    };
    for (masters, why) in [("", "there is no master key"), (master_key().as_str(), "cannot be opened")] {
        restart(&mut world, masters).await;
        assert_eq!(asked(&world).await, 503);
        assert_eq!(world.ask("free/m", "pm-it-0123456789abcdef").await.status, 200, "the rest works");
        let status: ProviderStatus = world.admin.get("/admin/v1/providers/locked/status").await.good();
        assert!(status.key == "missing" && status.unusable.as_deref().unwrap_or_default().contains(why), "{status:?}");
        let warned = |line: &str| line.contains("WARN") && line.contains("locked") && line.contains(why);
        assert!(world.gateway.log().lines().any(warned), "{}", world.gateway.log());
    }
    restart(&mut world, "").await;
    let told = world.admin.patch("providers", "locked", &json!({"api_key": OTHER_KEY}), If::Unsaid).await;
    assert!(told.status == 400 && told.error().message.contains("no master key"), "{told:?}");
    let told = world.admin.post("/admin/v1/secrets/reseal", &json!({})).await;
    assert_eq!(told.status, 400, "{told:?}");

    // A new one before the old one, and everything sealed anew: then the old one may go.
    let new = master_key();
    restart(&mut world, &format!("{new} {master}")).await;
    assert_eq!(asked(&world).await, 200);
    let resealed: Resealed = world.admin.post("/admin/v1/secrets/reseal", &json!({})).await.good();
    assert_eq!(resealed.resealed, 1);
    assert_eq!(asked(&world).await, 200);
    restart(&mut world, &new).await;
    assert_eq!(asked(&world).await, 200);
    let resealed: Resealed = world.admin.post("/admin/v1/secrets/reseal", &json!({})).await.good();
    assert_eq!(resealed.resealed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_file_is_sealed_and_advised_against() {
    let (sims, master, dir) = (providers().await, master_key(), folder());
    let keyed = format!(
        "[[providers]]\nid = \"locked\"\nprotocol = \"openai\"\nbase_url = \"{}\"\napi_key = \"{KEY}\"",
        sims[0].base_url()
    );
    let config = base(&sims, &master).toml(&keyed).model("locked", "").alias("a", &["locked"], "");
    let world = World::of(Gateway::start_in(&dir, &config).await, sims);
    assert_eq!(asked(&world).await, 200);
    let warned = world.gateway.log().lines().any(|line| line.contains("WARN") && line.contains("stands in the file"));
    assert!(warned, "{}", world.gateway.log());
    let what = [("the provider's key", KEY.to_owned())];
    assert_not_on_disk(&what, &dir);
    for (path, told) in every_answer(&world.admin).await {
        assert_nowhere(&what, &path, told.body.as_bytes());
    }
    // Without a master key such a file is refused, without repeating the key.
    let told = Gateway::try_start_in(&folder(), &config.env("POINTSMAN_MASTER_KEY", "")).await.map(drop).unwrap_err();
    assert!(told.log.contains("there is no master key"), "{}", told.log);
    assert_nowhere(&what, "the log", told.log.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_put_in_is_not_kept() {
    let (sims, master, dir) = (providers().await, master_key(), folder());
    let world = World::of(Gateway::start_in(&dir, &base(&sims, &master)).await, sims);
    let admin = &world.admin;
    let document = provider(&world.sims[0], KEY);
    let dry = admin
        .send(Method::PUT, &format!("{}?dry_run=true", at("providers", "locked")), Some(&document), If::Absent)
        .await;
    assert_eq!(dry.status, 200, "{dry:?}");
    let mut wrong = document.clone();
    wrong["protocol"] = json!("nonsense");
    assert_eq!(admin.put("providers", "locked", &wrong, If::Absent).await.status, 422);
    // Nothing was sealed that anybody could name.
    let id: Value = dry.good();
    let id = id["changes"][0]["after"]["api_key_sealed"].as_str().unwrap_or("sec-0").to_owned();
    let named = json!({"protocol": "openai", "base_url": document["base_url"], "private_addresses": true, "api_key_sealed": id});
    let told = admin.put("providers", "locked", &named, If::Absent).await;
    let status = admin.get("/admin/v1/providers/locked/status").await;
    assert!(told.status == 422 || status.body.contains("the store has no secret"), "{told:?} {status:?}");
    // Neither does the secret of one provider open for another.
    admin.delete("providers", "locked").await;
    admin.put("providers", "locked", &document, If::Absent).await.good::<Value>();
    let sealed = admin.document("providers", "locked").await.document["api_key_sealed"].clone();
    let thief = json!({"protocol": "openai", "base_url": "https://example.com/v1", "api_key_sealed": sealed});
    let told = admin.put("providers", "thief", &thief, If::Absent).await;
    let status = admin.get("/admin/v1/providers/thief/status").await;
    assert!(told.status == 422 || status.body.contains("cannot be opened"), "{told:?} {status:?}");
}
