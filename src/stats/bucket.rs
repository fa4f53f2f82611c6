//! How much may still be sent? A bucket of tokens or requests that refills by the minute,
//! with what was reserved and not used given back.
//!
//! The algorithm is the one by which providers limit their callers: full at the start, and
//! refilled continuously. The governor library's buckets do the same, but neither show how
//! much is left, which ranking needs, nor take anything back.

use crate::domain::time::UnixMillis;

/// A bucket.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    per_minute: f64,
    left: f64,
    at: UnixMillis,
}

impl Bucket {
    /// A full one.
    pub fn new(per_minute: u64) -> Self {
        Self { per_minute: per_minute as f64, left: per_minute as f64, at: UnixMillis(0) }
    }

    /// What is left at `now`; negative where more was used than had been reserved.
    pub fn left(&self, now: UnixMillis) -> f64 {
        (self.left + now.since(self.at).as_secs_f64() / 60.0 * self.per_minute).min(self.per_minute)
    }

    /// The share that is used up at `now`, 1 where nothing is left.
    pub fn used(&self, now: UnixMillis) -> f64 {
        1.0 - self.left(now) / self.per_minute
    }

    /// When `amount` is there again; more than the bucket holds counts as all of it.
    pub fn ready_at(&self, amount: f64, now: UnixMillis) -> UnixMillis {
        let lacking = amount.min(self.per_minute) - self.left(now);
        if lacking <= 0.0 {
            return now;
        }
        // At most the refilling of two whole buckets, unless far more was used than reserved.
        now + std::time::Duration::from_millis((lacking / self.per_minute * 60_000.0).ceil().min(3.6e6) as u64)
    }

    /// Takes `amount`; a negative one gives back.
    pub fn take(&mut self, amount: f64, now: UnixMillis) {
        self.left = (self.left(now) - amount).min(self.per_minute);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_refills_by_the_minute_and_never_overflows() {
        let mut bucket = Bucket::new(600);
        bucket.take(600.0, UnixMillis(0));
        assert_eq!(bucket.ready_at(10.0, UnixMillis(0)), UnixMillis(1000));
        assert_eq!(bucket.left(UnixMillis(1000)), 10.0);
        assert_eq!(bucket.left(UnixMillis(10_000_000)), 600.0);
    }

    #[test]
    fn what_is_given_back_can_be_used_again() {
        let mut bucket = Bucket::new(100);
        bucket.take(90.0, UnixMillis(0));
        bucket.take(-50.0, UnixMillis(0));
        assert_eq!(bucket.left(UnixMillis(0)), 60.0);
        bucket.take(-500.0, UnixMillis(0));
        assert_eq!(bucket.left(UnixMillis(0)), 100.0);
    }

    #[test]
    fn more_than_it_holds_waits_for_a_full_one() {
        let mut bucket = Bucket::new(60);
        assert_eq!(bucket.ready_at(1e9, UnixMillis(5)), UnixMillis(5));
        bucket.take(1.0, UnixMillis(5));
        assert_eq!(bucket.ready_at(1e9, UnixMillis(5)), UnixMillis(1005));
    }
}
