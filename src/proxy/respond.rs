//! What happened to a request, in the headers of its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::RngExt;

use crate::domain::failure::FailureKind;
use crate::domain::ids::{EndpointId, Revision};
use crate::limits::{RateLeft, Standing};
use crate::live::decisions::Attempt;
use crate::telemetry::Telemetry;
use crate::telemetry::request::{OpenRequest, Story};
use crate::upstream::attempt::Reply;

/// More attempts than this are counted, not listed.
const MAX_LISTED: usize = 8;

/// What is told of a request, filled in as it is found out.
#[derive(Debug)]
pub struct Trace {
    /// The request's id.
    pub id: String,
    /// The revision of the configuration that it runs on.
    pub revision: Option<Revision>,
    /// The alias it resolved to.
    pub alias: Option<String>,
    /// The alias's strategy, or that of the category which serves.
    pub strategy: Option<&'static str>,
    /// What the request was taken for, where the alias is of categories.
    pub category: Option<String>,
    /// Why, where that is not a plain match.
    pub category_reason: Option<&'static str>,
    /// Who answered.
    pub target: Option<EndpointId>,
    /// Each attempt, in order.
    pub attempts: Vec<AttemptNote>,
    /// What was left of the caller's limits when the request was let in.
    pub standing: Option<Standing>,
    /// What metrics, logs and traces are told of it.
    pub open: Arc<OpenRequest>,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct AttemptNote {
    /// Where.
    pub endpoint: EndpointId,
    /// How it failed; `None` if it did not.
    pub failure: Option<FailureKind>,
    /// The provider's status, if it failed with one.
    pub status: Option<u16>,
    /// Until it committed or failed.
    pub took: Duration,
    /// It was made although everything was out.
    pub last_resort: bool,
    /// It was a second copy, since the first was late.
    pub hedge: bool,
}

impl AttemptNote {
    /// What a recorded decision keeps of it.
    pub fn for_the_record(&self) -> Attempt {
        Attempt { endpoint: self.endpoint.clone(), failure: self.failure, status: self.status, took: self.took }
    }
}

impl Drop for Trace {
    /// Whoever watches is told what is known by now: all of it, unless the caller has left.
    fn drop(&mut self) {
        if self.open.has_listeners() {
            self.open.told(Story {
                id: std::mem::take(&mut self.id),
                revision: self.revision.map(|revision| revision.0),
                alias: self.alias.take(),
                category: self.category.take(),
                category_reason: self.category_reason,
                target: self.target.as_ref().map(ToString::to_string),
                tried: self.listed(),
            });
        }
    }
}

impl Trace {
    /// A new request, with an id of 128 random bits.
    pub fn new(telemetry: &Arc<Telemetry>) -> Self {
        Self {
            id: hex::encode(rand::rng().random::<[u8; 16]>()),
            revision: None,
            alias: None,
            strategy: None,
            category: None,
            category_reason: None,
            target: None,
            attempts: Vec::new(),
            standing: None,
            open: OpenRequest::new(telemetry),
        }
    }

    /// Writes all that is known into the answer's headers. The two plain id headers are
    /// where the SDKs of OpenAI and Anthropic look for it.
    pub fn put_into(&self, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(const { HeaderName::from_static("x-pointsman-request-id") }, id.clone());
            headers.insert(const { HeaderName::from_static("x-request-id") }, id.clone());
            headers.insert(const { HeaderName::from_static("request-id") }, id);
        }
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if let Some(alias) = &self.alias {
            put(const { HeaderName::from_static("x-pointsman-alias") }, alias);
        }
        if let Some(strategy) = self.strategy {
            put(const { HeaderName::from_static("x-pointsman-strategy") }, strategy);
        }
        if let Some(category) = &self.category {
            put(const { HeaderName::from_static(super::category::CATEGORY_HEADER) }, category);
        }
        if let Some(reason) = self.category_reason {
            put(const { HeaderName::from_static("x-pointsman-category-reason") }, reason);
        }
        if let Some(target) = &self.target {
            put(const { HeaderName::from_static("x-pointsman-target") }, target.as_str());
        }
        if !self.attempts.is_empty() {
            put(const { HeaderName::from_static("x-pointsman-attempts") }, &self.listed());
        }
        if let Some(standing) = &self.standing {
            put_standing(standing, headers);
        }
        if let Some(revision) = self.revision {
            headers.insert(const { HeaderName::from_static("x-pointsman-revision") }, HeaderValue::from(revision.0));
        }
    }

