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
mod draft;
mod error;
mod file;
mod fleet;
mod join;
mod key;
mod key_record;
mod merge_patch;
mod reconcile;
mod start;
#[cfg(test)]
mod tests;
mod token;
mod usage;
mod vault;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Mutex, broadcast};
use tokio_util::task::TaskTracker;

pub use diff::{FieldChange, REDACTED, field_changes, redacted, text_diff, unredacted};
pub use document::{AtPart, Precondition};
pub use error::ControlError;
pub use file::ReloadError;
pub use fleet::{CONFIRMED_WITHIN, Fleet, Unconfirmed};
pub use key::{KeyMade, KeyRequest};
pub use start::{Beginning, Settings, Sharing, Started};
pub use token::{Holder, TokenMade, token_digest};
pub use usage::{By, UsageQuestion, UsageSum};
pub use vault::Vault;

use crate::clock::Clock;
use crate::config::{Documents, Edit, KeyNodes, Kind, Places, Problem};
use crate::domain::spent::Spent;
use crate::domain::telemetry::LogPolicy;
use crate::limits::{Kind as OwnerKind, Owner};
use crate::live::{Live, View};
use crate::store::record::{AuditRecord, Author, ChangeRecord, KeyRecord, RevisionRecord, Role, Spender};
use crate::store::{DocumentEdit, Entry, KeyEdit, Position, Source, Step, Store, Stored, TokenEdit};

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
    /// The configuration file could not be used when it was last read.
    reload_failed: AtomicBool,
    /// What the file said last of requests in the log.
    logs: std::sync::Mutex<LogPolicy>,
    /// The other replicas, if there may be any.
    pub fleet: Option<Fleet>,
    /// Changes that are being made.
    changes: TaskTracker,
    /// What the file said, as long as Redis was not there to share it.
    pending: Mutex<Option<join::Pending>>,
    /// Where the store is, if it is a file.
    path: Option<PathBuf>,
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
    /// The last step that was done, of those that replicas share.
    position: Position,
    /// What the store has is not served yet.
    unserved: bool,
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

    fn load(&mut self, stored: Stored, position: Position) {
        self.revision = stored.revision;
        self.documents = Documents::default();
        self.modified.clear();
        for one in stored.documents {
            self.modified.insert((one.kind, one.name.clone()), one.revision);
            self.documents.insert(one.kind, &one.name, one.document);
        }
        self.source = stored.source;
        self.position = position;
    }

    fn take(&mut self, entry: &Entry) {
        if let Some(revision) = &entry.revision {
            self.revision = revision.number;
        }
        for DocumentEdit { kind, name, to, .. } in &entry.documents {
            self.documents.apply(&Edit { kind: *kind, name: name.clone(), to: to.clone() });
            self.modified.insert((*kind, name.clone()), self.revision);
        }
        if let Some(source) = &entry.source {
            self.source = source.clone();
        }
    }
}

/// A change that somebody wants.
#[derive(Debug, Default)]
pub struct Proposal {
    /// Documents put in and taken out.
    pub edits: Vec<Edit>,
    /// Keys put in and taken out.
    pub keys: Vec<KeyEdit>,
    /// Admin tokens put in and taken out.
    tokens: Vec<TokenEdit>,
    /// Secrets that are sealed anew.
    secrets: BTreeMap<String, String>,
    /// What the file says, where the change comes from it.
    source: Option<Source>,
    /// What the file says of this process, and where its documents stand.
    process: Option<(Settings, Places)>,
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

/// A change after everything that may be wrong with it: what is to be kept, and then served.
#[derive(Debug)]
struct Ready {
    entry: Entry,
    view: Option<View>,
    process: Option<(Settings, Places)>,
    applied: Applied,
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
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The revision that holds it now; the latest one where nothing had to be changed, or
    /// nothing was.
    pub revision: u64,
    /// What it changed.
    pub changes: Vec<ChangeRecord>,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    /// Replicas that do not serve it, as far as is known.
    pub unconfirmed: Vec<Unconfirmed>,
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
        let this = Arc::clone(self);
        // A caller that goes away meanwhile stops nothing halfway.
        let made = self.changes.spawn(async move { this.make(signed, propose).await });
        made.await.map_err(|error| {
            tracing::error!(%error, "a change broke off");
            ControlError::Ending
        })?
    }

