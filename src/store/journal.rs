//! Where does this copy stand among the steps that replicas share?
//!
//! The steps are numbered, and each has a digest of itself and of all before it, its tip. Two
//! copies that have the same tip have had the same steps; a copy whose tip is not among
//! another's has had others.

use std::fmt;
use std::ops::Bound;

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};

use super::embedded::write_rows;
use super::entry::Entry;
use super::rows::{Row, RowEdit, Table};
use super::{Store, StoreError};

/// By number: tip and text. The text of the first is empty where a copy began in the middle.
const JOURNAL: TableDefinition<'_, u64, (&str, &str)> = TableDefinition::new("journal");

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(JOURNAL)?;
    Ok(())
}

/// A digest of all steps up to one, as 32 hexadecimal digits; empty before the first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tip(pub String);

impl Tip {
    /// What it becomes by one step more.
    #[must_use]
    pub fn after(&self, text: &str) -> Self {
        let digest = Sha256::new().chain_update(&self.0).chain_update([0]).chain_update(text).finalize();
        Self(hex::encode(&digest[..16]))
    }
}

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place among the steps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The number of the last step; 0 before the first.
    pub number: u64,
    /// What all of them come to.
    pub tip: Tip,
}

/// A step as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its number, and what all up to it come to.
    pub at: Position,
    /// The entry, as JSON.
    pub text: String,
}

impl Step {
    /// The step that an entry is after a position.
    pub fn new(after: &Position, entry: &Entry) -> Self {
        Self::of_text(after, String::from_utf8(super::embedded::json(entry)).unwrap_or_default())
    }

    /// The step of a text after a position.
    pub fn of_text(after: &Position, text: String) -> Self {
        Self { at: Position { number: after.number + 1, tip: after.tip.after(&text) }, text }
    }

    /// What it says.
    ///
    /// # Errors
    /// If it cannot be read: a later version wrote it.
    pub fn entry(&self) -> Result<Entry, StoreError> {
        super::embedded::parse(self.text.as_bytes(), || format!("step {}", self.at.number))
    }
}

