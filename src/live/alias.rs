//! What requests of one alias share: its statistics, how they went, and where conversations
//! are at home.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::domain::ids::{AliasName, EndpointIdx};
use crate::domain::time::UnixMillis;
use crate::stats::AliasStats;
use crate::stats::traffic::Traffic;
use crate::telemetry::metrics::{AliasMeters, Metrics};

/// The live state of an alias.
#[derive(Debug, Default)]
pub struct AliasLive {
    /// Expected lengths and budgets.
    pub stats: AliasStats,
    /// How requests went lately. Held for a few instructions at a time.
    traffic: Mutex<Traffic>,
    /// Where conversations were served last. Allocated with the first one.
    homes: OnceLock<Homes>,
    /// Made with the first request.
    meters: OnceLock<Arc<AliasMeters>>,
}

impl AliasLive {
    /// Looks at how requests went, or adds one.
    pub fn traffic<T>(&self, f: impl FnOnce(&mut Traffic) -> T) -> T {
        f(&mut self.traffic.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where requests of this alias are counted.
    pub fn meters(&self, metrics: &Arc<Metrics>, name: &AliasName) -> &Arc<AliasMeters> {
        self.meters.get_or_init(|| metrics.alias(name.as_str()))
    }

    /// The same, if there was any request.
    pub fn metered(&self) -> Option<&Arc<AliasMeters>> {
        self.meters.get()
    }

    /// Where this conversation was served last, if that is known and not long ago.
    pub fn home(&self, conversation: u64, now: UnixMillis) -> Option<EndpointIdx> {
        self.homes.get()?.get(conversation, now)
    }

    /// It was served there.
    pub fn settle(&self, conversation: u64, endpoint: EndpointIdx, now: UnixMillis) {
        self.homes.get_or_init(Homes::default).set(conversation, endpoint, now);
    }

    /// Forgets all homes: endpoints have other numbers now.
    pub fn forget_homes(&self) {
        if let Some(homes) = self.homes.get() {
            homes.clear();
        }
    }
}

/// As many conversations are remembered, in 32 KiB.
const HOMES: usize = 4096;
/// Prompt caches forget after minutes.
const MEMORY_S: u64 = 600;
/// Bits of an endpoint's number, and of the time.
const ENDPOINT_BITS: u32 = 20;
const TIME_BITS: u32 = 12;

/// A table of a fixed size in which a newer conversation takes an older one's place. Each
/// entry is one word: 32 bits of the conversation, the time, the endpoint.
#[derive(Debug)]
struct Homes(Box<[AtomicU64]>);

impl Default for Homes {
    fn default() -> Self {
        Self((0..HOMES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Homes {
    fn slot(&self, conversation: u64) -> &AtomicU64 {
        &self.0[(conversation % HOMES as u64) as usize]
    }

    /// Time in units of 4 s, wrapping around after more than four hours.
    fn tick(now: UnixMillis) -> u64 {
        now.as_secs() / 4 % (1 << TIME_BITS)
    }

    fn get(&self, conversation: u64, now: UnixMillis) -> Option<EndpointIdx> {
        let word = self.slot(conversation).load(Relaxed);
        let tick = word >> ENDPOINT_BITS & ((1 << TIME_BITS) - 1);
        let age = (Self::tick(now) + (1 << TIME_BITS) - tick) % (1 << TIME_BITS);
        let endpoint = word & ((1 << ENDPOINT_BITS) - 1);
        // Endpoints are counted from one, so that an empty slot is told apart.
        let known = word >> 32 == conversation >> 32 && endpoint > 0 && age * 4 <= MEMORY_S;
        known.then(|| EndpointIdx(endpoint as u32 - 1))
    }

    fn set(&self, conversation: u64, endpoint: EndpointIdx, now: UnixMillis) {
        let number = u64::from(endpoint.0) + 1;
        if number >> ENDPOINT_BITS == 0 {
            let word = conversation >> 32 << 32 | Self::tick(now) << ENDPOINT_BITS | number;
            self.slot(conversation).store(word, Relaxed);
        }
    }

    fn clear(&self) {
        for slot in &self.0 {
            slot.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_at_home_where_it_was_served_last_for_ten_minutes() {
        let alias = AliasLive::default();
        let (now, later) = (UnixMillis(1_000_000_000), |s: u64| UnixMillis(1_000_000_000 + s * 1000));
        let conversation = 0xdead_beef_1234_5678;
        assert_eq!(alias.home(conversation, now), None);
        alias.settle(conversation, EndpointIdx(0), now);
        alias.settle(conversation, EndpointIdx(7), now);
        assert_eq!(alias.home(conversation, later(590)), Some(EndpointIdx(7)));
        assert_eq!(alias.home(conversation, later(620)), None);
        assert_eq!(alias.home(conversation ^ 1 << 40, now), None);
        alias.forget_homes();
        assert_eq!(alias.home(conversation, now), None);
    }
}
