//! What does this replica hold of limits that all replicas share?
//!
//! Requests are let in from what it holds, at once and without asking anybody. Where that is
//! not enough the answer is [`Wait::Ask`](super::refusal::Wait::Ask): more has to be asked for
//! first. What is asked ([`EntryAsk`]) and what came of it ([`EntryGrant`]) are handed over as
//! plain numbers, so that nothing here waits.

mod places;
mod pool;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use self::places::Places;
use self::pool::Pool;
use super::refusal::{Lack, Limit, no_place, tokens_lack};
use super::standing::RateLeft;
use crate::domain::limits::CallerLimits;
use crate::domain::time::UnixMillis;

pub use places::{LEASE, PlacesAsk, PlacesGrant};
pub use pool::{RateAsk, RateGrant};

/// The replicas as far as they matter here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peers {
    /// How many there are.
    pub count: u32,
    /// How many come before this one in an order that all agree on.
    pub rank: u32,
}

/// What requests wait for that cannot be let in yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Tokens of the request that asks; `None` if nothing is waited for.
    pub tokens: Option<u64>,
    /// Requests that wait, this one included.
    pub all_requests: u64,
    /// Their tokens.
    pub all_tokens: u64,
}

/// What is asked of what all replicas share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryAsk {
    /// Of requests per minute.
    pub requests: RateAsk,
    /// Of tokens per minute.
    pub tokens: RateAsk,
    /// Of requests at once.
    pub places: PlacesAsk,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryGrant {
    /// Of requests per minute.
    pub requests: RateGrant,
    /// Of tokens per minute.
    pub tokens: RateGrant,
    /// Of requests at once.
    pub places: PlacesGrant,
}

/// What this replica holds of an account's limits but for its budgets.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Locked for a few instructions at a time.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    requests: Pool,
    tokens: Pool,
    places: Places,
}

/// What a request is measured by: the limits, and how many are under way.
#[derive(Clone, Copy)]
pub(super) struct Measure<'a> {
    pub(super) limits: &'a CallerLimits,
    pub(super) in_flight: &'a AtomicU32,
    pub(super) now: UnixMillis,
}

impl Measure<'_> {
    fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }
}

impl Share {
    /// Takes a place, a request and `tokens`: all of them or nothing.
    pub(super) fn take(&self, by: Measure<'_>, tokens: u64) -> Result<(), Lack> {
        let Measure { limits, now, .. } = by;
        let mut held = self.lock();
        if let Some(lack) = held.lacks(by, tokens).into_iter().next() {
            return Err(lack);
        }
        let Held { requests, tokens: pool, places } = &mut *held;
        // Only added to while this is locked, so it is no more than was looked at.
        places.taken(by.in_flight.fetch_add(1, Relaxed) + 1, now);
        // Nothing lacks, so none of them refuses.
        let _ = limits.requests_per_minute.map(|limit| requests.take(1, limit, now));
        let _ = limits.tokens_per_minute.map(|limit| pool.take(tokens, limit, now));
        Ok(())
    }

    /// Undoes [`take`](Self::take) at once, as if nobody had asked.
    pub(super) fn give_back(&self, by: Measure<'_>, tokens: u64) {
        let Measure { limits, in_flight, now } = by;
        let mut held = self.lock();
        in_flight.fetch_sub(1, Relaxed);
        if limits.requests_per_minute.is_some() {
            held.requests.give_back(1, now);
        }
        if limits.tokens_per_minute.is_some() {
            held.tokens.give_back(tokens, now);
        }
    }

    /// A request that came at `entered` is over and did not use `tokens` of what it took.
    pub(super) fn leave(&self, by: Measure<'_>, unused: u64, entered: UnixMillis) {
        let mut held = self.lock();
        if by.limits.tokens_per_minute.is_some() {
            held.tokens.give_back_unused(unused, entered, by.now);
        }
        by.in_flight.fetch_sub(1, Relaxed);
    }

    /// A request has used `tokens` beyond what it took.
    pub(super) fn charge(&self, limits: &CallerLimits, tokens: u64, now: UnixMillis) {
        if let Some(limit) = limits.tokens_per_minute {
            self.lock().tokens.charge(tokens, limit, now);
        }
    }

    /// All limits that are in the way of such a request.
    pub(super) fn lacks(&self, by: Measure<'_>, tokens: u64) -> SmallVec<[Lack; 3]> {
        self.lock().lacks(by, tokens)
    }

    /// What is left of requests and tokens for all replicas, as far as it is known.
    pub(super) fn left(&self, limits: &CallerLimits, now: UnixMillis) -> [Option<RateLeft>; 2] {
        let held = self.lock();
        [
            limits.requests_per_minute.map(|limit| held.requests.left(limit, now)),
            limits.tokens_per_minute.map(|limit| held.tokens.left(limit, now)),
        ]
    }

