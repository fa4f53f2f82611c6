//! The store in one file, or in memory.

use std::path::Path;

use redb::{DatabaseError, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::database::Reopened;
use super::entry::{DocumentEdit, Entry, Source};
use crate::config::{Document, Kind};

/// The form of what is written; a version refuses what a later one wrote.
const FORM: u64 = 1;

/// Under which the latest revision is kept.
const REVISION: &str = "revision";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// By kind and name.
const DOCUMENTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("documents");
/// What the configuration file said when it was last read, by kind and name.
const SOURCE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("source");

/// A document and the revision that made it what it is.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The revision that changed it last.
    pub revision: u64,
    /// It.
    pub document: Document,
}

#[derive(Serialize, Deserialize)]
struct DocumentRecord {
    revision: u64,
    document: serde_json::Map<String, serde_json::Value>,
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

/// Where the keys of a [`Source`] stand among its documents.
const SOURCE_KEY: &str = "key";

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
        let db = Reopened::in_file(file).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(shown.clone()),
            other => open(other.to_string()),
        })?;
        Self::over(db, &shown)
    }

    /// A store in memory.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        let db = Reopened::in_memory().map_err(|error| StoreError::Failed(error.to_string()))?;
        Self::over(db, "memory")
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
            transaction.open_table(DOCUMENTS)?;
            transaction.open_table(SOURCE)?;
            super::access::make_tables(&transaction)?;
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
        for entry in transaction.open_table(DOCUMENTS)?.iter()? {
            let (at, value) = entry?;
            let (kind, name) = at.value();
            let what = || format!("{kind} {name:?}");
            let record: DocumentRecord = parse(value.value(), what)?;
            let Some(kind) = Kind::from_name(kind) else { continue };
            let document = Document::new(&record.document);
            stored.documents.push(StoredDocument { kind, name: name.to_owned(), revision: record.revision, document });
        }
        for entry in transaction.open_table(SOURCE)?.iter()? {
            let (at, value) = entry?;
            let (kind, name) = at.value();
            let text = String::from_utf8_lossy(value.value());
            match Kind::from_name(kind) {
                Some(kind) => {
                    if let Some(document) = Document::from_text(&text) {
                        stored.source.documents.insert(kind, name, document);
                    }
                }
                None => {
                    stored.source.keys.insert(name.to_owned(), text.into_owned());
                }
            }
        }
        Ok(stored)
    }

    /// Writes an entry. It is there when this returns, and not at all if it fails. Older
    /// revisions than `keep_revisions` are forgotten.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn commit(&self, entry: &Entry, keep_revisions: u64) -> Result<(), StoreError> {
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
        write_documents(&transaction, &entry.documents, number.unwrap_or_default())?;
        super::access::write(&transaction, entry)?;
        super::history::write(&transaction, entry, keep_revisions)?;
        if let Some(source) = &entry.source {
            write_source(&transaction, source)?;
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

    pub(super) fn set_number(transaction: &WriteTransaction, name: &str, to: u64) -> Result<(), StoreError> {
        transaction.open_table(META)?.insert(name, to)?;
        Ok(())
    }
}

/// Nobody else on the machine has a reason to read it.
fn open_private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn write_documents(transaction: &WriteTransaction, edits: &[DocumentEdit], revision: u64) -> Result<(), StoreError> {
    let mut documents = transaction.open_table(DOCUMENTS)?;
    for edit in edits {
        let at = (edit.kind.as_str(), edit.name.as_str());
        match &edit.to {
            Some(document) => {
                let record = DocumentRecord { revision, document: document.fields() };
                documents.insert(at, json(&record).as_slice())?;
            }
            None => {
                documents.remove(at)?;
            }
        }
    }
    Ok(())
}

fn write_source(transaction: &WriteTransaction, source: &Source) -> Result<(), StoreError> {
    let mut table = transaction.open_table(SOURCE)?;
    table.retain(|(kind, name), _| match Kind::from_name(kind) {
        Some(kind) => source.documents.get(kind, name).is_some(),
        None => source.keys.contains_key(name),
    })?;
    for (kind, name, document) in source.documents.iter() {
        table.insert((kind.as_str(), name), document.as_text().as_bytes())?;
    }
    for (name, digest) in &source.keys {
        table.insert((SOURCE_KEY, name.as_str()), digest.as_bytes())?;
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
