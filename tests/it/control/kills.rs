//! Two hundred times kill -9 while several write: what was acknowledged is there, and beside
//! it nothing but the one change that each writer was in the middle of.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pointsman::api::Page;
use pointsman::api::change::ChangeReport;
use pointsman::api::key::{KeyCreated, KeyReport};
use pointsman::api::resource::Resource;
use pointsman::api::revision::Comparison;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::seed;
use crate::support::admin::{Admin, If, at};
use crate::support::config::ConfigText;
use crate::support::gateway::{BINARY, Gateway, folder};
use crate::support::http;

const ROUNDS: usize = 200;
const WRITERS: usize = 4;

/// What one writer has been told is there. Nobody else touches its names.
#[derive(Clone, Debug, Default)]
struct Book {
    aliases: BTreeMap<String, Alias>,
    keys: BTreeMap<String, Key>,
}

#[derive(Clone, Debug)]
struct Alias {
    /// Of its only target.
    weight: u64,
    /// That changed it last; `None` if nobody was told.
    revision: Option<u64>,
}

#[derive(Clone, Debug)]
struct Key {
    /// `None` if nobody was told.
    secret: Option<String>,
    revoked: bool,
}

/// What a writer does.
#[derive(Clone, Debug)]
enum Op {
    PutAlias(String, u64),
    PatchAlias(String, u64),
    DeleteAlias(String),
    CreateKey(String),
    RevokeKey(String),
}

impl Op {
    /// Something that makes sense in a state.
    fn any(writer: usize, book: &Book, rng: &mut impl Rng) -> Self {
        let new = || format!("w{writer}/{:08x}", rand::rng().random::<u32>());
        let weight = rng.random_range(1..1_000_000);
        let some = |names: Vec<&String>, rng: &mut dyn FnMut(usize) -> usize| names[rng(names.len())].clone();
        let mut index = |len| rng.random_range(0..len);
        let aliases = || book.aliases.keys().collect::<Vec<_>>();
        let valid = || book.keys.iter().filter(|(_, key)| !key.revoked).map(|(name, _)| name).collect::<Vec<_>>();
        match index(6) {
            0 | 1 if !aliases().is_empty() => Self::PatchAlias(some(aliases(), &mut index), weight),
            2 if aliases().len() > 3 => Self::DeleteAlias(some(aliases(), &mut index)),
            3 => Self::CreateKey(new()),
            4 if !valid().is_empty() => Self::RevokeKey(some(valid(), &mut index)),
            _ => Self::PutAlias(new(), weight),
        }
    }

    fn asked(&self) -> (Method, String, Option<Value>) {
        let targets = |weight: &u64| json!([{"model": "one/m", "weight": weight}]);
        match self {
            Self::PutAlias(name, weight) => {
                let document = json!({"strategy": "priority", "targets": targets(weight)});
                (Method::PUT, at("aliases", name), Some(document))
            }
            Self::PatchAlias(name, weight) => {
                (Method::PATCH, at("aliases", name), Some(json!({"targets": targets(weight)})))
            }
            Self::DeleteAlias(name) => (Method::DELETE, at("aliases", name), None),
            Self::CreateKey(name) => (Method::POST, "/admin/v1/keys".into(), Some(json!({"name": name}))),
            Self::RevokeKey(name) => (Method::POST, format!("{}/revoke", at("keys", name)), None),
        }
    }

    fn apply(&self, book: &mut Book, revision: Option<u64>, secret: Option<String>) {
        match self {
            Self::PutAlias(name, weight) | Self::PatchAlias(name, weight) => {
                book.aliases.insert(name.clone(), Alias { weight: *weight, revision });
            }
            Self::DeleteAlias(name) => _ = book.aliases.remove(name),
            Self::CreateKey(name) => _ = book.keys.insert(name.clone(), Key { secret, revoked: false }),
            Self::RevokeKey(name) => book.keys.get_mut(name).expect("it was there").revoked = true,
        }
    }
}

/// A writer, and what it was in the middle of when the gateway was killed.
#[derive(Clone, Debug, Default)]
struct Writer {
    book: Book,
    acknowledged: Vec<u64>,
    in_flight: Option<Op>,
}

