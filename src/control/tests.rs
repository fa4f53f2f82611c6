use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::config::{Document, parse_file};
use crate::domain::counts::Counts;
use crate::domain::ids::{AliasName, EndpointId, KeyName, ProjectName};
use crate::live::{Denied, UsedBy};
use crate::secrets::{MasterKey, MasterKeys};
use crate::store::record::Role;
use crate::store::{Day, Store};

const BASE: &str = r#"
[[providers]]
id = "p"
protocol = "openai"
base_url = "http://127.0.0.1:1/v1"
auth = "none"
[[models]]
id = "p/m"
endpoints = [{ provider = "p", upstream_model = "m", usd_per_mtok = { input = 1, output = 1 } }]
[[models]]
id = "p/n"
endpoints = [{ provider = "p", upstream_model = "n" }]
[[aliases]]
name = "a"
strategy = "priority"
targets = [{ model = "p/m" }, { model = "p/n" }]
"#;

fn beginning(store: Store, text: &str, masters: Option<MasterKeys>) -> Beginning {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let file = parse_file(text, &|_| None, &no_files).unwrap_or_else(|problems| panic!("{problems}"));
    Beginning { store, file, folder: PathBuf::new(), masters, token: None, clock: Clock::new(), sharing: None }
}

async fn started(text: &str) -> Started {
    Control::start(beginning(Store::in_memory().unwrap(), text, None)).await.unwrap()
}

fn fields(value: Json) -> Map<String, Json> {
    value.as_object().unwrap().clone()
}

fn document(value: Json) -> Document {
    Document::new(&fields(value))
}

fn me(action: &'static str) -> Signed {
    Signed::new(Author::new("me", "api"), action, "x")
}

fn alias(name: &str, model: &str) -> Document {
    document(json!({"name": name, "strategy": "priority", "targets": [{"model": model}]}))
}

fn first_target(control: &Control, name: &str) -> String {
    let view = control.live.view();
    let alias = view.catalog.alias(view.catalog.resolve(name).unwrap());
    view.catalog.model(alias.targets[0].model).id.to_string()
}

#[tokio::test]
async fn a_change_is_a_revision_and_served_when_it_returns() {
    let control = started(BASE).await.control;
    let before = control.live.view().revision.0;
    let put = |model, condition| control.put(me("alias.put"), Kind::Alias, alias("a", model), condition);
    let applied = put("p/n", Precondition::Any).await.unwrap();
    assert_eq!(applied.revision, before + 1);
    assert_eq!((control.live.view().revision.0, first_target(&control, "a")), (before + 1, "p/n".into()));
    let record = control.store.revision(applied.revision).unwrap().unwrap();
    assert_eq!((record.author.name.as_str(), record.changes.len()), ("me", 1));
    assert_eq!(record.changes[0].before.as_ref().unwrap()["targets"][0]["model"], "p/m");
    // The same again is no change.
    assert_eq!(put("p/n", Precondition::Any).await.unwrap().revision, before + 1);
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let control = started(BASE).await.control;
    let revision = control.live.view().revision;
    let refused = control.put(me("alias.put"), Kind::Alias, alias("b", "p/x"), Precondition::Unsaid).await;
    let Err(ControlError::Invalid(problems)) = refused else { panic!("{refused:?}") };
    assert_eq!(problems.to_string(), "aliases.b.targets[0].model: no model \"p/x\"; did you mean \"p/n\" or \"p/m\"?");
    let refused = control.delete(me("provider.delete"), Kind::Provider, "p".into(), Precondition::Any).await;
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "{refused:?}");
    assert_eq!(control.live.view().revision, revision);
    assert_eq!(control.look(|state| state.documents().len()).await, 4);
}

