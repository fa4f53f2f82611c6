//! What has a simulated provider seen and done? Counters, and the last requests as received.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use serde::Serialize;

/// Requests remembered.
const REQUESTS_MAX: usize = 50;
/// Bytes remembered of each request's body.
const BODY_MAX: usize = 64 << 10;

/// The counters of one simulated provider, as read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Calls by kind of path (`/v1/chat/completions`; models in paths are written `{model}`).
    pub requests: BTreeMap<Cow<'static, str>, u64>,
    /// Ended calls by outcome: `ok`, the name of the fault met, `status N` for refusals, `cancelled`.
    pub outcomes: BTreeMap<Cow<'static, str>, u64>,
    /// Calls under way.
    pub in_flight: u64,
    /// The most calls that were under way at once.
    pub peak_in_flight: u64,
    /// Calls waiting for a server.
    pub waiting: u64,
    /// Connections open.
    pub open_connections: u64,
    /// Connections accepted so far.
    pub connections: u64,
    /// Calls whose client went away before the end of the answer.
    pub cancelled: u64,
    /// Output tokens sent.
    pub tokens_sent: u64,
}

/// One request as received.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The path and query.
    pub uri: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// The body as text, at most 64 KiB of it.
    pub body: String,
    /// The length of the whole body in bytes.
    pub body_bytes: usize,
}

struct Logged {
    method: Method,
    uri: Uri,
    version: http::Version,
    headers: HeaderMap,
    body: Bytes,
    body_bytes: usize,
}

#[derive(Default)]
struct Tables {
    requests: BTreeMap<Cow<'static, str>, u64>,
    outcomes: BTreeMap<Cow<'static, str>, u64>,
    log: VecDeque<Logged>,
}

/// The counters themselves.
#[derive(Default)]
pub(super) struct Counters {
    tables: Mutex<Tables>,
    in_flight: AtomicU64,
    peak_in_flight: AtomicU64,
    open_connections: AtomicU64,
    connections: AtomicU64,
    cancelled: AtomicU64,
    tokens_sent: AtomicU64,
}

impl Counters {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a request.
    pub fn received(&self, parts: &http::request::Parts, body: &Bytes) {
        // A slice would keep all of a large body in memory.
        let kept = if body.len() > BODY_MAX { Bytes::copy_from_slice(&body[..BODY_MAX]) } else { body.clone() };
        let logged = Logged {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: parts.headers.clone(),
            body: kept,
            body_bytes: body.len(),
        };
        let mut tables = self.tables();
        if tables.log.len() == REQUESTS_MAX {
            tables.log.pop_front();
        }
        tables.log.push_back(logged);
    }

    /// A call to this kind of path begins.
    pub fn begin(self: &Arc<Self>, path: &'static str) -> Flight {
        *self.tables().requests.entry(Cow::Borrowed(path)).or_default() += 1;
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak_in_flight.fetch_max(now, Ordering::Relaxed);
        Flight { counters: Arc::clone(self), outcome: Cow::Borrowed("ok"), done: false }
    }

    /// A connection opens; dropping the value closes it.
    pub fn connected(self: &Arc<Self>) -> Connected {
        self.open_connections.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(self))
    }

    /// The counters now, with `waiting` calls in the queue.
    pub fn read(&self, waiting: usize) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let tables = self.tables();
        Stats {
            requests: tables.requests.clone(),
            outcomes: tables.outcomes.clone(),
            in_flight: load(&self.in_flight),
            peak_in_flight: load(&self.peak_in_flight),
            waiting: waiting as u64,
            open_connections: load(&self.open_connections),
            connections: load(&self.connections),
            cancelled: load(&self.cancelled),
            tokens_sent: load(&self.tokens_sent),
        }
    }

    /// The last requests, oldest first.
    pub fn last(&self, count: usize) -> Vec<Received> {
        let tables = self.tables();
        let skip = tables.log.len().saturating_sub(count);
        tables.log.iter().skip(skip).map(Logged::read).collect()
    }

    /// Forgets everything but what is under way.
    pub fn reset(&self) {
        *self.tables() = Tables::default();
        self.peak_in_flight.store(self.in_flight.load(Ordering::Relaxed), Ordering::Relaxed);
        self.connections.store(self.open_connections.load(Ordering::Relaxed), Ordering::Relaxed);
        self.cancelled.store(0, Ordering::Relaxed);
        self.tokens_sent.store(0, Ordering::Relaxed);
    }
}

impl Logged {
    fn read(&self) -> Received {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Received {
            method: self.method.to_string(),
            uri: self.uri.to_string(),
            version: format!("{:?}", self.version),
            headers: self.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(&self.body),
            body_bytes: self.body_bytes,
        }
    }
}

/// A call under way. Dropped before [`Flight::done`], its client went away.
pub(super) struct Flight {
    counters: Arc<Counters>,
    outcome: Cow<'static, str>,
    done: bool,
}

impl Flight {
    /// What this call will count as.
    pub fn outcome(&mut self, outcome: impl Into<Cow<'static, str>>) {
        self.outcome = outcome.into();
    }

    /// Tokens were sent.
    pub fn tokens(&self, count: u64) {
        self.counters.tokens_sent.fetch_add(count, Ordering::Relaxed);
    }

    /// All that was meant to be sent is sent.
    pub fn done(&mut self) {
        self.done = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut outcome = std::mem::take(&mut self.outcome);
        if !self.done {
            self.counters.cancelled.fetch_add(1, Ordering::Relaxed);
            if outcome == "ok" {
                outcome = Cow::Borrowed("cancelled");
            }
        }
        *self.counters.tables().outcomes.entry(outcome).or_default() += 1;
    }
}

/// A connection that is open.
pub(super) struct Connected(Arc<Counters>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_path_and_outcome() {
        let counters = Arc::new(Counters::default());
        let mut first = counters.begin("/a");
        let second = counters.begin("/a");
        assert_eq!(counters.read(0).in_flight, 2);
        first.tokens(3);
        first.done();
        drop((first, second));
        let stats = counters.read(0);
        assert_eq!(stats.requests["/a"], 2);
        assert_eq!((stats.outcomes["ok"], stats.outcomes["cancelled"]), (1, 1));
        assert_eq!((stats.cancelled, stats.in_flight, stats.peak_in_flight, stats.tokens_sent), (1, 0, 2, 3));
    }

    #[test]
    fn the_log_is_bounded_in_number_and_bytes() {
        let counters = Counters::default();
        let (parts, ()) = http::Request::get("/x").body(()).unwrap().into_parts();
        for _ in 0..60 {
            counters.received(&parts, &Bytes::from(vec![b'a'; BODY_MAX + 5]));
        }
        let last = counters.last(100);
        assert_eq!(last.len(), REQUESTS_MAX);
        assert_eq!((last[0].body.len(), last[0].body_bytes), (BODY_MAX, BODY_MAX + 5));
        assert_eq!(counters.last(2).len(), 2);
    }
}
