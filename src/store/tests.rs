use std::collections::HashMap;

use serde_json::json;

use super::record::{AuditRecord, Author, KeyRecord, RevisionRecord, Spender, UsageKey};
use super::*;
use crate::config::{Document, Edit, Kind};
use crate::domain::counts::Counts;
use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;

fn audit(action: &str) -> AuditRecord {
    AuditRecord {
        at_ms: 1,
        author: Author::new("me", "api"),
        action: action.into(),
        subject: "x".into(),
        outcome: "ok".into(),
        revision: None,
    }
}

fn commit(store: &Store, number: u64, edits: &[Edit], keys: &[KeyEdit], keep: u64) {
    try_commit(store, number, edits, keys, keep).unwrap();
}

fn try_commit(store: &Store, number: u64, edits: &[Edit], keys: &[KeyEdit], keep: u64) -> Result<(), StoreError> {
    let revision =
        RevisionRecord { number, at_ms: number, author: Author::new("me", "api"), note: None, changes: Vec::new() };
    let edit = |edit: &Edit| DocumentEdit { kind: edit.kind, name: edit.name.clone(), to: edit.to.clone(), was: None };
    let entry = Entry {
        revision: Some(revision),
        documents: edits.iter().map(edit).collect(),
        keys: keys.to_vec(),
        audit: Some(audit("change")),
        ..Entry::default()
    };
    store.commit(&entry, None, keep)
}

fn alias(name: &str) -> Edit {
    let document = Document::from_text(&json!({"name": name}).to_string());
    Edit { kind: Kind::Alias, name: name.into(), to: document }
}

fn used(requests: u64, cost: u64) -> Counts {
    Counts { requests, attempts: requests, cost: PicoUsd(cost), ..Counts::default() }
}

fn by(key: &str, target: &str) -> UsageKey {
    UsageKey { project: "shop".into(), key: key.into(), alias: "a".into(), target: target.into() }
}

#[test]
fn what_was_committed_is_there_after_the_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
    let key = KeyRecord { name: "k".into(), ..KeyRecord::default() };
    commit(&store, 1, &[alias("a"), alias("b")], &[KeyEdit { name: "k".into(), to: Some(key.clone()) }], 10);
    commit(&store, 2, &[Edit { to: None, ..alias("a") }], &[], 10);
    drop(store);

    let store = Store::open(&path).unwrap();
    let stored = store.load().unwrap();
    assert_eq!(stored.revision, 2);
    let names: Vec<(&str, u64)> = stored.documents.iter().map(|one| (one.name.as_str(), one.revision)).collect();
    assert_eq!(names, [("b", 1)]);
    assert_eq!(store.key("k").unwrap(), Some(key));
    assert_eq!(store.keys("", 10, |_| true).unwrap().len(), 1);
    assert_eq!(store.keys("k", 10, |_| true).unwrap().len(), 0);
    assert_eq!(store.audit_log(u64::MAX, 10).unwrap().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn what_was_begun_and_never_made_is_made_anew_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let (path, begun) = (dir.path().join("store.db"), dir.path().join("store.db.begun"));
    let half = vec![0; 4096];
    // Without the sign of a beginning it may be anything.
    std::fs::write(&path, &half).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Open { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), half);
    std::fs::write(&begun, "").unwrap();
    let store = Store::open(&path).unwrap();
    assert!(!begun.exists(), "it is made");
    // Nobody else makes it anew while somebody has it.
    std::fs::write(&begun, "").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
    std::fs::remove_file(&begun).unwrap();
    commit(&store, 1, &[alias("a")], &[], 10);
    drop(store);
    assert_eq!(Store::open(&path).unwrap().load().unwrap().revision, 1);
    assert!(!begun.exists());
}

#[test]
fn old_revisions_are_forgotten() {
    let store = Store::in_memory().unwrap();
    for number in 1..=5 {
        commit(&store, number, &[], &[], 2);
    }
    let numbers: Vec<u64> = store.revisions(u64::MAX, 10).unwrap().iter().map(|one| one.number).collect();
    assert_eq!(numbers, [5, 4]);
    let after = |number, most| -> Vec<u64> {
        store.revisions_after(number, most).unwrap().iter().map(|one| one.number).collect()
    };
    assert_eq!((after(0, 1), after(4, 9), after(5, 9), after(u64::MAX, 9)), (vec![4], vec![5], vec![], vec![]));
    assert!(store.revision(3).unwrap().is_none());
}

