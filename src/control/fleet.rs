//! How do replicas act as one on what is configured? A change is a step of a journal that all
//! share, and each replica does every step in the order of the journal.
//!
//! Whoever makes a change waits for its turn, does what it has not done yet, finds out what
//! its change comes to, and puts that at the end of the journal; then it waits until all
//! others serve it. While Redis is away nothing can be changed, and every replica goes on
//! with its own copy. A replica whose copy has steps that the journal lost brings them back;
//! one whose steps are others than the journal's gives way, and keeps what it had in a file.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::{Applied, Control, ControlError, KeyChange, Ready, State};
use crate::config::{Edit, KeyNodes};
use crate::domain::ids::Revision;
use crate::domain::time::UnixMillis;
use crate::fleet::Link;
use crate::fleet::journal::{Head, Journal, JournalError};
use crate::fleet::replicas::{Replica, Replicas};
use crate::fleet::telemetry::Telemetry;
use crate::fleet::usage::SharedUsage;
use crate::live::View;
use crate::store::record::AuditRecord;
use crate::store::{Entry, Position, Step, Tip};

/// Whoever makes a change waits this long for those before it.
const TURN_WITHIN: Duration = Duration::from_secs(15);

/// It is tried for so long to find out what became of a step that Redis did not confirm.
const DECIDED_WITHIN: Duration = Duration::from_secs(5);

/// A change waits this long for the other replicas to serve it.
pub const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// How often it is looked whether they do, after the first times.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// After the journal was lost nothing is changed for so long: another replica may have had
/// more of it, and needs the time to bring it.
const SETTLES: Duration = Duration::from_secs(3);

/// A copy that lacks more steps than this is made anew.
const TOO_FAR: u64 = 2_000;

/// What a control shares with those of other replicas.
#[derive(Debug)]
pub struct Fleet {
    /// The way to Redis.
    pub link: Link,
    /// The order of changes.
    pub journal: Journal,
    /// What all have used.
    pub usage: SharedUsage,
    /// Who else is there.
    pub replicas: Replicas,
    /// What is known of endpoints, told and heard.
    pub telemetry: Telemetry,
    /// Under which what this replica counts by itself is known to the others: that of its store.
    pub(super) ledger: String,
    /// Held by whoever tells the others what was used.
    pub(super) shipping: tokio::sync::Mutex<()>,
    /// Why this replica cannot serve what the others do, when that was last told.
    pub(super) trouble: std::sync::Mutex<Option<String>>,
    /// When this replica knew last that it has done all that the others have; 0 is never.
    pub(super) abreast: AtomicU64,
}

/// A replica that does not serve a change, as far as is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unconfirmed {
    /// What it is called.
    pub replica: String,
    /// Why not.
    pub why: String,
}

/// The state, held.
pub(super) type Held = OwnedMutexGuard<State>;

/// Does something that may block, with the state.
pub(super) async fn blocking<T: Send + 'static>(
    mut held: Held,
    act: impl FnOnce(&mut State) -> T + Send + 'static,
) -> Result<(Held, T), ControlError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = act(&mut held);
        (held, done)
    });
    done.await.map_err(|error| {
        tracing::error!(%error, "a change broke off");
        ControlError::Ending
    })
}

impl Fleet {
    /// Under which what this replica counts by itself is known to the others.
    pub fn ledger(&self) -> &str {
        &self.ledger
    }

    /// Why this replica cannot serve what the others do, if it cannot.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long ago this replica knew last that it serves what the others do; `None` if it
    /// never has.
    pub fn age(&self, now: UnixMillis) -> Option<Duration> {
        let at = self.abreast.load(Relaxed);
        (at > 0).then(|| now.since(UnixMillis(at)))
    }