    /// Waits until no change is being made any more.
    pub async fn changes_have_ended(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    async fn make(
        self: Arc<Self>,
        signed: Signed,
        propose: impl FnOnce(&State, &Self) -> Result<Proposal, ControlError> + Send + 'static,
    ) -> Result<Applied, ControlError> {
        let held = Arc::clone(&self.state).lock_owned().await;
        let Some(fleet) = self.fleet.as_ref().filter(|_| !signed.dry_run) else {
            return self.make_next(held, signed, propose).await.map(|(applied, _)| applied);
        };
        let held = self.in_turn(fleet, held).await?;
        let made = self.make_next(held, signed, propose).await;
        fleet.give_turn().await;
        let (applied, step) = made?;
        let unconfirmed = if step > 0 { fleet.confirmed(step).await } else { Vec::new() };
        Ok(Applied { unconfirmed, ..applied })
    }

    /// Makes a change to the latest state there is. Returns the number of its step, if it is
    /// one that replicas share.
    async fn make_next(
        self: &Arc<Self>,
        held: fleet::Held,
        signed: Signed,
        propose: impl FnOnce(&State, &Self) -> Result<Proposal, ControlError> + Send + 'static,
    ) -> Result<(Applied, u64), ControlError> {
        let this = Arc::clone(self);
        // Checking takes its time, and so does the disk.
        let (held, ready) = fleet::blocking(held, move |state| {
            propose(state, &this).and_then(|proposal| this.draft(state, proposal, &signed))
        })
        .await?;
        let made = match ready {
            Ok(ready) => self.make_ready(held, ready).await,
            Err(error) => Err(error),
        };
        self.vault.forget_unwritten();
        made
    }

    async fn make_ready(self: &Arc<Self>, held: fleet::Held, ready: Ready) -> Result<(Applied, u64), ControlError> {
        let mut step = None;
        if let Some(fleet) = self.fleet.as_ref().filter(|_| !ready.entry.is_empty()) {
            let next = Step::new(&held.position, &ready.entry);
            fleet.append(&held.position.tip, &next, &ready.entry, self.keep_revisions).await?;
            step = Some(next);
        }
        let number = step.as_ref().map_or(0, |step| step.at.number);
        let this = Arc::clone(self);
        let (_, applied) = fleet::blocking(held, move |state| this.keep(state, ready, step.as_ref())).await?;
        Ok((applied?, number))
    }

    /// Looks at the state.
    pub async fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&*self.state.lock().await)
    }

    /// Tells of every revision as it takes effect.
    pub fn events(&self) -> broadcast::Receiver<Arc<RevisionRecord>> {
        self.events.subscribe()
    }

    /// Writes down what a change comes to, and serves it.
    fn keep(&self, state: &mut State, ready: Ready, step: Option<&Step>) -> Result<Applied, ControlError> {
        let Ready { entry, view, process, applied } = ready;
        if !entry.is_empty() {
            self.store.commit(&entry, step, self.keep_revisions)?;
        }
        // From here on nothing can fail.
        self.vault.put(&entry.secrets);
        self.tokens.put(&entry.tokens);
        if let Some(view) = view {
            self.live.publish(view);
        }
        if let Some((settings, places)) = process {
            state.settings = settings;
            state.places = places;
        }
        state.take(&entry);
        if let Some(step) = step {
            state.position = step.at.clone();
        }
        self.tell_served(state);
        if let Some(revision) = entry.revision {
            // Nobody may be listening.
            let _ = self.events.send(Arc::new(revision));
        }
        Ok(applied)
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
        let entry = Entry { audit: Some(self.audited(signed, outcome, None)), ..Entry::default() };
        Ok(self.store.commit(&entry, None, self.keep_revisions)?)
    }

    /// What somebody has spent of the running periods, who had no limits until now.
    pub fn spent(&self, owner: &Owner) -> Spent {
        // What is not written down yet counts as well; if it cannot be, it will be later.
        let _ = self.flush();
        spender(owner).and_then(|spender| self.store.spent_by(&spender).ok()).unwrap_or_default()
    }
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

/// A key that changes, and what it was.
#[derive(Debug)]
struct KeyChange {
    edit: KeyEdit,
    before: Option<KeyRecord>,
}
