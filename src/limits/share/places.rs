//! How many requests may this replica have under way, of those that all replicas may have?
//!
//! Each replica holds places under a lease, renewed while it holds any; what a dead one held
//! is free when its lease ends. A place is kept for a moment after its request has ended, as
//! the next is likely to come.

use std::time::Duration;

use super::Peers;
use super::pool::BELIEVED_FOR;
use crate::domain::time::UnixMillis;
use crate::limits::refusal::Wait;

/// So long a lease lasts.
pub const LEASE: Duration = Duration::from_secs(10);

/// It is renewed after this time.
const RENEWED_AFTER: Duration = Duration::from_secs(3);

/// Places that were empty for so long go back to the others.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// What is asked for: how many places this replica wants to hold, all told. Said twice, it is
/// the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlacesAsk {
    /// How many all replicas may have; `None` where there is no limit, and nothing is asked.
    pub max: Option<u32>,
    /// It has so many, and keeps them.
    pub held: u32,
    /// Fewer than this are of no use now.
    pub need: u32,
    /// It has a use for so many.
    pub wanted: u32,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlacesGrant {
    /// So many it holds now.
    pub held: u32,
    /// So many the others hold.
    pub others: u32,
}

/// The places that this replica holds.
#[derive(Debug, Default)]
pub(super) struct Places {
    held: u32,
    others: u32,
    /// Until when; by the shared clock it is a little later.
    until: UnixMillis,
    asked_at: UnixMillis,
    refused_until: UnixMillis,
    peak: Peak,
    alone: Option<Alone>,
}

/// The most that were under way lately.
#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    since: UnixMillis,
    now: u32,
    before: u32,
}

/// What it goes on with while nobody can be asked.
#[derive(Clone, Copy, Debug)]
struct Alone {
    /// Beyond what it held, as long as the lease lasts.
    more: u32,
    /// Afterwards.
    share: u32,
}

impl Places {
    /// Whether there is room for one more.
    pub(super) fn look(&self, max: u32, in_flight: u32, now: UnixMillis) -> Result<(), Wait> {
        if max == 0 {
            // A limit of nobody is not waited for.
            return Err(Wait::Never);
        }
        let leased = if now < self.until { self.held } else { 0 };
        match self.alone {
            None if in_flight < leased.min(max) => Ok(()),
            None if now < self.refused_until => Err(Wait::Others),
            None => Err(Wait::Ask),
            Some(Alone { more, .. }) if now < self.until && in_flight < leased.saturating_add(more) => Ok(()),
            Some(Alone { share, .. }) if now >= self.until && in_flight < share => Ok(()),
            Some(_) => Err(Wait::Others),
        }
    }

    /// One more is taken; so many are now.
    pub(super) fn taken(&mut self, in_flight: u32, now: UnixMillis) {
        self.peak.note(in_flight, now);
    }

    /// Whether the others have to hear of something though no request waits for it.
    pub(super) fn is_due(&self, in_flight: u32, now: UnixMillis) -> bool {
        let old = self.held > 0 && now.since(self.asked_at) >= RENEWED_AFTER;
        self.alone.is_some() || old || self.has_empty(in_flight, now)
    }

    /// Whether it holds none.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.alone.is_none()
    }

    /// What is asked while so many wait for a place.
    pub(super) fn ask(&mut self, max: u32, in_flight: u32, need: u32, waiting: u32, now: UnixMillis) -> PlacesAsk {
        if self.has_empty(in_flight, now) || now >= self.until {
            self.held = self.peak.lately(in_flight, now);
        }
        self.asked_at = now;
        let with = |more: u32| in_flight.saturating_add(more);
        let need = if need == 0 { 0 } else { with(need) };
        PlacesAsk { max: Some(max), held: self.held.max(in_flight), need, wanted: with(waiting).max(need) }
    }

    /// What came of it.
    pub(super) fn granted(&mut self, ask: &PlacesAsk, grant: &PlacesGrant, now: UnixMillis) {
        self.alone = None;
        (self.held, self.others) = (grant.held, grant.others);
        // Its time began no later than this was asked.
        self.until = self.asked_at + LEASE;
        self.refused_until = if grant.held < ask.need { now + BELIEVED_FOR } else { UnixMillis(0) };
    }

    /// From now on nobody can be asked. What was leased holds to its end; then each replica has
    /// its share. Until then it takes its part of what was free beyond that, as the others may
    /// do, who are taken to want as much.
    pub(super) fn part(&mut self, max: u32, waiting: u32, peers: Peers, now: UnixMillis) {
        if self.alone.is_some() {
            return;
        }
        let count = peers.count.max(1);
        let free = max.saturating_sub(self.held).saturating_sub(self.others);
        let more = free.saturating_sub(waiting.saturating_mul(count - 1)) / count;
        let share = max / count + u32::from(peers.rank < max % count);
        if now >= self.until {
            // The others may have leases that it knows nothing of.
            (self.held, self.until) = (0, now + LEASE);
        }
        self.alone = Some(Alone { more, share });
    }

    fn has_empty(&self, in_flight: u32, now: UnixMillis) -> bool {
        self.alone.is_none() && self.held > self.peak.lately(in_flight, now)
    }
}

