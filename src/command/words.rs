//! How are times, money and counts told to people? Short, and never more exactly than they
//! are meant.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::time::UnixMillis;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Text that moves no cursor and breaks no line, whoever wrote it.
pub fn plain(text: &str) -> String {
    // Marks that turn the direction of writing show another text than there is.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Lines of text, each as [`plain`], but for tabs.
pub fn plain_lines(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(plain).collect::<Vec<_>>().join("\t") + "\n";
    text.lines().map(line).collect()
}

/// A moment that has passed, or will come: `now`, `3 min ago`, `in 2 h`; beyond a month its
/// day.
pub fn when(at_ms: u64, now: UnixMillis) -> String {
    let apart = at_ms.abs_diff(now.0);
    let long = match apart {
        0..1000 => return "now".to_owned(),
        1000..MINUTE_MS => format!("{} s", apart / 1000),
        MINUTE_MS..HOUR_MS => format!("{} min", apart / MINUTE_MS),
        HOUR_MS..DAY_MS => format!("{} h", apart / HOUR_MS),
        _ if apart < 31 * DAY_MS => format!("{} d", apart / DAY_MS),
        _ => return day(UnixMillis(at_ms)).map_or_else(|| "?".to_owned(), |day| day.to_string()),
    };
    if at_ms > now.0 { format!("in {long}") } else { format!("{long} ago") }
}

/// The day of a moment, in UTC.
pub fn day(at: UnixMillis) -> Option<Date> {
    let at = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(TimeZone::UTC.to_datetime(at).date())
}

/// A moment, exactly: `2026-11-01T12:00:00Z`.
pub fn moment(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "?".to_owned(), |at| at.to_string())
}

/// US dollars, to a hundredth of a cent.
pub fn money(usd: f64) -> String {
    if usd > 0.0 && usd < 0.000_05 { "<$0.0001".to_owned() } else { format!("${usd:.4}") }
}

/// A price per million tokens, with two decimals or as many as it has.
pub fn price(usd: f64) -> String {
    let text = format!("{usd:.6}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = part.trim_end_matches('0');
    format!("${whole}.{part:0<2}")
}

/// A count, its thousands set apart: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 alias`, `3 aliases`.
pub fn many(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Milliseconds.
pub fn ms(ms: f64) -> String {
    if ms < 999.5 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1000.0) }
}

/// A length of time, in seconds: a number of seconds, or one with `s`, `m`, `h`, `d` or `w`.
///
/// # Errors
/// If it is none.
pub fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a length of time such as 90s, 30m, 24h, 7d or 2w");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    digits.parse::<u32>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_793_534_400_000);

    #[test]
    fn moments_are_told_from_now() {
        let ago = |ms| when(NOW.0 - ms, NOW);
        assert_eq!((ago(0), ago(59_999)), ("now".into(), "59 s ago".into()));
        assert_eq!((ago(3 * MINUTE_MS), ago(5 * HOUR_MS)), ("3 min ago".into(), "5 h ago".into()));
        assert_eq!((ago(30 * DAY_MS), ago(31 * DAY_MS)), ("30 d ago".into(), "2026-10-01".into()));
        assert_eq!(when(NOW.0 + 2 * HOUR_MS, NOW), "in 2 h");
        assert_eq!(when(u64::MAX, NOW), "?");
        assert_eq!(moment(NOW.0), "2026-11-01T12:00:00Z");
    }

    #[test]
    fn money_and_counts_are_short() {
        assert_eq!((money(0.0), money(0.01234), money(12.5)), ("$0.0000".into(), "$0.0123".into(), "$12.5000".into()));
        assert_eq!((money(0.000_01), money(0.000_05)), ("<$0.0001".into(), "$0.0001".into()));
        assert_eq!(
            (price(1.25), price(5.0), price(0.025), price(0.0)),
            ("$1.25".into(), "$5.00".into(), "$0.025".into(), "$0.00".into())
        );
        assert_eq!(
            (count(0), count(999), count(1_000), count(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
        assert_eq!((many(1, "alias", "aliases"), many(0, "alias", "aliases")), ("1 alias".into(), "0 aliases".into()));
        assert_eq!((ms(999.4), ms(1234.0)), ("999 ms".into(), "1.2 s".into()));
    }

    #[test]
    fn lengths_of_time_have_units() {
        let read = |text| seconds(text).unwrap();
        assert_eq!(
            (read("90"), read("30m"), read("24h"), read("7d"), read("2w"), read("0")),
            (90, 1800, 86_400, 604_800, 1_209_600, 0)
        );
        for wrong in ["", "d", "1y", "-1s", "1.5h", "99999999w", "1 d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn control_characters_do_nothing() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(plain_lines("a\tb\r\nc\u{7}"), "a\tb\nc\u{fffd}\n");
    }

    proptest! {
        #[test]
        fn any_length_of_time_is_answered(text in ".{0,12}") {
            let _ = seconds(&text);
        }
    }
}
