//! The store in one file, or in memory.

use std::path::{Path, PathBuf};

use redb::{DatabaseError, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::database::{self, Reopened};
use super::entry::{Entry, Source};
use super::journal::Step;
use super::rows::{Row, RowEdit, StoredDocument, Table};

/// The form of what is written; a version refuses what a later one wrote.
const FORM: u64 = 1;

/// Under which the latest revision is kept.
pub(super) const REVISION: &str = "revision";

/// Under which the number that no other store has is kept.
const LEDGER: &str = "ledger";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// A table of rows.
pub(super) fn table(table: Table) -> TableDefinition<'static, &'static str, &'static str> {
    TableDefinition::new(table.as_str())
}

/// What the store holds, but for keys, revisions and usage, of which there may be many.
#[derive(Debug, Default)]
pub struct Stored {
    /// The latest revision; 0 in a store that is new.
    pub revision: u64,
    /// The documents.
    pub documents: Vec<StoredDocument>,
    /// What the file said last.
    pub source: Source,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Reopened,
}

impl Store {
    /// Opens the store in a file, or makes it.
    ///
    /// # Errors
    /// If another process has it, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        let open = |reason: String| StoreError::Open { path: shown.clone(), reason };
        let file = open_private(path).map_err(|error| open(error.to_string()))?;
        let begun = begun_beside(path);
        let db = Reopened::in_file(file, &begun).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(shown.clone()),
            other => open(other.to_string()),
        })?;
        let store = Self::over(db, &shown)?;
        database::made(&begun).map_err(|error| open(format!("{} cannot be removed: {error}", begun.display())))?;
        Ok(store)
    }

    /// A store in memory.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        let db = Reopened::in_memory().map_err(|error| StoreError::Failed(error.to_string()))?;
        Self::over(db, "memory")
    }

    /// Whether what is written is still there when the process is not.
    pub fn outlives_the_process(&self) -> bool {
        self.db.lasts()
    }

    fn over(db: Reopened, path: &str) -> Result<Self, StoreError> {
        let store = Self { db };
        let transaction = store.write()?;
        {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("form")?.map(|form| form.value());
            match found {
                Some(found) if found > FORM => {
                    return Err(StoreError::TooNew { path: path.to_owned(), found, known: FORM });
                }
                Some(_) => {}
                None => {
                    meta.insert("form", FORM)?;
                }
            }
            // So that whoever reads finds every table.
            for one in Table::ALL {
                transaction.open_table(table(one))?;
            }
            super::journal::make_tables(&transaction)?;
            super::history::make_tables(&transaction)?;
            super::usage::make_tables(&transaction)?;
        }
        transaction.commit()?;
        Ok(store)
    }

    pub(super) fn write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.db.begin_write()?;
        // The state of the allocator is written along, so that after a kill the file opens
        // at once instead of being walked through.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    pub(super) fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.db.begin_read()
    }

    /// Reads what every start needs.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(&self) -> Result<Stored, StoreError> {
        let transaction = self.read()?;
        let mut stored = Stored::default();
        let meta = transaction.open_table(META)?;
        stored.revision = meta.get(REVISION)?.map_or(0, |revision| revision.value());
        for row in transaction.open_table(table(Table::Documents))?.iter()? {
            let (name, text) = row?;
            stored.documents.extend(StoredDocument::from_row(name.value(), text.value())?);
        }
        let rows = transaction.open_table(table(Table::Source))?;
        let source = rows.iter()?.collect::<Result<Vec<_>, _>>()?;
        stored.source = Source::from_rows(source.iter().map(|(name, text)| (name.value(), text.value())));
        Ok(stored)
    }

    /// Writes an entry. It is there when this returns, and not at all if it fails. Older
    /// revisions than `keep_revisions` are forgotten. Where it is a step that replicas share,
    /// they share the audit log as well.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn commit(&self, entry: &Entry, step: Option<&Step>, keep_revisions: u64) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let number = entry.revision.as_ref().map(|revision| revision.number);
        if let Some(number) = number {
            let kept = transaction.open_table(META)?.insert(REVISION, number)?.map_or(0, |kept| kept.value());
            if kept + 1 != number {
                // A disk that failed at the very end may have kept what it said it had not.
                let message = format!("it holds revision {kept}, which was not acknowledged; start again to serve it");
                return Err(StoreError::Failed(message));
            }
        }
        write_rows(&transaction, entry.row_edits())?;
        super::history::write_revision(&transaction, entry, keep_revisions)?;
        match step {
            Some(step) => super::journal::write(&transaction, step, keep_revisions)?,
            None => super::history::write_audit(&transaction, entry)?,
        }
        transaction.commit().map_err(StoreError::from).or_else(|error| {
            // The disk may have failed when all was written already.
            let kept = number.is_some_and(|number| self.number(REVISION).is_ok_and(|kept| kept == number));
            if kept { Ok(()) } else { Err(error) }
        })
    }

    /// A number by its name; 0 if it was never set.
    pub(super) fn number(&self, name: &str) -> Result<u64, StoreError> {
        Ok(self.read()?.open_table(META)?.get(name)?.map_or(0, |number| number.value()))
    }

    /// One more than the last time; 1 the first time.
    pub(super) fn next_number(transaction: &WriteTransaction, name: &str) -> Result<u64, StoreError> {
        let mut meta = transaction.open_table(META)?;
        let number = meta.get(name)?.map_or(1, |number| number.value() + 1);
        meta.insert(name, number)?;
        Ok(number)
    }

    /// A random number that this store has and no other, as 16 hexadecimal digits.
    ///
    /// # Errors
    /// If it cannot be read, or made.
    pub fn ledger(&self) -> Result<String, StoreError> {
        let known = self.number(LEDGER)?;
        if known != 0 {
            return Ok(format!("{known:016x}"));
        }
        let transaction = self.write()?;
        let new = rand::random::<u64>().max(1);
        Self::set_number(&transaction, LEDGER, new)?;
        transaction.commit()?;
        Ok(format!("{new:016x}"))
    }

    pub(super) fn set_number(transaction: &WriteTransaction, name: &str, to: u64) -> Result<(), StoreError> {
        transaction.open_table(META)?.insert(name, to)?;
        Ok(())
    }
}

/// The file that is there while a database is made.
fn begun_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".begun");
    name.into()
}

/// Nobody else on the machine has a reason to read it.
fn open_private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

pub(super) fn write_rows(transaction: &WriteTransaction, edits: Vec<RowEdit>) -> Result<(), StoreError> {
    let mut tables = Vec::with_capacity(Table::ALL.len());
    for one in Table::ALL {
        tables.push(transaction.open_table(table(one))?);
    }
    for edit in edits {
        match edit {
            RowEdit::Put(Row { table, name, text }) => _ = tables[table as usize].insert(&*name, &*text)?,
            RowEdit::Remove(table, name) => _ = tables[table as usize].remove(&*name)?,
            RowEdit::Clear(table) => tables[table as usize].retain(|_, _| false)?,
        }
    }
    Ok(())
}

/// Our own records always have a JSON form.
pub(super) fn json<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: impl FnOnce() -> String) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Unreadable { what: what(), reason: error.to_string() })
}
