//! Who may change what, and how does a change take effect? The only writer of the
//! configuration and of keys.
//!
//! A change is checked as a whole, built into a view, written down as a revision and only
//! then served, so that what is served has always been kept, and what was refused has
//! changed nothing. When the call that made a change returns, the next request sees it.
//! Changes are made one after the other; requests never wait for one.

mod alias_part;
mod diff;
mod document;
mod error;
mod file;
mod key;
mod key_record;
mod merge_patch;
mod start;
#[cfg(test)]
mod tests;
mod token;
mod usage;
mod vault;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, broadcast};

pub use diff::{FieldChange, REDACTED, field_changes, redacted, text_diff, unredacted};
pub use document::{AtPart, Precondition};
pub use error::ControlError;
pub use file::ReloadError;
pub use key::{KeyMade, KeyRequest};
pub use start::{Beginning, Settings, Started};
pub use token::{Holder, TokenMade};
pub use usage::{By, FLUSH_EVERY, UsageQuestion, UsageSum};
pub use vault::Vault;

use crate::clock::Clock;
use crate::config::{self, Checked, Documents, Edit, KeyConfig, KeyNodes, Kind, Places, Problem, World};
use crate::domain::ids::Revision;
use crate::domain::project::Project;
use crate::domain::spent::Spent;
use crate::limits::{Kind as OwnerKind, Owner};
use crate::live::{Draft, KeyRing, Live, View};
use crate::store::record::{AuditRecord, Author, ChangeRecord, KeyRecord, RevisionRecord, Role, Spender};
use crate::store::{Commit, KeyEdit, Source, Store};

/// The control of a gateway.
#[derive(Debug)]
pub struct Control {
    /// What is served.
    pub live: Arc<Live>,
    /// What is kept.
    pub store: Arc<Store>,
    /// Sealed secrets.
    pub vault: Vault,
    state: Arc<Mutex<State>>,
    tokens: token::Tokens,
    events: broadcast::Sender<Arc<RevisionRecord>>,
    flushing: std::sync::Mutex<usage::Flushing>,
    /// What paths in the configuration are relative to.
    folder: PathBuf,
    keep_revisions: u64,
    keep_usage: std::time::Duration,
}

/// What changes are made to. Held by one change at a time, from its first look to its end.
#[derive(Debug)]
pub struct State {
    /// The latest revision.
    revision: u64,
    documents: Documents,
    /// The revision that changed each document last.
    modified: HashMap<(Kind, String), u64>,
    /// What the configuration file said last.
    source: Source,
    /// What the file says of this process.
    settings: Settings,
    /// Where documents stand in the file.
    places: Places,
}

impl State {
    /// The latest revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The documents.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The revision that changed a document last.
    pub fn modified(&self, kind: Kind, name: &str) -> Option<u64> {
        self.documents.get(kind, name)?;
        Some(self.modified.get(&(kind, name.to_owned())).copied().unwrap_or(self.revision))
    }
}

/// A change that somebody wants.
#[derive(Debug, Default)]
pub struct Proposal {
    /// Documents put in and taken out.
    pub edits: Vec<Edit>,
    /// Keys put in and taken out.
    pub keys: Vec<KeyEdit>,
    /// What the file says, where the change comes from it.
    source: Option<Source>,
    /// Keys of a file that have to be checked with the documents.
    nodes: KeyNodes,
    /// It is a revision even if it changes nothing, since there is none yet.
    first: bool,
}

impl Proposal {
    /// One of documents.
    pub fn of(edits: Vec<Edit>) -> Self {
        Self { edits, ..Self::default() }
    }

    /// One of a key.
    pub fn of_key(edit: KeyEdit) -> Self {
        Self { keys: vec![edit], ..Self::default() }
    }
}

/// Who wants a change, and what is said of it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Who.
    pub author: Author,
    /// What is done, for the audit log.
    pub action: &'static str,
    /// To what.
    pub subject: String,
    /// What the author says of it.
    pub note: Option<String>,
    /// Only find out what would change.
    pub dry_run: bool,
    /// What the author may do.
    pub role: Role,
}

impl Signed {
    /// Without a note, in earnest, by somebody who may do everything.
    pub fn new(author: Author, action: &'static str, subject: impl Into<String>) -> Self {
        Self { author, action, subject: subject.into(), note: None, dry_run: false, role: Role::Admin }
    }
}

/// A change that was made, or would be.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The revision that holds it now; the latest one where nothing had to be changed, or
    /// nothing was.
    pub revision: u64,
    /// What it changed.
    pub changes: Vec<ChangeRecord>,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
}

