//! When is the next attempt? Later each time, and never with everybody else at once.

use std::time::Duration;

use rand::RngExt;

use super::Timing;

/// The waits between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(timing: &Timing) -> Self {
        Self { first: timing.first_wait, longest: timing.longest_wait, next: timing.first_wait }
    }

    /// The next wait: between half of what is due and all of it.
    pub(super) fn wait(&mut self) -> Duration {
        let due = self.next;
        self.next = (due * 2).min(self.longest);
        due.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// An attempt has worked out.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(&Timing::default());
        let waits: Vec<u128> = (0..7).map(|_| backoff.wait().as_millis()).collect();
        for (wait, due) in waits.iter().zip([100, 200, 400, 800, 1600, 2000, 2000]) {
            assert!((due / 2..=due).contains(wait), "{waits:?}");
        }
        backoff.reset();
        assert!(backoff.wait().as_millis() <= 100);
    }
}
