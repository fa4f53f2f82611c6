//! How does a process begin? With what the store has, and what the file says otherwise than
//! when it was last read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value as Json};
use tokio::sync::{Mutex, broadcast};
use tokio_util::task::TaskTracker;

use super::key::shown_by;
use super::key_record::{digest, live};
use super::token::Tokens;
use super::usage::Flushing;
use super::{Control, ControlError, Fleet, Signed, State, Vault};
use crate::clock::Clock;
use crate::config::{Documents, File, KeyNodes, Places, Problem, ServerConfig, ServerLimits};
use crate::domain::catalog::Catalog;
use crate::domain::ids::Revision;
use crate::domain::spent::Spent;
use crate::fleet::journal::Journal;
use crate::fleet::replicas::Replicas;
use crate::fleet::telemetry::Telemetry;
use crate::fleet::usage::SharedUsage;
use crate::fleet::{Keys, Link};
use crate::limits::Owner;
use crate::live::{self, Draft, KeyRing, Live};
use crate::secrets::MasterKeys;
use crate::store::record::{Author, KeyRecord, Role};
use crate::store::{Position, Source, Store};

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
    /// What is shared with other replicas, and how.
    pub sharing: Option<Sharing>,
}

/// What is shared with other replicas, and how.
#[derive(Debug)]
pub struct Sharing {
    /// The way to Redis, which somebody runs already.
    pub link: Link,
    /// What is where there.
    pub keys: Keys,
    /// Who else is there.
    pub replicas: Replicas,
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
        let (control, file, warnings) =
            tokio::task::spawn_blocking(move || Self::begin(beginning)).await.map_err(|_| ControlError::Ending)??;
        let open = file.server.open;
        let new = control.begin_with(file, warnings).await?;
        let kept = control.look(|state| state.revision > 0).await;
        let first_token = if kept { control.first_token().await? } else { None };
        let first_key = if new && !open { control.first_key().await? } else { None };
        Ok(Started { control, first_key, first_token })
    }

    /// Serves what the store has.
    fn begin(beginning: Beginning) -> Result<(Arc<Self>, File, Vec<Problem>), ControlError> {
        let Beginning { store, file, folder, masters, token, clock, sharing } = beginning;
        let unsettled = store.settle_open(sharing.is_some())?;
        if unsettled > 0 {
            tracing::warn!(
                calls = unsettled,
                "the process before ended without a word; what its calls had used is counted"
            );
        }
        let last_flush = store.last_flush()?;
        if sharing.is_none() {
            // What this process changes by itself is no step of any journal.
            store.stand_at(&Position::default())?;
        }
        let (stored, position) = (store.load()?, store.position()?);
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
        let told = match &sharing {
            None => None,
            Some(_) => Some(Arc::new(live::Sharing::new(&store.ledger()?, clock.now()))),
        };
        let live = Arc::new(Live::new(empty, &|_| Spent::default(), clock, told.clone())?);
        let mut state = State {
            revision: 0,
            documents: Documents::default(),
            modified: HashMap::new(),
            source: Source::default(),
            settings,
            places: Places::default(),
            position: Position::default(),
            unserved: false,
        };
        state.load(stored, position);
        let fleet = match sharing.zip(told) {
            None => None,
            Some((Sharing { link, keys, replicas }, told)) => {
                let telemetry = Telemetry::new(&link, keys.clone(), told, Arc::clone(&live));
                let (journal, usage) = (Journal::new(&link, keys.clone()), SharedUsage::new(&link, keys));
                let (ledger, trouble) = (store.ledger()?, Default::default());
                Some(Fleet {
                    telemetry,
                    link,
                    journal,
                    usage,
                    replicas,
                    ledger,
                    trouble,
                    shipping: Mutex::default(),
                    abreast: AtomicU64::new(0),
                })
            }
        };
        let control = Arc::new(Self {
            live,
            store: Arc::new(store),
            vault,
            state: Arc::new(Mutex::new(state)),
            tokens,
            events: broadcast::channel(EVENTS).0,
            reload_failed: false.into(),
            logs: std::sync::Mutex::default(),
            flushing: std::sync::Mutex::new(Flushing::after(last_flush)),
            fleet,
            changes: TaskTracker::new(),
            pending: Mutex::default(),
            path: file.store.path.clone(),
            folder,
            keep_revisions,
            keep_usage,
        });
        let held = Arc::clone(&control.state).try_lock_owned().map_err(|_| ControlError::Ending)?;
        let warnings = control.serve_stored(&held)?;
        control.tell_served(&held);
        drop(held);
        Ok((control, file, warnings))
    }

    /// Serves what the store has. Returns what is doubtful about it today, be it only that a
    /// variable is not set.
    pub(super) fn serve_stored(&self, state: &State) -> Result<Vec<Problem>, ControlError> {
        let mut checked =
            self.check(&state.documents, &KeyNodes::default(), &Places::default(), state.settings.direct_models)?;
        let mut shown = Vec::new();
        let mut failed = None;
        let before = self.live.view();
        let spent = self.store.spent_by_keys()?;
        let spent = |owner: &Owner| spent.get(&*owner.name).copied().unwrap_or_default();
        let earlier = |record: &KeyRecord| {
            let mut digests = record.secrets.iter().filter_map(digest);
            digests.find_map(|digest| before.keys.get(&digest)).map(|shown| &*shown.key)
        };
        self.store.each_key(|record| match live(&record, earlier(&record), &spent) {
            Ok(key) => shown.extend(shown_by(&record, &Arc::new(key))),
            Err(error) => failed = Some(error),
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let ring = KeyRing::default().with(&[], shown);
        let mut warnings = std::mem::take(&mut checked.warnings);
        let view = self.prepare(checked, ring, state.revision, &state.settings)?;
        warnings.extend(view.remarks());
        self.live.publish(view);
        Ok(warnings)
    }

    /// A first key for a store that has none, so that somebody can call at all.
    async fn first_key(self: &Arc<Self>) -> Result<Option<SecretString>, ControlError> {
        if !self.live.view().keys.is_empty() {
            return Ok(None);
        }
        let signed = Signed::new(Author::new("start", "start"), "key.create", "first-key");
        let request = Map::from_iter([("name".to_owned(), Json::from("first-key"))]);
        self.create_key(signed, request).await.map(|made| Some(made.secret))
    }

    async fn first_token(self: &Arc<Self>) -> Result<Option<SecretString>, ControlError> {
        if !self.tokens.is_empty() {
            return Ok(None);
        }
        let signed = Signed::new(Author::new("start", "start"), "token.create", "first");
        let made = self.create_token(signed, "first".to_owned(), Role::Admin, None).await?;
        Ok(Some(made.secret))
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
