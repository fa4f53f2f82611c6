//! May this attempt cost what it is expected to cost? Asked of everybody who has a budget
//! for it, and set aside with all of them or with none.

use std::sync::Arc;

use smallvec::SmallVec;

use super::account::Account;
use super::purse::Exhausted;
use super::refusal::{Lack, Limit, Refusal, Wait, worst};
use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;

/// Money set aside for one attempt. Dropped, it is free again: nothing was spent.
#[must_use = "dropped, it sets nothing aside"]
#[derive(Debug)]
pub struct Reservation {
    /// Emptied when it is settled.
    accounts: SmallVec<[Arc<Account>; 4]>,
    amount: PicoUsd,
}

/// Sets `amount` aside with all `accounts`, or with none. What costs nothing is always
/// allowed.
///
/// # Errors
/// If a budget of one of them has less than that left; with the one that would allow it last.
pub fn reserve(accounts: &[Arc<Account>], amount: PicoUsd, now: UnixMillis) -> Result<Reservation, Refusal> {
    let mut reservation = Reservation { accounts: SmallVec::new(), amount };
    for account in accounts {
        if let Err(exhausted) = account.purse().reserve(&account.limits().budgets, amount, now) {
            drop(reservation);
            // Meanwhile somebody may have made room.
            let (account, lack) = worst(lacks(accounts, amount, now)).unwrap_or((account, exhausted.into()));
            return Err(lack.of(account));
        }
        reservation.accounts.push(Arc::clone(account));
    }
    Ok(reservation)
}

/// What [`reserve`] would refuse with, if it would however much was asked for.
pub fn would_refuse(accounts: &[Arc<Account>], amount: PicoUsd, now: UnixMillis) -> Option<Refusal> {
    let lacks = lacks(accounts, amount, now).filter(|(_, lack)| lack.wait != Wait::Ask);
    worst(lacks).map(|(account, lack)| lack.of(account))
}

/// All budgets that are in the way of such an attempt.
fn lacks(accounts: &[Arc<Account>], amount: PicoUsd, now: UnixMillis) -> impl Iterator<Item = (&Account, Lack)> {
    accounts.iter().filter_map(move |account| {
        let exhausted = account.purse().look(&account.limits().budgets, amount, now).err()?;
        Some((&**account, exhausted.into()))
    })
}

impl Reservation {
    /// What is set aside.
    pub fn amount(&self) -> PicoUsd {
        self.amount
    }

    /// The attempt has cost `actual`, be it more or less than was set aside.
    pub fn settle(mut self, actual: PicoUsd, now: UnixMillis) {
        for account in std::mem::take(&mut self.accounts) {
            account.purse().settle(self.amount, actual, now);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for account in &self.accounts {
            account.purse().release(self.amount);
        }
    }
}

impl From<Exhausted> for Lack {
    fn from(exhausted: Exhausted) -> Self {
        Self { limit: Limit::Budget(exhausted.budget), wait: exhausted.wait }
    }
}
