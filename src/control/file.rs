//! The configuration file beside the store: what does a change of the file change?
//!
//! The store remembers what the file said when it was last read. Only what the file says
//! otherwise now is done to the configuration, so that what was changed by other ways stays,
//! and what is taken out of the file goes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use sha2::{Digest, Sha256};

use super::join::Pending;
use super::key_record::{described, secret};
use super::{Applied, Control, ControlError, Proposal, Settings, Signed, State};
use crate::config::{self, Documents, Edit, File, KeyConfig, Kind};
use crate::domain::telemetry::LogPolicy;
use crate::store::record::{Author, KeyRecord};
use crate::store::{KeyEdit, Source};

impl Control {
    /// Reads the configuration file again and does what it says otherwise than before.
    ///
    /// # Errors
    /// If it cannot be read or does not fit; then everything stays as it was. If Redis is away it
    /// is done when it is back.
    pub async fn reload(self: &Arc<Self>, path: &Path) -> Result<Applied, ReloadError> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking({
            let path = path.clone();
            move || config::load_file(&path)
        });
        let file = match read.await.map_err(|_| ControlError::Ending)? {
            Ok(file) => file,
            Err(problems) => {
                self.reload_failed.store(true, Relaxed);
                return Err(problems.into());
            }
        };
        let signed = Signed::new(Author::new("file", "file"), "file.reload", path.display().to_string());
        let shown = path.display().to_string();
        let pending = self.fleet.is_some().then(|| Pending::of_edit(file.clone()));
        let logs = file.telemetry.logs;
        let applied = self.change(signed, move |state, control| control.of_file(state, file)).await;
        if applied.is_ok() {
            self.logs_as_in_the_file(logs);
            // Whatever waited is older.
            *self.pending.lock().await = None;
        } else if applied.as_ref().is_err_and(ControlError::is_of_redis) {
            tracing::warn!(file = %shown, "what the configuration file says now is done when Redis is back");
            *self.pending.lock().await = pending;
        }
        // What only waits for Redis can be used.
        let failed = applied.as_ref().is_err_and(|error| !error.is_of_redis());
        self.reload_failed.store(failed, Relaxed);
        applied.map_err(|error| {
            match error {
                ControlError::Invalid(problems) => {
                    ControlError::Invalid(config::Problems { file: Some(shown), ..problems })
                }
                other => other,
            }
            .into()
        })
    }

    /// Logs as the file says. What was changed while the process runs stays, as long as the file
    /// says the same as before.
    pub fn logs_as_in_the_file(&self, policy: LogPolicy) {
        let mut last = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != policy {
            *last = policy;
            self.live.telemetry.lines.set(policy);
        }
    }

    /// Whether the configuration file could not be used when it was last read.
    pub fn reload_has_failed(&self) -> bool {
        self.reload_failed.load(Relaxed)
    }

    /// What a file says otherwise than the one before.
    pub(super) fn of_file(&self, state: &State, file: File) -> Result<Proposal, ControlError> {
        let mut documents = Documents::default();
        for (kind, name, document) in file.documents.iter() {
            if kind == Kind::Provider && document.fields().contains_key("api_key") {
                tracing::warn!(
                    "the key of provider {name:?} stands in the file, which is easily passed on; better name it by api_key_env or api_key_file"
                );
            }
            let document = self.taken_in(kind, document.clone(), state.documents.get(kind, name))?;
            documents.insert(kind, name, document);
        }
        let edits: Vec<Edit> = state.source.documents.edits_to(&documents);
        for edit in &edits {
            let (now, then) =
                (state.documents.get(edit.kind, &edit.name), state.source.documents.get(edit.kind, &edit.name));
            if then.is_some() && now != then && now != edit.to.as_ref() {
                tracing::warn!(
                    "the file changes {} {:?}, which was changed by another way as well; the file wins, the history has both",
                    edit.kind,
                    edit.name
                );
            }
        }
        let source = Source { documents, keys: BTreeMap::new(), seen: state.source.seen_and(&file.digest) };
        let nodes = file.keys.clone();
        let process = Some(process_of(file));
        Ok(Proposal { edits, source: Some(source), nodes, process, ..Proposal::default() })
    }

    /// Keys that come with documents, put in or changed.
    pub(super) fn key_edits(&self, keys: &[KeyConfig], author: &Author) -> Result<Vec<KeyEdit>, ControlError> {
        let edit = |key: &KeyConfig| {
            let Some(kept) = &key.secret else { return Ok(None) };
            let name = key.name.to_string();
            let mut known = self.store.key(&name)?.unwrap_or_else(|| self.new_record(author));
            let new = secret(kept, self.clock().now());
            if !known.secrets.iter().any(|secret| secret.digest == new.digest) {
                known.secrets = vec![new];
            }
            Ok(Some(KeyEdit { name, to: Some(described(key, known)) }))
        };
        keys.iter().filter_map(|key| edit(key).transpose()).collect()
    }

    fn new_record(&self, author: &Author) -> KeyRecord {
        KeyRecord { created_ms: self.clock().now().0, created_by: author.name.clone(), ..KeyRecord::default() }
    }

    /// What a file does to keys, and the fingerprints of those that it names.
    pub(super) fn key_edits_of_file(
        &self,
        keys: &[KeyConfig],
        state: &State,
        author: &Author,
    ) -> Result<(Vec<KeyEdit>, BTreeMap<String, String>), ControlError> {
        let said: BTreeMap<String, String> = keys.iter().map(|key| (key.name.to_string(), fingerprint(key))).collect();
        let mut new = Vec::new();
        for key in keys {
            let name = key.name.as_str();
            if state.source.keys.get(name) != said.get(name) || self.store.key(name)?.is_none() {
                new.push(key.clone());
            }
        }
        let mut edits = self.key_edits(&new, author)?;
        edits.iter_mut().filter_map(|edit| edit.to.as_mut()).for_each(|record| record.of_file = true);
        for name in state.source.keys.keys().filter(|name| !said.contains_key(*name)) {
            if self.store.key(name)?.is_some_and(|record| record.of_file) {
                edits.push(KeyEdit { name: name.clone(), to: None });
            }
        }
        Ok((edits, said))
    }
}

/// What a file says of this process.
pub(super) fn process_of(file: File) -> (Settings, config::Places) {
    (Settings::of(&file.server), file.places)
}

/// A digest of all that a file says of a key.
fn fingerprint(key: &KeyConfig) -> String {
    let mut record = described(key, KeyRecord::default());
    record.secrets.extend(key.secret.as_ref().map(|kept| secret(kept, crate::domain::time::UnixMillis(0))));
    hex::encode(Sha256::digest(serde_json::to_vec(&record).unwrap_or_default()))
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be read.
    #[error(transparent)]
    Load(#[from] config::LoadError),
    /// It does not fit.
    #[error(transparent)]
    Control(#[from] ControlError),
}
