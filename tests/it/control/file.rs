//! The configuration file beside the store: it seeds it, changes it by what it says otherwise
//! than before, and a bad one changes nothing. And the store as a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use pointsman::domain::provider::Protocol;
use serde_json::json;
use tempfile::TempDir;

use super::{World, alias, configured, sims};
use crate::support::admin::{Admin, If};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::{Gateway, NotStarted, Signal, folder};

/// Nothing that needs a provider to be there.
fn plain() -> ConfigText {
    ConfigText::new("").provider("one", Protocol::OpenAi, "http://127.0.0.1:9/v1", "").model("one", "")
}

async fn not_started(dir: &Arc<TempDir>, config: &ConfigText) -> NotStarted {
    match Gateway::try_start_in(dir, config).await {
        Err(not_started) => not_started,
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn the_file_seeds_the_store_and_afterwards_only_what_it_says_otherwise_is_done() {
    let sims = sims(&[("one", json!({})), ("two", json!({}))]).await;
    // Nobody looks at it by itself here, so that each reading is asked for.
    let base = |more: &str| {
        let config = ConfigText::new(&format!("watch = false\n{more}")).env("POINTSMAN_LOG", "info");
        sims.iter().fold(config, |config, sim| config.sim(sim, "")).key("it", "pm-it", None)
    };
    let first = base("").alias("a", &["one"], "").alias("b", &["one"], "").alias("c", &["one"], "");
    let gateway = Gateway::start(&first).await;
    let admin = Admin::of(&gateway);
    let history = admin.history().await;
    assert_eq!((history.len(), history[0].author.as_str(), history[0].via.as_str()), (1, "file", "file"));
    assert!(history[0].changes.iter().all(|touched| touched.action == "added"), "{history:?}");

    // By the API: one changes, one goes, one comes.
    admin.change("aliases", "a", &json!({"max_attempts": 7})).await;
    assert_eq!(admin.delete("aliases", "b").await.status, 200);
    assert_eq!(admin.put("aliases", "d", &alias("priority", &["one"]), If::Absent).await.status, 200);
    let reload = async |config: &ConfigText, reading: usize| {
        fs::write(gateway.config_file(), config.text()).unwrap();
        gateway.signal(Signal::Hangup);
        eventually("it is read again", async || {
            gateway.log().matches("was read again").count() + gateway.log().matches("stays as it was").count()
                == reading
        })
        .await;
    };
    let has = async |name: &str| admin.get(&format!("/admin/v1/aliases/{name}")).await.status == 200;

    // The same file: nothing.
    reload(&first, 1).await;
    assert_eq!(admin.revision().await, 4);
    assert_eq!((has("a").await, has("b").await, has("c").await, has("d").await), (true, false, true, true));
    // It changes c, and only c changes.
    reload(&base("").alias("a", &["one"], "").alias("b", &["one"], "").alias("c", &["two"], ""), 2).await;
    assert_eq!(admin.history().await[0].changes.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(admin.document("aliases", "a").await.document["max_attempts"], 7);
    assert!(!has("b").await && has("d").await);
    // It changes a as well, which the API has changed: the file wins, with a warning.
    assert!(!gateway.log().contains("the file wins"));
    reload(&base("").alias("a", &["two"], "").alias("b", &["one"], "").alias("c", &["two"], ""), 3).await;
    let document = admin.document("aliases", "a").await.document;
    assert_eq!((document.get("max_attempts"), &document["targets"][0]["model"]), (None, &json!("two/m")));
    assert!(gateway.log().contains("the file changes alias \"a\"") && gateway.log().contains("the file wins"));
    // What is taken out of it goes; what never stood in it does not.
    reload(&base("").alias("a", &["two"], "").alias("c", &["two"], ""), 4).await;
    reload(&base("").alias("a", &["two"], ""), 5).await;
    assert_eq!((has("a").await, has("b").await, has("c").await, has("d").await), (true, false, false, true));
    // What is refused changes nothing, and what was right in it is not done either.
    let revision = admin.revision().await;
    let bad = base("").alias("a", &["one"], "").alias("e", &["three"], "");
    reload(&bad, 6).await;
    assert_eq!((admin.revision().await, has("e").await), (revision, false));
    let line = bad.text().lines().position(|line| line.contains("three/m")).unwrap() + 1;
    let told = format!("pointsman.toml:{line}:");
    assert!(gateway.log().contains(&told), "{told}: {}", gateway.log());
    // Settings of the process are taken from it too.
    assert_eq!(models_listed(&gateway).await, ["a", "d", "one/m", "two/m"]);
    reload(&base("direct_models = false").alias("a", &["two"], ""), 7).await;
    assert_eq!(models_listed(&gateway).await, ["a", "d"]);
    assert_eq!(admin.revision().await, revision, "they are no part of a revision");
}

async fn models_listed(gateway: &Gateway) -> Vec<String> {
    let answer = crate::support::http().get(gateway.url("/v1/models")).bearer_auth("pm-it").send().await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let mut names: Vec<String> =
        body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_that_changes_is_read_without_a_word_and_a_bad_one_is_told() {
    let sims = sims(&[("one", json!({})), ("two", json!({}))]).await;
    let config = configured(&sims).env("POINTSMAN_LOG", "info");
    let world = World::of(Gateway::start(&config.clone().alias("a", &["one"], "")).await, sims);
    let write = |config: &ConfigText| {
        // As an editor does it: the new file takes the place of the old one.
        let new = world.gateway.folder().join("new.toml");
        fs::write(&new, config.text()).unwrap();
        fs::rename(new, world.gateway.config_file()).unwrap();
    };
    write(&config.clone().alias("a", &["two"], ""));
    eventually("the new file is served", async || {
        world.ask("a", "pm-it").await.header("x-pointsman-target") == "two/m@two"
    })
    .await;
    write(&config.clone().alias("a", &["two"], "").toml("[[aliases]"));
    eventually("the bad file is told", async || world.gateway.log().contains("stays as it was")).await;
    assert_eq!(world.ask("a", "pm-it").await.header("x-pointsman-target"), "two/m@two");
    fs::remove_file(world.gateway.config_file()).unwrap();
    write(&config.alias("a", &["one"], ""));
    eventually("the good file is served", async || {
        world.ask("a", "pm-it").await.header("x-pointsman-target") == "one/m@one"
    })
    .await;
}

#[tokio::test]
async fn keys_of_a_file_come_change_and_go_with_it() {
    let base = || plain().alias("a", &["one"], "").env("POINTSMAN_LOG", "info");
    let digest = |key: &str| {
        use sha2::Digest as _;
        sha2::Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let hashed =
        |key: &str, more: &str| format!("[[keys]]\nname = \"hashed\"\nhash = \"sha256:{}\"\n{more}", digest(key));
    let dir = folder();
    let first = base().key("of-variable", "pm-variable-0123456789", None).toml(&hashed("pm-hashed-0123456789", ""));
    let mut gateway = Gateway::start_in(&dir, &first).await;
    let status = async |gateway: &Gateway, key: &str| {
        let answer = crate::support::http().get(gateway.url("/v1/models")).bearer_auth(key).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status(&gateway, "pm-variable-0123456789").await, 200);
    assert_eq!(status(&gateway, "pm-hashed-0123456789").await, 200);
    let made = Admin::of(&gateway)
        .new_key(&pointsman::api::key::KeyFields { name: "made".into(), ..Default::default() })
        .await;
    // Another value of the variable is another key, with the next start.
    gateway.killed().await;
    let second = base()
        .key("of-variable", "pm-variable-9876543210", None)
        .toml(&hashed("pm-hashed-0123456789", "enabled = false"));
    gateway = Gateway::start_in(&dir, &second).await;
    assert_eq!(status(&gateway, "pm-variable-0123456789").await, 401);
    assert_eq!(status(&gateway, "pm-variable-9876543210").await, 200);
    assert_eq!(status(&gateway, "pm-hashed-0123456789").await, 401);
    assert_eq!(status(&gateway, &made.secret).await, 200, "it never stood in the file");
    // One that is revoked by the API stays revoked, whatever the file goes on saying.
    assert_eq!(Admin::of(&gateway).post("/admin/v1/keys/of-variable/revoke", &json!({})).await.status, 200);
    gateway.killed().await;
    gateway = Gateway::start_in(&dir, &second).await;
    assert_eq!(status(&gateway, "pm-variable-9876543210").await, 401);
    gateway.killed().await;
    gateway = Gateway::start_in(&dir, &base()).await;
    assert_eq!(Admin::of(&gateway).get("/admin/v1/keys/hashed").await.status, 404);
    assert_eq!(status(&gateway, &made.secret).await, 200);
}

#[tokio::test]
async fn a_variable_that_is_not_there_is_warned_of_and_the_rest_works() {
    let config = plain()
        .provider("two", Protocol::OpenAi, "http://127.0.0.1:9/v1", "")
        .toml("[[providers]]\nid = \"openai\"\napi_key_env = \"IT_NOWHERE\"")
        .toml("[[keys]]\nname = \"k\"\nkey_env = \"IT_NOWHERE_EITHER\"")
        .key("it", "pm-it", None);
    let config = config.env("POINTSMAN_LOG", "warn");
    let mut gateway = Gateway::start(&config).await;
    // At every start, not only at the first.
    for start in 1..=2 {
        let log = gateway.log();
        for variable in ["IT_NOWHERE is not set", "IT_NOWHERE_EITHER is not set"] {
            assert_eq!(log.matches(variable).count(), start, "{variable}: {log}");
        }
        if start == 1 {
            gateway = Gateway::start_in(&gateway.killed().await, &config).await;
        }
    }
    let admin = Admin::of(&gateway);
    let status: pointsman::api::provider::ProviderStatus = admin.get("/admin/v1/providers/openai/status").await.good();
    assert_eq!(status.key, "missing");
    assert_eq!(admin.get("/admin/v1/keys/k").await.status, 404);
    assert_eq!(admin.get("/admin/v1/keys/it").await.status, 200);
}

#[tokio::test]
async fn a_store_belongs_to_one_process() {
    let dir = folder();
    let config = plain();
    let first = Gateway::start_in(&dir, &config).await;
    let second = not_started(&dir, &config).await;
    assert_eq!(second.code, Some(1));
    assert!(second.log.contains("pointsman.db is in use by another process"), "{}", second.log);
    assert_eq!(Admin::of(&first).revision().await, 2, "the first goes on");
    first.killed().await;
    Gateway::start_in(&dir, &config).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_told_with_its_path() {
    let nowhere = plain().toml("[store]\npath = \"no/such/folder/store.db\"");
    let told = not_started(&folder(), &nowhere).await;
    assert_eq!(told.code, Some(1));
    assert!(told.log.contains("no/such/folder/store.db cannot be opened"), "{}", told.log);

    let dir = folder();
    fs::create_dir(dir.path().join("pointsman.db")).unwrap();
    let told = not_started(&dir, &plain()).await;
    assert!(told.code == Some(1) && told.log.contains("pointsman.db cannot be opened"), "{}", told.log);

    let dir = folder();
    fs::write(dir.path().join("pointsman.db"), "this is no database, but somebody's letter".repeat(300)).unwrap();
    let told = not_started(&dir, &plain()).await;
    assert!(told.code == Some(1) && told.log.contains("pointsman.db cannot be opened"), "{}", told.log);
    let kept = fs::read_to_string(dir.path().join("pointsman.db")).unwrap();
    assert!(kept.starts_with("this is no database"), "and it is left alone");
}

#[tokio::test]
async fn nobody_else_on_the_machine_can_read_the_store() {
    let gateway = Gateway::start(&plain()).await;
    let mode = fs::metadata(gateway.folder().join("pointsman.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Wherever it is said to be, relative to the file.
    let dir = folder();
    fs::create_dir(dir.path().join("data")).unwrap();
    let _gateway = Gateway::start_in(&dir, &plain().toml("[store]\npath = \"data/kept.db\"")).await;
    assert!(dir.path().join("data/kept.db").exists() && !dir.path().join("pointsman.db").exists());
    let dir = folder();
    let gateway = Gateway::start_in(&dir, &plain().toml("[store]\npath = \":memory:\"")).await;
    assert_eq!(Admin::of(&gateway).revision().await, 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the configuration and the log");
}
