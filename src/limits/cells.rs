//! May another so many cells pass, of which so many may in a minute?
//!
//! By the generic cell rate algorithm, GCRA (ITU-T I.371, the ATM Forum's traffic management
//! 4.1), as the governor library works it out. Its whole state is one number, the *theoretical
//! arrival time*: the moment at which everything that passed so far has been made good. A
//! cell moves it on by the time that one cell takes; none may move it more than a minute
//! ahead of now. So it is a bucket that is full at first and refills continuously.
//!
//! The state is kept here and not by governor, for three reasons: what did not pass after
//! all is given back, what is left can be told, and the time is that of the call. Governor
//! asks a clock; a limiter is therefore made for one check, on the stack, and its time
//! stands still. [`Moment`] translates between its time, which begins at zero, and ours.
//!
//! Governor counts in whole nanoseconds for a cell. Limits up to some ten million a minute
//! are kept to within a hundredth of a percent, those of a billion to within a few percent.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::refusal::Wait;
use super::standing::RateLeft;
use crate::domain::time::UnixMillis;

/// Nobody waits longer than this to make good what was used beyond the limit: a provider
/// that reports nonsense shuts a caller out for no more than an hour.
const DEEPEST: u64 = 3_600_000_000_000;
const NANOS_PER_MS: u64 = 1_000_000;

/// A bucket of cells. All times are nanoseconds since the epoch.
#[derive(Debug)]
pub(super) struct Cells {
    quota: Quota,
    /// The theoretical arrival time: when the bucket is full again.
    tat: AtomicU64,
    /// When a cell last found the bucket full.
    found_full: AtomicU64,
}

impl Cells {
    /// A full bucket.
    pub(super) fn per_minute(limit: NonZeroU32) -> Self {
        Self { quota: Quota::per_minute(limit), tat: AtomicU64::new(0), found_full: AtomicU64::new(0) }
    }

    /// How many cells may pass in a minute.
    pub(super) fn limit(&self) -> NonZeroU32 {
        self.quota.burst_size()
    }

    /// Takes `cells`, all of them or none.
    pub(super) fn take(&self, cells: u64, now: UnixMillis) -> Result<(), Wait> {
        self.check(cells, Moment { cells: self, now: nanos(now), takes: true })
    }

    /// What [`take`](Self::take) would answer.
    pub(super) fn look(&self, cells: u64, now: UnixMillis) -> Result<(), Wait> {
        self.check(cells, Moment { cells: self, now: nanos(now), takes: false })
    }

    fn check(&self, cells: u64, moment: Moment<'_>) -> Result<(), Wait> {
        if cells == 0 {
            return Ok(());
        }
        let cells = u32::try_from(cells).ok().and_then(NonZeroU32::new).ok_or(Wait::Never)?;
        let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> = RateLimiter::new(self.quota, moment, Stopped);
        match limiter.check_n(cells) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(Wait::For(whole_ms(until.wait_time_from(Stopped.now()).as_nanos()))),
            Err(_more_than_all) => Err(Wait::Never),
        }
    }

    /// Gives back what was just taken, as if it had not been.
    pub(super) fn give_back(&self, cells: u64) {
        let worth = self.worth(cells);
        // Never refuses.
        let _ = self.tat.fetch_update(AcqRel, Acquire, |tat| Some(tat.saturating_sub(worth)));
    }

    /// Gives back what was taken at `taken` and not used.
    ///
    /// If the bucket was found full since, it has refilled what was taken, and whoever found
    /// it so could have it: what was given back then would be there twice. If it was nearly
    /// full, a part of it may be. Over time no more than the limit and its refill is used all
    /// the same; only within one minute it may be more by that part.
    pub(super) fn give_back_unused(&self, cells: u64, taken: UnixMillis) {
        let (taken, worth) = (nanos(taken), self.worth(cells));
        let refilled = || self.found_full.load(Relaxed) > taken;
        // Refuses where there is nothing to do.
        let _ = self.tat.fetch_update(AcqRel, Acquire, |tat| (!refilled()).then(|| tat.saturating_sub(worth)));
    }

    /// Takes what was used already, though it be more than is left.
    pub(super) fn charge(&self, cells: u64, now: UnixMillis) {
        let (now, worth) = (nanos(now), self.worth(cells));
        let deepest = now.saturating_add(DEEPEST);
        let charged = |tat: u64| tat.max(now).saturating_add(worth).min(deepest).max(tat);
        // Never refuses.
        let _ = self.tat.fetch_update(AcqRel, Acquire, |tat| Some(charged(tat)));
    }

    /// What is left at `now`.
    pub(super) fn left(&self, now: UnixMillis) -> RateLeft {
        let owed = self.tat.load(Acquire).saturating_sub(nanos(now));
        let spare = self.worth(u64::from(self.limit().get())).saturating_sub(owed);
        // Divides by at least 13 ns, and what is left is at most the limit.
        let remaining = spare.checked_div(self.worth(1)).and_then(|cells| u32::try_from(cells).ok()).unwrap_or(0);
        RateLeft { limit: self.limit(), remaining, resets_in: whole_ms(u128::from(owed)) }
    }

    /// The time that so many cells take.
    fn worth(&self, cells: u64) -> u64 {
        // A minute at most.
        let one = u64::try_from(self.quota.replenish_interval().as_nanos()).unwrap_or(u64::MAX);
        one.saturating_mul(cells)
    }
}

