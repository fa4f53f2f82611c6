//! May this be spent? What was spent and what is promised, against budgets.
//!
//! What an attempt will cost is known only when it has ended, so that what it is expected
//! to cost is set aside first. Money that is set aside counts against every budget, in
//! whatever period it is settled; money that is spent counts in the period of settlement.

use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use thiserror::Error;

use super::allowance::Allowance;
use super::refusal::Wait;
use super::standing::BudgetLeft;
use crate::domain::budget::{Budget, Budgets};
use crate::domain::money::PicoUsd;
use crate::domain::period::Period;
use crate::domain::spent::Spent;
use crate::domain::time::UnixMillis;

/// A budget does not allow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("too little is left of the budget of {budget}")]
pub struct Exhausted {
    /// The budget; of several the one that would allow it last.
    pub budget: Budget,
    /// When it would. Others have to end first where only what is set aside is in the way.
    pub wait: Wait,
}

/// What was spent by somebody, and what is set aside.
///
/// Budgets are handed in with every call: they change with the configuration, while what
/// was spent stays.
#[derive(Debug)]
pub struct Purse {
    /// Held for a few instructions at a time.
    ledger: Mutex<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    /// By this process.
    spent: Spent,
    reserved: PicoUsd,
    /// What it may spend of budgets that all replicas share, and what the others have.
    allowance: Option<Box<Allowance>>,
    /// When `spent` has to be looked through for windows that are over: no sooner than with
    /// the day, as no other ends before.
    day_end: UnixMillis,
}

impl Purse {
    /// With what was spent before.
    pub fn new(spent: Spent) -> Self {
        let ledger = Ledger { spent, reserved: PicoUsd(0), allowance: None, day_end: UnixMillis(0) };
        Self { ledger: Mutex::new(ledger) }
    }

    /// From now on the budgets are shared with other replicas.
    pub(super) fn join(&self) {
        self.lock().allowance.get_or_insert_default();
    }

    /// Does something with what is shared, if that is: with what this process has spent of the
    /// running periods, and what it has set aside.
    pub(super) fn shared<T>(
        &self,
        now: UnixMillis,
        act: impl FnOnce(&mut Allowance, &Spent, PicoUsd) -> T,
    ) -> Option<T> {
        let mut ledger = self.at(now);
        let Ledger { spent, reserved, allowance, .. } = &mut *ledger;
        allowance.as_mut().map(|allowance| act(allowance, spent, *reserved))
    }

    /// Sets `amount` aside. What costs nothing is always allowed, even if budgets are used
    /// up.
    ///
    /// # Errors
    /// If a budget has less than that left, of what is neither spent nor set aside; nothing
    /// is changed then.
    pub fn reserve(&self, budgets: &Budgets, amount: PicoUsd, now: UnixMillis) -> Result<(), Exhausted> {
        if amount == PicoUsd(0) {
            return Ok(());
        }
        let mut ledger = self.at(now);
        ledger.allows(budgets, amount, now)?;
        ledger.reserved = PicoUsd(ledger.reserved.0.saturating_add(amount.0));
        if let Some(allowance) = &mut ledger.allowance {
            allowance.reserved(amount, now);
        }
        Ok(())
    }

    /// What [`reserve`](Self::reserve) would answer.
    ///
    /// # Errors
    /// As it does.
    pub fn look(&self, budgets: &Budgets, amount: PicoUsd, now: UnixMillis) -> Result<(), Exhausted> {
        if amount == PicoUsd(0) { Ok(()) } else { self.at(now).allows(budgets, amount, now) }
    }

    /// What was set aside, all of it or a part, is spent or was not needed.
    pub fn settle(&self, reserved: PicoUsd, actual: PicoUsd, now: UnixMillis) {
        let mut ledger = self.at(now);
        ledger.release(reserved);
        ledger.spent.add_to_all(actual);
        if let Some(allowance) = &mut ledger.allowance {
            allowance.spent(actual);
        }
    }

    /// What was set aside was not needed.
    pub fn release(&self, reserved: PicoUsd) {
        self.lock().release(reserved);
    }

    /// A budget that is used up already, by what was spent alone; of several the one whose
    /// period ends last.
    pub fn used_up(&self, budgets: &Budgets, now: UnixMillis) -> Option<Exhausted> {
        if budgets.is_empty() {
            return None;
        }
        let spent = self.spent(now);
        let used_up = |budget: &Budget| {
            let spent = spent.get(budget.period);
            // A budget of nothing is not used up by nothing: what is free may be used.
            spent > PicoUsd(0) && spent >= budget.amount
        };
        latest(budgets.iter().filter(used_up).map(|budget| Exhausted { budget, wait: end_of(budget.period, now) }))
    }

