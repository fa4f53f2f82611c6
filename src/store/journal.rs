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
        Self(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
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
