//! Is everybody who listens told of every revision, once and in order, also after having been
//! away; and of targets that break?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use pointsman::api::key::KeyFields;
use pointsman::api::revision::RevisionReport;
use pointsman::api::token::Role;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{World, alias};
use crate::support::admin::If;
use crate::support::gateway::{ADMIN_TOKEN, Signal};
use crate::support::{PATIENCE, http};

/// Somebody who listens.
struct Listener {
    answer: reqwest::Response,
    text: String,
}

/// One event.
#[derive(Debug)]
struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

impl Event {
    fn revision(&self) -> RevisionReport {
        assert_eq!(self.name, "revision", "{self:?}");
        serde_json::from_value(self.data.clone()).expect("a revision")
    }
}

impl Listener {
    /// Listens; after a revision if it has seen one.
    async fn new(world: &World, token: &str, seen: Option<u64>) -> Self {
        let mut request = http().get(world.gateway.admin_url("/admin/v1/events")).bearer_auth(token);
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen.to_string());
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["content-type"].as_bytes().starts_with(b"text/event-stream"));
        Self { answer, text: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let Some(name) = field("event:") else { continue };
                let data = serde_json::from_str(field("data:").expect("data")).expect("JSON");
                return Some(Event {
                    name: name.to_owned(),
                    id: field("id:").map(|id| id.parse().expect("a number")),
                    data,
                });
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("something comes");
            // A connection that is cut is as much an end as one that is closed.
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).expect("text"));
        }
    }

    async fn must(&mut self) -> Event {
        self.next().await.expect("the stream goes on")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_as_it_takes_effect() {
    let world = World::new(&["one", "two"], |config| config.alias("a", &["one"], "")).await;
    let admin = &world.admin;
    let mut listener = Listener::new(&world, ADMIN_TOKEN, None).await;
    admin.put("aliases", "a", &alias("priority", &["two"]), If::Any).await.good::<Value>();
    let told = listener.must().await;
    let revision = told.revision();
    assert_eq!(
        (told.id, revision.number, revision.author.as_str(), revision.via.as_str()),
        (Some(2), 2, "environment", "api")
    );
    let touched = &revision.changes[0];
    assert_eq!((touched.kind.as_str(), touched.name.as_str(), touched.action.as_str()), ("alias", "a", "changed"));
    // It is served when it is told.
    let got = world.ask("a", "pm-it").await;
    assert_eq!((got.header("x-pointsman-target"), got.header("x-pointsman-revision")), ("two/m@two", "2"));

    let key = admin.new_key(&KeyFields { name: "k".into(), ..KeyFields::default() }).await;
    let told = listener.must().await;
    assert_eq!((told.id, told.revision().changes[0].action.as_str()), (Some(key.revision), "added"));
    assert!(!told.data.to_string().contains(&key.secret[10..]), "{told:?}");
    // What changes nothing, or is refused, is none.
    admin
        .send(reqwest::Method::PATCH, "/admin/v1/aliases/a?dry_run=true", Some(&json!({"max_attempts": 2})), If::Unsaid)
        .await;
    admin.put("aliases", "a", &alias("priority", &["nobody"]), If::Any).await;
    admin.put("aliases", "a", &alias("priority", &["two"]), If::Any).await;
    assert_eq!(admin.delete("aliases", "a").await.status, 200);
    assert_eq!(listener.must().await.id, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_is_told_what_it_missed_without_a_gap_or_a_repetition() {
    const TIMES: usize = 150;
    let world = World::new(&["one"], |config| config.alias("a", &["one"], "").alias("b", &["one"], "")).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut editing = JoinSet::new();
    for name in ["a", "b"] {
        let (admin, over) = (world.admin.clone(), Arc::clone(&over));
        editing.spawn(async move {
            for n in 0.. {
                if over.load(SeqCst) {
                    break;
                }
                admin.change("aliases", name, &json!({"max_attempts": n % 5 + 4})).await;
            }
        });
    }
    let mut last = 1;
    for n in 0..TIMES {
        let mut listener = Listener::new(&world, ADMIN_TOKEN, Some(last)).await;
        // Of what it missed, and of what happens while it listens.
        for _ in 0..1 + n % 4 {
            let told = listener.must().await;
            assert_eq!(told.id, Some(last + 1), "{told:?}");
            last += 1;
        }
        drop(listener);
        tokio::time::sleep(Duration::from_millis(n as u64 % 7 * 5)).await;
    }
    over.store(true, SeqCst);
    editing.join_all().await;
    let wrong = http().get(world.gateway.admin_url("/admin/v1/events")).bearer_auth(ADMIN_TOKEN);
    assert_eq!(wrong.header("last-event-id", "soon").send().await.unwrap().status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_breaks_and_comes_back_is_told() {
    let world = World::new(&["one", "two"], |config| config.alias("a", &["one", "two"], "")).await;
    assert_eq!(world.ask("a", "pm-it").await.status, 200);
    let mut listener = Listener::new(&world, ADMIN_TOKEN, None).await;
    world.sims[0].behave(json!({"faults": [{"kind": "status", "code": 401}]})).await;
    let asking = async {
        loop {
            assert_eq!(world.ask("a", "pm-it").await.status, 200, "the other one serves");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = async {
        loop {
            let told = listener.must().await;
            if told.name == "target" && told.data["target"] == "one/m@one" && told.data["state"] == "open" {
                return told;
            }
        }
    };
    let told = tokio::select! {
        told = told => told,
        () = asking => unreachable!(),
    };
    assert!(told.id.is_none(), "only revisions can be come back to: {told:?}");
    assert_eq!(world.gateway.target("one/m@one").await["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_ends_with_the_token_and_with_the_process_which_it_does_not_hold_up() {
    let mut world = World::new(&["one"], |config| config.alias("a", &["one"], "")).await;
    let token = world.admin.new_token("t", Role::Viewer).await;
    let mut of_token = Listener::new(&world, &token.secret, None).await;
    let mut of_admin = Listener::new(&world, ADMIN_TOKEN, None).await;
    world.admin.change("aliases", "a", &json!({"max_attempts": 2})).await;
    assert_eq!((of_token.must().await.id, of_admin.must().await.id), (Some(2), Some(2)));
    assert_eq!(world.admin.delete("tokens", "t").await.status, 204);
    let since = Instant::now();
    while of_token.next().await.is_some() {}
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    world.admin.change("aliases", "a", &json!({"max_attempts": 3})).await;
    assert_eq!(of_admin.must().await.id, Some(3), "others are not concerned");

    // Several that listen and nobody who reads.
    let mut listeners = Vec::new();
    for _ in 0..5 {
        listeners.push(Listener::new(&world, ADMIN_TOKEN, Some(0)).await);
    }
    let since = Instant::now();
    world.gateway.signal(Signal::Terminate);
    while of_admin.next().await.is_some() {}
    assert_eq!(world.gateway.ended().await.code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}

/// A short-lived token hears nothing after its time either.
#[tokio::test(flavor = "multi_thread")]
async fn listening_ends_when_the_time_of_the_token_is_over() {
    let world = World::new(&["one"], |config| config).await;
    let made: pointsman::api::token::TokenCreated =
        world.admin.post("/admin/v1/tokens", &json!({"name": "t", "role": "viewer", "expires_in_s": 1})).await.good();
    let mut listener = Listener::new(&world, &made.secret, None).await;
    let since = Instant::now();
    while listener.next().await.is_some() {}
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