#[tokio::test]
async fn two_editors_get_a_conflict() {
    let control = started(BASE).await.control;
    let seen = control.look(|state| state.modified(Kind::Alias, "a")).await.unwrap();
    let put = |model, condition| control.put(me("alias.put"), Kind::Alias, alias("a", model), condition);
    assert!(matches!(put("p/n", Precondition::Unsaid).await, Err(ControlError::Unconditional { .. })));
    assert!(matches!(put("p/n", Precondition::Absent).await, Err(ControlError::Conflict { .. })));
    let first = put("p/n", Precondition::Revision(vec![seen])).await.unwrap();
    let second = put("p/m", Precondition::Revision(vec![seen])).await;
    assert!(matches!(second, Err(ControlError::Conflict { now, .. }) if now == first.revision), "{second:?}");
    // Somebody else's edit of something else is no conflict.
    control.put(me("alias.put"), Kind::Alias, alias("b", "p/m"), Precondition::Absent).await.unwrap();
    put("p/m", Precondition::Revision(vec![first.revision])).await.unwrap();
}

#[tokio::test]
async fn many_at_once_are_made_one_after_the_other() {
    let control = started(BASE).await.control;
    let before = control.live.view().revision.0;
    let edits = (0..40).map(|i| {
        let control = Arc::clone(&control);
        async move {
            let weights = AtPart::Weights(vec![("p/m".into(), f64::from(i + 2))]);
            control.change_alias(me("alias.weights"), "a".into(), weights, Precondition::Unsaid).await.unwrap().revision
        }
    });
    let mut revisions = futures_util::future::join_all(edits).await;
    revisions.sort_unstable();
    assert_eq!(revisions, (before + 1..=before + 40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_rollback_restores_documents_and_no_key() {
    let control = started(BASE).await.control;
    let made = control.create_key(me("key.create"), fields(json!({"name": "k"}))).await.unwrap();
    let then = control.live.view().revision.0;
    control.put(me("alias.put"), Kind::Alias, alias("a", "p/n"), Precondition::Any).await.unwrap();
    control.put(me("alias.put"), Kind::Alias, alias("b", "p/n"), Precondition::Absent).await.unwrap();
    control.revoke_key(me("key.revoke"), "k".into()).await.unwrap();
    let dry = Signed { dry_run: true, ..me("rollback") };
    assert_eq!(control.roll_back(dry, then).await.unwrap().changes.len(), 2);
    assert_eq!(first_target(&control, "a"), "p/n");
    let applied = control.roll_back(me("rollback"), then).await.unwrap();
    assert_eq!((first_target(&control, "a").as_str(), applied.changes.len()), ("p/m", 2));
    assert!(control.live.view().catalog.resolve("b").is_err());
    let secret = made.secret.expose_secret().as_bytes().to_vec();
    assert_eq!(control.live.view().caller(Some(&secret), control.clock().now()).unwrap_err(), Denied::Revoked);
    assert!(matches!(control.roll_back(me("rollback"), 999).await, Err(ControlError::NotFound { .. })));
}

#[tokio::test]
async fn a_key_is_shown_once_and_lives_as_it_is_told() {
    let control = started(BASE).await.control;
    let request = fields(json!({"name": "k", "aliases": ["a"], "requests_per_minute": 10, "budget": "$1/day"}));
    let made = control.create_key(me("key.create"), request.clone()).await.unwrap();
    assert!(matches!(control.create_key(me("key.create"), request).await, Err(ControlError::Exists { .. })));
    let let_in = |secret: &SecretString| {
        control.live.view().caller(Some(secret.expose_secret().as_bytes()), control.clock().now())
    };
    assert_eq!(let_in(&made.secret).unwrap().key_name().unwrap().as_str(), "k");
    let history = control.store.revision(made.applied.revision).unwrap().unwrap();
    assert!(!format!("{history:?}").contains(made.secret.expose_secret()));

    let rotated = control.rotate_key(me("key.rotate"), "k".into(), Duration::from_secs(60)).await.unwrap();
    assert!(let_in(&made.secret).is_ok() && let_in(&rotated.secret).is_ok(), "two are valid at once");
    let again = control.rotate_key(me("key.rotate"), "k".into(), Duration::ZERO).await.unwrap();
    assert_eq!(let_in(&made.secret).unwrap_err(), Denied::Unknown);
    assert_eq!(let_in(&rotated.secret).unwrap_err(), Denied::Unknown);
    assert!(let_in(&again.secret).is_ok());

    let patch = fields(json!({"requests_per_minute": 20, "budget": null}));
    control.update_key(me("key.update"), "k".into(), patch, Precondition::Unsaid).await.unwrap();
    let record = control.key("k").unwrap();
    assert_eq!((record.requests_per_minute, record.budget.len(), record.aliases.unwrap().len()), (Some(20), 0, 1));
    control
        .update_key(me("key.update"), "k".into(), fields(json!({"enabled": false})), Precondition::Unsaid)
        .await
        .unwrap();
    assert_eq!(let_in(&again.secret).unwrap_err(), Denied::Disabled);
    control.revoke_key(me("key.revoke"), "k".into()).await.unwrap();
    assert_eq!(let_in(&again.secret).unwrap_err(), Denied::Revoked);
    let rotated = control.rotate_key(me("key.rotate"), "k".into(), Duration::ZERO).await;
    assert!(matches!(rotated, Err(ControlError::Mistake(_))));
    control.delete_key(me("key.delete"), "k".into()).await.unwrap();
    assert_eq!(let_in(&again.secret).unwrap_err(), Denied::Unknown);
}

#[tokio::test]
async fn a_key_never_gets_more_than_its_project() {
    let text = format!("{BASE}\n[[projects]]\nname = \"shop\"\nrequests_per_minute = 5\naliases = [\"a\"]\n");
    let control = started(&text).await.control;
    let wanted = fields(json!({"name": "k", "project": "shop", "requests_per_minute": 6}));
    let refused = control.create_key(me("key.create"), wanted).await.unwrap_err().to_string();
    assert!(refused.starts_with("keys.k.requests_per_minute: is above that of its project \"shop\""), "{refused}");
    let unknown = fields(json!({"name": "k", "project": "shpo"}));
    let refused = control.create_key(me("key.create"), unknown).await.unwrap_err().to_string();
    assert!(refused.contains("did you mean \"shop\"?"), "{refused}");
    let made = control.create_key(me("key.create"), fields(json!({"name": "k", "project": "shop"}))).await.unwrap();
    let view = control.live.view();
    let caller = view.caller(Some(made.secret.expose_secret().as_bytes()), control.clock().now()).unwrap();
    let may = |name: &str| caller.may_use(view.catalog.alias(view.catalog.resolve(name).unwrap()), &view.catalog);
    assert!(may("a") && !may("p/m"));
    let refused = control.delete(me("project.delete"), Kind::Project, "shop".into(), Precondition::Any).await;
    assert!(refused.unwrap_err().to_string().contains("still has keys"));
}

#[tokio::test]
async fn a_renamed_alias_keeps_its_callers() {
    let text = format!("{BASE}\n[[projects]]\nname = \"shop\"\naliases = [\"a\"]\n");
    let control = started(&text).await.control;
    let request = fields(json!({"name": "k", "project": "shop", "aliases": ["a"]}));
    let made = control.create_key(me("key.create"), request).await.unwrap();
    control.rename_alias(me("alias.rename"), "a".into(), "z".into(), Precondition::Any).await.unwrap();
    let view = control.live.view();
    assert!(view.catalog.resolve("a").is_err());
    let caller = view.caller(Some(made.secret.expose_secret().as_bytes()), control.clock().now()).unwrap();
    assert!(caller.may_use(view.catalog.alias(view.catalog.resolve("z").unwrap()), &view.catalog));
}

#[tokio::test]
async fn a_file_changes_only_what_it_says_otherwise_than_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pointsman.toml");
    let control = started(BASE).await.control;
    control.put(me("alias.put"), Kind::Alias, alias("by-api", "p/m"), Precondition::Absent).await.unwrap();
    let weights = AtPart::Weights(vec![("p/m".into(), 7.0)]);
    control.change_alias(me("alias.weights"), "a".into(), weights, Precondition::Unsaid).await.unwrap();
    let reload = async |text: &str| {
        std::fs::write(&path, text).unwrap();
        control.reload(&path).await
    };
    // The file says what it said: what was changed by another way stays.
    let revision = control.live.view().revision;
    reload(BASE).await.unwrap();
    assert_eq!(control.live.view().revision, revision);
    // One more alias in the file.
    let more =
        format!("{BASE}\n[[aliases]]\nname = \"b\"\nstrategy = \"priority\"\ntargets = [{{ model = \"p/n\" }}]\n");
    assert_eq!(reload(&more).await.unwrap().changes.len(), 1);
    assert_eq!(first_target(&control, "b"), "p/n");
    // And gone again: only what the file had goes.
    reload(BASE).await.unwrap();
    assert!(control.live.view().catalog.resolve("b").is_err());
    assert_eq!(first_target(&control, "by-api"), "p/m");
    let weight = |document: &Document| document.fields()["targets"][0]["weight"].clone();
    assert_eq!(control.look(|state| state.documents().get(Kind::Alias, "a").map(weight)).await, Some(json!(7.0)));
    // A bad file changes nothing, and is told with its line.
    let bad = BASE.replace("{ model = \"p/n\" }", "{ model = \"p/q\" }");
    let refused = reload(&bad).await.unwrap_err().to_string();
    assert!(refused.contains("pointsman.toml:16:41: aliases.a.targets[1].model: no model \"p/q\""), "{refused}");
    // Keys of the file, too.
    let key = format!("{BASE}\n[[keys]]\nname = \"k\"\nhash = \"sha256:{:064}\"\n", 1);
    reload(&key).await.unwrap();
    assert!(control.key("k").unwrap().of_file);
    reload(BASE).await.unwrap();
    assert!(control.key("k").is_err());
}

#[tokio::test]
async fn a_store_is_seeded_once_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let first = Control::start(beginning(Store::open(&path).unwrap(), BASE, None)).await.unwrap();
    let key = first.first_key.unwrap();
    let token = first.first_token.unwrap();
    first.control.put(me("alias.put"), Kind::Alias, alias("a", "p/n"), Precondition::Any).await.unwrap();
    let revision = first.control.live.view().revision;
    drop(first.control);
    let second = Control::start(beginning(Store::open(&path).unwrap(), BASE, None)).await.unwrap();
    assert!(second.first_key.is_none() && second.first_token.is_none());
    assert_eq!(second.control.live.view().revision, revision);
    assert_eq!(first_target(&second.control, "a"), "p/n");
    let caller = second.control.live.view().caller(Some(key.expose_secret().as_bytes()), second.control.clock().now());
    assert_eq!(caller.unwrap().key_name().unwrap().as_str(), "first-key");
    assert_eq!(second.control.holder(token.expose_secret().as_bytes()).unwrap().role, Role::Admin);
}

#[tokio::test]
async fn providers_keys_are_sealed_by_a_master_key_and_nowhere_else() {
    let provider = |key: &str| {
        document(json!({"id": "q", "protocol": "openai", "base_url": "https://example.com/v1", "api_key": key}))
    };
    let without = started(BASE).await.control;
    let refused = without.put(me("provider.put"), Kind::Provider, provider("sk-secret"), Precondition::Absent).await;
    assert!(refused.unwrap_err().to_string().contains("POINTSMAN_MASTER_KEY"));

    let old = MasterKey::generate(&mut rand::rng());
    let text = old.to_text().expose_secret().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let open = |masters: String| beginning(Store::open(&path).unwrap(), BASE, Some(masters.parse().unwrap()));
    let control = Control::start(open(text.clone())).await.unwrap().control;
    let dry = Signed { dry_run: true, ..me("provider.put") };
    control.put(dry, Kind::Provider, provider("sk-secret"), Precondition::Absent).await.unwrap();
    assert_eq!(control.store.secrets().unwrap(), []);
    control.put(me("provider.put"), Kind::Provider, provider("sk-secret"), Precondition::Absent).await.unwrap();
    assert_eq!(control.store.secrets().unwrap().len(), 1);
    let kept = control.look(|state| state.documents().get(Kind::Provider, "q").unwrap().as_text().to_owned()).await;
    assert!(kept.contains("api_key_sealed") && !kept.contains("sk-secret"));
    let sent = |control: &Control| {
        let view = control.live.view();
        let provider = view.catalog.providers.iter().find(|provider| provider.id.as_str() == "q").unwrap().clone();
        (format!("{:?}", provider.auth), provider.unusable)
    };
    assert_eq!(sent(&control).1, None);
    assert!(!sent(&control).0.contains("sk-secret"));
    // The same key again is the same secret.
    let again =
        control.put(me("provider.put"), Kind::Provider, provider("sk-secret"), Precondition::Any).await.unwrap();
    assert!(again.changes.is_empty());
    drop(control);
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("sk-secret"));

    // A newer master key takes over what the older sealed.
    let new = MasterKey::generate(&mut rand::rng()).to_text().expose_secret().to_owned();
    let control = Control::start(open(format!("{new} {text}"))).await.unwrap().control;
    assert_eq!(control.reseal(me("secrets.reseal")).await.unwrap(), 1);
    assert_eq!(control.reseal(me("secrets.reseal")).await.unwrap(), 0);
    drop(control);
    let control = Control::start(open(new)).await.unwrap().control;
    assert_eq!(sent(&control).1, None);
    drop(control);
    let control = Control::start(open(text)).await.unwrap().control;
    assert!(sent(&control).1.unwrap().contains("cannot be opened"));
}

