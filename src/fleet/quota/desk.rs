//! Where requests of one account wait for what has been asked. One question is under way at a
//! time, and it asks for all who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;
use crate::limits::{Account, Waiting};

/// What somebody wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// To come in, with so many tokens.
    Tokens(u64),
    /// To set so much aside.
    Money(PicoUsd),
}

impl Want {
    pub(super) fn amount(self) -> u64 {
        match self {
            Self::Tokens(tokens) => tokens,
            Self::Money(amount) => amount.0,
        }
    }

    /// Whether an account holds less than that and has to ask for more.
    pub(super) fn lacks(self, account: &Account, now: UnixMillis) -> bool {
        match self {
            Self::Tokens(tokens) => account.has_to_ask_to_enter(tokens, now),
            Self::Money(amount) => account.has_to_ask_to_spend(amount, now),
        }
    }
}

/// The desk of an account.
#[derive(Debug)]
pub(super) struct Desk {
    /// As the latest request knew it: its limits change with the configuration.
    pub(super) account: ArcSwap<Account>,
    /// For those who want to come in.
    pub(super) entry: Line,
    /// For those who want to spend.
    pub(super) spending: Line,
}

impl Desk {
    pub(super) fn of(account: Arc<Account>) -> Self {
        Self { account: ArcSwap::new(account), entry: Line::default(), spending: Line::default() }
    }

    /// Those who want to come in, for one of whom is asked.
    pub(super) fn waiting(&self, want: Option<Want>) -> Waiting {
        let Self { entry, .. } = self;
        Waiting { tokens: want.map(Want::amount), all_requests: entry.count(), all_tokens: entry.amount() }
    }

    /// The most that wanted to come in since somebody was answered.
    pub(super) fn most_waiting(&self) -> Waiting {
        let Self { entry, .. } = self;
        Waiting { tokens: None, all_requests: entry.most_count(), all_tokens: entry.most_amount() }
    }

    /// Where those wait who want this.
    pub(super) fn line(&self, want: Want) -> &Line {
        match want {
            Want::Tokens(_) => &self.entry,
            Want::Money(_) => &self.spending,
        }
    }
}

/// Those who wait for the same thing.
#[derive(Debug, Default)]
pub(super) struct Line {
    count: AtomicU64,
    amount: AtomicU64,
    /// The most that they were and wanted since somebody was answered.
    most: [AtomicU64; 2],
    asking: AtomicBool,
    answers: watch::Sender<u64>,
}

/// Somebody's place in a line; given up when dropped.
#[derive(Debug)]
pub(super) struct InLine<'l> {
    line: &'l Line,
    amount: u64,
}

/// The right to ask. When it is dropped, all who wait look at what came of it.
#[derive(Debug)]
pub(super) struct Turn<'l>(&'l Line);

impl Line {
    /// Joins those who wait.
    pub(super) fn join(&self, amount: u64) -> InLine<'_> {
        let count = self.count.fetch_add(1, Relaxed) + 1;
        let all = self.amount.fetch_add(amount, Relaxed).saturating_add(amount);
        self.most[0].fetch_max(count, Relaxed);
        self.most[1].fetch_max(all, Relaxed);
        InLine { line: self, amount }
    }

    /// How many wait.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// How much they want in all.
    pub(super) fn amount(&self) -> u64 {
        self.amount.load(Relaxed)
    }

    /// The most that have waited since somebody was answered.
    pub(super) fn most_count(&self) -> u64 {
        self.most[0].load(Relaxed)
    }

    /// The most that they wanted in all since somebody was answered.
    pub(super) fn most_amount(&self) -> u64 {
        self.most[1].load(Relaxed)
    }

    /// Somebody was answered.
    pub(super) fn answered(&self) {
        self.most[0].store(self.count(), Relaxed);
        self.most[1].store(self.amount(), Relaxed);
    }

    /// Takes the turn to ask, unless somebody has it.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        // What is asked is looked at after this, and what came of it is put down before the
        // turn ends: the locks of the account see to the order of both.
        let taken = self.asking.compare_exchange(false, true, Relaxed, Relaxed);
        taken.is_ok().then(|| Turn(self))
    }

    /// Tells of every answer from now on.
    pub(super) fn answers(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.line.count.fetch_sub(1, Relaxed);
        self.line.amount.fetch_sub(self.amount, Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.asking.store(false, Relaxed);
        self.0.answers.send_modify(|answers| *answers += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_asks_for_all_and_all_hear_of_it() {
        let line = Line::default();
        let (one, two) = (line.join(5), line.join(7));
        let mut answers = line.answers();
        let turn = line.turn().unwrap();
        assert!(line.turn().is_none());
        assert_eq!((line.count(), line.amount()), (2, 12));
        drop(one);
        assert_eq!((line.count(), line.amount()), (1, 7));
        assert_eq!((line.most_count(), line.most_amount()), (2, 12));
        line.answered();
        assert_eq!((line.most_count(), line.most_amount()), (1, 7));
        assert!(!answers.has_changed().unwrap());
        drop(turn);
        answers.changed().await.unwrap();
        assert!(line.turn().is_some());
        drop(two);
        assert_eq!((line.count(), line.amount()), (0, 0));
    }
}
