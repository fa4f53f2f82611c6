//! Which headers may a configuration name? Neither those of the connection nor, where it
//! matters, those by which callers show who they are.

use http::{HeaderName, HeaderValue};

use super::problem::Report;
use super::read::Item;

/// Headers that belong to the connection or the body that we send, not to the operator.
const OUR_HEADERS: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which callers show who they are.
const CALLERS_OWN: [&str; 4] = ["api-key", "authorization", "cookie", "x-api-key"];

/// A header that is not of the connection; `item` is where its name stands.
pub(super) fn settable(item: &Item<'_>, text: &str, report: &Report) -> Option<HeaderName> {
    let name = parse(item, text, report)?;
    if OUR_HEADERS.contains(&name.as_str()) {
        report.problem(item.problem(format!("header {name} belongs to the connection and cannot be set")));
        return None;
    }
    Some(name)
}

/// Whether a header of that name may be configured, and have that value.
pub(crate) fn is_settable_header(name: &str, value: &str) -> bool {
    let name = HeaderName::from_bytes(name.as_bytes()).ok();
    name.is_some_and(|name| !OUR_HEADERS.contains(&name.as_str())) && HeaderValue::from_str(value).is_ok()
}

/// A header that goes on to providers: a caller's credentials stay here, whatever the
/// operator asks for.
pub(super) fn forwarded(item: &Item<'_>, text: &str, report: &Report) -> Option<HeaderName> {
    let name = settable(item, text, report)?;
    if CALLERS_OWN.contains(&name.as_str()) || name.as_str().starts_with("x-pointsman-") {
        report.problem(item.problem(format!("header {name} is between callers and this gateway")));
        return None;
    }
    Some(name)
}

/// A header that tells callers apart. A credential would too, but nothing should be kept
/// that was made from one.
pub(super) fn identifying(item: &Item<'_>, text: &str, report: &Report) -> Option<HeaderName> {
    let name = parse(item, text, report)?;
    let wrong = match name.as_str() {
        own if CALLERS_OWN.contains(&own) => "carries a credential",
        own if OUR_HEADERS.contains(&own) => "belongs to the connection",
        _ => return Some(name),
    };
    report.problem(item.problem(format!("header {name} {wrong}")).expected("a header that names a user or a session"));
    None
}

fn parse(item: &Item<'_>, text: &str, report: &Report) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        report.problem(item.problem(format!("{text:?} is not a header name")));
    }
    name
}