#[tokio::test]
async fn tokens_have_roles_and_the_last_admin_stays() {
    let started = started(BASE).await;
    let control = started.control;
    let made = control.create_token(me("token.create"), "ops".into(), Role::Viewer, None).await.unwrap();
    let holder = |secret: &SecretString| control.holder(secret.expose_secret().as_bytes());
    assert_eq!(holder(&made.secret).unwrap(), Holder { name: "ops".into(), role: Role::Viewer });
    assert!(matches!(
        control.create_token(me("token.create"), "ops".into(), Role::Admin, None).await,
        Err(ControlError::Exists { .. })
    ));
    assert!(control.create_token(me("token.create"), "no name".into(), Role::Admin, None).await.is_err());
    assert!(
        control
            .delete_token(me("token.delete"), "first".into())
            .await
            .unwrap_err()
            .to_string()
            .contains("last admin token")
    );
    control.delete_token(me("token.delete"), "ops".into()).await.unwrap();
    assert_eq!(holder(&made.secret), None);
    assert_eq!(control.holder(b"pma-guess"), None);
    let log = control.store.audit_log(u64::MAX, 2).unwrap();
    assert_eq!(
        log.iter().map(|(_, entry)| entry.action.as_str()).collect::<Vec<_>>(),
        ["token.delete", "token.create"]
    );
}