impl Peak {
    fn note(&mut self, in_flight: u32, now: UnixMillis) {
        let age = now.since(self.since);
        if age >= KEPT_FOR {
            let before = if age < 2 * KEPT_FOR { self.now } else { 0 };
            *self = Self { since: now, now: 0, before };
        }
        self.now = self.now.max(in_flight);
    }

    /// Within [`KEPT_FOR`] and a little longer.
    fn lately(&self, in_flight: u32, now: UnixMillis) -> u32 {
        match now.since(self.since) {
            age if age < KEPT_FOR => in_flight.max(self.now).max(self.before),
            age if age < 2 * KEPT_FOR => in_flight.max(self.now),
            _ => in_flight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const FOUR: Peers = Peers { count: 4, rank: 1 };

    fn given(places: &mut Places, in_flight: u32, waiting: u32, held: u32, others: u32) -> PlacesAsk {
        let ask = places.ask(40, in_flight, 1, waiting, NOW);
        places.granted(&ask, &PlacesGrant { held, others }, NOW);
        ask
    }

    #[test]
    fn places_are_leased() {
        let mut places = Places::default();
        assert_eq!(places.look(0, 0, NOW), Err(Wait::Never));
        assert_eq!(places.look(40, 0, NOW), Err(Wait::Ask));
        let ask = given(&mut places, 0, 3, 3, 9);
        assert_eq!(ask, PlacesAsk { max: Some(40), held: 0, need: 1, wanted: 3 });
        assert_eq!(places.look(40, 2, NOW), Ok(()));
        assert_eq!(places.look(40, 3, NOW), Err(Wait::Ask));
        places.taken(3, NOW);
        // Two have ended: the places are kept for a moment.
        let later = NOW + 2 * KEPT_FOR;
        assert!(!places.is_due(1, NOW + KEPT_FOR) && places.is_due(1, later));
        assert_eq!(places.ask(40, 1, 0, 0, later), PlacesAsk { max: Some(40), held: 1, need: 0, wanted: 1 });
        assert!(!places.is_due(1, later) && places.is_due(1, later + RENEWED_AFTER));
        assert_eq!(places.look(40, 0, NOW + LEASE), Err(Wait::Ask), "the lease is over");
    }

    #[test]
    fn a_refusal_is_believed_for_a_moment() {
        let mut places = Places::default();
        given(&mut places, 0, 3, 0, 40);
        assert_eq!(places.look(40, 0, NOW), Err(Wait::Others));
        assert_eq!(places.look(40, 0, NOW + BELIEVED_FOR), Err(Wait::Ask));
    }

    #[test]
    fn alone_it_keeps_its_lease_and_then_has_its_share() {
        let mut places = Places::default();
        given(&mut places, 0, 3, 4, 8);
        places.part(42, 2, FOUR, NOW);
        // Thirty were free, and the others want as much: two each.
        assert_eq!(places.look(42, 9, NOW), Ok(()));
        assert_eq!(places.look(42, 10, NOW), Err(Wait::Others));
        assert_eq!(places.look(42, 10, NOW + LEASE), Ok(()), "its share is one of the two that are eleven");
        assert_eq!(places.look(42, 11, NOW + LEASE), Err(Wait::Others));
    }
}
