//! Whatever rows and steps another copy has, they can be taken over and looked at: what is no
//! record is told as such, and nothing else becomes of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::config::Kind;
use pointsman::store::{Position, Row, Step, Store, Table, Tip};

/// Lines: the letter of a table, a name, and behind a tab the text; with another letter the text
/// of a step.
fn read(text: &str) -> (Vec<Row>, Vec<Step>) {
    let (mut rows, mut steps) = (Vec::new(), Vec::new());
    let mut at = Position { number: 1, tip: Tip("a".into()) };
    for line in text.lines() {
        let Some((letter, rest)) = line.split_at_checked(1) else { continue };
        let table = Table::ALL.into_iter().find(|table| table.as_str().starts_with(letter));
        match (table, rest.split_once('\t')) {
            (Some(table), Some((name, text))) => rows.push(Row { table, name: name.into(), text: text.into() }),
            (Some(_), None) => {}
            (None, _) => {
                let step = Step::of_text(&at, rest.into());
                at = step.at.clone();
                steps.push(step);
            }
        }
    }
    (rows, steps)
}

fuzz_target!(|text: &str| {
    let Ok(store) = Store::in_memory() else { panic!("memory is no disk") };
    let (rows, steps) = read(text);
    let at = steps.last().map_or(Position { number: 1, tip: Tip("a".into()) }, |step| step.at.clone());
    let _ = store.replace(rows, at.number, &at, &steps);
    let _ = (store.load(), store.tokens(), store.secrets(), store.position(), store.steps_after(0));
    let _ = store.each_key(drop);
    let _ = (store.revisions(u64::MAX, 100), store.revisions_after(0, 100), store.audit_log(u64::MAX, 100));
    let _ = store.before(1, Kind::Alias, "a");
    let Ok(rows) = store.rows() else { panic!("memory is no disk") };
    // A copy of the copy has the same rows.
    let Ok(copy) = Store::in_memory() else { panic!("memory is no disk") };
    if copy.replace(rows.clone(), at.number, &at, &[]).is_ok() {
        assert_eq!(copy.rows().ok(), Some(rows));
    }
});
