//! What does an account ask of what all replicas share, and what comes of it? The seam between
//! accounts, which never wait, and those who carry their questions to Redis.

use super::account::Account;
use super::allowance::{SpendAsk, SpendGrant};
use super::refusal::{Refusal, Wait};
use super::share::{EntryAsk, EntryGrant, Peers, Waiting};
use crate::domain::money::PicoUsd;
use crate::domain::spent::Spent;
use crate::domain::time::UnixMillis;

/// Attempts that wait for money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WaitingSpend {
    /// What the one costs that asks; nothing if nothing is waited for.
    pub amount: PicoUsd,
    /// What all cost, this one included.
    pub all: PicoUsd,
}

/// Requests and places.
impl Account {
    /// Whether such a request could come in if more was asked for.
    pub fn has_to_ask_to_enter(&self, tokens: u64, now: UnixMillis) -> bool {
        self.lacks(tokens, now).iter().any(|lack| lack.wait == Wait::Ask)
    }

    /// What is to be asked for a request, or only told.
    pub fn ask_to_enter(&self, waiting: Waiting, peers: Peers, now: UnixMillis) -> EntryAsk {
        self.share().map(|share| share.ask(self.measure(now), waiting, peers)).unwrap_or_default()
    }

    /// What came of it.
    pub fn may_enter(&self, ask: &EntryAsk, grant: &EntryGrant, now: UnixMillis) {
        if let Some(share) = self.share() {
            share.granted(ask, grant, now);
        }
    }

    /// Nobody answered. If they may have heard it all the same, nothing is said twice.
    pub fn entry_unanswered(&self, ask: &EntryAsk, may_have_happened: bool, now: UnixMillis) {
        if let Some(share) = self.share() {
            share.unanswered(ask, may_have_happened, now);
        }
    }

    /// From now on nobody can be asked, until somebody answers.
    pub fn enter_apart(&self, waiting: Waiting, peers: Peers, now: UnixMillis) {
        if let Some(share) = self.share() {
            share.part(self.limits(), waiting, peers, now);
        }
    }

    /// Whether something has to be told though no request waits.
    pub fn has_to_tell_of_entries(&self, now: UnixMillis) -> bool {
        self.share().is_some_and(|share| share.is_due(self.measure(now)))
    }

    /// Whether it is known that something of a limit per minute was taken that has not refilled:
    /// a Redis that has lost it has to be told.
    pub fn has_taken(&self, now: UnixMillis) -> bool {
        self.share().is_some_and(|share| share.has_taken(self.limits(), now))
    }
}

/// Budgets.
impl Account {
    /// Whether an attempt could be paid for if more was asked for.
    pub fn has_to_ask_to_spend(&self, amount: PicoUsd, now: UnixMillis) -> bool {
        let looked = self.purse().look(&self.limits().budgets, amount, now);
        looked.is_err_and(|exhausted| exhausted.wait == Wait::Ask)
    }

    /// What is to be told, and asked for an attempt; `None` where nothing is shared.
    pub fn ask_to_spend(&self, waiting: WaitingSpend, now: UnixMillis) -> Option<SpendAsk> {
        let (budgets, amounts) = (self.limits().budgets, [waiting.amount, waiting.all]);
        self.purse().shared(now, |allowance, spent, reserved| allowance.ask(budgets, *spent, reserved, amounts, now))
    }

    /// What came of it.
    pub fn may_spend(&self, ask: &SpendAsk, grant: &SpendGrant, now: UnixMillis) {
        self.purse().shared(now, |allowance, _, _| allowance.granted(ask, grant, now));
    }

    /// Nobody answered. What was told is told again, as it is then.
    pub fn spend_unanswered(&self, ask: &SpendAsk, now: UnixMillis) {
        self.purse().shared(now, |allowance, _, _| allowance.unanswered(ask));
    }

    /// From now on nobody can be asked, until somebody answers.
    pub fn spend_apart(&self, waiting: PicoUsd, peers: Peers, now: UnixMillis) {
        let budgets = self.limits().budgets;
        self.purse()
            .shared(now, |allowance, spent, reserved| allowance.part(budgets, *spent, reserved, waiting, peers));
    }

    /// Whether something has to be told though no attempt waits.
    pub fn has_to_tell_of_spending(&self, now: UnixMillis) -> bool {
        let is_due = self.purse().shared(now, |allowance, _, reserved| allowance.is_due(reserved, now));
        !self.limits().budgets.is_empty() && is_due.unwrap_or(false)
    }

    /// Whether this process has spent anything of a running period that is limited: a Redis
    /// that has lost it has to be told.
    pub fn has_spent(&self, now: UnixMillis) -> bool {
        !self.limits().budgets.is_empty() && self.purse().own(now) != Spent::default().at(now)
    }
}

impl Account {
    /// Whether it holds nothing of what is shared, and nothing is to be told.
    pub fn is_idle(&self, now: UnixMillis) -> bool {
        let spending = self.purse().shared(now, |allowance, _, _| allowance.is_idle());
        self.share().is_none_or(|share| share.is_idle(self.measure(now)))
            && (self.limits().budgets.is_empty() || spending.unwrap_or(true))
    }
}

impl Refusal {
    /// Nobody had time for more questions: it may pass when others have ended.
    #[must_use]
    pub fn unasked(self) -> Self {
        let wait = if self.wait == Wait::Ask { Wait::Others } else { self.wait };
        Self { wait, ..self }
    }
}
