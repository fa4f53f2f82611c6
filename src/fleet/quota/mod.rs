//! How do limits and budgets hold for all replicas together? Each lets requests in from what it
//! holds of them ([`crate::limits`]); where that is not enough it asks Redis for more, for all
//! requests of an account that wait at the moment, in one call with a bound on its time.
//!
//! What is asked for goes a little ahead of what is needed, so that how often is asked depends
//! on how many accounts are active and not on how many requests there are. A task brings back
//! what is not needed, renews leases, and tells what was spent ([`keeper`]).
//!
//! While Redis is away each replica goes on with its share, and nobody waits.

mod ask;
mod desk;
mod keeper;
mod lateness;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use self::ask::Asker;
use self::desk::{Desk, Want};
use self::lateness::Lateness;
use super::error::LinkError;
use super::keys::Keys;
use super::link::Link;
use super::replicas::Replicas;
use crate::clock::Clock;
use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;
use crate::limits::{self, Account, Owner, Peers, Permit, Refusal, Reservation, Wait, WaitingSpend};

/// An answer comes within this time, or Redis is late.
const WITHIN: Duration = Duration::from_millis(50);

/// A request asks so often: what is granted to all who wait may be taken by those who came
/// later. Then it is refused for the moment.
const ROUNDS: usize = 5;

/// Between two questions to a Redis that is late.
const PAUSE: Duration = Duration::from_millis(25);

/// After Redis has been away, budgets are only told for so long: whoever comes back first must
/// not be given what others have spent meanwhile.
const SETTLES: Duration = Duration::from_secs(3);

/// All accounts that there are now.
pub type AllAccounts = Arc<dyn Fn() -> Vec<Arc<Account>> + Send + Sync>;

/// The limits and budgets that all replicas share. A clone is the same.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Inner>);

struct Inner {
    asker: Asker,
    replicas: Replicas,
    clock: Clock,
    /// Of accounts that hold something, or ask. Locked for a few instructions at a time.
    desks: Mutex<HashMap<Owner, Arc<Desk>>>,
    all: AllAccounts,
    /// Until when budgets are only told, in milliseconds.
    settled_at: AtomicU64,
    lateness: Lateness,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("asker", &self.asker).finish_non_exhaustive()
    }
}

impl Quota {
    /// Limits behind a link. Money is accounted for under `ledger`, which outlives the process if
    /// what it has spent does.
    pub fn new(link: &Link, keys: Keys, replicas: Replicas, ledger: &str, clock: Clock, all: AllAccounts) -> Self {
        let asker = Asker::new(link, keys, &replicas.this().id, ledger);
        let (desks, settled_at, lateness) = (Mutex::default(), AtomicU64::new(0), Lateness::default());
        Self(Arc::new(Inner { asker, replicas, clock, desks, all, settled_at, lateness }))
    }

    /// Lets a request of about `tokens` tokens in, as [`limits::enter`] does, for all replicas.
    ///
    /// # Errors
    /// As there.
    pub async fn enter(&self, accounts: &[Arc<Account>], tokens: u64) -> Result<Permit, Refusal> {
        self.decided(accounts, Want::Tokens(tokens), || limits::enter(accounts, tokens, self.now())).await
    }

    /// Sets `amount` aside, as [`limits::reserve`] does, for all replicas.
    ///
    /// # Errors
    /// As there.
    pub async fn reserve(&self, accounts: &[Arc<Account>], amount: PicoUsd) -> Result<Reservation, Refusal> {
        self.decided(accounts, Want::Money(amount), || limits::reserve(accounts, amount, self.now())).await
    }

    /// Finds out how an account stands, for people.
    pub async fn look(&self, account: &Arc<Account>) {
        account.join();
        let desk = self.desk(account);
        for about in [Want::Tokens(0), Want::Money(PicoUsd(0))] {
            if let Some(_turn) = desk.line(about).turn() {
                self.ask(&desk, None, about, self.now()).await;
            }
        }
    }

    /// Tries until it is decided, and asks for more in between. Nearly always it is at once.
    async fn decided<T>(
        &self,
        accounts: &[Arc<Account>],
        want: Want,
        attempt: impl Fn() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        accounts.iter().for_each(|account| account.join());
        let mut refusal = match attempt() {
            Err(refusal) if refusal.wait == Wait::Ask => refusal,
            decided => return decided,
        };
        let desks: Vec<Arc<Desk>> = accounts.iter().map(|account| self.desk(account)).collect();
        let _in_line: Vec<_> = desks.iter().map(|desk| desk.line(want).join(want.amount())).collect();
        let mut rounds = 0;
        while rounds < ROUNDS {
            join_all(desks.iter().map(|desk| self.ask_or_wait(desk, want))).await;
            refusal = match attempt() {
                Err(refusal) if refusal.wait == Wait::Ask => refusal,
                decided => return decided,
            };
            // While Redis is late there is no end but that of patience.
            rounds += usize::from(!self.0.lateness.is_late());
        }
        Err(refusal.unasked())
    }

