//! What was decided lately, kept whole so that it can be read back and decided again?
//!
//! A ring of a fixed number of places. Each request takes the next place and locks that one
//! alone, so that recording does not make requests wait for each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;

use super::sorting::Verdict;

use crate::domain::failure::FailureKind;
use crate::domain::ids::{AliasIdx, EndpointId, EndpointIdx, Revision};
use crate::domain::time::UnixMillis;
use crate::routing::{Narrowing, RequestFacts, Snapshot};

/// As many decisions are kept: about a megabyte.
const KEPT: usize = 256;

/// One decision: everything it was made from, and what became of it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The request's id.
    pub request: String,
    /// The revision whose indexes it names.
    pub revision: Revision,
    /// The alias that was asked.
    pub asked: AliasIdx,
    /// What the request was taken for, where the alias is of categories.
    pub category: Option<Verdict>,
    /// What the caller excluded or preferred.
    pub narrowing: Narrowing,
    /// The order that was decided.
    pub ranking: Box<Ranking>,
    /// The one of Default, where nobody of the category could serve.
    pub behind: Option<Box<Ranking>>,
    /// Who answered.
    pub chosen: Option<EndpointId>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// An order, and everything that it was made from.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Of which alias: the one that was asked, or one of its categories.
    pub alias: AliasIdx,
    /// When it was made.
    pub at: UnixMillis,
    /// What was asked.
    pub facts: RequestFacts,
    /// What was observed.
    pub snapshot: Snapshot,
    /// The seed of its random source.
    pub seed: u64,
    /// The order.
    pub order: SmallVec<[EndpointIdx; 8]>,
}

/// One attempt, until it committed or failed.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where.
    pub endpoint: EndpointId,
    /// How it failed; `None` if it did not.
    pub failure: Option<FailureKind>,
    /// The provider's status, if it failed with one.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// A decision and its number, once there is one.
type Place = Mutex<Option<(u64, Decision)>>;

/// The latest decisions.
#[derive(Debug)]
pub struct Decisions {
    next: AtomicU64,
    places: Box<[Place]>,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), places: (0..KEPT).map(|_| Mutex::new(None)).collect() }
    }
}

impl Decisions {
    /// Keeps one in the place of the oldest.
    pub fn record(&self, decision: Decision) {
        let number = self.next.fetch_add(1, Relaxed);
        let place = &self.places[(number % KEPT as u64) as usize];
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, decision));
    }

    /// The latest that pass the test, newest first.
    pub fn latest(&self, most: usize, test: impl Fn(&Decision) -> bool) -> Vec<Decision> {
        let read = |place: &Place| {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            place.as_ref().filter(|(_, decision)| test(decision)).cloned()
        };
        let mut found: Vec<(u64, Decision)> = self.places.iter().filter_map(read).collect();
        found.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        found.truncate(most);
        found.into_iter().map(|(_, decision)| decision).collect()
    }
}
