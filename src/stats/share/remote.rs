//! What happened at an endpoint in the last minutes, as all other replicas saw it together?
//!
//! Slices are added up as they come, in places of the same lengths as in a replica's own
//! history, so that the memory is that of one history however many replicas there are. What
//! was added up cannot be told apart again, so each slice is added once: [`super::voice`]
//! knows which were.
//!
//! A slice stands where it began by this replica's clock: when it came, less its age. Clocks
//! that differ do not matter; a message that was longer under way than is known moves its
//! slice by that time.

use std::time::Duration;

use crate::domain::time::UnixMillis;
use crate::stats::history::{COARSE, COARSE_SLICES, Distribution, FINE, FINE_SLICES, Slice, Sums, floor};

/// What others saw.
#[derive(Clone, Debug, Default)]
pub struct RemoteHistory {
    /// Oldest first, each beginning at a multiple of its length; those that are empty are
    /// not there.
    fine: Vec<Slice>,
    coarse: Vec<Slice>,
}

impl RemoteHistory {
    /// Adds a slice that began `ago`. What began before the window is left out.
    pub fn add(&mut self, slice: &Slice, ago: Duration, now: UnixMillis) {
        self.advance(now);
        // To the nearest place: its own clock's places lie between ours.
        let start = floor(now - ago + FINE / 2, FINE);
        if start + FINE <= oldest_coarse(now) {
            return;
        }
        if start < oldest_fine(now) {
            add(&mut self.coarse, floor(start, COARSE), slice);
        } else {
            add(&mut self.fine, start, slice);
        }
    }

    /// Slices that are older than a minute become part of a minute's.
    fn advance(&mut self, now: UnixMillis) {
        let old = self.fine.partition_point(|slice| slice.start < oldest_fine(now));
        for slice in self.fine.drain(..old) {
            add(&mut self.coarse, floor(slice.start, COARSE), &slice);
        }
        let over = self.coarse.partition_point(|slice| slice.start + COARSE <= oldest_coarse(now));
        self.coarse.drain(..over);
    }

    fn slices(&self, window: Duration, now: UnixMillis) -> impl Iterator<Item = &Slice> {
        let from = now - window;
        let within = move |slice: &&Slice, length| slice.start + length > from;
        let reaches_back = window > FINE * FINE_SLICES as u32;
        self.coarse
            .iter()
            .filter(move |slice| reaches_back && within(slice, COARSE))
            .chain(self.fine.iter().filter(move |slice| within(slice, FINE)))
    }

    /// Adds what happened in a window that ends now.
    pub fn add_sums(&self, to: &mut Sums, window: Duration, now: UnixMillis) {
        self.slices(window, now).for_each(|slice| to.merge(&slice.sums));
    }

    /// Buckets of a distribution in a window that ends now: their value, and how often it
    /// came.
    pub fn buckets(&self, what: Distribution, window: Duration, now: UnixMillis) -> impl Iterator<Item = &(u32, u32)> {
        self.slices(window, now).flat_map(move |slice| &slice.buckets[what as usize])
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        let slots = (self.fine.capacity() + self.coarse.capacity()) * size_of::<Slice>();
        slots + self.fine.iter().chain(&self.coarse).map(Slice::memory_bytes).sum::<usize>()
    }
}

/// Where the last minute begins: the open slice and the twelve before it are fresh.
fn oldest_fine(now: UnixMillis) -> UnixMillis {
    floor(now, FINE) - FINE * (FINE_SLICES as u32 - 1)
}

fn oldest_coarse(now: UnixMillis) -> UnixMillis {
    floor(now, FINE) - (FINE * FINE_SLICES as u32 + COARSE * COARSE_SLICES as u32)
}

fn add(slices: &mut Vec<Slice>, start: UnixMillis, slice: &Slice) {
    match slices.binary_search_by_key(&start, |slice| slice.start) {
        Ok(at) => slices[at].merge(slice),
        Err(at) => slices.insert(at, Slice { start, ..slice.clone() }),
    }
}
