//! Where does this process keep what it has to keep? `[store]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Report;
use super::read::Item;
use super::secret::World;

pub(super) const FIELDS: &[&str] = &["path", "url", "master_key_file", "keep_usage", "keep_revisions"];

/// The variable with the master keys, which wins over the file.
pub const MASTER_KEY_VARIABLE: &str = "POINTSMAN_MASTER_KEY";

/// What `path` says to keep everything in memory.
const IN_MEMORY: &str = ":memory:";

const DAY: Duration = Duration::from_secs(86_400);

/// Where things are kept, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// The file; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The file with the master keys that seal secrets.
    pub master_key_file: Option<PathBuf>,
    /// Usage by day is kept this long.
    pub keep_usage: Duration,
    /// So many revisions can be looked at and gone back to.
    pub keep_revisions: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: Some("pointsman.db".into()), master_key_file: None, keep_usage: 400 * DAY, keep_revisions: 10_000 }
    }
}

impl StoreConfig {
    pub(super) fn read(item: Option<&Item<'_>>, world: World<'_>, report: &Report) -> Self {
        let mut store = Self::default();
        let Some(table) = item.and_then(|item| item.table(FIELDS, report)) else { return store };
        if let Some(path) = table.read("path", |item| item.text(report)) {
            store.path = (path != IN_MEMORY).then(|| path.into());
        }
        if let Some(url) = table.get("url") {
            report.problem(url.problem("sharing through Redis is not part of this version"));
        }
        if let Some(item) = table.get("master_key_file")
            && let Some(path) = item.text(report)
        {
            if let Err(error) = (world.files)(Path::new(path)) {
                report.problem(item.problem(format!("file {path:?} cannot be read: {error}")));
            }
            store.master_key_file = Some(path.into());
        }
        let years = 100 * 365 * DAY;
        if let Some(time) = table.read("keep_usage", |item| item.duration(DAY..=years, report)) {
            store.keep_usage = time;
        }
        if let Some(count) = table.read("keep_revisions", |item| item.integer(1..=1_000_000, report)) {
            store.keep_revisions = count;
        }
        store
    }
}
