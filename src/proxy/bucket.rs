//! A rate that is not exceeded for long, in one number: the generic cell rate algorithm (GCRA),
//! of which only the time is kept at which the bucket will be empty again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// So many at once, and one more after each `every`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) burst: u32,
    pub(super) every: Duration,
}

impl Bucket {
    /// Puts one in. `cell` begins with 0; `now` is the time since some beginning that is the same
    /// at every call.
    ///
    /// # Errors
    /// If it is full: the time after which another fits.
    pub(super) fn take(&self, cell: &AtomicU64, now: Duration) -> Result<(), Duration> {
        let (now, every) = (micros(now), micros(self.every));
        let room = every.saturating_mul(u64::from(self.burst));
        let mut wait = 0;
        let taken = cell.fetch_update(Relaxed, Relaxed, |empty_at| {
            let next = empty_at.max(now).saturating_add(every);
            wait = next.saturating_sub(now.saturating_add(room));
            (wait == 0).then_some(next)
        });
        taken.map(drop).map_err(|_| Duration::from_micros(wait))
    }

    /// Puts so many in, and says how long they have to wait until they fit: `longest` at most, however
    /// many wait already.
    pub(super) fn reserve(&self, cell: &AtomicU64, now: Duration, many: u64, longest: Duration) -> Duration {
        let (now, every) = (micros(now), micros(self.every));
        let at_once = now.saturating_add(every.saturating_mul(u64::from(self.burst)));
        let latest = at_once.saturating_add(micros(longest));
        let next = |empty_at: u64| empty_at.max(now).saturating_add(every.saturating_mul(many)).min(latest);
        let (Ok(before) | Err(before)) = cell.fetch_update(Relaxed, Relaxed, |empty_at| Some(next(empty_at)));
        Duration::from_micros(next(before).saturating_sub(at_once))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_fits_then_one_at_a_time() {
        let (bucket, cell) = (Bucket { burst: 3, every: SECOND }, AtomicU64::new(0));
        let now = 1000 * SECOND;
        for _ in 0..3 {
            assert_eq!(bucket.take(&cell, now), Ok(()));
        }
        assert_eq!(bucket.take(&cell, now), Err(SECOND));
        assert_eq!(bucket.take(&cell, now + SECOND / 4), Err(SECOND * 3 / 4), "what is refused is not counted");
        assert_eq!(bucket.take(&cell, now + SECOND), Ok(()));
        assert_eq!(bucket.take(&cell, now + SECOND), Err(SECOND));
        for _ in 0..3 {
            assert_eq!(bucket.take(&cell, now + 100 * SECOND), Ok(()), "it empties, but no further than that");
        }
        assert!(bucket.take(&cell, now + 100 * SECOND).is_err());
    }

    #[test]
    fn who_reserves_waits_for_all_that_did_before() {
        let (bucket, cell) = (Bucket { burst: 2, every: SECOND }, AtomicU64::new(0));
        let now = 1000 * SECOND;
        let mut waits = (0..7).map(|_| bucket.reserve(&cell, now, 1, 4 * SECOND).as_secs());
        assert_eq!(waits.by_ref().collect::<Vec<_>>(), [0, 0, 1, 2, 3, 4, 4], "the last as long as the one before");
        assert_eq!(bucket.reserve(&cell, now + 3 * SECOND / 2, 1, 4 * SECOND), 7 * SECOND / 2);
        assert_eq!(bucket.reserve(&cell, now + 100 * SECOND, 1, 4 * SECOND), Duration::ZERO);
        assert_eq!(bucket.reserve(&cell, now + 100 * SECOND, 3, 4 * SECOND), 2 * SECOND);
    }
}
