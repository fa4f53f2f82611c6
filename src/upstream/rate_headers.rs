//! What does a provider tell of its own limits, in the headers of any answer?
//!
//! OpenAI and those compatible with it: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`
//! with resets such as `1s`, `6m0s`, `17ms`. Anthropic:
//! `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`
//! with RFC 3339 times; the tightest kind of tokens counts. What cannot be read is ignored.

use std::time::Duration;

use http::HeaderMap;

use crate::domain::rate::{Allowance, RateHint};
use crate::domain::time::UnixMillis;

/// Longer times are not believed.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads the headers of an answer that has just come; `now` is asked where one of them matters.
pub fn rate_hint(headers: &HeaderMap, now: impl FnOnce() -> UnixMillis) -> RateHint {
    // To look for each by its name takes longer than to see that there is none.
    let ours = |name: &str| name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
    if !headers.keys().any(|name| ours(name.as_str())) {
        return RateHint::default();
    }
    let now = now();
    let read = |names: [&str; 3]| {
        let number = |name: &str| text(headers, name)?.parse::<u64>().ok();
        let allowance = Allowance {
            limit: number(names[0]),
            remaining: number(names[1]),
            reset_at: text(headers, names[2]).and_then(|text| reset(text, now)),
        };
        (allowance != Allowance::default()).then_some(allowance)
    };
    if headers.contains_key("anthropic-ratelimit-requests-remaining")
        || headers.contains_key("anthropic-ratelimit-tokens-remaining")
        || headers.contains_key("anthropic-ratelimit-input-tokens-remaining")
    {
        let tokens = [
            [
                "anthropic-ratelimit-tokens-limit",
                "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset",
            ],
            [
                "anthropic-ratelimit-input-tokens-limit",
                "anthropic-ratelimit-input-tokens-remaining",
                "anthropic-ratelimit-input-tokens-reset",
            ],
            [
                "anthropic-ratelimit-output-tokens-limit",
                "anthropic-ratelimit-output-tokens-remaining",
                "anthropic-ratelimit-output-tokens-reset",
            ],
        ];
        return RateHint {
            requests: read([
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ]),
            tokens: tokens.into_iter().filter_map(read).min_by(|a, b| left(a).total_cmp(&left(b))),
        };
    }
    RateHint {
        requests: read(["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
        tokens: read(["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The share that is left.
fn left(allowance: &Allowance) -> f64 {
    match (allowance.remaining, allowance.limit) {
        (Some(remaining), Some(limit)) => remaining as f64 / limit.max(1) as f64,
        (Some(0), None) => 0.0,
        _ => 1.0,
    }
}

/// A time from now, or a time of day.
fn reset(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    let wait = match rfc3339(text) {
        Some(at) => at.since(now),
        None => go_duration(text)?,
    };
    Some(now + wait.min(LONGEST))
}

/// `6m0s`, `1h2m3.5s`, `17ms`; a plain number is in seconds.
fn go_duration(text: &str) -> Option<Duration> {
    let seconds = |value: f64| (0.0..=1e6).contains(&value).then(|| Duration::from_secs_f64(value));
    if let Ok(plain) = text.parse::<f64>() {
        return seconds(plain);
    }
    let mut total = 0.0;
    let mut rest = text;
    if rest.is_empty() || rest.len() > 32 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let letters = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        total += value
            * match &unit[..letters] {
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "us" | "µs" => 1e-6,
                _ => return None,
            };
        rest = &unit[letters..];
    }
    seconds(total)
}

/// `2026-11-24T07:14:16Z`, with fractions and offsets.
fn rfc3339(text: &str) -> Option<UnixMillis> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let zone = text[19..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 5 => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    // Days since the epoch of a date of the Gregorian calendar (Howard Hinnant, "chrono-
    // Compatible Low-Level Date Algorithms").
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    Some(UnixMillis(u64::try_from(seconds).ok()?.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-24T07:14:16Z.
    const NOW: UnixMillis = UnixMillis(1_795_504_456_000);

    fn hint(pairs: &[(&'static str, &str)]) -> RateHint {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        rate_hint(&headers, || NOW)
    }

    #[test]
    fn openais_form_is_read() {
        let hint = hint(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        let at = |s: u64| Some(NOW + Duration::from_secs(s));
        assert_eq!(hint.requests, Some(Allowance { limit: Some(60), remaining: Some(59), reset_at: at(1) }));
        assert_eq!(hint.tokens, Some(Allowance { limit: None, remaining: Some(149_984), reset_at: at(360) }));
    }

    #[test]
    fn of_anthropics_kinds_of_tokens_the_tightest_counts() {
        let hint = hint(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-24T07:14:26Z"),
            ("anthropic-ratelimit-input-tokens-limit", "1000"),
            ("anthropic-ratelimit-input-tokens-remaining", "900"),
            ("anthropic-ratelimit-output-tokens-limit", "1000"),
            ("anthropic-ratelimit-output-tokens-remaining", "10"),
        ]);
        assert_eq!(hint.requests.unwrap().reset_at, Some(NOW + Duration::from_secs(10)));
        assert_eq!(hint.tokens.unwrap().remaining, Some(10));
    }

    #[test]
    fn times_of_many_forms_are_read_and_nonsense_is_not() {
        let s = Duration::from_secs_f64;
        assert_eq!(go_duration("17ms"), Some(s(0.017)));
        assert_eq!(go_duration("1h2m3.5s"), Some(s(3723.5)));
        assert_eq!(go_duration("12"), Some(s(12.0)));
        assert_eq!(rfc3339("2026-11-24T08:14:16.123+01:00"), Some(NOW));
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(UnixMillis(0)));
        for text in ["", "s", "1x", "-1s", "1e9h", "2026-11-24T07:14:16", "99999999999999999999s"] {
            assert_eq!(go_duration(text).filter(|_| true), None, "{text}");
            assert_eq!(rfc3339(text), None, "{text}");
        }
        assert_eq!(hint(&[("x-ratelimit-remaining-requests", "many")]), RateHint::default());
    }

    proptest! {
        #[test]
        fn any_value_is_borne(text in "[ -~]{0,40}") {
            let _ = (go_duration(&text), rfc3339(&text), reset(&text, NOW));
        }

        #[test]
        fn anything_like_a_time_is_borne(text in "[0-9TZ:.+-]{0,40}") {
            let reset = reset(&text, NOW);
            prop_assert!(reset.is_none_or(|at| at >= NOW && at <= NOW + LONGEST));
        }
    }
}
