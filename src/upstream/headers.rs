//! Which headers go to a provider? Its credential, what its protocol wants, what the
//! operator adds, and of the client's own only those on a short list.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::lane::Lane;
use crate::domain::provider::{Auth, Protocol, Provider};

/// Client headers that mean the same to the provider. Everything else stays here: the
/// client's credentials, its cookies, `x-pointsman-*`, and whatever its own network added.
const FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-client-request-id"),
];

/// Client headers that only mean something where the body passes through.
const FORWARDED_NATIVE: [HeaderName; 3] = [
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("openai-beta"),
];

/// The version of Anthropic's API that translation speaks.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

const OURS: HeaderValue = HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION")));

/// The headers of a call. `content_type` is that of the body.
pub fn request_headers(
    provider: &Provider,
    lane: Lane,
    client: &HeaderMap,
    content_type: HeaderValue,
    stream: bool,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(USER_AGENT, OURS);
    headers.insert(ACCEPT, HeaderValue::from_static(if stream { "text/event-stream" } else { "*/*" }));
    if provider.protocol == Protocol::Anthropic {
        headers.insert("anthropic-version", ANTHROPIC_VERSION);
    }
    let native: &[HeaderName] = if lane == Lane::Native { &FORWARDED_NATIVE } else { &[] };
    // Most clients send fewer headers than are on the lists.
    let passes = |name: &&HeaderName| [&FORWARDED, native, &provider.forward_headers].iter().any(|l| l.contains(name));
    for name in client.keys().filter(passes) {
        for (i, value) in client.get_all(name).iter().enumerate() {
            if i == 0 {
                headers.insert(name, value.clone());
            } else {
                headers.append(name, value.clone());
            }
        }
    }
    match &provider.auth {
        Auth::None => {}
        Auth::Bearer(key) => put_secret(&mut headers, AUTHORIZATION, &format!("Bearer {}", key.expose_secret())),
        Auth::Header(name, key) => put_secret(&mut headers, name.clone(), expose(key)),
    }
    for (name, value) in &provider.headers {
        headers.insert(name, value.clone());
    }
    headers
}

fn expose(key: &SecretString) -> &str {
    key.expose_secret()
}

/// Marked sensitive, so that HTTP/2 does not index it and `Debug` does not show it. A key
/// that no header can hold was refused with the configuration.
fn put_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests_support::fleet;

    fn sent(change: impl FnOnce(&mut Provider), lane: Lane, client: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut provider = fleet(&[None]).catalog.providers.remove(0);
        change(&mut provider);
        let mut headers = HeaderMap::new();
        for (name, value) in client {
            headers.append(*name, HeaderValue::from_static(value));
        }
        request_headers(&provider, lane, &headers, HeaderValue::from_static("application/json"), false)
    }

    #[test]
    fn the_clients_credentials_and_our_own_headers_stay_here() {
        let client = [
            ("authorization", "Bearer pm-client"),
            ("x-api-key", "pm-client"),
            ("cookie", "a=b"),
            ("x-pointsman-only", "openai"),
            ("x-forwarded-for", "10.0.0.1"),
            ("accept-encoding", "gzip"),
            ("traceparent", "00-1-2-3"),
        ];
        let headers = sent(|p| p.auth = Auth::Bearer("sk-ours".into()), Lane::Native, &client);
        assert_eq!(headers["authorization"], "Bearer sk-ours");
        assert_eq!(headers["traceparent"], "00-1-2-3");
        for absent in ["x-api-key", "cookie", "x-pointsman-only", "x-forwarded-for", "accept-encoding"] {
            assert!(!headers.contains_key(absent), "{absent}");
        }
        assert!(!format!("{headers:?}").contains("sk-ours"));
    }

    #[test]
    fn beta_headers_pass_only_where_the_body_does() {
        let client = [("anthropic-beta", "x-1"), ("anthropic-version", "2030-01-01")];
        let anthropic = |p: &mut Provider| p.protocol = Protocol::Anthropic;
        let native = sent(anthropic, Lane::Native, &client);
        assert_eq!(
            (&native["anthropic-beta"], &native["anthropic-version"]),
            (&"x-1".parse().unwrap(), &"2030-01-01".parse().unwrap())
        );
        let translated = sent(anthropic, Lane::Translated(Protocol::Anthropic), &client);
        assert_eq!(translated["anthropic-version"], "2023-06-01");
        assert!(!translated.contains_key("anthropic-beta"));
    }

    #[test]
    fn the_operators_headers_win_and_more_may_be_forwarded() {
        let headers = sent(
            |p| {
                p.headers = vec![(HeaderName::from_static("user-agent"), HeaderValue::from_static("us"))];
                p.forward_headers = vec![HeaderName::from_static("x-team")];
            },
            Lane::Native,
            &[("x-team", "a")],
        );
        assert_eq!((&headers["user-agent"], &headers["x-team"]), (&"us".parse().unwrap(), &"a".parse().unwrap()));
    }
}
