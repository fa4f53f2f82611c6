//! What outlives the process? Documents, keys, revisions, tokens, secrets, the audit log
//! and usage, in one file.
//!
//! The file is a [`redb`] database: pure Rust, one file, copy-on-write B-trees with
//! checksums, one writer beside any number of readers. A transaction is there after its
//! commit returned, whatever becomes of the process; an unfinished one has never been.
//! Every method blocks for as long as the disk takes: callers on an async thread hand it to
//! one that may block.

mod access;
mod database;
mod embedded;
mod entry;
mod history;
mod journal;
pub mod record;
mod rows;
#[cfg(test)]
mod tests;
mod usage;

pub use embedded::{Store, Stored};
pub use entry::{DocumentEdit, Entry, KeyEdit, Source, TokenEdit};
pub use journal::{Position, Step, Tip};
pub use rows::{Row, RowEdit, StoredDocument, Table};
pub use usage::{Day, Flush, UsageRow};

/// Why the store cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("{0} is in use by another process; every process needs a store of its own")]
    InUse(String),
    /// It cannot be opened.
    #[error("{path} cannot be opened: {reason}")]
    Open {
        /// The file.
        path: String,
        /// What the database says.
        reason: String,
    },
    /// It was written by a later version.
    #[error("{path} has the form {found}, this version knows up to {known}; a later version of pointsman wrote it")]
    TooNew {
        /// The file.
        path: String,
        /// Its form.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The disk, or what is on it.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A record that is none.
    #[error("the store holds a record that cannot be read, {what}: {reason}")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
}

macro_rules! failed {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })*
    };
}
failed!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError, redb::SetDurabilityError);
