//! The database under the store. What if the disk fails? It is opened again.
//!
//! After a first failure to read or write, redb refuses everything until the database is
//! opened anew; what was committed before is there then, what was not never was. A disk that
//! was full must not end in a process that can change nothing for the rest of its life, so the
//! next to read or write opens it again. The file is the one that was opened at the start,
//! whatever its path leads to by now.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, TransactionError, WriteTransaction,
};

use super::StoreError;

/// Pages that are kept in memory: what is read often fits in it, and all else is read once,
/// at the start.
const CACHE: usize = 8 << 20;

/// A database that outlives failures of the disk.
#[derive(Debug)]
pub(super) struct Reopened {
    /// `None` while it cannot be opened. Whoever begins a transaction holds it, so that
    /// nobody has the old one when it is opened again.
    database: RwLock<Option<Database>>,
    /// The file; `None` in memory, which does not fail.
    file: Option<File>,
    disk: Arc<Disk>,
}

/// How the disk is.
#[derive(Debug, Default)]
pub(super) struct Disk {
    failed: AtomicBool,
    /// So many operations succeed before all fail.
    #[cfg(test)]
    pub(super) fails_after: std::sync::Mutex<Option<u64>>,
}

impl Reopened {
    /// Opens the database in a file, or makes it. `begun` is another file, which is there while
    /// the database is made: what a process was killed over that early is no database yet, and
    /// is made anew. Whoever has put the first things in calls [`made`].
    pub(super) fn in_file(file: File, begun: &Path) -> Result<Self, DatabaseError> {
        let disk = Arc::new(Disk::default());
        // Nobody else has the file from here on.
        let watched = watched(&file, &disk)?;
        let unfinished = || -> io::Result<()> {
            if begun.try_exists()? {
                file.set_len(0)?;
            }
            if file.metadata()?.len() == 0 {
                File::create(begun)?.sync_all()?;
                // Its name has to be there before the database is, even if the power fails.
                File::open(folder_of(begun))?.sync_all()?;
            }
            Ok(())
        };
        unfinished().map_err(redb::StorageError::from)?;
        let database = open(watched)?;
        Ok(Self { database: RwLock::new(Some(database)), file: Some(file), disk })
    }

    /// One in memory.
    pub(super) fn in_memory() -> Result<Self, DatabaseError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        Ok(Self { database: RwLock::new(Some(database)), file: None, disk: Arc::default() })
    }

    /// Whether what is written is still there after the process.
    pub(super) fn lasts(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        self.begin(Database::begin_write)
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.begin(ReadableDatabase::begin_read)
    }

    #[cfg(test)]
    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    fn begin<T>(&self, begin: impl Fn(&Database) -> Result<T, TransactionError>) -> Result<T, StoreError> {
        if self.disk.failed.load(SeqCst) {
            self.open_again()?;
        }
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => Ok(begin(database)?),
            None => Err(StoreError::Failed("it could not be opened again".to_owned())),
        }
    }

    fn open_again(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been faster.
        if !self.disk.failed.swap(false, SeqCst) {
            return Ok(());
        }
        // Closed first: the lock on the file is one for both.
        *database = None;
        match watched(file, &self.disk).and_then(open) {
            Ok(opened) => {
                *database = Some(opened);
                Ok(())
            }
            Err(error) => {
                self.disk.failed.store(true, SeqCst);
                Err(StoreError::Failed(format!("it cannot be opened again: {error}")))
            }
        }
    }
}

/// A database is made and has what every one has.
pub(super) fn made(begun: &Path) -> io::Result<()> {
    match std::fs::remove_file(begun) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn watched(file: &File, disk: &Arc<Disk>) -> Result<Watched, DatabaseError> {
    let file = file.try_clone().map_err(redb::StorageError::from)?;
    Ok(Watched { file: FileBackend::new(file)?, disk: Arc::clone(disk) })
}

fn open(file: Watched) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE).create_with_backend(file)
}

/// A file of which it is known whether anything has failed.
#[derive(Debug)]
struct Watched {
    file: FileBackend,
    disk: Arc<Disk>,
}

impl Watched {
    fn watch<T>(&self, act: impl FnOnce(&FileBackend) -> io::Result<T>) -> io::Result<T> {
        #[cfg(test)]
        let outcome = self.disk.fails().and_then(|()| act(&self.file));
        #[cfg(not(test))]
        let outcome = act(&self.file);
        outcome.inspect_err(|_| self.disk.failed.store(true, SeqCst))
    }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.watch(FileBackend::len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.watch(|file| file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch(|file| file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch(FileBackend::sync_data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.watch(|file| file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[cfg(test)]
impl Disk {
    fn fails(&self) -> io::Result<()> {
        match &mut *self.fails_after.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}
