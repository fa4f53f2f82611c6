//! How does the link stand? Readable at any moment without waiting, and told when it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::domain::time::UnixMillis;

/// Why it is down before anything was tried.
const NOT_YET: &str = "not connected yet";

/// How a link stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Redis answers. It need not take every write.
    Up,
    /// It does not; calls are refused at once. In a cluster, at least one node does not, and
    /// calls to the others still go through.
    Down {
        /// Since when, by our own clock.
        since: UnixMillis,
        /// Why.
        why: Arc<str>,
    },
}

impl State {
    /// Whether Redis answers.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

/// The state of one link or one node.
#[derive(Debug)]
pub(super) struct StateCell {
    up: AtomicBool,
    state: ArcSwap<State>,
    told: watch::Sender<State>,
}

impl StateCell {
    pub(super) fn new(now: UnixMillis) -> Self {
        let state = State::Down { since: now, why: NOT_YET.into() };
        Self {
            up: AtomicBool::new(false),
            state: ArcSwap::from_pointee(state.clone()),
            told: watch::Sender::new(state),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self) -> State {
        State::clone(&self.state.load())
    }

    /// Whether it has neither come up nor been found to be down.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(&**self.state.load(), State::Down { why, .. } if **why == *NOT_YET)
    }

    pub(super) fn changes(&self) -> watch::Receiver<State> {
        self.told.subscribe()
    }

    /// Whether it was down.
    pub(super) fn up(&self) -> bool {
        self.set(|_| State::Up)
    }

    /// Whether that is news: it was up, or nothing was known. The time of the first reason
    /// stays, the reason is the last.
    pub(super) fn down(&self, why: impl Into<Arc<str>>, now: UnixMillis) -> bool {
        let (why, unknown) = (why.into(), self.is_unknown());
        let turned = self.set(|before| match before {
            State::Up => State::Down { since: now, why },
            State::Down { since, .. } => State::Down { since: *since, why },
        });
        turned || unknown
    }

    /// Whether it went from up to down or back.
    fn set(&self, next: impl FnOnce(&State) -> State) -> bool {
        let mut turned = false;
        // The sender's lock orders those who write at once.
        self.told.send_if_modified(|state| {
            let next = next(state);
            turned = next.is_up() != state.is_up();
            let changed = next != *state;
            if changed {
                self.up.store(next.is_up(), Ordering::Relaxed);
                self.state.store(Arc::new(next.clone()));
                *state = next;
            }
            changed
        });
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_since_when_and_tells_what_changes() {
        let cell = StateCell::new(UnixMillis(1));
        let mut changes = cell.changes();
        assert!(cell.is_unknown());
        assert!(cell.down("refused", UnixMillis(2)), "nothing was known before");
        assert!(!cell.is_unknown() && !cell.down("refused", UnixMillis(3)));
        assert_eq!(cell.get(), State::Down { since: UnixMillis(1), why: "refused".into() });
        assert!(cell.up() && !cell.up());
        assert!(changes.has_changed().unwrap() && changes.borrow_and_update().is_up());
        assert!(cell.down("mute", UnixMillis(9)));
        assert_eq!(cell.get(), State::Down { since: UnixMillis(9), why: "mute".into() });
    }
}
