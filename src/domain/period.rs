//! When does a budget begin anew? At midnight, on Monday or on the first of the month.
//!
//! All in UTC, in which every day has as many milliseconds and no clock is set back: what
//! a period costs can then be compared with what a provider bills.

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use super::time::UnixMillis;

/// A stretch of the calendar, in UTC.
///
/// Every week and every month begins with a day, so that a day that is not over ends no
/// longer period either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday, as ISO 8601 counts them.
    Week,
    /// From the first to the last of a month.
    Month,
}

impl Period {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The name as a budget spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// When the period that `at` lies in began.
    ///
    /// The week of the epoch began before it, which `UnixMillis` cannot say; it begins with
    /// the epoch here. What lies past the end of the year 9999 counts to its last period.
    pub fn start(self, at: UnixMillis) -> UnixMillis {
        midnight(self.first_day(date(at))).unwrap_or_default()
    }

    /// When the period that `at` lies in is over: the first moment of the next one.
    pub fn end(self, at: UnixMillis) -> UnixMillis {
        let first = self.first_day(date(at));
        let next = match self {
            Self::Day => first.tomorrow(),
            Self::Week => first.checked_add(7.days()),
            Self::Month => first.last_of_month().tomorrow(),
        };
        next.ok().and_then(midnight).unwrap_or(UnixMillis(u64::MAX))
    }

    fn first_day(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Week => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                // Only a date within days of the calendar's beginning has no Monday before it.
                date.checked_sub(since_monday.days()).unwrap_or(date)
            }
            Self::Month => date.first_of_month(),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn date(at: UnixMillis) -> Date {
    let last = Timestamp::MAX;
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(last);
    Offset::UTC.to_datetime(at).date()
}

/// `None` past the end of the calendar.
fn midnight(date: Date) -> Option<UnixMillis> {
    let at = Offset::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok()?;
    Some(UnixMillis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: u64 = 86_400_000;
    /// 9998-01-01.
    const LATE: u64 = 253_339_228_800_000;

    fn at(text: &str) -> UnixMillis {
        let at: Timestamp = text.parse().unwrap();
        UnixMillis(at.as_millisecond().try_into().unwrap())
    }

    fn assert_spans(period: Period, within: &str, from: &str, to: &str) {
        assert_eq!((period.start(at(within)), period.end(at(within))), (at(from), at(to)), "{period} of {within}");
    }

    #[test]
    fn a_day_runs_from_midnight_to_midnight() {
        assert_spans(Period::Day, "2026-03-29T00:00:00Z", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z");
        assert_spans(Period::Day, "2026-12-31T23:59:59.999Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
    }

    #[test]
    fn a_week_begins_on_monday() {
        let (from, to) = ("2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z");
        assert_spans(Period::Week, "2026-12-28T00:00:00Z", from, to);
        assert_spans(Period::Week, "2027-01-03T23:59:59.999Z", from, to);
        assert_spans(Period::Week, "1970-01-01T12:00:00Z", "1970-01-01T00:00:00Z", "1970-01-05T00:00:00Z");
    }

    #[test]
    fn a_month_is_as_long_as_the_calendar_says() {
        assert_spans(Period::Month, "2027-02-28T23:59:59Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z");
        assert_spans(Period::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
        assert_spans(Period::Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    }

    #[test]
    fn the_end_of_the_calendar_is_answered() {
        for period in Period::ALL {
            let (start, end) = (period.start(UnixMillis(u64::MAX)), period.end(UnixMillis(u64::MAX)));
            assert!(start < end && period.start(start) == start, "{period}");
            assert_eq!(end, UnixMillis(u64::MAX), "{period}");
        }
    }

    fn any_period() -> impl Strategy<Value = Period> {
        prop::sample::select(Period::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn a_moment_lies_within_its_period(period in any_period(), ms in 0..LATE) {
            let now = UnixMillis(ms);
            let (start, end) = (period.start(now), period.end(now));
            prop_assert!(start <= now && now < end);
            prop_assert_eq!(start.0 % DAY_MS, 0);
            prop_assert_eq!(end.0 % DAY_MS, 0);
        }

        #[test]
        fn periods_follow_one_another_without_a_gap(period in any_period(), ms in 0..LATE) {
            let now = UnixMillis(ms);
            let (start, end) = (period.start(now), period.end(now));
            prop_assert_eq!(period.start(end), end);
            prop_assert_eq!(period.start(UnixMillis(end.0 - 1)), start);
            prop_assert_eq!(period.end(start), end);
            let days = (end.0 - start.0) / DAY_MS;
            let lengths = match period {
                Period::Day => 1..=1,
                // The epoch's own week is cut short.
                Period::Week => if start.0 == 0 { 4..=4 } else { 7..=7 },
                Period::Month => 28..=31,
            };
            prop_assert!(lengths.contains(&days), "{days} days");
        }

        #[test]
        fn a_day_ends_no_later_than_what_it_lies_in(period in any_period(), ms in 0..LATE) {
            let now = UnixMillis(ms);
            prop_assert!(Period::Day.end(now) <= period.end(now));
            prop_assert!(Period::Day.start(now) >= period.start(now));
        }

        #[test]
        fn any_number_is_answered(period in any_period(), ms: u64) {
            let now = UnixMillis(ms);
            prop_assert!(period.start(now) <= now && now <= period.end(now));
        }
    }
}
