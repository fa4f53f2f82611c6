//! When does the provider want to be asked again?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

use crate::domain::time::UnixMillis;

/// Longer waits are not believed: a provider's clock or code is wrong, and an hour later
/// somebody looks.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads `retry-after-ms` and `retry-after` (seconds or an HTTP date, RFC 9110 §10.2.3).
pub fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|t| t.parse::<f64>().ok()).map(|ms| ms / 1000.0);
    let seconds = || text("retry-after").and_then(|t| t.parse::<f64>().ok());
    let date = || {
        let at = httpdate::parse_http_date(text("retry-after")?).ok()?;
        let now: SystemTime = UNIX_EPOCH + Duration::from_millis(now.0);
        Some(at.duration_since(now).unwrap_or_default().as_secs_f64())
    };
    millis.or_else(seconds).or_else(date).filter(|s| *s >= 0.0).map(bounded)
}

fn bounded(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        // Sun, 06 Nov 1994 08:49:37 GMT
        retry_after(&headers, UnixMillis(784_111_777_000))
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_is_ignored_and_ages_are_bounded() {
        for text in ["", "-1", "soon", "NaN"] {
            assert_eq!(read("retry-after", text), None, "{text:?}");
        }
        assert_eq!(read("retry-after", "1e300"), Some(LONGEST));
        assert_eq!(read("retry-after", "inf"), Some(LONGEST));
    }
}