    /// What was spent in the periods that run at `now`, by all replicas as far as it is known.
    pub fn spent(&self, now: UnixMillis) -> Spent {
        self.at(now).spent_by_all()
    }

    /// What this process has spent of them.
    pub(super) fn own(&self, now: UnixMillis) -> Spent {
        self.at(now).spent
    }

    /// What is set aside.
    pub fn reserved(&self) -> PicoUsd {
        self.lock().reserved
    }

    /// What is left of the tightest budget, if there is one.
    pub fn left(&self, budgets: &Budgets, now: UnixMillis) -> Option<BudgetLeft> {
        self.left_of_each(budgets, now).into_iter().min_by_key(|left| left.remaining)
    }

    /// What is left of each budget, the shortest period first.
    pub fn left_of_each(&self, budgets: &Budgets, now: UnixMillis) -> SmallVec<[BudgetLeft; 3]> {
        if budgets.is_empty() {
            return SmallVec::new();
        }
        let (spent, reserved) = {
            let ledger = self.at(now);
            (ledger.spent_by_all(), ledger.reserved)
        };
        let left = |budget: Budget| BudgetLeft {
            budget,
            remaining: PicoUsd(budget.amount.0.saturating_sub(spent.get(budget.period).0).saturating_sub(reserved.0)),
            resets_at: budget.period.end(now),
        };
        budgets.iter().map(left).collect()
    }

    /// The ledger, with the windows of `now`.
    fn at(&self, now: UnixMillis) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.lock();
        if now >= ledger.day_end {
            ledger.spent = ledger.spent.at(now);
            if let Some(allowance) = &mut ledger.allowance {
                allowance.begin_periods(now);
            }
            ledger.day_end = Period::Day.end(now);
        }
        ledger
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // A panic elsewhere leaves plain numbers behind, which are as good as before.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn allows(&self, budgets: &Budgets, amount: PicoUsd, now: UnixMillis) -> Result<(), Exhausted> {
        latest(budgets.iter().filter_map(|budget| self.short(budget, amount, now))).map_or(Ok(()), Err)
    }

    /// Whether a budget has less than `amount` left.
    fn short(&self, budget: Budget, amount: PicoUsd, now: UnixMillis) -> Option<Exhausted> {
        // Sums of a few such amounts fit in twice the bits.
        let sum = |amounts: &[PicoUsd]| amounts.iter().map(|amount| u128::from(amount.0)).sum::<u128>();
        let (spent, allowed) = (self.spent_by_all().get(budget.period), u128::from(budget.amount.0));
        let others = self.allowance.as_ref().map_or(PicoUsd(0), |allowance| allowance.set_aside_by_others(now));
        let wait = if sum(&[amount]) > allowed {
            Wait::Never
        } else if sum(&[amount, spent]) > allowed {
            end_of(budget.period, now)
        } else if sum(&[amount, spent, self.reserved, others]) > allowed {
            Wait::Others
        } else {
            let allowance = self.allowance.as_ref()?;
            allowance.allows(budget.period, amount, self.reserved, &self.spent).err()?
        };
        Some(Exhausted { budget, wait })
    }

    fn spent_by_all(&self) -> Spent {
        self.allowance.as_ref().map_or(self.spent, |allowance| allowance.with_others(&self.spent))
    }

    fn release(&mut self, reserved: PicoUsd) {
        self.reserved = PicoUsd(self.reserved.0.saturating_sub(reserved.0));
    }
}

fn end_of(period: Period, now: UnixMillis) -> Wait {
    Wait::For(period.end(now).since(now))
}

