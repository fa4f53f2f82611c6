//! What goes on without a request: what is not needed goes back, leases are renewed, what was
//! spent is told, and replicas that were apart find together.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Want};
use super::{Quota, SETTLES};
use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;
use crate::limits::Account;

/// How often it is looked whether something has to be told.
const EVERY: Duration = Duration::from_millis(250);

/// While Redis is away it is looked only once in so many times.
const WHILE_DOWN: u32 = 8;

/// How often everything that was used is told again, in case that Redis was emptied while we
/// were connected.
const ALL_AGAIN: Duration = Duration::from_secs(600);

/// So many questions are under way at once.
const AT_ONCE: usize = 64;

/// After this time whatever is held and not in use would go back.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

impl Quota {
    /// Sees to all that, until `stop` says so; then gives back what is held.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        let mut again = tokio::time::interval(ALL_AGAIN);
        for interval in [&mut tick, &mut again] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut state = self.0.asker.link.changes();
        let (mut was_up, mut ticks) = (self.0.asker.link.is_up(), 0_u32);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    // Of a cluster another node may be there.
                    if self.0.asker.link.is_up() || ticks.is_multiple_of(WHILE_DOWN) {
                        self.tend(self.now()).await;
                    }
                }
                _ = again.tick() => self.tell_all().await,
                changed = state.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    if state.borrow_and_update().is_up() {
                        if was_up || !self.desks().is_empty() {
                            self.0.settled_at.store((self.now() + SETTLES).0, Relaxed);
                        }
                        was_up = true;
                        self.tell_all().await;
                    }
                }
            }
        }
        // Nobody comes any more.
        self.tend(self.now() + LONG_ENOUGH).await;
    }

    /// Tells what is due at all desks, and takes away those where nothing is left to do.
    async fn tend(&self, now: UnixMillis) {
        let desks: Vec<Arc<Desk>> = self.desks().values().cloned().collect();
        for some in desks.chunks(AT_ONCE) {
            join_all(some.iter().map(|desk| self.tend_one(desk, now))).await;
        }
        drop(desks);
        // Desks are handed out under this lock, so nobody has one that nobody else has.
        self.desks().retain(|_, desk| Arc::strong_count(desk) > 1 || !desk.account.load().is_idle(now));
    }

    async fn tend_one(&self, desk: &Desk, now: UnixMillis) {
        let account = desk.account.load_full();
        if account.has_to_tell_of_entries(now)
            && let Some(_turn) = desk.entry.turn()
        {
            self.ask(desk, None, Want::Tokens(0), now).await;
        }
        if account.has_to_tell_of_spending(now)
            && let Some(_turn) = desk.spending.turn()
        {
            self.ask(desk, None, Want::Money(PicoUsd(0)), now).await;
        }
    }

    /// Tells what this process knows of all limits per minute, and has spent of all budgets.
    async fn tell_all(&self) {
        let (now, all) = (self.now(), (self.0.all)());
        self.tell(all.iter().filter(|account| account.has_taken(now)), Want::Tokens(0)).await;
        self.tell(all.iter().filter(|account| account.has_spent(now)), Want::Money(PicoUsd(0))).await;
    }

    /// Tells about each of these accounts what there is to be told.
    async fn tell(&self, accounts: impl Iterator<Item = &Arc<Account>>, about: Want) {
        let accounts: Vec<_> = accounts.collect();
        for some in accounts.chunks(AT_ONCE) {
            let tell = async |account: &&Arc<Account>| {
                account.join();
                let desk = self.desk(account);
                if let Some(_turn) = desk.line(about).turn() {
                    self.ask(&desk, None, about, self.now()).await;
                }
            };
            join_all(some.iter().map(tell)).await;
        }
    }
}