impl Store {
    /// Where this copy stands.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn position(&self) -> Result<Position, StoreError> {
        let journal = self.read()?.open_table(JOURNAL)?;
        Ok(journal.last()?.map_or_else(Position::default, |(number, step)| position(number.value(), step.value().0)))
    }

    /// A step by its number, if it is still kept, with its text if it was ever here.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn step(&self, number: u64) -> Result<Option<Step>, StoreError> {
        let journal = self.read()?.open_table(JOURNAL)?;
        Ok(journal.get(number)?.map(|step| self::step(number, step.value())))
    }

    /// Says where this copy stands, without the steps that led there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn stand_at(&self, at: &Position) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            journal.retain(|_, _| false)?;
            if at.number > 0 {
                journal.insert(at.number, (at.tip.0.as_str(), ""))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The steps after one, in order.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn steps_after(&self, number: u64) -> Result<Vec<Step>, StoreError> {
        let journal = self.read()?.open_table(JOURNAL)?;
        let after = (Bound::Excluded(number), Bound::Unbounded);
        let found = journal.range::<u64>(after)?;
        found
            .map(|entry| {
                let (number, step) = entry?;
                Ok(self::step(number.value(), step.value()))
            })
            .collect()
    }

    /// All rows.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let transaction = self.read()?;
        let mut rows = Vec::new();
        for table in Table::ALL {
            for row in transaction.open_table(super::embedded::table(table))?.iter()? {
                let (name, text) = row?;
                rows.push(Row { table, name: name.value().to_owned(), text: text.value().to_owned() });
            }
        }
        Ok(rows)
    }

    /// Takes the rows of another copy in the place of all that there is. Usage stays. `steps`
    /// are the last ones before `at`, from which the history is made.
    ///
    /// # Errors
    /// If it cannot be written; then all is as it was.
    pub fn replace(&self, rows: Vec<Row>, revision: u64, at: &Position, steps: &[Step]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        Self::set_number(&transaction, super::embedded::REVISION, revision)?;
        let cleared = Table::ALL.into_iter().map(RowEdit::Clear);
        write_rows(&transaction, cleared.chain(rows.into_iter().map(RowEdit::Put)).collect())?;
        super::history::forget(&transaction)?;
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            journal.retain(|_, _| false)?;
            journal.insert(at.number, (at.tip.0.as_str(), ""))?;
            for step in steps {
                journal.insert(step.at.number, (step.at.tip.0.as_str(), step.text.as_str()))?;
            }
        }
        for step in steps {
            super::history::write_revision(&transaction, &step.entry()?, u64::MAX)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

pub(super) fn write(transaction: &WriteTransaction, step: &Step, keep: u64) -> Result<(), StoreError> {
    let mut journal = transaction.open_table(JOURNAL)?;
    let number = step.at.number;
    journal.insert(number, (step.at.tip.0.as_str(), step.text.as_str()))?;
    journal.retain_in(..=number.saturating_sub(keep), |_, _| false)?;
    Ok(())
}

fn position(number: u64, tip: &str) -> Position {
    Position { number, tip: Tip(tip.to_owned()) }
}

fn step(number: u64, (tip, text): (&str, &str)) -> Step {
    Step { at: position(number, tip), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::{Document, Kind};
    use crate::store::record::{Author, KeyRecord, RevisionRecord};
    use crate::store::{DocumentEdit, KeyEdit};

    /// Puts a document or a key, or takes it out.
    fn entry(number: u64, (name, of_key, there): (u8, bool, bool)) -> Entry {
        let name = format!("n{name}");
        let revision =
            RevisionRecord { number, at_ms: number, author: Author::new("me", "api"), note: None, changes: Vec::new() };
        let mut entry = Entry { revision: Some(revision), ..Entry::default() };
        if of_key {
            let to = there.then(|| KeyRecord { name: name.clone(), ..KeyRecord::default() });
            entry.keys.push(KeyEdit { name, to });
        } else {
            let to = Document::from_text(&json!({"name": name, "number": number}).to_string()).filter(|_| there);
            entry.documents.push(DocumentEdit { kind: Kind::Alias, name, to, was: None });
        }
        entry
    }

    fn do_next(store: &Store, what: (u8, bool, bool), keep: u64) -> Step {
        let at = store.position().unwrap();
        let step = Step::new(&at, &entry(at.number + 1, what));
        store.commit(&step.entry().unwrap(), Some(&step), keep).unwrap();
        step
    }

    #[test]
    fn a_step_is_known_by_all_before_it() {
        let first = Step::of_text(&Position::default(), "one".into());
        let second = Step::of_text(&first.at, "two".into());
        assert_eq!(second.at.number, 2);
        let other = Step::of_text(&Step::of_text(&Position::default(), "another".into()).at, "two".into());
        assert_ne!(second.at.tip, other.at.tip);
        assert_ne!(Tip::default().after("ab").after("c"), Tip::default().after("a").after("bc"));
    }

    #[test]
    fn steps_are_kept_as_long_as_they_should_be() {
        let store = Store::in_memory().unwrap();
        let steps: Vec<Step> = (0..6).map(|i| do_next(&store, (i, false, true), 3)).collect();
        assert_eq!(store.steps_after(0).unwrap(), steps[3..]);
        assert_eq!(store.steps_after(5).unwrap(), steps[5..]);
        assert_eq!((store.step(5).unwrap(), store.step(3).unwrap()), (Some(steps[4].clone()), None));
        assert_eq!(store.position().unwrap(), steps[5].at);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn copies_that_do_the_same_are_the_same(
            all in prop::collection::vec((0u8..4, any::<bool>(), any::<bool>()), 1..12),
            from in 0usize..12,
        ) {
            let [one, two, three] = [(); 3].map(|()| Store::in_memory().unwrap());
            let steps: Vec<Step> = all.iter().map(|what| do_next(&one, *what, 100)).collect();
            for step in &steps {
                two.commit(&step.entry().unwrap(), Some(step), 100).unwrap();
            }
            let at = one.position().unwrap();
            prop_assert_eq!(two.position().unwrap(), at.clone());
            prop_assert_eq!(two.rows().unwrap(), one.rows().unwrap());

            // One that takes a copy, whatever it had, with the last steps.
            do_next(&three, (9, false, true), 100);
            let last = &steps[from.min(steps.len())..];
            three.replace(one.rows().unwrap(), at.number, &at, last).unwrap();
            prop_assert_eq!(three.position().unwrap(), at.clone());
            prop_assert_eq!(three.rows().unwrap(), one.rows().unwrap());
            let [from_one, from_three] = [&one, &three].map(|store| store.steps_after(at.number.saturating_sub(1)).unwrap());
            prop_assert!(from_three == from_one || last.is_empty());
            // It goes on as the others do.
            let next = do_next(&three, (1, true, true), 100);
            one.commit(&next.entry().unwrap(), Some(&next), 100).unwrap();
            prop_assert_eq!(one.position().unwrap(), three.position().unwrap());
            prop_assert_eq!(one.rows().unwrap(), three.rows().unwrap());
        }
    }
}
