//! What was used in the last sixty seconds? A window that slides by the second, because a
//! clock minute would reset all targets to a tie at the same moment.

use crate::domain::time::UnixMillis;

/// Requests, tokens and money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Attempts.
    pub requests: u64,
    /// Prompt and output tokens, reserved ones included.
    pub tokens: u64,
    /// In pico-dollars.
    pub cost: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            cost: self.cost.saturating_add(other.cost),
        }
    }
}

const SECONDS: usize = 60;

/// Usage of each of the last sixty seconds and their sum.
#[derive(Clone, Debug)]
pub struct Minute {
    seconds: [Usage; SECONDS],
    sum: Usage,
    /// The second, since the epoch, that is being filled.
    current: u64,
}

impl Default for Minute {
    fn default() -> Self {
        Self { seconds: [Usage::default(); SECONDS], sum: Usage::default(), current: 0 }
    }
}

impl Minute {
    /// Lets the window slide up to `now`.
    pub fn advance(&mut self, now: UnixMillis) {
        let second = now.as_secs();
        let passed = second.saturating_sub(self.current).min(SECONDS as u64);
        for step in 1..=passed {
            // The casts are of numbers below 60 and of slots below the array's length.
            let slot = &mut self.seconds[((second - passed + step) % SECONDS as u64) as usize];
            self.sum.requests -= slot.requests;
            self.sum.tokens -= slot.tokens;
            self.sum.cost -= slot.cost;
            *slot = Usage::default();
        }
        self.current = self.current.max(second);
    }

    /// Counts what was used or reserved.
    pub fn add(&mut self, usage: Usage, now: UnixMillis) {
        self.advance(now);
        let slot = &mut self.seconds[(self.current % SECONDS as u64) as usize];
        for (part, added) in [
            (&mut slot.requests, usage.requests),
            (&mut slot.tokens, usage.tokens),
            (&mut slot.cost, usage.cost),
            (&mut self.sum.requests, usage.requests),
            (&mut self.sum.tokens, usage.tokens),
            (&mut self.sum.cost, usage.cost),
        ] {
            // Beyond 2^40 in a minute a number is nonsense; bounding it keeps sums exact.
            *part += added.min(1 << 40);
        }
    }

    /// Gives back tokens that were reserved at `since` and not used, if the window has not
    /// slid past them.
    pub fn give_back(&mut self, tokens: u64, since: UnixMillis, now: UnixMillis) {
        self.advance(now);
        let second = since.as_secs();
        if second + (SECONDS as u64) <= self.current {
            return;
        }
        let slot = &mut self.seconds[(second % SECONDS as u64) as usize];
        let back = tokens.min(slot.tokens);
        slot.tokens -= back;
        self.sum.tokens -= back;
    }

    /// The sum of the window as it stood when it was last advanced.
    pub fn sum(&self) -> Usage {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis((1_000_000 + seconds) * 1000)
    }

    fn tokens(tokens: u64) -> Usage {
        Usage { requests: 1, tokens, cost: 0 }
    }

    #[test]
    fn the_window_slides_by_the_second() {
        let mut minute = Minute::default();
        minute.add(tokens(10), at(0));
        minute.add(tokens(5), at(30));
        minute.advance(at(59));
        assert_eq!(minute.sum(), Usage { requests: 2, tokens: 15, cost: 0 });
        minute.advance(at(60));
        assert_eq!(minute.sum(), Usage { requests: 1, tokens: 5, cost: 0 });
        minute.advance(at(10_000));
        assert_eq!(minute.sum(), Usage::default());
    }

    #[test]
    fn what_was_not_used_is_given_back_while_it_counts() {
        let mut minute = Minute::default();
        minute.add(tokens(100), at(0));
        minute.give_back(80, at(0), at(20));
        assert_eq!(minute.sum().tokens, 20);
        minute.give_back(80, at(0), at(70));
        assert_eq!(minute.sum().tokens, 0);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_slots(steps in proptest::collection::vec((0u64..30, 0u64..1000, any::<bool>()), 0..100)) {
            let mut minute = Minute::default();
            let mut now = 0;
            for (step, amount, back) in steps {
                now += step;
                if back {
                    minute.give_back(amount, at(now.saturating_sub(step)), at(now));
                } else {
                    minute.add(tokens(amount), at(now));
                }
                prop_assert_eq!(minute.sum().tokens, minute.seconds.iter().map(|s| s.tokens).sum::<u64>());
            }
        }
    }
}
