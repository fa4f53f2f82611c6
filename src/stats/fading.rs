//! How often does something happen lately? A share that moves with every attempt and is
//! forgotten with time.

use std::time::Duration;

use crate::domain::time::UnixMillis;

/// What is left after so long of something that falls to 1/e in `memory`.
pub fn faded(after: Duration, memory: Duration) -> f64 {
    (-after.as_secs_f64() / memory.as_secs_f64()).exp()
}

/// A share in [0, 1].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fading {
    share: f64,
    at: UnixMillis,
    /// How far one attempt moves it.
    step: f64,
    /// It falls to 1/e in this time when nothing happens.
    memory: Duration,
}

impl Fading {
    /// Nothing has happened yet.
    pub fn new(step: f64, memory: Duration) -> Self {
        Self { share: 0.0, at: UnixMillis(0), step, memory }
    }

    /// It happened, or it did not.
    pub fn observe(&mut self, happened: bool, now: UnixMillis) {
        let share = self.get(now);
        self.share = share + self.step * (f64::from(u8::from(happened)) - share);
        self.at = self.at.max(now);
    }

    /// Of so many attempts until `at` it happened to some, nobody knows in which order.
    pub fn observe_many(&mut self, happened: u32, of: u32, at: UnixMillis) {
        if of == 0 {
            return;
        }
        let share = self.get(at);
        let kept = (1.0 - self.step).powf(f64::from(of));
        self.share = share * kept + (1.0 - kept) * f64::from(happened.min(of)) / f64::from(of);
        self.at = self.at.max(at);
    }

    /// Takes over a share that was moved last at `at`.
    pub fn adopt(&mut self, share: f64, at: UnixMillis) {
        (self.share, self.at) = (share, at);
    }

    /// As it was when it was last moved, and when that was.
    pub fn last(&self) -> (f64, UnixMillis) {
        (self.share, self.at)
    }

    /// Something has changed: what was seen before means less.
    pub fn forgive(&mut self) {
        self.share *= 0.2;
    }

    /// The share at `now`.
    pub fn get(&self, now: UnixMillis) -> f64 {
        if self.share == 0.0 {
            return 0.0;
        }
        self.share * faded(now.since(self.at), self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_nears_the_true_share_and_is_forgotten() {
        let mut failures = Fading::new(0.1, Duration::from_secs(30));
        for i in 0..400u64 {
            failures.observe(i % 4 == 0, UnixMillis(i));
        }
        assert!((failures.get(UnixMillis(400)) - 0.25).abs() < 0.1);
        assert!(failures.get(UnixMillis(120_400)) < 0.02);
    }

    #[test]
    fn many_at_once_move_it_as_far_as_one_after_the_other() {
        let mut one = Fading::new(0.1, Duration::from_secs(30));
        let mut many = one;
        (0..6).for_each(|i| one.observe(i % 2 == 0, UnixMillis(0)));
        many.observe_many(3, 6, UnixMillis(0));
        assert!((one.get(UnixMillis(0)) - many.get(UnixMillis(0))).abs() < 0.03);
        many.observe_many(5, 5, UnixMillis(0));
        many.observe_many(0, 0, UnixMillis(9_000_000));
        assert!(many.get(UnixMillis(0)) > 0.5);
    }
}
