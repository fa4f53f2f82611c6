//! Who may call, and who may administer: keys, tokens, sealed secrets.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::embedded::{json, parse};
use super::entry::Entry;
use super::record::{KeyRecord, TokenRecord};
use super::{Store, StoreError};

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

pub(super) fn write(transaction: &WriteTransaction, entry: &Entry) -> Result<(), StoreError> {
    let mut keys = transaction.open_table(KEYS)?;
    for edit in &entry.keys {
        match &edit.to {
            Some(record) => keys.insert(edit.name.as_str(), json(record).as_slice())?,
            None => keys.remove(edit.name.as_str())?,
        };
    }
    let mut tokens = transaction.open_table(TOKENS)?;
    for edit in &entry.tokens {
        match &edit.to {
            Some(record) => tokens.insert(edit.name.as_str(), json(record).as_slice())?,
            None => tokens.remove(edit.name.as_str())?,
        };
    }
    let mut secrets = transaction.open_table(SECRETS)?;
    for (id, sealed) in &entry.secrets {
        secrets.insert(id.as_str(), sealed.as_str())?;
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
}