    /// `m@a rate_limited 429 12ms, m@b ok 230ms`.
    fn listed(&self) -> String {
        let mut text = String::with_capacity(64);
        let mut digits = itoa::Buffer::new();
        for (i, note) in self.attempts.iter().take(MAX_LISTED).enumerate() {
            if i > 0 {
                text.push_str(", ");
            }
            text.push_str(note.endpoint.as_str());
            text.push(' ');
            text.push_str(note.failure.map_or("ok", FailureKind::as_str));
            if let Some(status) = note.status {
                text.push(' ');
                text.push_str(digits.format(status));
            }
            text.push(' ');
            text.push_str(digits.format(u64::try_from(note.took.as_millis()).unwrap_or(u64::MAX)));
            text.push_str("ms");
            if note.last_resort {
                text.push_str(" last-resort");
            }
            if note.hedge {
                text.push_str(" hedge");
            }
        }
        if self.attempts.len() > MAX_LISTED {
            text.push_str(", +");
            text.push_str(digits.format(self.attempts.len() - MAX_LISTED));
        }
        text
    }

    /// The answer to the client.
    pub fn respond(&self, reply: Reply) -> Response {
        let mut response = Response::new(reply.body);
        let headers = response.headers_mut();
        headers.reserve(14);
        if reply.content_type.as_bytes().starts_with(b"text/event-stream") {
            headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // nginx in front of us would collect the stream otherwise.
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        }
        headers.insert(http::header::CONTENT_TYPE, reply.content_type);
        self.put_into(headers);
        response
    }
}

/// What is left of the caller's limits, under the names that OpenAI gives them.
fn put_standing(standing: &Standing, headers: &mut HeaderMap) {
    let mut rate = |left: &Option<RateLeft>, names: [&'static str; 3]| {
        if let Some(left) = left {
            headers.insert(names[0], HeaderValue::from(left.limit.get()));
            headers.insert(names[1], HeaderValue::from(left.remaining));
            if let Ok(value) = HeaderValue::from_str(&in_units(left.resets_in)) {
                headers.insert(names[2], value);
            }
        }
    };
    rate(
        &standing.requests,
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    );
    rate(&standing.tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]);
    if let Some(left) = standing.budgets.iter().min_by_key(|left| left.remaining)
        && let Ok(value) = HeaderValue::from_str(&format!("{:.6}", left.remaining.as_usd()))
    {
        headers.insert("x-pointsman-budget-remaining-usd", value);
    }
}

/// A time as OpenAI writes it: `120ms`, `1.5s`, `6m0s`.
fn in_units(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}s", ms as f64 / 1000.0),
        _ => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_attempts_is_bounded() {
        let mut trace = Trace::new(&Arc::default());
        for i in 0..12 {
            trace.attempts.push(AttemptNote {
                endpoint: EndpointId::new(format!("m@p{i}")),
                failure: (i != 11).then_some(FailureKind::RateLimited),
                status: (i != 11).then_some(429),
                took: Duration::from_millis(i),
                last_resort: i == 1,
                hedge: false,
            });
        }
        let listed = trace.listed();
        assert!(
            listed.starts_with("m@p0 rate_limited 429 0ms, m@p1 rate_limited 429 1ms last-resort, m@p2"),
            "{listed}"
        );
        assert!(listed.ends_with(", +4"), "{listed}");
    }

    #[test]
    fn times_are_written_as_openai_does() {
        for (ms, text) in [(0, "0ms"), (120, "120ms"), (1500, "1.5s"), (60_000, "1m0s"), (361_000, "6m1s")] {
            assert_eq!(in_units(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn names_that_no_header_can_hold_are_left_out() {
        let mut headers = HeaderMap::new();
        let mut trace = Trace::new(&Arc::default());
        trace.alias = Some("a\nb".into());
        trace.put_into(&mut headers);
        assert!(!headers.contains_key("x-pointsman-alias"));
        assert_eq!(headers["x-pointsman-request-id"].len(), 32);
    }
}
