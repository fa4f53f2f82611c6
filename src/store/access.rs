//! Who may call, and who may administer: keys, tokens, sealed secrets.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::embedded::{json, parse};
use super::history;
use super::record::{AuditRecord, KeyRecord, TokenRecord};
use super::{KeyEdit, Store, StoreError};

const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");
/// By id.
const SECRETS: TableDefinition<'_, &str, &str> = TableDefinition::new("secrets");

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(KEYS)?;
    transaction.open_table(TOKENS)?;
    transaction.open_table(SECRETS)?;
    Ok(())
}

pub(super) fn write_keys(transaction: &WriteTransaction, edits: &[KeyEdit]) -> Result<(), StoreError> {
    let mut keys = transaction.open_table(KEYS)?;
    for edit in edits {
        match &edit.to {
            Some(record) => keys.insert(edit.name.as_str(), json(record).as_slice())?,
            None => keys.remove(edit.name.as_str())?,
        };
    }
    Ok(())
}

pub(super) fn write_secrets(transaction: &WriteTransaction, secrets: &[(String, String)]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(SECRETS)?;
    for (id, sealed) in secrets {
        table.insert(id.as_str(), sealed.as_str())?;
    }
    Ok(())
}

impl Store {
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
            history::append(&transaction, audit)?;
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
        write_secrets(&transaction, secrets)?;
        transaction.commit()?;
        Ok(())
    }
}