    /// Asks, or waits for what comes of a question that is under way.
    async fn ask_or_wait(&self, desk: &Desk, want: Want) {
        let line = desk.line(want);
        let mut answers = line.answers();
        if !want.lacks(&desk.account.load(), self.now()) {
            return;
        }
        match line.turn() {
            Some(_turn) => self.ask(desk, Some(want), want, self.now()).await,
            // No longer than for a question of one's own. The line is never dropped before.
            None => drop(tokio::time::timeout(lateness::PATIENCE, answers.changed()).await),
        }
    }

    /// Asks for all who wait, one of whom wants this; or only tells what there is to be told.
    /// Whoever calls has the turn.
    async fn ask(&self, desk: &Desk, want: Option<Want>, about: Want, now: UnixMillis) {
        let (account, lateness, began) = (desk.account.load_full(), &self.0.lateness, self.now());
        let answered = match about {
            Want::Tokens(_) => self.ask_to_enter(&account, desk, want, now).await,
            Want::Money(_) => self.ask_to_spend(&account, desk, want, now).await,
        };
        let now = self.now();
        if answered.is_ok() && now.since(began) <= WITHIN {
            return lateness.answered();
        }
        let patient = lateness.late(now) && self.0.asker.link.is_up();
        match &answered {
            Ok(()) if patient => return,
            Err(LinkError::Timeout(_) | LinkError::Slow { .. } | LinkError::Lost(_)) if patient => {
                return tokio::time::sleep(PAUSE).await;
            }
            Err(error) if !error.may_pass() => tracing::warn!("{} goes on with its share: {error}", account.owner()),
            _ => tracing::debug!("{} goes on with its share: {answered:?}", account.owner()),
        }
        match about {
            Want::Tokens(_) => account.enter_apart(desk.most_waiting(), self.peers(), now),
            Want::Money(_) => account.spend_apart(PicoUsd(desk.spending.most_amount()), self.peers(), now),
        }
    }

    async fn ask_to_enter(
        &self,
        account: &Account,
        desk: &Desk,
        want: Option<Want>,
        now: UnixMillis,
    ) -> Result<(), LinkError> {
        let (peers, waiting) = (self.peers(), desk.waiting(want));
        let ask = account.ask_to_enter(waiting, peers, now);
        let answered = self.asker().enter(account.owner(), &ask, peers.count).await;
        match answered {
            Ok(grant) => account.may_enter(&ask, &grant, self.now()),
            Err(error) => {
                account.entry_unanswered(&ask, error.may_have_happened(), self.now());
                return Err(error);
            }
        }
        desk.entry.answered();
        Ok(())
    }

    async fn ask_to_spend(
        &self,
        account: &Account,
        desk: &Desk,
        want: Option<Want>,
        now: UnixMillis,
    ) -> Result<(), LinkError> {
        let (peers, settling) = (self.peers(), self.is_settling());
        let (amount, all) = (PicoUsd(want.map_or(0, Want::amount)), PicoUsd(desk.spending.amount()));
        let waiting = if settling { WaitingSpend::default() } else { WaitingSpend { amount, all } };
        let Some(mut ask) = account.ask_to_spend(waiting, now) else { return Ok(()) };
        ask.only_tells = settling;
        let answered = self.asker().spend(account.owner(), &ask, peers.count).await;
        match answered {
            Ok(grant) => account.may_spend(&ask, &grant, self.now()),
            Err(error) => {
                account.spend_unanswered(&ask, self.now());
                return Err(error);
            }
        }
        if settling {
            account.spend_apart(PicoUsd(desk.spending.most_amount()), peers, self.now());
        }
        desk.spending.answered();
        Ok(())
    }

    /// Who asks. A Redis that has been late for long is not waited for.
    fn asker(&self) -> Asker {
        let patience = if self.0.lateness.is_over(self.now()) { WITHIN } else { lateness::PATIENCE };
        self.0.asker.within(patience)
    }

    /// The desk of an account, which is as this request knows it.
    fn desk(&self, account: &Arc<Account>) -> Arc<Desk> {
        let mut desks = self.desks();
        let desk = desks.entry(account.owner().clone()).or_insert_with(|| Arc::new(Desk::of(Arc::clone(account))));
        if !Arc::ptr_eq(&desk.account.load(), account) {
            desk.account.store(Arc::clone(account));
        }
        Arc::clone(desk)
    }

    fn desks(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Desk>>> {
        // A panic elsewhere leaves a list behind that is as good as before.
        self.0.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> Peers {
        let (living, this) = (self.0.replicas.living(), self.0.replicas.this());
        let before = living.iter().filter(|replica| replica.id < this.id).count();
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Peers { count: small(living.len().max(1)), rank: small(before) }
    }

    fn is_settling(&self) -> bool {
        self.now() < UnixMillis(self.0.settled_at.load(Relaxed))
    }

    fn now(&self) -> UnixMillis {
        self.0.clock.now()
    }
}
