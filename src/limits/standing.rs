//! What is left of an account's limits? For the headers of an answer, and for people.

use std::num::NonZeroU32;
use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::budget::Budget;
use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;

/// What is left of a limit per minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLeft {
    /// How many may pass in a minute.
    pub limit: NonZeroU32,
    /// How many may pass now.
    pub remaining: u32,
    /// After which time the whole limit is there, if nothing else comes; in whole
    /// milliseconds.
    pub resets_in: Duration,
}

/// What is left of a budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BudgetLeft {
    /// The budget.
    pub budget: Budget,
    /// What is neither spent nor reserved.
    pub remaining: PicoUsd,
    /// When it begins anew.
    pub resets_at: UnixMillis,
}

/// What is left of all limits that there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Of requests.
    pub requests: Option<RateLeft>,
    /// Of tokens.
    pub tokens: Option<RateLeft>,
    /// Of budgets, the shortest period first; at most one for each.
    pub budgets: SmallVec<[BudgetLeft; 3]>,
}

impl Standing {
    /// Of each limit the one of which less is left: what somebody may do for whom both hold.
    #[must_use]
    pub fn tightest(mut self, other: Self) -> Self {
        self.requests = fewer(self.requests, other.requests);
        self.tokens = fewer(self.tokens, other.tokens);
        for theirs in other.budgets {
            match self.budgets.iter_mut().find(|own| own.budget.period == theirs.budget.period) {
                Some(own) if own.remaining <= theirs.remaining => {}
                Some(own) => *own = theirs,
                None => self.budgets.push(theirs),
            }
        }
        self.budgets.sort_by_key(|left| left.budget.period);
        self
    }
}

fn fewer(one: Option<RateLeft>, other: Option<RateLeft>) -> Option<RateLeft> {
    one.into_iter().chain(other).min_by_key(|left| left.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(remaining: u32) -> Option<RateLeft> {
        Some(RateLeft { limit: NonZeroU32::MAX, remaining, resets_in: Duration::ZERO })
    }

    fn budget(text: &str, remaining: u64) -> BudgetLeft {
        BudgetLeft { budget: text.parse().unwrap(), remaining: PicoUsd(remaining), resets_at: UnixMillis(0) }
    }

    #[test]
    fn of_two_the_tighter_is_shown() {
        let key = Standing {
            requests: rate(5),
            tokens: None,
            budgets: [budget("$1/day", 3), budget("$9/month", 7)].into_iter().collect(),
        };
        let project = Standing {
            requests: rate(6),
            tokens: rate(9),
            budgets: [budget("$2/week", 1), budget("$8/month", 6)].into_iter().collect(),
        };
        let both = Standing {
            requests: rate(5),
            tokens: rate(9),
            budgets: [budget("$1/day", 3), budget("$2/week", 1), budget("$8/month", 6)].into_iter().collect(),
        };
        assert_eq!(key.clone().tightest(project.clone()), both);
        assert_eq!(project.tightest(key), both);
    }
}
