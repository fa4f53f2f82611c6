//! How do people write a length of time or a size? A number and a unit.

use std::time::Duration;

/// `"30s"`, `"500ms"`, `"1.5m"`, `"2h"`; `None` if it is nothing of that form.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    from_seconds(number * seconds)
}

/// A length of time in seconds, to the microsecond; `None` if it is negative or not finite.
pub(super) fn from_seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64((seconds * 1e6).round() / 1e6).ok()
}

/// `"32MiB"`, `"1MB"`, `"512 B"` in bytes; `None` if it is nothing of that form.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let bytes: f64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let size = (number * bytes).round();
    // Below 2⁵³ every whole number is exact, and so is the cast.
    (size <= 9e15).then_some(size as u64)
}

/// The largest unit that says a number of bytes exactly.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// The largest unit that says a length of time exactly.
pub(super) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.into_iter().find(|(_, unit)| ms >= *unit && ms.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2 h"), Some(Duration::from_secs(7200)));
        for wrong in ["30", "s", "", "-1s", "1e3s", "1s2", "1 fortnight", "9999999999999999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        assert_eq!(size("32MiB"), Some(32 << 20));
        assert_eq!(size("1MB"), Some(1_000_000));
        assert_eq!(size("1.5 kib"), Some(1536));
        for wrong in ["32", "MiB", "-1B", "1XB", "99999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0u64..10_000_000, bytes in 0u64..1 << 40) {
            prop_assert_eq!(duration(&show_duration(Duration::from_millis(ms))), Some(Duration::from_millis(ms)));
            prop_assert_eq!(size(&show_size(bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,20}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
