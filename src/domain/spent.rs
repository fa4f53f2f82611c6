//! How much was spent in the periods that run now?

use super::money::PicoUsd;
use super::period::Period;
use super::time::UnixMillis;

/// What was spent in one period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// When the period began.
    pub start: UnixMillis,
    /// What was spent since.
    pub spent: PicoUsd,
}

/// What was spent in the last day, week and month in which anything was.
///
/// The default has spent nothing, ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// The day's.
    pub day: Window,
    /// The week's.
    pub week: Window,
    /// The month's.
    pub month: Window,
}

impl Spent {
    /// The window of a period, which may be over.
    pub fn window(&self, period: Period) -> Window {
        match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
        }
    }

    /// What was spent in this period, which may be over; see [`at`](Self::at).
    pub fn get(&self, period: Period) -> PicoUsd {
        self.window(period).spent
    }

    /// As it stands at `now`: where a window is over, nothing was spent yet in the next.
    ///
    /// A window that begins after `now` stays: a clock that was set back makes nobody any
    /// richer.
    #[must_use]
    pub fn at(&self, now: UnixMillis) -> Self {
        let current = |period: Period| {
            let (window, start) = (self.window(period), period.start(now));
            if window.start < start { Window { start, spent: PicoUsd(0) } } else { window }
        };
        Self { day: current(Period::Day), week: current(Period::Week), month: current(Period::Month) }
    }

    /// Adds what was spent at `now` to each period.
    pub fn add(&mut self, amount: PicoUsd, now: UnixMillis) {
        *self = self.at(now);
        self.add_to_all(amount);
    }

    /// Adds to all windows as they are: for whoever has just made sure by
    /// [`at`](Self::at) that none is over, which costs more than the sums.
    pub fn add_to_all(&mut self, amount: PicoUsd) {
        for window in [&mut self.day, &mut self.week, &mut self.month] {
            window.spent = PicoUsd(window.spent.0.saturating_add(amount.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: u64 = 86_400_000;
    /// Wednesday, 2026-12-30.
    const START: u64 = 1_798_588_800_000;

    fn day(days: u64) -> UnixMillis {
        UnixMillis(START + days * DAY_MS)
    }

    fn amounts(spent: Spent) -> [u64; 3] {
        Period::ALL.map(|period| spent.get(period).0)
    }

    #[test]
    fn each_period_begins_anew_at_its_own_time() {
        let mut spent = Spent::default();
        spent.add(PicoUsd(1), day(0));
        spent.add(PicoUsd(2), day(1));
        assert_eq!(amounts(spent), [2, 3, 3]);
        // Friday, the first of January.
        assert_eq!(amounts(spent.at(day(2))), [0, 3, 0]);
        spent.add(PicoUsd(4), day(2));
        assert_eq!(amounts(spent), [4, 7, 4]);
        // Monday.
        assert_eq!(amounts(spent.at(day(5))), [0, 0, 4]);
        assert_eq!(spent.at(day(5)).week.start, day(5));
    }

    #[test]
    fn a_clock_set_back_forgets_nothing() {
        let mut spent = Spent::default();
        spent.add(PicoUsd(1), day(1));
        assert_eq!(amounts(spent.at(day(0))), [1, 1, 1]);
        spent.add(PicoUsd(1), day(0));
        assert_eq!(amounts(spent.at(day(1))), [2, 2, 2]);
    }

    #[test]
    fn sums_stop_at_the_largest_amount() {
        let mut spent = Spent::default();
        spent.add(PicoUsd(u64::MAX), day(0));
        spent.add(PicoUsd(1), day(0));
        assert_eq!(amounts(spent), [u64::MAX; 3]);
    }

    proptest! {
        #[test]
        fn a_longer_period_spends_no_less(adds in prop::collection::vec((0..1000u64, 0..DAY_MS * 3), 0..30)) {
            let (mut spent, mut now) = (Spent::default(), UnixMillis(START));
            let mut log = Vec::new();
            for (amount, after) in adds {
                now.0 += after;
                spent.add(PicoUsd(amount), now);
                log.push((now, amount));
            }
            for period in Period::ALL {
                let since = period.start(now);
                let sum: u64 = log.iter().filter(|(at, _)| *at >= since).map(|(_, amount)| amount).sum();
                prop_assert_eq!(spent.at(now).get(period), PicoUsd(sum));
            }
        }
    }
}