impl Control {
    /// Time.
    pub fn clock(&self) -> Clock {
        self.live.clock
    }

    /// Makes a change: `propose` looks at the state and says what is to become of it.
    ///
    /// # Errors
    /// What `propose` says, or if the change does not fit or cannot be kept. Nothing has
    /// changed then.
    pub async fn change(
        self: &Arc<Self>,
        signed: Signed,
        propose: impl FnOnce(&State, &Self) -> Result<Proposal, ControlError> + Send + 'static,
    ) -> Result<Applied, ControlError> {
        let mut held = Arc::clone(&self.state).lock_owned().await;
        let this = Arc::clone(self);
        // Checking takes its time, and so does the disk. A caller that goes away meanwhile
        // stops nothing halfway.
        let made = tokio::task::spawn_blocking(move || {
            let applied = propose(&held, &this).and_then(|proposal| this.apply(&mut held, proposal, &signed));
            this.vault.forget_unwritten();
            applied
        });
        made.await.map_err(|error| {
            tracing::error!(%error, "a change broke off");
            ControlError::Ending
        })?
    }

    /// Looks at the state.
    pub async fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&*self.state.lock().await)
    }

    /// Tells of every revision as it takes effect.
    pub fn events(&self) -> broadcast::Receiver<Arc<RevisionRecord>> {
        self.events.subscribe()
    }

    /// Makes a change: everything that can fail, and then what cannot.
    fn apply(&self, state: &mut State, proposal: Proposal, signed: &Signed) -> Result<Applied, ControlError> {
        let Proposal { edits, mut keys, mut source, nodes, first } = proposal;
        let (after, edits, mut changes) = applied_to(&state.documents, edits);
        check_role(&edits, signed.role)?;
        let mut checked = None;
        let (named, warnings) = match &after {
            None => self.check_keys(&nodes)?,
            Some(documents) => {
                let mut found = self.check(documents, &nodes, &state.places, state.settings.direct_models)?;
                let named = (std::mem::take(&mut found.keys), std::mem::take(&mut found.warnings));
                checked = Some(found);
                named
            }
        };
        match &mut source {
            Some(source) => {
                let (edits, said) = self.key_edits_of_file(&named, state, &signed.author)?;
                keys.extend(edits);
                source.keys = said;
            }
            None => keys.extend(self.key_edits(&named, &signed.author)?),
        }
        let number = state.revision + 1;
        let mut keys = self.key_changes(keys, &mut changes)?;
        self.check_no_key_left(&edits, &keys)?;
        if (changes.is_empty() && !first) || signed.dry_run {
            if let Some(source) = source.filter(|source| !signed.dry_run && *source != state.source) {
                self.store.put_source(&source)?;
                state.source = source;
            }
            return Ok(Applied { revision: state.revision, changes, warnings });
        }
        for record in keys.iter_mut().filter_map(|change| change.edit.to.as_mut()) {
            record.revision = number;
        }
        let ring = self.ring_with(&keys)?;
        let view = match checked {
            Some(checked) => self.prepare(checked, ring, number, &state.settings)?,
            None => self.live.view().with_keys(ring, Revision(number)),
        };
        let record = self.record(number, signed, changes.clone());
        let undo = edits.iter().map(|edit| (edit, state.documents.get(edit.kind, &edit.name))).collect::<Vec<_>>();
        let keys: Vec<KeyEdit> = keys.into_iter().map(|change| change.edit).collect();
        self.store.commit(&Commit {
            revision: &record,
            edits: &undo,
            keys: &keys,
            secrets: &self.vault.unwritten(),
            source: source.as_ref(),
            audit: &self.audited(signed, "ok", Some(number)),
            keep_revisions: self.keep_revisions,
        })?;
        // From here on nothing can fail.
        self.vault.all_written();
        self.live.publish(view);
        state.revision = number;
        if let Some(documents) = after {
            state.documents = documents;
        }
        for edit in &edits {
            state.modified.insert((edit.kind, edit.name.clone()), number);
        }
        if let Some(source) = source {
            state.source = source;
        }
        // Nobody may be listening.
        let _ = self.events.send(Arc::new(record));
        Ok(Applied { revision: number, changes, warnings })
    }

    fn record(&self, number: u64, signed: &Signed, changes: Vec<ChangeRecord>) -> RevisionRecord {
        let (author, note) = (signed.author.clone(), signed.note.clone());
        RevisionRecord { number, at_ms: self.clock().now().0, author, note, changes }
    }

    /// The entry of the audit log for what somebody does.
    fn audited(&self, signed: &Signed, outcome: &str, revision: Option<u64>) -> AuditRecord {
        AuditRecord {
            at_ms: self.clock().now().0,
            author: signed.author.clone(),
            action: signed.action.to_owned(),
            subject: signed.subject.clone(),
            outcome: outcome.to_owned(),
            revision,
        }
    }

    /// Writes into the audit log what came to nothing, or made no revision.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn audit(&self, signed: &Signed, outcome: &str) -> Result<(), ControlError> {
        Ok(self.store.audit(&self.audited(signed, outcome, None))?)
    }

    fn check(
        &self,
        documents: &Documents,
        nodes: &KeyNodes,
        places: &Places,
        direct_models: bool,
    ) -> Result<Checked, ControlError> {
        let (env, files) = config::outside(&self.folder);
        let sealed = |provider: &str, id: &str| self.vault.open(provider, id);
        let world = World { env: &env, files: &files, sealed: &sealed };
        Ok(config::check(documents, nodes, places, direct_models, world)?)
    }

    /// Checks keys against what is served.
    fn check_keys(&self, nodes: &KeyNodes) -> Result<(Vec<KeyConfig>, Vec<Problem>), ControlError> {
        if nodes.is_empty() {
            return Ok(Default::default());
        }
        let (env, files) = config::outside(&self.folder);
        let sealed = |provider: &str, id: &str| self.vault.open(provider, id);
        let world = World { env: &env, files: &files, sealed: &sealed };
        let view = self.live.view();
        Ok(config::check_keys(nodes, &view.catalog, &self.projects(), world)?)
    }

    /// The projects that are served.
    fn projects(&self) -> Vec<Project> {
        self.live.view().projects().map(|live| live.project.clone()).collect()
    }

    fn prepare(
        &self,
        checked: Checked,
        keys: KeyRing,
        revision: u64,
        settings: &Settings,
    ) -> Result<View, ControlError> {
        let Checked { catalog, projects, .. } = checked;
        let Settings { limits, open, .. } = *settings;
        let draft = Draft { revision: Revision(revision), catalog, projects, keys, limits, open };
        Ok(self.live.prepare(draft, &|owner| self.spent(owner))?)
    }

    /// What somebody has spent of the running periods, who had no limits until now.
    pub fn spent(&self, owner: &Owner) -> Spent {
        // What is not written down yet counts as well; if it cannot be, it will be later.
        let _ = self.flush();
        spender(owner).and_then(|spender| self.store.spent_by(&spender).ok()).unwrap_or_default()
    }
}

