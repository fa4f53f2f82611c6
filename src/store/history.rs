//! What was changed, and who did what: revisions, what was before each, and the audit log.

use std::ops::Bound;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::embedded::{json, parse};
use super::record::{AuditRecord, RevisionRecord};
use super::{Commit, Store, StoreError};
use crate::config::{Document, Kind};

const REVISIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revisions");
/// What documents were before a revision, by its number, their kind and name; empty where
/// they were not there.
const BEFORE: TableDefinition<'_, (u64, &str, &str), &str> = TableDefinition::new("before");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(REVISIONS)?;
    transaction.open_table(BEFORE)?;
    transaction.open_table(AUDIT)?;
    Ok(())
}

/// Writes the revision of a commit, what was before it, and its entry of the audit log.
pub(super) fn write(transaction: &WriteTransaction, commit: &Commit<'_>) -> Result<(), StoreError> {
    let number = commit.revision.number;
    let mut revisions = transaction.open_table(REVISIONS)?;
    let mut before = transaction.open_table(BEFORE)?;
    revisions.insert(number, json(commit.revision).as_slice())?;
    for (edit, was) in commit.edits {
        before.insert((number, edit.kind.as_str(), edit.name.as_str()), was.map_or("", Document::as_text))?;
    }
    let oldest = number.saturating_sub(commit.keep_revisions);
    revisions.retain_in(..=oldest, |_, _| false)?;
    before.retain_in(..(oldest + 1, "", ""), |_, _| false)?;
    append(transaction, commit.audit)
}

pub(super) fn append(transaction: &WriteTransaction, record: &AuditRecord) -> Result<(), StoreError> {
    let mut audit = transaction.open_table(AUDIT)?;
    let number = audit.last()?.map_or(1, |(number, _)| number.value() + 1);
    audit.insert(number, json(record).as_slice())?;
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

    /// Writes an entry of the audit log for what made no revision.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn audit(&self, record: &AuditRecord) -> Result<(), StoreError> {
        let transaction = self.write()?;
        append(&transaction, record)?;
        transaction.commit()?;
        Ok(())
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
}