    /// Whether something has to be said though no request waits.
    pub(super) fn is_due(&self, by: Measure<'_>) -> bool {
        let Measure { limits, now, .. } = by;
        let held = self.lock();
        let rate = |limit: Option<NonZeroU32>, pool: &Pool| limit.is_some() && pool.is_due(now);
        rate(limits.requests_per_minute, &held.requests)
            || rate(limits.tokens_per_minute, &held.tokens)
            || limits.max_in_flight.is_some() && held.places.is_due(by.in_flight(), now)
    }

    /// Whether something of a limit per minute was taken, by whomever, and has not refilled.
    pub(super) fn has_taken(&self, limits: &CallerLimits, now: UnixMillis) -> bool {
        let held = self.lock();
        limits.requests_per_minute.is_some() && held.requests.has_taken(now)
            || limits.tokens_per_minute.is_some() && held.tokens.has_taken(now)
    }

    /// Whether it holds nothing of what is limited, and no request is under way that may leave
    /// something.
    pub(super) fn is_idle(&self, by: Measure<'_>) -> bool {
        let limits = by.limits;
        let held = self.lock();
        let rate = |limit: Option<NonZeroU32>, pool: &Pool| limit.is_none() || pool.is_idle();
        rate(limits.requests_per_minute, &held.requests)
            && rate(limits.tokens_per_minute, &held.tokens)
            && (limits.max_in_flight.is_none() || held.places.is_idle())
            && by.in_flight() == 0
    }

    /// What is to be asked.
    pub(super) fn ask(&self, by: Measure<'_>, waiting: Waiting, peers: Peers) -> EntryAsk {
        let Measure { limits, now, .. } = by;
        let mut held = self.lock();
        let Held { requests, tokens, places } = &mut *held;
        let (need, count) = (u64::from(waiting.tokens.is_some()), waiting.all_requests);
        let of_requests = limits.requests_per_minute.map(|limit| requests.ask(limit, need, count, peers, now));
        let own = waiting.tokens.unwrap_or(0);
        let of_tokens = limits.tokens_per_minute.map(|limit| tokens.ask(limit, own, waiting.all_tokens, peers, now));
        let (need, count) = (u32::from(waiting.tokens.is_some()), u32::try_from(count).unwrap_or(u32::MAX));
        let of_places = limits.max_in_flight.map(|max| places.ask(max, by.in_flight(), need, count, now));
        EntryAsk {
            requests: of_requests.unwrap_or_default(),
            tokens: of_tokens.unwrap_or_default(),
            places: of_places.unwrap_or_default(),
        }
    }

    /// What came of it.
    pub(super) fn granted(&self, ask: &EntryAsk, grant: &EntryGrant, now: UnixMillis) {
        let mut held = self.lock();
        if ask.requests.limit > 0 {
            held.requests.granted(&ask.requests, &grant.requests, now);
        }
        if ask.tokens.limit > 0 {
            held.tokens.granted(&ask.tokens, &grant.tokens, now);
        }
        if ask.places.max.is_some() {
            held.places.granted(&ask.places, &grant.places, now);
        }
    }

    /// There was no answer.
    pub(super) fn unanswered(&self, ask: &EntryAsk, may_have_happened: bool, now: UnixMillis) {
        let mut held = self.lock();
        held.requests.unanswered(&ask.requests, may_have_happened, now);
        held.tokens.unanswered(&ask.tokens, may_have_happened, now);
    }

    /// From now on nobody can be asked.
    pub(super) fn part(&self, limits: &CallerLimits, waiting: Waiting, peers: Peers, now: UnixMillis) {
        let mut held = self.lock();
        if let Some(limit) = limits.requests_per_minute {
            held.requests.part(limit, waiting.all_requests, peers, now);
        }
        if let Some(limit) = limits.tokens_per_minute {
            held.tokens.part(limit, waiting.all_tokens, peers, now);
        }
        if let Some(max) = limits.max_in_flight {
            held.places.part(max, u32::try_from(waiting.all_requests).unwrap_or(u32::MAX), peers, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A panic elsewhere leaves plain numbers behind, which are as good as before.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn lacks(&self, by: Measure<'_>, tokens: u64) -> SmallVec<[Lack; 3]> {
        let Measure { limits, now, .. } = by;
        let place = limits.max_in_flight.and_then(|max| {
            let wait = self.places.look(max, by.in_flight(), now).err()?;
            Some(no_place(max, wait))
        });
        let request = limits.requests_per_minute.and_then(|limit| {
            let wait = self.requests.look(1, limit, now).err()?;
            Some(Lack { limit: Limit::Requests(limit), wait })
        });
        let tokens = limits.tokens_per_minute.and_then(|limit| {
            let wait = self.tokens.look(tokens, limit, now).err()?;
            Some(tokens_lack(limit, tokens, wait))
        });
        [place, request, tokens].into_iter().flatten().collect()
    }
}
