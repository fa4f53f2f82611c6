//! The store in one file, or in memory.

use std::path::Path;

use redb::{DatabaseError, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::database::Reopened;
use super::record::{AuditRecord, KeyRecord, RevisionRecord, TokenRecord};
use crate::config::{Document, Documents, Edit, Kind};

/// The form of what is written; a version refuses what a later one wrote.
const FORM: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// By kind and name.
const DOCUMENTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("documents");
/// What the configuration file said when it was last read, by kind and name.
const SOURCE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("source");
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");
const SECRETS: TableDefinition<'_, &str, &str> = TableDefinition::new("secrets");
const REVISIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revisions");
/// What documents were before a revision, by its number, their kind and name; empty where
/// they were not there.
const BEFORE: TableDefinition<'_, (u64, &str, &str), &str> = TableDefinition::new("before");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

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

/// What a configuration file said.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Source {
    /// Its documents.
    pub documents: Documents,
    /// Its keys: their names, and a digest of all that it says of each.
    pub keys: std::collections::BTreeMap<String, String>,
}

/// Where the keys of a [`Source`] stand among its documents.
const SOURCE_KEY: &str = "key";

/// A key put in, or taken out.
#[derive(Clone, Debug)]
pub struct KeyEdit {
    /// Its name.
    pub name: String,
    /// What it becomes; `None` takes it out.
    pub to: Option<KeyRecord>,
}

/// A revision, and all that it changes, in one transaction.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The revision.
    pub revision: &'a RevisionRecord,
    /// Documents, and what each was before.
    pub edits: &'a [(&'a Edit, Option<&'a Document>)],
    /// Keys.
    pub keys: &'a [KeyEdit],
    /// What the file said, where the change came from it.
    pub source: Option<&'a Source>,
    /// The entry of the audit log.
    pub audit: &'a AuditRecord,
    /// Older revisions than so many are forgotten.
    pub keep_revisions: u64,
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
            transaction.open_table(KEYS)?;
            transaction.open_table(TOKENS)?;
            transaction.open_table(SECRETS)?;
            transaction.open_table(REVISIONS)?;
            transaction.open_table(AUDIT)?;
            transaction.open_table(BEFORE)?;
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
        stored.revision = meta.get("revision")?.map_or(0, |revision| revision.value());
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

    /// Writes a revision and all that it changes. It is there when this returns, and not at
    /// all if it fails.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let number = commit.revision.number;
        {
            let kept = transaction.open_table(META)?.insert("revision", number)?.map_or(0, |kept| kept.value());
            if kept + 1 != number {
                // A disk that failed at the very end may have kept what it said it had not.
                let message = format!("it holds revision {kept}, which was not acknowledged; start again to serve it");
                return Err(StoreError::Failed(message));
            }
            let mut documents = transaction.open_table(DOCUMENTS)?;
            let mut before = transaction.open_table(BEFORE)?;
            for (edit, was) in commit.edits {
                let at = (edit.kind.as_str(), edit.name.as_str());
                before.insert((number, at.0, at.1), was.map_or("", Document::as_text))?;
                match &edit.to {
                    Some(document) => {
                        let record = DocumentRecord { revision: number, document: document.fields() };
                        documents.insert(at, json(&record).as_slice())?;
                    }
                    None => {
                        documents.remove(at)?;
                    }
                }
            }
            let mut keys = transaction.open_table(KEYS)?;
            for edit in commit.keys {
                match &edit.to {
                    Some(record) => keys.insert(edit.name.as_str(), json(record).as_slice())?,
                    None => keys.remove(edit.name.as_str())?,
                };
            }
            let mut revisions = transaction.open_table(REVISIONS)?;
            revisions.insert(number, json(commit.revision).as_slice())?;
            let oldest = number.saturating_sub(commit.keep_revisions);
            revisions.retain_in(..=oldest, |_, _| false)?;
            before.retain_in(..(oldest + 1, "", ""), |_, _| false)?;
            append(&transaction, commit.audit)?;
        }
        if let Some(source) = commit.source {
            write_source(&transaction, source)?;
        }
        transaction.commit().map_err(StoreError::from).or_else(|error| {
            // The disk may have failed when all was written already.
            if self.number("revision").is_ok_and(|kept| kept == number) { Ok(()) } else { Err(error) }
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

    /// Keeps what the file says, where that changes nothing else.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_source(&self, source: &Source) -> Result<(), StoreError> {
        let transaction = self.write()?;
        write_source(&transaction, source)?;
        transaction.commit()?;
        Ok(())
    }

    /// Looks at every key, by name.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn each_key(&self, mut look: impl FnMut(KeyRecord)) -> Result<(), StoreError> {
        for entry in self.read()?.open_table(KEYS)?.iter()? {
            let (name, value) = entry?;
            look(parse(value.value(), || format!("key {:?}", name.value()))?);
        }
        Ok(())
    }

    /// A key by its name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn key(&self, name: &str) -> Result<Option<KeyRecord>, StoreError> {
        let table = self.read()?.open_table(KEYS)?;
        let found = table.get(name)?;
        found.map(|value| parse(value.value(), || format!("key {name:?}"))).transpose()
    }

    /// At most so many keys that pass a test, from the first after `after` on.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn keys(
        &self,
        after: &str,
        most: usize,
        test: impl Fn(&KeyRecord) -> bool,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        let mut found = Vec::new();
        let table = self.read()?.open_table(KEYS)?;
        let from = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        for entry in table.range::<&str>(from)? {
            let (name, value) = entry?;
            let record: KeyRecord = parse(value.value(), || format!("key {:?}", name.value()))?;
            if test(&record) {
                found.push(record);
                if found.len() == most {
                    break;
                }
            }
        }
        Ok(found)
    }

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

    /// Every admin token.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let table = self.read()?.open_table(TOKENS)?;
        table
            .iter()?
            .map(|entry| {
                let (name, value) = entry?;
                parse(value.value(), || format!("token {:?}", name.value()))
            })
            .collect()
    }

    /// Puts an admin token in, or takes one out.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_token(&self, name: &str, to: Option<&TokenRecord>, audit: &AuditRecord) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
            let mut tokens = transaction.open_table(TOKENS)?;
            match to {
                Some(record) => tokens.insert(name, json(record).as_slice())?,
                None => tokens.remove(name)?,
            };
            append(&transaction, audit)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Every sealed secret, by its id.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn secrets(&self) -> Result<Vec<(String, String)>, StoreError> {
        let table = self.read()?.open_table(SECRETS)?;
        table
            .iter()?
            .map(|entry| {
                let (id, sealed) = entry?;
                Ok((id.value().to_owned(), sealed.value().to_owned()))
            })
            .collect()
    }

    /// Puts sealed secrets in, in the place of others of their ids.
    ///
    /// # Errors
    /// If they cannot be written; then none has been.
    pub fn put_secrets(&self, secrets: &[(String, String)]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
            let mut table = transaction.open_table(SECRETS)?;
            for (id, sealed) in secrets {
                table.insert(id.as_str(), sealed.as_str())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Nobody else on the machine has a reason to read it.
fn open_private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn append(transaction: &WriteTransaction, record: &AuditRecord) -> Result<(), StoreError> {
    let mut audit = transaction.open_table(AUDIT)?;
    let number = audit.last()?.map_or(1, |(number, _)| number.value() + 1);
    audit.insert(number, json(record).as_slice())?;
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
