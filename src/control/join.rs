//! How does a replica come to the others, and stay with them?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::fleet::{Fleet, blocking};
use super::{Control, ControlError, Proposal, Signed, State};
use crate::config::{File, Problem};
use crate::fleet::journal::Told;
use crate::store::Step;
use crate::store::record::Author;

/// A process that starts waits this long for Redis before it serves what it has.
const UP_WITHIN: Duration = Duration::from_secs(3);

/// Whoever finds nothing in Redis and has nothing either waits this long before it begins: if
/// Redis has lost what it had, those who know it bring it back in that time.
const NOBODY_AFTER: Duration = Duration::from_secs(3);

/// Even if nobody tells anything it is looked as often as this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file that is to be taken when Redis is there.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    file: File,
    /// Somebody has changed it while this process ran: it says what is wanted now.
    edited: bool,
}

impl Control {
    /// Does what the file says that this process begins with, together with the others if
    /// there are any. Returns whether this process has made the first revision of all.
    ///
    /// # Errors
    /// If the file does not fit, or what is served and what is shared are not the same.
    pub(super) async fn begin_with(self: &Arc<Self>, file: File, warnings: Vec<Problem>) -> Result<bool, ControlError> {
        let Some(fleet) = &self.fleet else { return self.take_first_file(Pending::of_start(file), warnings).await };
        let pending = Pending::of_start(file);
        let joined = match self.join(fleet).await {
            Ok(()) => self.take_first_file(pending.clone(), warnings).await,
            Err(error) => Err(error),
        };
        let error = match joined {
            Err(error) if error.is_of_redis() => error,
            other => return other,
        };
        let revision = self.look(State::revision).await;
        if revision == 0 {
            tracing::warn!("Redis is away, and there is no copy yet: the configuration file is served: {error}");
            self.serve_file(pending.file.clone()).await?;
        } else {
            tracing::warn!(revision, "Redis is away: the last known configuration is served: {error}");
        }
        self.pending.lock().await.replace(pending);
        Ok(false)
    }

    /// Does all that others have done, if Redis is there soon.
    async fn join(self: &Arc<Self>, fleet: &Fleet) -> Result<(), ControlError> {
        let mut state = fleet.link.changes();
        let up = state.wait_for(crate::fleet::State::is_up);
        if tokio::time::timeout(UP_WITHIN, up).await.is_err() {
            // What it asks for now is refused with the reason.
            fleet.journal.head().await?;
        }
        fleet.replicas.beat().await.map_err(crate::fleet::journal::JournalError::from)?;
        let held = self.catch_up(fleet, Arc::clone(&self.state).lock_owned().await).await?;
        if held.revision == 0 {
            tokio::time::sleep(NOBODY_AFTER).await;
            self.catch_up(fleet, held).await?;
        }
        Ok(())
    }

    /// Does what a file says otherwise than the last one that was read. `warnings` are of what
    /// was served until now.
    async fn take_first_file(
        self: &Arc<Self>,
        pending: Pending,
        mut warnings: Vec<Problem>,
    ) -> Result<bool, ControlError> {
        let Pending { file, edited } = pending;
        let new = self.look(|state| state.revision == 0).await;
        let action = if new { "store.seed" } else { "file.reload" };
        let signed = Signed::new(Author::new("file", "file"), action, "the configuration file");
        let may_be_old = self.fleet.is_some() && !edited;
        let read = move |state: &State, control: &Self| {
            if may_be_old && state.source.was_replaced(&file.digest) {
                tracing::warn!(
                    "the configuration file is one that was read before and replaced by a later one; it changes nothing. \
                     `pointsman apply` does what it says all the same"
                );
                return Ok(Proposal { process: Some(super::file::process_of(file)), ..Proposal::default() });
            }
            let proposal = control.of_file(state, file)?;
            Ok(Proposal { first: state.revision == 0, ..proposal })
        };
        let applied = self.change(signed, read).await?;
        if applied.changes.iter().any(|change| change.kind != "key") {
            // All was looked at once more.
            warnings.clear();
        }
        for warning in warnings.iter().chain(&applied.warnings) {
            tracing::warn!("configuration: {warning}");
        }
        Ok(new && applied.revision == 1)
    }