/// Whoever can say where a provider's key is sent to has it.
fn check_role(edits: &[Edit], role: Role) -> Result<(), ControlError> {
    let provider = edits.iter().find(|edit| edit.kind == Kind::Provider).filter(|_| role < Role::Admin);
    provider.map_or(Ok(()), |edit| {
        let message = format!("provider {:?} would change, which takes a token of the role admin", edit.name);
        Err(ControlError::Forbidden(message))
    })
}

fn spender(owner: &Owner) -> Option<Spender> {
    let name = owner.name.to_string();
    Some(match owner.kind {
        OwnerKind::Key => Spender::Key(name),
        OwnerKind::Project => Spender::Project(name),
        OwnerKind::Alias => Spender::Alias(name),
        OwnerKind::Provider => Spender::Provider(name),
        OwnerKind::Target => {
            let (alias, model) = name.split_once(' ')?;
            Spender::Target(alias.to_owned(), model.to_owned())
        }
    })
}

/// The documents after some edits, if any changes something; those that do, and what they
/// change.
fn applied_to(documents: &Documents, mut edits: Vec<Edit>) -> (Option<Documents>, Vec<Edit>, Vec<ChangeRecord>) {
    edits.retain(|edit| documents.get(edit.kind, &edit.name) != edit.to.as_ref());
    if edits.is_empty() {
        return (None, edits, Vec::new());
    }
    let mut after = documents.clone();
    for edit in &edits {
        after.apply(edit);
    }
    let shown = |kind: Kind, document: Option<&config::Document>| document.map(|document| redacted(kind, document));
    let change = |edit: &Edit| ChangeRecord {
        kind: edit.kind.as_str().to_owned(),
        name: edit.name.clone(),
        before: shown(edit.kind, documents.get(edit.kind, &edit.name)),
        after: shown(edit.kind, edit.to.as_ref()),
    };
    let changes = edits.iter().map(change).collect();
    (Some(after), edits, changes)
}

/// A key that changes, and what it was.
#[derive(Debug)]
struct KeyChange {
    edit: KeyEdit,
    before: Option<KeyRecord>,
}
