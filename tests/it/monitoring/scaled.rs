//! The rules with another clock: what takes an hour takes seconds here.
//!
//! Every duration becomes a much shorter one, in the same order, and so do the few numbers
//! that go with them: how many requests have to come within them, and ages in seconds.

use super::files::text;

/// Each duration in the rules, and the seconds that become of it.
const CLOCK: &[(&str, u32)] = &[
    ("1m", 2),
    ("2m", 2),
    ("5m", 3),
    ("10m", 4),
    ("15m", 12),
    ("30m", 6),
    ("1h", 6),
    ("2h", 5),
    ("6h", 7),
    ("1d", 7),
    ("3d", 8),
];

/// What else there is.
const NUMBERS: &[(&str, &str)] = &[
    ("_age_seconds > 15", "_age_seconds > 3"),
    ("[10m])) >= 3\n", "[10m])) >= 1\n"),
    ("[15m])) >= 6\n", "[15m])) >= 4\n"),
    ("])) > 10\n", "])) > 3\n"),
    ("])) > 20\n", "])) > 2\n"),
    ("\"(.+)\")) > 20\n", "\"(.+)\")) > 3\n"),
];

/// Both files of rules, by a clock that runs so many times slower than [`CLOCK`].
pub fn rules(slower: u32) -> Vec<(&'static str, String)> {
    ["rules.yml", "alerts.yml"].map(|name| (name, scaled(&text(&format!("grafana/prometheus/{name}")), slower))).into()
}

fn scaled(text: &str, slower: u32) -> String {
    let mut text = text.to_owned();
    for (long, short) in NUMBERS {
        text = text.replace(long, short);
    }
    for (long, seconds) in CLOCK {
        let short = format!("{}s", seconds * slower);
        // No short one is a long one, so that none is scaled twice.
        text = text.replace(&format!("[{long}]"), &format!("[{short}]"));
        text = text.replace(&format!("for: {long}\n"), &format!("for: {short}\n"));
    }
    text
}

#[test]
fn no_duration_is_left_as_it_was() {
    for (name, text) in rules(1) {
        let ranges = text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(range, _)| range);
        let waits = text.split("for: ").skip(1).filter_map(|rest| rest.split_once('\n')).map(|(wait, _)| wait);
        for duration in ranges.chain(waits) {
            let known = CLOCK.iter().any(|(_, seconds)| format!("{seconds}s") == duration);
            assert!(known, "{name}: {duration}");
        }
    }
}