fn latest(exhausted: impl Iterator<Item = Exhausted>) -> Option<Exhausted> {
    exhausted.max_by_key(|exhausted| exhausted.wait)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DOLLAR: u64 = 1_000_000_000_000;
    const DAY: Duration = Duration::from_secs(86_400);
    /// Wednesday, 2026-12-30, at noon.
    const NOON: UnixMillis = UnixMillis(1_798_632_000_000);

    fn usd(dollars: u64) -> PicoUsd {
        PicoUsd(dollars * DOLLAR)
    }

    fn budgets(texts: &[&str]) -> Budgets {
        let mut budgets = Budgets::default();
        texts.iter().for_each(|text| budgets.insert(text.parse().unwrap()).unwrap());
        budgets
    }

    fn refused(purse: &Purse, budgets: &Budgets, amount: PicoUsd, now: UnixMillis) -> (String, Wait) {
        let exhausted = purse.reserve(budgets, amount, now).unwrap_err();
        (exhausted.budget.to_string(), exhausted.wait)
    }

    #[test]
    fn what_is_spent_or_set_aside_counts() {
        let (purse, budgets) = (Purse::new(Spent::default()), budgets(&["$10/day"]));
        purse.reserve(&budgets, usd(6), NOON).unwrap();
        assert_eq!(refused(&purse, &budgets, usd(5), NOON), ("$10/day".into(), Wait::Others));
        purse.reserve(&budgets, usd(4), NOON).unwrap();
        purse.settle(usd(6), usd(3), NOON);
        assert_eq!(purse.left(&budgets, NOON).unwrap().remaining, usd(3));
        purse.release(usd(4));
        assert_eq!(purse.left(&budgets, NOON).unwrap().remaining, usd(7));
        assert_eq!(refused(&purse, &budgets, usd(8), NOON), ("$10/day".into(), Wait::For(DAY / 2)));
        assert_eq!(refused(&purse, &budgets, usd(11), NOON), ("$10/day".into(), Wait::Never));
        purse.reserve(&budgets, usd(7), NOON).unwrap();
        assert_eq!((purse.spent(NOON).day.spent, purse.reserved()), (usd(3), usd(7)));
    }

    #[test]
    fn what_costs_nothing_is_always_allowed() {
        let (purse, budgets) = (Purse::new(Spent::default()), budgets(&["$0/day"]));
        assert_eq!(purse.reserve(&budgets, usd(0), NOON), Ok(()));
        assert_eq!(purse.used_up(&budgets, NOON), None);
        assert_eq!(refused(&purse, &budgets, PicoUsd(1), NOON).1, Wait::Never);
        purse.settle(usd(0), usd(1), NOON);
        assert_eq!(purse.reserve(&budgets, usd(0), NOON), Ok(()));
        assert!(purse.used_up(&budgets, NOON).is_some());
    }

    #[test]
    fn the_budget_that_would_allow_it_last_is_named() {
        let (purse, budgets) = (Purse::new(Spent::default()), budgets(&["$1/day", "$5/week", "$5/month"]));
        purse.settle(usd(0), usd(5), NOON);
        // The month ends on Thursday, the week on Sunday.
        let (budget, wait) = refused(&purse, &budgets, usd(1), NOON);
        assert_eq!((budget.as_str(), wait), ("$5/week", Wait::For(DAY * 9 / 2)));
        let used_up = purse.used_up(&budgets, NOON).unwrap();
        assert_eq!((used_up.budget.to_string(), used_up.wait), (budget, wait));
    }

    #[test]
    fn a_settlement_in_a_later_period_counts_there_and_only_there() {
        let (purse, budgets) = (Purse::new(Spent::default()), budgets(&["$10/day", "$20/week"]));
        let tomorrow = NOON + DAY;
        purse.reserve(&budgets, usd(6), NOON).unwrap();
        assert_eq!(purse.left(&budgets, tomorrow).unwrap().remaining, usd(4), "set aside in every period");
        purse.settle(usd(6), usd(5), tomorrow);
        let left = purse.left_of_each(&budgets, tomorrow);
        assert_eq!(left[0].remaining, usd(5));
        assert_eq!(left[0].resets_at, NOON + DAY * 3 / 2);
        assert_eq!(left[1].remaining, usd(15));
        assert_eq!(purse.left(&budgets, tomorrow + DAY).unwrap().remaining, usd(10));
    }

    #[test]
    fn what_was_spent_before_counts_while_its_period_lasts() {
        let mut spent = Spent::default();
        spent.add(usd(9), NOON);
        let (purse, budgets) = (Purse::new(spent), budgets(&["$10/day"]));
        assert!(purse.reserve(&budgets, usd(2), NOON).is_err());
        purse.reserve(&budgets, usd(2), NOON + DAY).unwrap();
    }

    #[test]
    fn a_period_that_begins_anew_allows_what_it_refused() {
        let (purse, budgets) = (Purse::new(Spent::default()), budgets(&["$10/day", "$15/month"]));
        purse.settle(usd(0), usd(12), NOON);
        let (_, wait) = refused(&purse, &budgets, usd(4), NOON);
        let Wait::For(wait) = wait else { panic!("{wait:?}") };
        assert!(purse.reserve(&budgets, usd(4), NOON + wait - Duration::from_millis(1)).is_err());
        assert_eq!(purse.reserve(&budgets, usd(4), NOON + wait), Ok(()));
    }

    #[test]
    fn sums_stop_at_the_largest_amount() {
        let (purse, budgets) = (Purse::new(Spent::default()), budgets(&["$18446744.073709551615/day"]));
        let most = PicoUsd(u64::MAX);
        purse.reserve(&budgets, most, NOON).unwrap();
        assert_eq!(purse.reserve(&budgets, PicoUsd(1), NOON).unwrap_err().wait, Wait::Others);
        purse.reserve(&Budgets::NONE, most, NOON).unwrap();
        purse.settle(most, most, NOON);
        purse.settle(most, most, NOON);
        assert_eq!(purse.left(&budgets, NOON).unwrap().remaining, PicoUsd(0));
    }
}