    /// Waits for the turn to change something.
    pub(super) async fn take_turn(&self) -> Result<(), ControlError> {
        let until = Instant::now() + TURN_WITHIN;
        let me = self.replicas.this();
        while !self.journal.take_turn(&me.id).await? {
            if Instant::now() > until {
                return Err(ControlError::Busy);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Gives the turn back; if that does not work, it ends by itself.
    pub(super) async fn give_turn(&self) {
        if let Err(error) = self.journal.give_turn(&self.replicas.this().id).await {
            tracing::debug!("the turn is not given back: {error}");
        }
    }

    /// Puts a step at the end of the journal.
    ///
    /// # Errors
    /// If somebody else put another one there, or Redis is away; [`ControlError::Undecided`] if
    /// it may be there all the same.
    pub(super) async fn append(&self, after: &Tip, step: &Step, entry: &Entry, keep: u64) -> Result<(), ControlError> {
        let until = Instant::now() + DECIDED_WITHIN;
        let mut undecided = false;
        loop {
            match self.journal.append(after, step, entry, keep).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(ControlError::Busy),
                Err(JournalError::Link(error)) if undecided || error.may_have_happened() => {
                    undecided = true;
                    if Instant::now() > until {
                        return Err(ControlError::Undecided(error.to_string()));
                    }
                    tokio::time::sleep(LOOK_EVERY * 4).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until every replica serves a step, and says which do not.
    pub(super) async fn confirmed(&self, step: u64) -> Vec<Unconfirmed> {
        let until = Instant::now() + CONFIRMED_WITHIN;
        let mut pause = LOOK_EVERY / 8;
        let me = self.replicas.this();
        loop {
            let beat = self.replicas.beat().await;
            let living = beat.unwrap_or_else(|_| self.replicas.living());
            // What is known of this one may be old, if Redis did not answer.
            let is_late = |replica: &&Replica| replica.step < step && replica.id != me.id;
            let late: Vec<&Replica> = living.iter().filter(is_late).collect();
            if late.iter().all(|replica| replica.trouble.is_some()) || Instant::now() > until {
                let why = |replica: &Replica| match &replica.trouble {
                    Some(trouble) => trouble.clone(),
                    None => format!("it has not confirmed within {} s", CONFIRMED_WITHIN.as_secs()),
                };
                let late = late.into_iter().map(|replica| unconfirmed(replica, why(replica)));
                let missing = self.replicas.missing();
                let missing = missing.iter().filter(|missing| living.iter().all(|other| other.name != missing.name));
                let why = "it has not been heard of for a while, and may still serve what it knew";
                return late.chain(missing.map(|replica| unconfirmed(replica, why.to_owned()))).collect();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY);
        }
    }

    /// Whether everybody who had something to bring back had the time for it.
    async fn has_settled(&self) -> Result<bool, ControlError> {
        let begun = self.journal.head().await?.map_or(0, |head| head.begun_ms);
        let now = self.link.server_time().map_or(0, |now| now.now.0);
        Ok(begun == 0 || now > begun + u64::try_from(SETTLES.as_millis()).unwrap_or_default())
    }
}

fn unconfirmed(replica: &Replica, why: String) -> Unconfirmed {
    Unconfirmed { replica: replica.name.clone(), why }
}

impl Control {
    /// Takes the turn and does all that others have done, so that a change can be made.
    pub(super) async fn in_turn(self: &Arc<Self>, fleet: &Fleet, held: Held) -> Result<Held, ControlError> {
        fleet.take_turn().await?;
        let mut held = match self.catch_up(fleet, held).await {
            Ok(held) => held,
            Err(error) => {
                fleet.give_turn().await;
                return Err(error);
            }
        };
        while !fleet.has_settled().await? {
            tokio::time::sleep(LOOK_EVERY * 10).await;
            held = self.catch_up(fleet, held).await?;
        }
        Ok(held)
    }

    /// Does all that others have done, and brings back what the journal lost.
    pub(super) async fn catch_up(self: &Arc<Self>, fleet: &Fleet, mut held: Held) -> Result<Held, ControlError> {
        loop {
            let now = self.clock().now();
            let Some(head) = fleet.journal.head().await? else {
                if held.revision == 0 {
                    return Ok(held);
                }
                held = self.begin_journal(fleet, held).await?;
                continue;
            };
            if head.at == held.position {
                fleet.abreast.store(now.0, Relaxed);
                return Ok(held);
            }
            if held.position.number == 0 && held.revision > 0 {
                return Err(ControlError::Mistake(
                    "the store of this process has a configuration of its own, and the journal in Redis is another; \
                     take the file of `store.path` away to follow the journal, or choose another `store.prefix`"
                        .to_owned(),
                ));
            }
            held = if head.at.number > held.position.number {
                self.go_on(fleet, held, &head).await?
            } else {
                self.bring_back(fleet, held, &head).await?
            };
        }
    }

    /// Does the steps that it lacks.
    async fn go_on(self: &Arc<Self>, fleet: &Fleet, held: Held, head: &Head) -> Result<Held, ControlError> {
        let at = held.position.clone();
        if at.number == 0 || head.at.number - at.number > TOO_FAR {
            return self.take_copy(fleet, held).await;
        }
        let steps = fleet.journal.steps(at.number, head.at.number).await?;
        let Some(steps) = steps.into_iter().collect::<Option<Vec<Step>>>() else {
            return self.take_copy(fleet, held).await;
        };
        if !follow(&at, &steps) {
            return self.give_way(fleet, held).await;
        }
        let this = Arc::clone(self);
        let (held, done) =
            blocking(held, move |state| steps.iter().try_for_each(|step| this.follow(state, step))).await?;
        done.map(|()| held)
    }

    /// Does a step that somebody else made.
    pub(super) fn follow(&self, state: &mut State, step: &Step) -> Result<(), ControlError> {
        let entry = step.entry()?;
        self.vault.put(&entry.secrets);
        let view = self.view_after(state, &entry)?;
        let applied = Applied { revision: state.revision, ..Applied::default() };
        self.keep(state, Ready { entry, view, process: None, applied }, Some(step))?;
        Ok(())
    }

    /// What is served after an entry, if it changes that.
    fn view_after(&self, state: &State, entry: &Entry) -> Result<Option<View>, ControlError> {
        let Some(revision) = &entry.revision else { return Ok(None) };
        let change =
            |edit: &crate::store::KeyEdit| Ok(KeyChange { before: self.store.key(&edit.name)?, edit: edit.clone() });
        let keys = entry.keys.iter().map(change).collect::<Result<Vec<_>, ControlError>>()?;
        let ring = self.ring_with(&keys)?;
        if entry.documents.is_empty() {
            return Ok(Some(self.live.view().with_keys(ring, Revision(revision.number))));
        }
        let mut documents = state.documents.clone();
        for edit in &entry.documents {
            documents.apply(&Edit { kind: edit.kind, name: edit.name.clone(), to: edit.to.clone() });
        }
        let checked = self.check(&documents, &KeyNodes::default(), &state.places, state.settings.direct_models)?;
        self.prepare(checked, ring, revision.number, &state.settings).map(Some)
    }

    /// What this replica serves, told to the others.
    pub(super) fn tell_served(&self, state: &State) {
        if let Some(fleet) = &self.fleet {
            fleet.replicas.serves(state.position.number, state.revision);
        }
    }

    /// The audit log, newest first: at most so many lines below a number.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn audit_log(&self, below: u64, most: usize) -> Result<Vec<(u64, AuditRecord)>, ControlError> {
        match &self.fleet {
            None => Ok(self.store.audit_log(below, most)?),
            Some(fleet) => {
                self.ship_audit(fleet).await?;
                Ok(fleet.journal.audit(below, most).await?)
            }
        }
    }

    /// Brings what this replica wrote into the audit log by itself to where the others see it.
    pub(super) async fn ship_audit(&self, fleet: &Fleet) -> Result<(), ControlError> {
        let mut lines = self.store.audit_log(u64::MAX, usize::MAX)?;
        if lines.is_empty() {
            return Ok(());
        }
        lines.reverse();
        let taken = fleet.journal.take_audit(&fleet.ledger, &lines).await?;
        Ok(self.store.forget_audit_to(taken)?)
    }
}

/// Whether steps come one after the other from a position.
fn follow(at: &Position, steps: &[Step]) -> bool {
    let mut at = at.clone();
    steps.iter().all(|step| {
        let right = Step::of_text(&at, step.text.clone()) == *step;
        at = step.at.clone();
        right
    })
}