#[tokio::test]
async fn usage_is_asked_for_by_anything_it_is_counted_by() {
    let control = started(BASE).await.control;
    let by = |key: &str, target: &str| UsedBy {
        project: ProjectName::new("default"),
        key: Some(KeyName::new(key)),
        alias: AliasName::new("a"),
        target: Some(EndpointId::new(target)),
    };
    for (key, target, output) in [("k", "p/m@p", 1), ("k", "p/n@p", 2), ("l", "p/m@p", 4)] {
        let call = control.live.ledger.open(by(key, target), 0, None);
        call.close(&Counts { attempts: 1, output, ..Counts::default() });
    }
    let today = Day::of(control.clock().now());
    let sums = async |of: Vec<By>, only: Vec<(By, String)>| {
        let question = UsageQuestion { from: today, to: today, by: of, only };
        let sums = control.usage(question).await.unwrap();
        sums.into_iter().map(|sum| (sum.names.join(" "), sum.counts.output)).collect::<Vec<_>>()
    };
    assert_eq!(sums(vec![By::Key], vec![]).await, [("k".into(), 3), ("l".into(), 4)]);
    assert_eq!(sums(vec![By::Model, By::Provider], vec![]).await, [("p/m p".into(), 5), ("p/n p".into(), 2)]);
    assert_eq!(sums(vec![By::Day], vec![(By::Key, "k".into())]).await, [(today.to_string(), 3)]);
    assert_eq!(sums(vec![], vec![]).await, [(String::new(), 7)]);
}
