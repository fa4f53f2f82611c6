//! No header of a client or of a provider makes its reader panic, and what is read stays within
//! its bounds.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use pointsman::domain::alias::RequestLimits;
use pointsman::domain::category::{CategoryScheme, Tier};
use pointsman::domain::grouping::Grouping;
use pointsman::domain::ids::AliasIdx;
use pointsman::domain::time::UnixMillis;
use pointsman::proxy::auth::shown_key;
use pointsman::proxy::category::hinted;
use pointsman::proxy::multipart::boundary;
use pointsman::proxy::narrowing::{narrowing, tightening};
use pointsman::telemetry::traces::{came_with, tell};
use pointsman::upstream::rate_headers::rate_hint;
use pointsman::upstream::retry_after::retry_after;

/// 2026-11-24T07:14:16Z.
const NOW: UnixMillis = UnixMillis(1_795_504_456_000);
const HOUR: Duration = Duration::from_secs(3600);

/// Lines of `name: value`; others are passed over.
fn read(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii_start());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// An alias that believes what it is told.
fn believing() -> Grouping {
    let scheme = CategoryScheme::built_in(Tier::Fast);
    let groups = scheme.categories.iter().map(|_| AliasIdx(1)).collect();
    Grouping { scheme, groups, default: AliasIdx(0), pin: false, hint: true }
}

/// What is told of a trace is what was heard of it.
fn trace(headers: &HeaderMap) {
    let (mut told, mut again) = (HeaderMap::new(), HeaderMap::new());
    tell(&came_with(headers), &mut told);
    tell(&came_with(&told), &mut again);
    assert_eq!(told, again);
}

fuzz_target!(|bytes: &[u8]| {
    let headers = read(bytes);
    if let Some(key) = shown_key(&headers) {
        assert!(!key.is_empty() && key.trim_ascii() == key);
    }
    if let Ok(narrowing) = narrowing(&headers) {
        for names in [&narrowing.only, &narrowing.ignore, &narrowing.order] {
            assert!(names.len() <= 32 && names.iter().all(|name| !name.is_empty()));
        }
    }
    if let Ok(tightening) = tightening(&headers) {
        let (base, tight) = (RequestLimits::default(), tightening.of(RequestLimits::default()));
        assert!(tight.max_attempts <= base.max_attempts && tight.deadline <= base.deadline);
        assert!(tight.max_attempts > 0 && !tight.deadline.is_zero());
    }
    let grouping = believing();
    if let Ok(Some(verdict)) = hinted(&headers, &grouping) {
        assert!(verdict.category.is_none_or(|at| at < grouping.groups.len()));
    }
    trace(&headers);
    for value in headers.values() {
        if let Some(boundary) = boundary(value) {
            assert!((1..=70).contains(&boundary.len()));
        }
    }
    let hint = rate_hint(&headers, || NOW);
    for allowance in [hint.requests, hint.tokens].into_iter().flatten() {
        assert!(allowance.reset_at.is_none_or(|at| at >= NOW && at <= NOW + HOUR));
    }
    assert!(retry_after(&headers, NOW).is_none_or(|wait| wait <= HOUR));
});
