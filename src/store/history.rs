//! What was changed, and who did what: revisions, what was before each, and the audit log.

use std::ops::Bound;

use redb::{TableDefinition, WriteTransaction};

use super::embedded::{json, parse};
use super::entry::Entry;
use super::record::{AuditRecord, RevisionRecord};
use super::{Store, StoreError};
use crate::config::{Document, Kind};

const REVISIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revisions");
/// What documents were before a revision, by its number, their kind and name; empty where
/// they were not there.
const BEFORE: TableDefinition<'_, (u64, &str, &str), &str> = TableDefinition::new("before");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

/// Under which the number of the last line of the audit log is kept.
const AUDITED: &str = "audited";

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(REVISIONS)?;
    transaction.open_table(BEFORE)?;
    transaction.open_table(AUDIT)?;
    Ok(())
}

/// Writes the revision of an entry, and what was before it.
pub(super) fn write_revision(transaction: &WriteTransaction, entry: &Entry, keep: u64) -> Result<(), StoreError> {
    let Some(revision) = &entry.revision else { return Ok(()) };
    let number = revision.number;
    let mut revisions = transaction.open_table(REVISIONS)?;
    let mut before = transaction.open_table(BEFORE)?;
    revisions.insert(number, json(revision).as_slice())?;
    for edit in &entry.documents {
        let was = edit.was.as_ref().map_or("", Document::as_text);
        before.insert((number, edit.kind.as_str(), edit.name.as_str()), was)?;
    }
    let oldest = number.saturating_sub(keep);
    revisions.retain_in(..=oldest, |_, _| false)?;
    before.retain_in(..(oldest + 1, "", ""), |_, _| false)?;
    Ok(())
}

/// Writes the line of an entry in the audit log.
pub(super) fn write_audit(transaction: &WriteTransaction, entry: &Entry) -> Result<(), StoreError> {
    let Some(record) = &entry.audit else { return Ok(()) };
    let number = Store::next_number(transaction, AUDITED)?;
    transaction.open_table(AUDIT)?.insert(number, json(record).as_slice())?;
    Ok(())
}

/// Forgets all revisions.
pub(super) fn forget(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(REVISIONS)?.retain(|_, _| false)?;
    transaction.open_table(BEFORE)?.retain(|_, _| false)?;
    Ok(())
}

impl Store {
    /// A revision by its number.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn revision(&self, number: u64) -> Result<Option<RevisionRecord>, StoreError> {
        let table = self.read()?.open_table(REVISIONS)?;
        let found = table.get(number)?;
        found.map(|value| parse(value.value(), || format!("revision {number}"))).transpose()
    }

    /// What a document was before a revision; `None` if it was not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn before(&self, number: u64, kind: Kind, name: &str) -> Result<Option<Document>, StoreError> {
        let table = self.read()?.open_table(BEFORE)?;
        let found = table.get((number, kind.as_str(), name))?;
        Ok(found.and_then(|text| Document::from_text(text.value())))
    }

    /// At most so many revisions below a number, newest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn revisions(&self, below: u64, most: usize) -> Result<Vec<RevisionRecord>, StoreError> {
        let table = self.read()?.open_table(REVISIONS)?;
        let found = table.range(..below)?.rev().take(most);
        found
            .map(|entry| {
                let (number, value) = entry?;
                parse(value.value(), || format!("revision {}", number.value()))
            })
            .collect()
    }

    /// At most so many revisions after a number, oldest first.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn revisions_after(&self, number: u64, most: usize) -> Result<Vec<RevisionRecord>, StoreError> {
        let table = self.read()?.open_table(REVISIONS)?;
        let after = (Bound::Excluded(number), Bound::Unbounded);
        let found = table.range::<u64>(after)?.take(most);
        found
            .map(|entry| {
                let (number, value) = entry?;
                parse(value.value(), || format!("revision {}", number.value()))
            })
            .collect()
    }

    /// At most so many entries of the audit log below a number, newest first, with their
    /// numbers.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn audit_log(&self, below: u64, most: usize) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
        let table = self.read()?.open_table(AUDIT)?;
        let found = table.range(..below)?.rev().take(most);
        found
            .map(|entry| {
                let (number, value) = entry?;
                Ok((number.value(), parse(value.value(), || format!("audit {}", number.value()))?))
            })
            .collect()
    }

    /// Forgets the lines of the audit log up to one. The others keep their numbers.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_audit_to(&self, last: u64) -> Result<(), StoreError> {
        let transaction = self.write()?;
        transaction.open_table(AUDIT)?.retain_in(..=last, |_, _| false)?;
        transaction.commit()?;
        Ok(())
    }
}
