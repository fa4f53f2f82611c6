//! May this request come in? Asked of every account it belongs to, before anything is done
//! for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use super::account::Account;
use super::refusal::{Lack, Refusal, worst};
use super::standing::Standing;
use crate::domain::time::UnixMillis;

/// A request that was let in, for as long as it is under way.
///
/// Dropped, it gives its places back and the tokens that it took and did not use.
#[must_use = "dropped, the request is over"]
#[derive(Debug)]
pub struct Permit {
    accounts: SmallVec<[Arc<Account>; 2]>,
    entered: UnixMillis,
    taken: u64,
    used: AtomicU64,
    /// The latest time that is known to have come, in milliseconds.
    latest: AtomicU64,
}

/// Lets a request of about `tokens` tokens in, with all `accounts` or with none: what one of
/// them gave is given back if the next refuses. Those that a caller has for itself belong
/// before those that it shares, so that its own refusals disturb nobody else.
///
/// # Errors
/// With the limit that would let it in last, if one is reached. A request that asks for more
/// tokens than a whole minute has, or for money of a budget that is used up, is told so
/// here.
pub fn enter(accounts: &[Arc<Account>], tokens: u64, now: UnixMillis) -> Result<Permit, Refusal> {
    for (at, account) in accounts.iter().enumerate() {
        if let Err(lack) = account.take(tokens, now) {
            accounts[..at].iter().for_each(|account| account.give_back(tokens, now));
            // Meanwhile somebody may have made room.
            let (account, lack) = worst(lacks(accounts, tokens, now)).unwrap_or((account, lack));
            return Err(lack.of(account));
        }
    }
    let (accounts, used, latest) = (accounts.iter().cloned().collect(), AtomicU64::new(0), AtomicU64::new(now.0));
    Ok(Permit { accounts, entered: now, taken: tokens, used, latest })
}

/// All that is in the way of such a request.
fn lacks(accounts: &[Arc<Account>], tokens: u64, now: UnixMillis) -> impl Iterator<Item = (&Account, Lack)> {
    accounts.iter().flat_map(move |account| account.lacks(tokens, now).into_iter().map(move |lack| (&**account, lack)))
}

impl Permit {
    /// The request has used so many tokens more, in one of its attempts. What goes beyond
    /// what was taken is taken now, though it be more than is left.
    pub fn used(&self, tokens: u64, now: UnixMillis) {
        self.latest.fetch_max(now.0, Relaxed);
        let sum = |used: u64| used.saturating_add(tokens);
        // Never refuses; both answers are what was there before.
        let (Ok(before) | Err(before)) = self.used.fetch_update(Relaxed, Relaxed, |used| Some(sum(used)));
        let beyond = sum(before).saturating_sub(before.max(self.taken));
        if beyond > 0 {
            self.accounts.iter().for_each(|account| account.charge(beyond, now));
        }
    }

    /// The accounts that it was let in by, in the order in which they were asked.
    pub fn accounts(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// What is left at `now` of the tightest limits of all its accounts.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        self.accounts.iter().map(|account| account.standing(now)).reduce(Standing::tightest).unwrap_or_default()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let unused = self.taken.saturating_sub(*self.used.get_mut());
        let latest = UnixMillis(*self.latest.get_mut());
        self.accounts.iter().for_each(|account| account.leave(unused, self.entered, latest));
    }
}
