//! How a caller narrows the choice for one request, in headers that no SDK fights over.
//!
//! | header | meaning |
//! |---|---|
//! | `x-pointsman-only` | use only these providers or endpoints, comma-separated |
//! | `x-pointsman-ignore` | use none of these |
//! | `x-pointsman-order` | try these first, in this order |
//! | `x-pointsman-max-attempts` | at most so many upstream calls; never more than the alias allows |
//! | `x-pointsman-category` | what the prompt asks for; see [`super::category`] |
//! | `x-pointsman-timeout-ms` | give up if no content has come by then; never later than the alias says |

use std::time::Duration;

use http::HeaderMap;

use super::error::GatewayError;
use crate::domain::alias::RequestLimits;
use crate::routing::Narrowing;

/// More names than this in one header are refused.
const MAX_NAMES: usize = 32;

/// Reads the headers.
///
/// # Errors
/// If one of them cannot be read.
pub fn narrowing(headers: &HeaderMap) -> Result<Narrowing, GatewayError> {
    if !says_something(headers) {
        return Ok(Narrowing::default());
    }
    Ok(Narrowing {
        only: names(headers, "x-pointsman-only")?,
        ignore: names(headers, "x-pointsman-ignore")?,
        order: names(headers, "x-pointsman-order")?,
    })
}

/// How a caller tightens the limits of whatever alias serves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tightening {
    max_attempts: Option<u32>,
    deadline: Option<Duration>,
}

/// Reads how the caller tightens limits.
///
/// # Errors
/// If a header is no positive number.
pub fn tightening(headers: &HeaderMap) -> Result<Tightening, GatewayError> {
    if !says_something(headers) {
        return Ok(Tightening::default());
    }
    let attempts = number(headers, "x-pointsman-max-attempts")?;
    let ms = number(headers, "x-pointsman-timeout-ms")?;
    Ok(Tightening {
        max_attempts: attempts.map(|attempts| u32::try_from(attempts).unwrap_or(u32::MAX)),
        deadline: ms.map(Duration::from_millis),
    })
}

impl Tightening {
    /// Limits, tightened.
    pub fn of(self, limits: RequestLimits) -> RequestLimits {
        RequestLimits {
            max_attempts: limits.max_attempts.min(self.max_attempts.unwrap_or(u32::MAX)),
            deadline: limits.deadline.min(self.deadline.unwrap_or(Duration::MAX)),
            ..limits
        }
    }
}

/// Whether any header is one of ours: most requests have none, and to look for each by its name
/// takes longer.
fn says_something(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-pointsman-"))
}

fn names(headers: &HeaderMap, name: &'static str) -> Result<Vec<String>, GatewayError> {
    let mut names = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| GatewayError::header(name, "names, separated by commas"))?;
        names.extend(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    }
    if names.len() > MAX_NAMES {
        return Err(GatewayError::header(name, "at most 32 names"));
    }
    Ok(names)
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, GatewayError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0);
    number.map(Some).ok_or_else(|| GatewayError::header(name, "a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn names_come_from_all_headers_of_the_name() {
        let narrowing = narrowing(&headers(&[
            ("x-pointsman-only", "a, b"),
            ("x-pointsman-only", "m@c,"),
            ("x-pointsman-order", "b"),
        ]))
        .unwrap();
        assert_eq!(narrowing.only, ["a", "b", "m@c"]);
        assert_eq!(narrowing.order, ["b"]);
        assert!(narrowing.ignore.is_empty());
    }

    #[test]
    fn callers_tighten_limits_and_never_loosen_them() {
        let base = RequestLimits::default();
        let tightened = |pairs: &[_]| tightening(&headers(pairs)).unwrap().of(base);
        let tight = tightened(&[("x-pointsman-max-attempts", "1"), ("x-pointsman-timeout-ms", "1500")]);
        assert_eq!((tight.max_attempts, tight.deadline), (1, Duration::from_millis(1500)));
        let loose = tightened(&[("x-pointsman-max-attempts", "99"), ("x-pointsman-timeout-ms", "999999999")]);
        assert_eq!(loose, base);
        assert_eq!(tightened(&[]), base);
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        for bad in ["0", "-1", "soon", ""] {
            assert!(tightening(&headers(&[("x-pointsman-max-attempts", bad)])).is_err(), "{bad:?}");
        }
    }
}