/// The state as it is at one moment, which governor's time begins with.
struct Moment<'a> {
    cells: &'a Cells,
    now: u64,
    /// Or only looks.
    takes: bool,
}

impl StateStore for Moment<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = &self.cells.tat;
        let mut tat = state.load(Acquire);
        loop {
            // Governor's sums need some room; what is that far ahead is refused anyway.
            let ahead = tat.saturating_sub(self.now).min(u64::MAX / 2);
            let (answer, next) = decide(Some(Nanos::new(ahead)))?;
            if !self.takes {
                return Ok(answer);
            }
            if tat <= self.now && self.cells.found_full.load(Relaxed) < self.now {
                // Before the exchange, so that whoever sees its result sees this too.
                self.cells.found_full.fetch_max(self.now, Relaxed);
            }
            match state.compare_exchange_weak(tat, self.now.saturating_add(next.as_u64()), AcqRel, Acquire) {
                Ok(_) => return Ok(answer),
                Err(seen) => tat = seen,
            }
        }
    }
}

/// The clock of a limiter that is made for one moment.
#[derive(Clone, Copy)]
struct Stopped;

impl Clock for Stopped {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}

fn nanos(at: UnixMillis) -> u64 {
    at.0.saturating_mul(NANOS_PER_MS)
}

/// Rounded up, so that after so many milliseconds the time has come.
fn whole_ms(nanos: u128) -> Duration {
    let ms = nanos.div_ceil(u128::from(NANOS_PER_MS));
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn cells(limit: u32) -> Cells {
        Cells::per_minute(NonZeroU32::new(limit).unwrap())
    }

    fn after(ms: u64) -> UnixMillis {
        UnixMillis(NOW.0 + ms)
    }

    fn remaining(cells: &Cells, now: UnixMillis) -> u32 {
        cells.left(now).remaining
    }

    #[test]
    fn it_is_full_at_first_and_refills_continuously() {
        let cells = cells(60);
        assert_eq!(cells.take(60, NOW), Ok(()));
        assert_eq!(cells.take(1, NOW), Err(Wait::For(Duration::from_secs(1))));
        assert_eq!(cells.take(1, after(999)), Err(Wait::For(Duration::from_millis(1))));
        assert_eq!(cells.take(1, after(1000)), Ok(()));
        assert_eq!(cells.left(after(1000)).resets_in, Duration::from_secs(60));
        assert_eq!(remaining(&cells, after(3_600_000)), 60);
    }

    #[test]
    fn more_than_a_minutes_worth_never_passes() {
        let cells = cells(60);
        assert_eq!(cells.take(61, NOW), Err(Wait::Never));
        assert_eq!(cells.take(u64::MAX, NOW), Err(Wait::Never));
        assert_eq!(cells.take(60, NOW), Ok(()));
    }

    #[test]
    fn looking_takes_nothing() {
        let cells = cells(60);
        assert_eq!(cells.look(60, NOW), Ok(()));
        assert_eq!(cells.take(60, NOW), Ok(()));
        assert_eq!(cells.look(60, NOW), Err(Wait::For(Duration::from_secs(60))));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let cells = cells(60);
        cells.take(60, NOW).unwrap();
        cells.give_back_unused(20, NOW);
        assert_eq!(remaining(&cells, NOW), 20);
        cells.take(20, NOW).unwrap();
        cells.give_back_unused(60, NOW);
        cells.give_back(1000);
        assert_eq!(remaining(&cells, NOW), 60);
    }

    #[test]
    fn what_has_refilled_is_not_given_back() {
        let cells = cells(60);
        cells.take(60, NOW).unwrap();
        cells.take(60, after(60_000)).unwrap();
        cells.give_back_unused(60, NOW);
        assert_eq!(remaining(&cells, after(60_000)), 0);
        cells.give_back_unused(60, after(60_000));
        assert_eq!(remaining(&cells, after(60_000)), 60);
    }

    #[test]
    fn what_was_used_beyond_the_limit_is_made_good_first() {
        let cells = cells(60);
        cells.charge(90, NOW);
        assert_eq!(remaining(&cells, NOW), 0);
        assert_eq!(cells.take(1, NOW), Err(Wait::For(Duration::from_secs(31))));
        assert_eq!(cells.take(1, after(31_000)), Ok(()));
        assert_eq!(cells.take(0, NOW), Ok(()), "nothing is always there");
    }

    #[test]
    fn nonsense_is_made_good_within_an_hour() {
        let cells = cells(60);
        cells.charge(u64::MAX, NOW);
        cells.charge(u64::MAX, NOW);
        assert_eq!(cells.take(1, after(3_600_000)), Ok(()));
        cells.charge(1, UnixMillis(u64::MAX));
        let _ = (cells.take(1, UnixMillis(u64::MAX)), cells.left(UnixMillis(0)));
        assert!(cells.take(60, UnixMillis(0)).is_err());
    }

    #[test]
    fn the_largest_limit_has_cells_too() {
        let cells = cells(u32::MAX);
        cells.take(u64::from(u32::MAX), NOW).unwrap();
        assert_eq!(remaining(&cells, NOW), 0);
        assert_eq!(remaining(&cells, after(60_000)), u32::MAX);
    }
}
