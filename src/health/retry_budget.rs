//! How often may a failed call be repeated at the same endpoint before retries make an
//! outage worse?
//!
//! Finagle's retry budget: every request earns a fraction of a retry, and a few per second
//! are free so that quiet services can retry at all. Only repeats at the same endpoint and
//! last-resort attempts draw on it; going on to another candidate spreads load instead of
//! multiplying it, and the breakers bound it.

use crate::domain::time::UnixMillis;

/// A token bucket in thousandths of a retry.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    milli: u64,
    refilled_at: UnixMillis,
}

/// Thousandths of a retry that each request earns: 20 %.
const PER_REQUEST: u64 = 200;
/// Retries per second that are free.
const PER_SECOND: u64 = 3;
/// Ten seconds of free retries, and what a busy gateway may save up.
const CAP: u64 = 100_000;

impl RetryBudget {
    /// A budget with ten seconds of free retries in it.
    pub fn new(now: UnixMillis) -> Self {
        Self { milli: 10 * PER_SECOND * 1000, refilled_at: now }
    }

    /// A request came in.
    pub fn deposit(&mut self) {
        self.milli = (self.milli + PER_REQUEST).min(CAP);
    }

    /// Takes one retry; `false` if there is none left.
    pub fn withdraw(&mut self, now: UnixMillis) -> bool {
        // Milliseconds times retries per second are thousandths of a retry.
        let free = now.0.saturating_sub(self.refilled_at.0).saturating_mul(PER_SECOND);
        self.refilled_at = self.refilled_at.max(now);
        self.milli = self.milli.saturating_add(free).min(CAP);
        let enough = self.milli >= 1000;
        if enough {
            self.milli -= 1000;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained() -> RetryBudget {
        let mut budget = RetryBudget::new(UnixMillis(0));
        let mut free = 0;
        while budget.withdraw(UnixMillis(0)) {
            free += 1;
        }
        assert_eq!(free, 30);
        budget
    }

    #[test]
    fn five_requests_earn_one_retry() {
        let mut budget = drained();
        for _ in 0..5 {
            assert!(!budget.withdraw(UnixMillis(0)));
            budget.deposit();
        }
        assert!(budget.withdraw(UnixMillis(0)));
        assert!(!budget.withdraw(UnixMillis(0)));
    }

    #[test]
    fn three_a_second_are_free() {
        let mut budget = drained();
        assert!(!budget.withdraw(UnixMillis(333)));
        assert!(budget.withdraw(UnixMillis(334)));
        assert!(!budget.withdraw(UnixMillis(334)));
    }
}
