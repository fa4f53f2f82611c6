//! Who wins when several change the same thing at once? One, and nobody's change is lost.

use std::collections::HashSet;

use pointsman::api::key::KeyFields;
use pointsman::api::token::Role;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::{World, alias};
use crate::support::admin::{If, at};

const EDITORS: usize = 8;

/// What several got who did something at once.
async fn at_once<T, F>(act: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut acting = JoinSet::new();
    for editor in 0..EDITORS {
        acting.spawn(act(editor));
    }
    acting.join_all().await
}

/// How many answers have each status, in the order of the statuses asked for.
fn count<const N: usize>(statuses: &[u16], of: [u16; N]) -> [usize; N] {
    of.map(|wanted| statuses.iter().filter(|status| **status == wanted).count())
}

/// The weight of an alias's only target, which serves as a counter.
fn counted(document: &Map<String, Value>) -> u64 {
    document["targets"][0]["weight"].as_f64().unwrap_or(1.0) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_edit_one_alias_one_wins_each_time_and_no_edit_is_lost() {
    const EACH: u64 = 6;
    let world = World::new(&["one"], |config| config.alias("a", &["one"], "")).await;
    let admin = &world.admin;
    let outcomes = at_once(|_| {
        let admin = admin.clone();
        async move {
            let (mut replaced, mut refused) = (Vec::new(), 0_u64);
            while (replaced.len() as u64) < EACH {
                let seen = admin.document("aliases", "a").await;
                let next = json!({"targets": [{"model": "one/m", "weight": counted(&seen.document) + 1}]});
                let told = admin.patch("aliases", "a", &next, If::Match(seen.revision)).await;
                match told.status {
                    200 => replaced.push(seen.revision),
                    412 => {
                        let error = told.error();
                        assert_eq!((error.code.as_str(), error.revision), ("conflict", Some(told.etag())));
                        assert!(told.etag() > seen.revision, "it is told which revision was faster: {told:?}");
                        refused += 1;
                    }
                    other => panic!("{other}: {told:?}"),
                }
            }
            (replaced, refused)
        }
    })
    .await;
    let made = EACH * EDITORS as u64;
    assert_eq!(counted(&admin.document("aliases", "a").await.document), 1 + made, "every edit counts");
    let replaced: HashSet<u64> = outcomes.iter().flat_map(|(replaced, _)| replaced.iter().copied()).collect();
    assert_eq!(replaced.len() as u64, made, "no revision was replaced twice");
    assert_eq!(admin.revision().await, 1 + made, "what was refused made no revision");
    assert!(outcomes.iter().any(|(_, refused)| *refused > 0), "nobody was ever in another's way");
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_different_aliases_are_not_in_each_others_way() {
    let world = World::new(&["one", "two"], |config| {
        (0..EDITORS).fold(config, |config, i| config.alias(&format!("a{i}"), &["one", "two"], ""))
    })
    .await;
    let admin = &world.admin;
    let statuses = at_once(|editor| {
        let admin = admin.clone();
        async move {
            let (name, mut statuses) = (format!("a{editor}"), Vec::new());
            let mut seen = admin.document("aliases", &name).await.revision;
            for strategy in ["random-shuffle", "lowest-latency", "priority"] {
                let told = admin.put("aliases", &name, &alias(strategy, &["two"]), If::Match(seen)).await;
                statuses.push(told.status);
                seen = admin.document("aliases", &name).await.revision;
            }
            statuses
        }
    })
    .await;
    assert_eq!(count(&statuses.concat(), [200]), [3 * EDITORS]);
}

#[tokio::test]
async fn what_is_there_is_replaced_only_under_a_condition() {
    let world = World::new(&["one", "two"], |config| config.alias("a", &["one"], "")).await;
    let admin = &world.admin;
    let two = alias("priority", &["two"]);
    assert_eq!(admin.put("aliases", "a", &two, If::Unsaid).await.refusal(), (428, "precondition_required".into()));
    assert_eq!(admin.put("aliases", "a", &two, If::Absent).await.refusal(), (412, "conflict".into()));
    assert_eq!(admin.put("aliases", "a", &two, If::Match(7)).await.refusal(), (412, "conflict".into()));
    assert_eq!(world.ask("a", "pm-it").await.header("x-pointsman-target"), "one/m@one", "nothing has changed");
    let path = at("aliases", "a");
    let stale = admin.send(Method::DELETE, &path, None, If::Match(7)).await;
    assert_eq!(stale.refusal(), (412, "conflict".into()));
    assert_eq!(admin.put("aliases", "a", &two, If::Any).await.status, 200);
    assert_eq!(world.ask("a", "pm-it").await.header("x-pointsman-target"), "two/m@two");

    // What is not there yet needs no condition, and one on its state cannot hold.
    assert_eq!(admin.put("aliases", "b", &two, If::Match(1)).await.status, 412);
    assert_eq!(admin.put("aliases", "b", &two, If::Any).await.status, 412);
    assert_eq!(admin.put("aliases", "b", &two, If::Absent).await.status, 200);
    assert_eq!(admin.put("aliases", "c", &two, If::Unsaid).await.status, 200);
    let mut named = two.clone();
    named["name"] = json!("d");
    assert_eq!(admin.post("/admin/v1/aliases", &named).await.status, 201);
    assert_eq!(admin.post("/admin/v1/aliases", &named).await.refusal(), (409, "exists".into()));
    // Neither a key can be replaced by somebody who saw another state of it.
    let key = admin.new_key(&KeyFields { name: "k".into(), ..KeyFields::default() }).await;
    assert_eq!(admin.patch("keys", "k", &json!({"enabled": false}), If::Match(key.revision - 1)).await.status, 412);
    assert_eq!(admin.patch("keys", "k", &json!({"enabled": false}), If::Match(key.revision)).await.status, 200);
    let unwanted = admin.patch("keys", "k", &json!({"enabled": true}), If::Match(key.revision)).await;
    assert_eq!((unwanted.status, admin.key("k").await.enabled), (412, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_make_the_same_thing_one_makes_it() {
    let world = World::new(&["one"], |config| config).await;
    let admin = &world.admin;
    for (path, body) in [
        ("/admin/v1/aliases", json!({"name": "same", "strategy": "priority", "targets": [{"model": "one/m"}]})),
        ("/admin/v1/keys", json!({"name": "same"})),
        ("/admin/v1/projects", json!({"name": "same"})),
        ("/admin/v1/tokens", json!({"name": "same", "role": "viewer"})),
    ] {
        let statuses = at_once(|_| {
            let (admin, body) = (admin.clone(), body.clone());
            async move { admin.post(path, &body).await.status }
        })
        .await;
        assert_eq!(count(&statuses, [201, 409]), [1, EDITORS - 1], "{path}: {statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_two_who_may_make_tokens_do_not_take_each_other_away() {
    // Otherwise the environment's token would always be left.
    let world = World::new(&[], |config| config.env("POINTSMAN_ADMIN_TOKEN", "")).await;
    let first = world.gateway.said("first admin token, shown only now: ").remove(0);
    let first = world.admin.with(&first);
    let mut tokens = vec![("first".to_owned(), first.clone())];
    for i in 1..EDITORS {
        let made = first.new_token(&format!("t{i}"), Role::Admin).await;
        tokens.push((format!("t{i}"), first.with(&made.secret)));
    }
    let statuses = at_once(|editor| {
        let (name, holder) = tokens[editor].clone();
        async move { holder.delete("tokens", &name).await.status }
    })
    .await;
    assert_eq!(count(&statuses, [204, 400]), [EDITORS - 1, 1], "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_configuration_is_applied_only_to_the_one_that_was_seen() {
    let world = World::new(&["one"], |config| config.alias("a", &["one"], "")).await;
    let admin = &world.admin;
    let exported = admin.get("/admin/v1/export?format=json").await;
    let seen = exported.etag();
    assert_eq!(seen, admin.revision().await);
    let statuses = at_once(|editor| {
        let admin = admin.clone();
        let mut lists: Value = exported.good();
        lists["aliases"][0]["max_attempts"] = json!(editor + 4);
        async move { admin.send(Method::POST, "/admin/v1/apply?prune=true", Some(&lists), If::Match(seen)).await.status }
    })
    .await;
    assert_eq!(count(&statuses, [200, 412]), [1, EDITORS - 1], "{statuses:?}");
    assert_eq!(admin.revision().await, seen + 1);
    let lists = json!({"aliases": [{"name": "b", "strategy": "priority", "targets": [{"model": "one/m"}]}]});
    let unseen = admin.send(Method::POST, "/admin/v1/apply", Some(&lists), If::Match(seen)).await;
    assert_eq!((unseen.status, unseen.etag()), (412, seen + 1));
    assert_eq!(admin.post("/admin/v1/apply", &lists).await.status, 200, "whoever says nothing takes any state");
    // Several states that were seen are as good as one.
    let now = admin.revision().await;
    let request = crate::support::http().post(world.gateway.admin_url("/admin/v1/apply?dry_run=true"));
    let request = request.bearer_auth(crate::support::gateway::ADMIN_TOKEN).header("content-type", "application/json");
    let answer = request.header("if-match", format!("\"{seen}\", \"{now}\"")).body(lists.to_string()).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let absent = admin.send(Method::POST, "/admin/v1/apply?dry_run=true", Some(&lists), If::Absent).await;
    assert_eq!(absent.status, 412, "there is always a configuration");
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_and_changes_nothing() {
    let world = World::new(&["one", "two"], |config| config.alias("a", &["one"], "")).await;
    let admin = &world.admin;
    let dry = async |method: Method, path: &str, body: Option<Value>| {
        admin.send(method, &format!("{path}?dry_run=true"), body.as_ref(), If::Any).await
    };
    let (a, k) = (at("aliases", "a"), at("keys", "it"));
    let told = dry(Method::PUT, &a, Some(alias("priority", &["two"]))).await;
    let report: pointsman::api::change::ChangeReport = told.good();
    assert!(report.dry_run && report.revision == 1, "{report:?}");
    assert_eq!(report.changes[0].fields[0].path, "targets[0].model");
    assert!(
        report.diff.contains("-model = \"one/m\"") && report.diff.contains("+model = \"two/m\""),
        "{}",
        report.diff
    );
    for (method, path, body) in [
        (Method::DELETE, a.clone(), None),
        (Method::PATCH, a.clone(), Some(json!({"strategy": "random-shuffle"}))),
        (Method::POST, format!("{a}/rename"), Some(json!({"name": "b"}))),
        (Method::PATCH, k.clone(), Some(json!({"enabled": false}))),
        (Method::POST, format!("{k}/revoke"), None),
        (Method::DELETE, k, None),
    ] {
        let told = dry(method.clone(), &path, body).await;
        assert_eq!(told.status, 200, "{method} {path}: {told:?}");
    }
    // What would not fit is told as it would be in earnest.
    let wrong = dry(Method::PUT, &a, Some(alias("priority", &["three"]))).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert!(wrong.error().problems[0].path.starts_with("aliases.a.targets[0].model"), "{wrong:?}");
    assert_eq!(admin.revision().await, 1);
    assert_eq!(world.ask("a", "pm-it").await.header("x-pointsman-target"), "one/m@one");
}