#[test]
fn usage_adds_up_by_day_and_is_spent_by_everybody_who_had_a_part() {
    let store = Store::in_memory().unwrap();
    let day = |day: u64| UnixMillis((20_000 + day) * 86_400_000 + 5);
    let flush = |at, ended: Vec<(UsageKey, Counts)>, open: Vec<(UsageKey, Counts)>| {
        store
            .flush(&Flush {
                number: 0,
                shared: true,
                at,
                ended: ended.into_iter().collect(),
                open: open.into_iter().collect(),
            })
            .unwrap();
    };
    flush(day(0), vec![(by("k", "m@p"), used(1, 10)), (by("", "m@q"), used(1, 5))], vec![]);
    flush(day(0), vec![(by("k", "m@p"), used(2, 20))], vec![(by("k", "m@p"), used(1, 7))]);
    flush(day(1), vec![(by("k", "m@p"), used(4, 40))], vec![(by("k", "m@p"), used(1, 3))]);
    let read = |from, to| {
        let mut rows = HashMap::new();
        store
            .usage(Day::of(from), Day::of(to), |row| {
                rows.insert((row.day, row.key.key.clone()), row.counts.requests);
            })
            .unwrap();
        rows
    };
    assert_eq!(read(day(0), day(0)), [((Day::of(day(0)), "k".into()), 3), ((Day::of(day(0)), "".into()), 1)].into());
    assert_eq!(read(day(1), day(9)), [((Day::of(day(1)), "k".into()), 4)].into());
    // A process that died is settled once.
    assert_eq!(store.settle_open(false).unwrap(), 1);
    assert_eq!(store.settle_open(false).unwrap(), 0);
    assert_eq!(read(day(1), day(1)), [((Day::of(day(1)), "k".into()), 5)].into());
    let spent = |spender| store.spent_by(&spender).unwrap().at(day(1)).day.spent.0;
    for spender in [
        Spender::Key("k".into()),
        Spender::Project("shop".into()),
        Spender::Alias("a".into()),
        Spender::Target("a".into(), "m".into()),
        Spender::Provider("p".into()),
    ] {
        assert_eq!(spent(spender), 43);
    }
    assert_eq!(spent(Spender::Provider("q".into())), 0);
    let keys = store.spent_by_keys().unwrap();
    assert_eq!((keys.len(), keys["k"].at(day(1)).day.spent), (1, PicoUsd(43)));
    store.forget_usage_before(Day::of(day(1))).unwrap();
    assert_eq!(read(day(0), day(9)).len(), 1);
}

#[test]
fn a_store_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    {
        let store = Store::open(&path).unwrap();
        let transaction = store.write().unwrap();
        transaction.open_table(redb::TableDefinition::<&str, u64>::new("meta")).unwrap().insert("form", 99).unwrap();
        transaction.commit().unwrap();
    }
    assert!(matches!(Store::open(&path), Err(StoreError::TooNew { found: 99, .. })));
    std::fs::write(&path, "no database").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Open { .. })));
}

#[test]
fn days_are_written_as_people_do() {
    let day = Day::parse("2026-11-26").unwrap();
    assert_eq!(day.to_string(), "2026-11-26");
    assert_eq!(day.before(26).to_string(), "2026-10-31");
    assert_eq!(Day::parse("1970-01-01"), Some(Day::of(UnixMillis(0))));
    assert!(Day::parse("yesterday").is_none() && Day::parse("1969-12-31").is_none());
}

/// From the n-th operation on, the disk fails, for every n; then it is well again.
#[test]
fn a_disk_that_fails_loses_nothing_that_was_acknowledged_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let requests = |store: &Store| {
        let mut sum = 0;
        store.usage(Day::of(UnixMillis(0)), Day::of(UnixMillis(0)), |row| sum += row.counts.requests).unwrap();
        sum
    };
    let flush = |number| Flush { number, ended: HashMap::from([(by("k", "m@p"), used(1, 1))]), ..Flush::default() };
    let (mut refused, mut kept_all_the_same) = (0, 0);
    for after in 0.. {
        let path = dir.path().join(format!("{after}.db"));
        let store = Store::open(&path).unwrap();
        commit(&store, 1, &[alias("a")], &[], 10);
        store.flush(&flush(1)).unwrap();
        let fail = |after| *store.db.disk().fails_after.lock().unwrap() = after;

        fail(Some(after));
        let made = try_commit(&store, 2, &[alias("b")], &[], 10).is_ok();
        fail(None);
        let revision = store.load().unwrap().revision;
        assert!(revision == 2 || !made, "what was acknowledged is there: {after}");
        let next = try_commit(&store, if made { 3 } else { 2 }, &[alias("c")], &[], 10);
        assert_eq!(next.is_ok(), made == (revision == 2), "{after}: {next:?}");

        fail(Some(after));
        let flushed = store.flush(&flush(2)).is_ok();
        fail(None);
        let last = store.last_flush().unwrap();
        assert!(last == 2 || !flushed, "{after}");
        assert_eq!(requests(&store), last, "{after}");
        store.flush(&flush(last + 1)).unwrap();
        assert_eq!(requests(&store), last + 1, "{after}");
        refused += u32::from(!made) + u32::from(!flushed);
        kept_all_the_same += u32::from(!made && revision == 2) + u32::from(!flushed && last == 2);
        drop(store);
        assert_eq!(requests(&Store::open(&path).unwrap()), last + 1, "{after}");
        if made && flushed {
            break;
        }
    }
    assert!(refused > 5 && kept_all_the_same > 0, "{refused}, {kept_all_the_same}");
}
