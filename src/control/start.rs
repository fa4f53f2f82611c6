//! How does a process begin? With what the store has, and what the file says otherwise than
//! when it was last read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Mutex, broadcast};

use super::key::shown_by;
use super::key_record::live;
use super::token::Tokens;
use super::usage::Flushing;
use super::{Control, ControlError, Proposal, Signed, State, Vault};
use crate::clock::Clock;
use crate::config::{Documents, File, KeyNodes, Places, Problem, ServerConfig, ServerLimits};
use crate::domain::catalog::Catalog;
use crate::domain::ids::Revision;
use crate::domain::spent::Spent;
use crate::limits::Owner;
use crate::live::{Draft, KeyRing, Live};
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::store::record::{Author, Role};

/// What a file says of the process itself, as far as requests depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Models may be called by their own names.
    pub direct_models: bool,
    /// Callers need no key.
    pub open: bool,
    /// Limits of the data plane.
    pub limits: ServerLimits,
}

impl Settings {
    pub(super) fn of(server: &ServerConfig) -> Self {
        Self { direct_models: server.direct_models, open: server.open, limits: server.limits }
    }
}

/// What a process begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The store, open.
    pub store: Store,
    /// What the file says.
    pub file: File,
    /// What paths in it are relative to.
    pub folder: PathBuf,
    /// What opens sealed secrets.
    pub masters: Option<MasterKeys>,
    /// A token that the environment holds.
    pub token: Option<SecretString>,
    /// Time.
    pub clock: Clock,
}

/// A control that has begun, and what is shown once.
#[derive(Debug)]
pub struct Started {
    /// The control.
    pub control: Arc<Control>,
    /// The first key, if one had to be made.
    pub first_key: Option<SecretString>,
    /// The first admin token, if one had to be made.
    pub first_token: Option<SecretString>,
}

/// As many revisions may wait for somebody who listens.
const EVENTS: usize = 256;

impl Control {
    /// Begins.
    ///
    /// # Errors
    /// If the store and the file do not fit together.
    pub async fn start(beginning: Beginning) -> Result<Started, ControlError> {
        tokio::task::spawn_blocking(move || Self::begin(beginning)).await.map_err(|_| ControlError::Ending)?
    }

    fn begin(beginning: Beginning) -> Result<Started, ControlError> {
        let Beginning { store, file, folder, masters, token, clock } = beginning;
        let unsettled = store.settle_open()?;
        if unsettled > 0 {
            tracing::warn!(
                calls = unsettled,
                "the process before ended without a word; what its calls had used is counted"
            );
        }
        let last_flush = store.last_flush()?;
        let stored = store.load()?;
        let new = stored.revision == 0;
        let mut documents = Documents::default();
        let mut modified = std::collections::HashMap::new();
        for one in stored.documents {
            modified.insert((one.kind, one.name.clone()), one.revision);
            documents.insert(one.kind, &one.name, one.document);
        }
        let settings = Settings::of(&file.server);
        let (keep_revisions, keep_usage) = (file.store.keep_revisions, file.store.keep_usage);
        let empty = Draft {
            revision: Revision(stored.revision),
            catalog: Catalog::default(),
            projects: Vec::new(),
            keys: KeyRing::default(),
            limits: settings.limits,
            open: settings.open,
        };
        let vault = Vault::open_store(&store, masters)?;
        let tokens = Tokens::load(&store, token)?;
        let live = Arc::new(Live::new(empty, &|_| Spent::default(), clock)?);
        let state = State {
            revision: stored.revision,
            documents,
            modified,
            source: stored.source,
            settings,
            places: Places::default(),
        };
        let control = Arc::new(Self {
            live,
            store: Arc::new(store),
            vault,
            state: Arc::new(Mutex::new(state)),
            tokens,
            events: broadcast::channel(EVENTS).0,
            flushing: std::sync::Mutex::new(Flushing::after(last_flush)),
            folder,
            keep_revisions,
            keep_usage,
        });
        let mut held = Arc::clone(&control.state).try_lock_owned().map_err(|_| ControlError::Ending)?;
        let mut warnings = control.serve_stored(&held)?;
        let (proposal, places) = control.of_file(&held, file)?;
        held.places = places;
        let action = if new { "store.seed" } else { "file.reload" };
        let signed = Signed::new(Author::new("file", "file"), action, "the configuration file");
        let applied = control.apply(&mut held, Proposal { first: new, ..proposal }, &signed)?;
        drop(held);
        if applied.changes.iter().any(|change| change.kind != "key") {
            // All was looked at once more.
            warnings.clear();
        }
        for warning in warnings.iter().chain(&applied.warnings) {
            tracing::warn!("configuration: {warning}");
        }
        let first_token = control.first_token()?;
        let first_key = if new && !settings.open { control.first_key()? } else { None };
        Ok(Started { control, first_key, first_token })
    }

    /// Serves what the store has. Returns what is doubtful about it today, be it only that a
    /// variable is not set.
    fn serve_stored(&self, state: &State) -> Result<Vec<Problem>, ControlError> {
        let mut checked =
            self.check(&state.documents, &KeyNodes::default(), &Places::default(), state.settings.direct_models)?;
        let mut shown = Vec::new();
        let mut failed = None;
        let spent = self.store.spent_by_keys()?;
        let spent = |owner: &Owner| spent.get(&*owner.name).copied().unwrap_or_default();
        self.store.each_key(|record| match live(&record, None, &spent) {
            Ok(key) => shown.extend(shown_by(&record, &Arc::new(key))),
            Err(error) => failed = Some(error),
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let ring = KeyRing::default().with(&[], shown);
        let warnings = std::mem::take(&mut checked.warnings);
        let view = self.prepare(checked, ring, state.revision, &state.settings)?;
        self.live.publish(view);
        Ok(warnings)
    }

    /// A first key for a store that has none.
    fn first_key(&self) -> Result<Option<SecretString>, ControlError> {
        if self.live.view().keys.is_empty() { self.make_first_key().map(Some) } else { Ok(None) }
    }

    fn first_token(&self) -> Result<Option<SecretString>, ControlError> {
        if !self.tokens.is_empty() {
            return Ok(None);
        }
        let author = Author::new("start", "start");
        self.create_token(&author, "first", Role::Admin, None).map(|made| Some(made.secret))
    }

    /// Forgets usage that is older than it is kept.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_old_usage(&self) -> Result<(), ControlError> {
        let days = u32::try_from(self.keep_usage.as_secs() / Duration::from_secs(86_400).as_secs()).unwrap_or(u32::MAX);
        Ok(self.store.forget_usage_before(crate::store::Day::of(self.clock().now()).before(days))?)
    }
}
