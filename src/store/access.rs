//! Who may call, and who may administer: keys, tokens, sealed secrets.

use std::ops::Bound;

use redb::ReadableTable;

use super::embedded::table;
use super::record::{KeyRecord, TokenRecord};
use super::rows::Table;
use super::{Store, StoreError};

impl Store {
    /// Looks at every key, by name.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn each_key(&self, mut look: impl FnMut(KeyRecord)) -> Result<(), StoreError> {
        for entry in self.read()?.open_table(table(Table::Keys))?.iter()? {
            let (name, value) = entry?;
            look(KeyRecord::from_row(name.value(), value.value())?);
        }
        Ok(())
    }

    /// A key by its name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn key(&self, name: &str) -> Result<Option<KeyRecord>, StoreError> {
        let rows = self.read()?.open_table(table(Table::Keys))?;
        let found = rows.get(name)?;
        found.map(|text| KeyRecord::from_row(name, text.value())).transpose()
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
        let rows = self.read()?.open_table(table(Table::Keys))?;
        let from = (Bound::Excluded(after), Bound::Unbounded);
        for entry in rows.range::<&str>(from)? {
            let (name, value) = entry?;
            let record = KeyRecord::from_row(name.value(), value.value())?;
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
        let rows = self.read()?.open_table(table(Table::Tokens))?;
        rows.iter()?
            .map(|entry| {
                let (name, value) = entry?;
                TokenRecord::from_row(name.value(), value.value())
            })
            .collect()
    }

    /// Every sealed secret, by its id.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn secrets(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.read()?.open_table(table(Table::Secrets))?;
        rows.iter()?
            .map(|entry| {
                let (id, sealed) = entry?;
                Ok((id.value().to_owned(), sealed.value().to_owned()))
            })
            .collect()
    }
}
