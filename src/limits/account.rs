//! What has somebody used, and what may they still? The live state of one account.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::cells::Cells;
use super::owner::Owner;
use super::purse::Purse;
use super::refusal::{Lack, Limit, Wait, no_place, tokens_lack};
use super::share::{Measure, Share};
use super::standing::Standing;
use crate::domain::limits::CallerLimits;
use crate::domain::spent::Spent;
use crate::domain::time::UnixMillis;

/// An account: whose, under which limits, and what was used of them.
///
/// An edit of the configuration makes a new one by [`with_limits`](Self::with_limits), which
/// shares what was used with the old one; requests under way hold on to theirs.
#[derive(Debug)]
pub struct Account {
    owner: Owner,
    limits: CallerLimits,
    state: Arc<State>,
    requests: Option<Arc<Cells>>,
    tokens: Option<Arc<Cells>>,
}

/// What is counted whatever the limits are.
#[derive(Debug)]
struct State {
    in_flight: AtomicU32,
    purse: Purse,
    /// Of what all replicas share, if there may be several.
    share: OnceLock<Share>,
}

impl Account {
    /// Nothing is under way; `spent` is what was spent before.
    pub fn new(owner: Owner, limits: CallerLimits, spent: Spent) -> Self {
        let state = Arc::new(State { in_flight: AtomicU32::new(0), purse: Purse::new(spent), share: OnceLock::new() });
        Self {
            owner,
            limits,
            state,
            requests: cells(limits.requests_per_minute, None),
            tokens: cells(limits.tokens_per_minute, None),
        }
    }

    /// The same account under these limits: what is under way and what was spent are shared,
    /// and what was used of every limit per minute that stays as it is. One that changes
    /// begins anew.
    #[must_use]
    pub fn with_limits(&self, limits: CallerLimits) -> Self {
        Self {
            owner: self.owner.clone(),
            limits,
            state: Arc::clone(&self.state),
            requests: cells(limits.requests_per_minute, self.requests.as_ref()),
            tokens: cells(limits.tokens_per_minute, self.tokens.as_ref()),
        }
    }

    /// Whose it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Its limits.
    pub fn limits(&self) -> &CallerLimits {
        &self.limits
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Relaxed)
    }

    /// What was spent and what is set aside.
    pub fn purse(&self) -> &Purse {
        &self.state.purse
    }

    /// What is left of its limits at `now`; of those that all replicas share, as far as it is
    /// known.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        let left = |cells: &Option<Arc<Cells>>| cells.as_ref().map(|cells| cells.left(now));
        let [requests, tokens] = match self.share() {
            Some(share) => share.left(&self.limits, now),
            None => [left(&self.requests), left(&self.tokens)],
        };
        Standing { requests, tokens, budgets: self.purse().left_of_each(&self.limits.budgets, now) }
    }

    /// From now on its limits are shared with other replicas: requests are let in by what is
    /// asked for and granted.
    pub fn join(&self) {
        self.state.share.get_or_init(|| {
            self.purse().join();
            Share::default()
        });
    }

    /// What this replica holds of what is shared.
    pub(super) fn share(&self) -> Option<&Share> {
        self.state.share.get()
    }

    /// What requests are measured by.
    pub(super) fn measure(&self, now: UnixMillis) -> Measure<'_> {
        Measure { limits: &self.limits, in_flight: &self.state.in_flight, now }
    }

    /// Takes a place, a request and `tokens`: all of them or nothing.
    pub(super) fn take(&self, tokens: u64, now: UnixMillis) -> Result<(), Lack> {
        if let Some(exhausted) = self.purse().used_up(&self.limits.budgets, now) {
            return Err(exhausted.into());
        }
        if let Some(share) = self.share() {
            return share.take(self.measure(now), tokens);
        }
        self.take_place()?;
        if let Some(requests) = &self.requests
            && let Err(wait) = requests.take(1, now)
        {
            self.give_place_back();
            return Err(Lack { limit: Limit::Requests(requests.limit()), wait });
        }
        if let Some(cells) = &self.tokens
            && let Err(wait) = cells.take(tokens, now)
        {
            self.give_request_back();
            self.give_place_back();
            return Err(tokens_lack(cells.limit(), tokens, wait));
        }
        Ok(())
    }

    /// Undoes [`take`](Self::take) at once, as if nobody had asked.
    pub(super) fn give_back(&self, tokens: u64, now: UnixMillis) {
        if let Some(share) = self.share() {
            return share.give_back(self.measure(now), tokens);
        }
        if let Some(cells) = &self.tokens {
            cells.give_back(tokens);
        }
        self.give_request_back();
        self.give_place_back();
    }

    /// A request that came at `entered` is over and did not use `unused` tokens of what it took.
    /// It was heard of last at `now`.
    pub(super) fn leave(&self, unused: u64, entered: UnixMillis, now: UnixMillis) {
        if let Some(share) = self.share() {
            return share.leave(self.measure(now), unused, entered);
        }
        if let Some(cells) = &self.tokens {
            cells.give_back_unused(unused, entered);
        }
        self.give_place_back();
    }

    /// A request has used `tokens` beyond what it took.
    pub(super) fn charge(&self, tokens: u64, now: UnixMillis) {
        if let Some(share) = self.share() {
            return share.charge(&self.limits, tokens, now);
        }
        if let Some(cells) = &self.tokens {
            cells.charge(tokens, now);
        }
    }

    /// All limits that are in the way of such a request.
    pub(super) fn lacks(&self, tokens: u64, now: UnixMillis) -> SmallVec<[Lack; 4]> {
        let budget = self.purse().used_up(&self.limits.budgets, now).map(Lack::from);
        if let Some(share) = self.share() {
            return share.lacks(self.measure(now), tokens).into_iter().chain(budget).collect();
        }
        let place = self.limits.max_in_flight.filter(|max| self.in_flight() >= *max).map(full);
        let request = self.requests.as_ref().and_then(|cells| {
            let wait = cells.look(1, now).err()?;
            Some(Lack { limit: Limit::Requests(cells.limit()), wait })
        });
        let tokens = self.tokens.as_ref().and_then(|cells| {
            let wait = cells.look(tokens, now).err()?;
            Some(tokens_lack(cells.limit(), tokens, wait))
        });
        [request, tokens, budget, place].into_iter().flatten().collect()
    }

    fn take_place(&self) -> Result<(), Lack> {
        let max = self.limits.max_in_flight.unwrap_or(u32::MAX);
        let taken = self.state.in_flight.fetch_update(Relaxed, Relaxed, |now| (now < max).then(|| now + 1));
        taken.map(|_| ()).map_err(|_| full(max))
    }

    fn give_place_back(&self) {
        self.state.in_flight.fetch_sub(1, Relaxed);
    }

    fn give_request_back(&self) {
        if let Some(requests) = &self.requests {
            requests.give_back(1);
        }
    }
}

/// The cells of a limit: those of before if it is the same.
fn cells(limit: Option<NonZeroU32>, before: Option<&Arc<Cells>>) -> Option<Arc<Cells>> {
    let limit = limit?;
    match before.filter(|before| before.limit() == limit) {
        Some(before) => Some(Arc::clone(before)),
        None => Some(Arc::new(Cells::per_minute(limit))),
    }
}

fn full(max: u32) -> Lack {
    // A limit of nobody is not waited for.
    no_place(max, if max == 0 { Wait::Never } else { Wait::Others })
}