    /// Serves a file without keeping what it says.
    async fn serve_file(self: &Arc<Self>, file: File) -> Result<(), ControlError> {
        let signed = Signed::new(Author::new("file", "file"), "file.serve", "the configuration file");
        let this = Arc::clone(self);
        let held = Arc::clone(&self.state).lock_owned().await;
        let (_, done) = blocking(held, move |state| {
            let proposal = Proposal { first: true, ..this.of_file(state, file)? };
            let ready = this.draft(state, proposal, &signed)?;
            if let Some((settings, places)) = ready.process {
                state.settings = settings;
                state.places = places;
            }
            this.live.publish(ready.view.ok_or(ControlError::Ending)?);
            Ok(())
        })
        .await?;
        done
    }

    /// Does what the others do, until `stop` says so.
    pub async fn follow_others(self: Arc<Self>, stop: CancellationToken) {
        let Some(fleet) = &self.fleet else { return stop.cancelled().await };
        let mut listener = fleet.journal.listen();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                () = stop.cancelled() => return,
                told = listener.next() => told,
                _ = tick.tick() => Told::Look,
            };
            if fleet.link.is_up() {
                let done = self.heed(fleet, told).await;
                fleet.tell_trouble(done.err());
            }
        }
    }

    /// Does what was told.
    async fn heed(self: &Arc<Self>, fleet: &Fleet, told: Told) -> Result<(), ControlError> {
        let held = Arc::clone(&self.state).lock_owned().await;
        let before = held.position.clone();
        let held = match told {
            Told::Step(step) if Step::of_text(&before, step.text.clone()) == step => {
                let this = Arc::clone(self);
                let (held, done) = blocking(held, move |state| this.follow(state, &step)).await?;
                done.map(|()| held)?
            }
            _ => self.catch_up(fleet, held).await?,
        };
        let this = Arc::clone(self);
        let (held, served) = blocking(held, move |state| this.serve_unserved(state)).await?;
        served?;
        let moved = held.position != before;
        drop(held);
        if moved {
            // Whoever made the change waits for it.
            fleet.replicas.beat().await.map_err(crate::fleet::journal::JournalError::from)?;
        }
        self.ship_audit(fleet).await?;
        self.ship_usage(fleet).await?;
        self.take_pending(fleet).await
    }

    /// Does what the file of the start says, which was not possible then.
    async fn take_pending(self: &Arc<Self>, fleet: &Fleet) -> Result<(), ControlError> {
        let mut pending = self.pending.lock().await;
        let Some(waiting) = pending.clone() else { return Ok(()) };
        self.join(fleet).await?;
        let taken = self.take_first_file(waiting, Vec::new()).await;
        if !taken.as_ref().is_err_and(ControlError::is_of_redis) {
            *pending = None;
        }
        taken.map(|_| ())
    }
}

impl Pending {
    fn of_start(file: File) -> Self {
        Self { file, edited: false }
    }

    /// What a file says since somebody changed it.
    pub(super) fn of_edit(file: File) -> Self {
        Self { file, edited: true }
    }
}

impl Fleet {
    /// Notes why this replica cannot do what the others do, and says so when that changes.
    fn tell_trouble(&self, error: Option<ControlError>) {
        let why = error.filter(|error| !error.is_of_redis()).map(|error| error.to_string());
        let mut trouble = self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *trouble == why {
            return;
        }
        match &why {
            Some(why) => {
                tracing::error!("this replica cannot do what the others do: {why}");
                self.replicas.cannot_serve(why);
            }
            None => tracing::info!("this replica does what the others do again"),
        }
        *trouble = why;
    }
}
