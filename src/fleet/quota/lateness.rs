//! Is Redis away, or only late? An answer that does not come in time says little: perhaps this
//! machine is busy. One replica that goes on alone while the others do not takes more than its
//! share, so nobody does before Redis has been late for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::UnixMillis;

/// Late for so long, Redis counts as away. A link gives a mute server up after as long.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// After so long without a question it begins anew.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How long Redis has been late.
#[derive(Debug, Default)]
pub(super) struct Lateness(Mutex<Option<Late>>);

#[derive(Clone, Copy, Debug)]
struct Late {
    since: UnixMillis,
    latest: UnixMillis,
}

impl Lateness {
    /// An answer came in time.
    pub(super) fn answered(&self) {
        self.set(|_| None);
    }

    /// Whether no answer came in time lately.
    pub(super) fn is_late(&self) -> bool {
        self.set(|late| late).is_some()
    }

    /// Whether it has been late for so long that there is no patience any more.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        self.set(|late| late).is_some_and(|late| now.since(late.since) >= PATIENCE)
    }

    /// An answer did not come in time. Returns whether there is still patience.
    pub(super) fn late(&self, now: UnixMillis) -> bool {
        let late = self.set(|late| {
            let since = late.filter(|late| now.since(late.latest) < REMEMBERED).map_or(now, |late| late.since);
            Some(Late { since, latest: now })
        });
        late.is_none_or(|late| now.since(late.since) < PATIENCE)
    }

    fn set(&self, next: impl FnOnce(Option<Late>) -> Option<Late>) -> Option<Late> {
        // A panic elsewhere leaves plain numbers behind, which are as good as before.
        let mut late = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *late = next(*late);
        *late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_begins_anew() {
        let (lateness, at) = (Lateness::default(), |ms: u64| UnixMillis(1_000_000 + ms));
        assert!(lateness.late(at(0)) && lateness.late(at(499)) && lateness.is_late());
        assert!(!lateness.is_over(at(499)) && lateness.is_over(at(500)) && !lateness.late(at(500)));
        lateness.answered();
        assert!(!lateness.is_late() && lateness.late(at(600)));
        assert!(lateness.late(at(10_600)), "nobody has asked for a while");
    }
}