/// Writes until nobody answers any more.
async fn write(mut writer: Writer, number: usize, admin: Admin, mut rng: StdRng) -> Writer {
    loop {
        let op = Op::any(number, &writer.book, &mut rng);
        let (method, path, body) = op.asked();
        writer.in_flight = Some(op.clone());
        let Ok(told) = admin.try_send(method, &path, body.as_ref(), If::Unsaid).await else { return writer };
        let (revision, secret) = match op {
            Op::CreateKey(_) => {
                let created: KeyCreated = told.good();
                (created.revision, Some(created.secret))
            }
            _ => (told.good::<ChangeReport>().revision, None),
        };
        op.apply(&mut writer.book, Some(revision), secret);
        writer.acknowledged.push(revision);
        writer.in_flight = None;
    }
}

/// What a gateway says is there, by writer.
async fn books(admin: &Admin) -> Vec<Book> {
    let mut books = vec![Book::default(); WRITERS];
    let writer = |name: &str| name[1..2].parse::<usize>().expect("the name of a writer's own");
    let mut after = String::new();
    loop {
        let page: Page<Resource> = admin.get(&format!("/admin/v1/aliases?search=w&limit=1000{after}")).await.good();
        for one in page.items {
            let weight = one.document["targets"][0]["weight"].as_u64().expect("a weight");
            books[writer(&one.name)].aliases.insert(one.name, Alias { weight, revision: Some(one.revision) });
        }
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    let mut after = String::new();
    loop {
        let page: Page<KeyReport> = admin.get(&format!("/admin/v1/keys?search=w&limit=1000{after}")).await.good();
        for key in page.items {
            let key_of = Key { secret: None, revoked: key.state == "revoked" };
            books[writer(&key.name)].keys.insert(key.name, key_of);
        }
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    books
}

/// What the gateway can know as well, of what the writer was told.
fn same(book: &Book, there: &Book) -> bool {
    let alias = |(one, other): (&Alias, &Alias)| {
        one.weight == other.weight && one.revision.is_none_or(|revision| Some(revision) == other.revision)
    };
    let key = |(one, other): (&Key, &Key)| one.revoked == other.revoked;
    book.aliases.keys().eq(there.aliases.keys())
        && book.aliases.values().zip(there.aliases.values()).all(alias)
        && book.keys.keys().eq(there.keys.keys())
        && book.keys.values().zip(there.keys.values()).all(key)
}

/// Holds what is there to what was acknowledged. Returns the latest revision, and how many
/// changes there are beyond.
async fn check(gateway: &Gateway, writers: &mut [Writer], latest: u64, rng: &mut StdRng) -> (u64, usize) {
    let admin = Admin::of(gateway);
    let mut touched = Vec::new();
    let mut revisions: Vec<u64> = Vec::new();
    let mut unacknowledged = 0;
    for (writer, there) in writers.iter_mut().zip(books(&admin).await) {
        if !same(&writer.book, &there) {
            let op = writer.in_flight.clone();
            let op = op.unwrap_or_else(|| panic!("nothing was in flight: {:?} {there:?}", writer.book));
            op.apply(&mut writer.book, None, None);
            assert!(same(&writer.book, &there), "neither with nor without {op:?}: {:?} {there:?}", writer.book);
            unacknowledged += 1;
        }
        revisions.append(&mut writer.acknowledged);
        writer.in_flight = None;
        let keys: Vec<&Key> = writer.book.keys.values().filter(|key| key.secret.is_some()).collect();
        // The youngest are at no particular place; some of all are as good.
        touched.extend((0..keys.len().min(3)).map(|_| keys[rng.random_range(0..keys.len())].clone()));
    }
    revisions.sort_unstable();
    let now = admin.revision().await;
    let made = (latest + 1..=now).count();
    assert_eq!(made, revisions.len() + unacknowledged, "{latest} to {now}: {revisions:?} and {unacknowledged} more");
    assert!(revisions.iter().all(|revision| (latest + 1..=now).contains(revision)), "{revisions:?}");
    let page: Page<pointsman::api::revision::RevisionReport> =
        admin.get(&format!("/admin/v1/revisions?limit={}", made + 1)).await.good();
    let numbers: Vec<u64> = page.items.iter().rev().map(|revision| revision.number).collect();
    assert_eq!(numbers, (latest.max(1)..=now).collect::<Vec<_>>()[..], "the numbers are dense");
    if latest > 0 {
        let _: Comparison = admin.get(&format!("/admin/v1/compare?from={latest}")).await.good();
    }
    let client = http();
    for key in touched {
        let secret = key.secret.as_deref().unwrap_or_default();
        let status =
            client.get(gateway.url("/v1/models")).bearer_auth(secret).send().await.expect("an answer").status();
        assert_eq!(status.as_u16(), if key.revoked { 401 } else { 200 }, "{key:?}");
    }
    (now, unacknowledged)
}

/// Starts a process and kills it before it is ready.
async fn kill_while_it_starts(dir: &Arc<TempDir>, after: Duration) {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--config").arg(dir.path().join("pointsman.toml"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    tokio::time::sleep(after).await;
    child.kill().and_then(|()| child.wait()).expect("it can be killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_moment_of_its_first_start_a_process_is_killed_at_the_next_one_starts() {
    let config = ConfigText::new("")
        .provider("one", pointsman::domain::provider::Protocol::OpenAi, "http://127.0.0.1:9/v1", "")
        .model("one", "");
    let mut rng = StdRng::seed_from_u64(seed());
    for _ in 0..24 {
        let dir = folder();
        let file = dir.path().join("pointsman.db");
        std::fs::write(dir.path().join("pointsman.toml"), config.text()).expect("the configuration file");
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(dir.path().join("pointsman.toml"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        while !file.exists() {
            std::thread::sleep(Duration::from_micros(50));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..6000)));
        child.kill().and_then(|()| child.wait()).expect("it can be killed");
        let gateway = Gateway::start_in(&dir, &config).await;
        assert!(Admin::of(&gateway).revision().await >= 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_two_hundred_kills() {
    let mut rng = StdRng::seed_from_u64(seed());
    let config = ConfigText::new("")
        .provider("one", pointsman::domain::provider::Protocol::OpenAi, "http://127.0.0.1:9/v1", "")
        .model("one", "")
        .env("POINTSMAN_LOG", "error");
    let dir = folder();
    std::fs::write(dir.path().join("pointsman.toml"), config.text()).expect("the configuration file");
    kill_while_it_starts(&dir, Duration::from_millis(rng.random_range(0..100))).await;
    let mut writers = vec![Writer::default(); WRITERS];
    let (mut latest, mut starting, mut checking, mut beyond) = (0, Vec::new(), Duration::ZERO, 0);
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let gateway = Gateway::start_in(&dir, &config).await;
        starting.push(begun.elapsed());
        let begun = Instant::now();
        if round == 0 {
            latest = Admin::of(&gateway).revision().await;
        }
        let (now, unacknowledged) = check(&gateway, &mut writers, latest, &mut rng).await;
        (latest, beyond) = (now, beyond + unacknowledged);
        checking += begun.elapsed();
        if round == ROUNDS {
            break;
        }
        let mut writing = JoinSet::new();
        for (number, writer) in writers.drain(..).enumerate() {
            let (admin, rng) = (Admin::of(&gateway), StdRng::seed_from_u64(rng.random()));
            writing.spawn(async move { (number, write(writer, number, admin, rng).await) });
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(5..80))).await;
        gateway.killed().await;
        let mut all = writing.join_all().await;
        all.sort_by_key(|(number, _)| *number);
        writers = all.into_iter().map(|(_, writer)| writer).collect();
        if round % 10 == 0 {
            kill_while_it_starts(&dir, Duration::from_millis(rng.random_range(0..100))).await;
        }
    }
    starting.sort_unstable();
    let (median, last) = (starting[starting.len() / 2], starting[starting.len() - 1]);
    println!(
        "{latest} revisions; a start took {median:?}, at most {last:?}; checks {checking:?} in all; {beyond} kept unheard"
    );
    assert!(latest > ROUNDS as u64 * 2, "{latest} revisions");
    assert!(median < Duration::from_secs(2), "{starting:?}");
}
