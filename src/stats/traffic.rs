//! What did the callers of an alias get in the last minutes, and from whom?
//!
//! Statistics of endpoints say how providers do, whoever asked. This says how requests of one
//! alias went, as their callers saw it: time is cut into slices of ten seconds, and a slice
//! has how many came, who served them, what failed on the way, and how long they waited.
//!
//! Memory is bounded: there are only so many slices, only those in which something happened
//! are there, and a slice counts only so many endpoints apart.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointId;
use crate::domain::time::UnixMillis;

/// The length of a slice.
pub const SLICE: Duration = Duration::from_secs(10);

/// How many there are.
pub const SLICES: usize = 60;

/// Endpoints that a slice tells apart; an alias has far fewer.
const MOST_ENDPOINTS: usize = 64;

/// How a request ended, as its caller saw it.
#[derive(Clone, Copy, Debug)]
pub struct Fate<'a> {
    /// Who served it, if anybody did.
    pub served_by: Option<&'a EndpointId>,
    /// The answer is a stream.
    pub stream: bool,
    /// Until its first content, or the whole answer where it is no stream.
    pub waited: Duration,
}

/// How often times of about the same length came. Each is known to within a twelfth.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Times(Vec<(u8, u32)>);

/// Buckets for each doubling of a time.
const PER_DOUBLING: f64 = 8.0;

impl Times {
    fn record(&mut self, time: Duration) {
        let ms = time.as_secs_f64() * 1e3;
        // Half an hour is bucket 167.
        let bucket = (PER_DOUBLING * ms.max(1.0).log2()).min(254.0) as u8;
        self.add(bucket, 1);
    }

    fn add(&mut self, bucket: u8, more: u32) {
        match self.0.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(more),
            Err(at) => self.0.insert(at, (bucket, more)),
        }
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, count)| self.add(*bucket, *count));
    }

    /// A quantile, `q` in [0, 1], in milliseconds; `None` where there are no times.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let all: u64 = self.0.iter().map(|(_, count)| u64::from(*count)).sum();
        let wanted = (q * all as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.0.iter().find(|(_, count)| {
            seen += u64::from(*count);
            seen >= wanted
        });
        reached.map(|(bucket, _)| f64::exp2((f64::from(*bucket) + 0.5) / PER_DOUBLING))
    }

    /// Buckets that are not empty: the time up to which they reach, in milliseconds, and how
    /// many are in them.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u32)> {
        self.0.iter().map(|(bucket, count)| (f64::exp2((f64::from(*bucket) + 1.0) / PER_DOUBLING), *count))
    }
}

/// What one endpoint did for an alias.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Which.
    pub endpoint: EndpointId,
    /// Requests that it served.
    pub served: u32,
    /// Attempts that failed there, by class.
    pub failures: Vec<(FailureKind, u32)>,
}

/// What happened in a stretch of time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stretch {
    /// When it began.
    pub start: UnixMillis,
    /// Requests.
    pub requests: u32,
    /// Those that nobody served.
    pub unserved: u32,
    /// Those that were served after an attempt had failed.
    pub fallbacks: u32,
    /// By endpoint.
    pub parts: Vec<Part>,
    /// Of streams that were served, until their first content.
    pub first_token: Times,
    /// Of other answers, until they were whole.
    pub answer: Times,
}

impl Stretch {
    fn part(&mut self, endpoint: &EndpointId) -> Option<&mut Part> {
        let at = match self.parts.iter().position(|part| part.endpoint == *endpoint) {
            Some(at) => at,
            None if self.parts.len() >= MOST_ENDPOINTS => return None,
            None => {
                self.parts.push(Part { endpoint: endpoint.clone(), served: 0, failures: Vec::new() });
                self.parts.len() - 1
            }
        };
        self.parts.get_mut(at)
    }

    fn failed(&mut self, endpoint: &EndpointId, kind: FailureKind, more: u32) {
        let Some(part) = self.part(endpoint) else { return };
        match part.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count = count.saturating_add(more),
            None => part.failures.push((kind, more)),
        }
    }

    fn record<'a>(&mut self, fate: Fate<'_>, failed: impl Iterator<Item = (&'a EndpointId, FailureKind)>) {
        let mut failures = 0;
        for (endpoint, kind) in failed {
            failures += 1;
            self.failed(endpoint, kind, 1);
        }
        self.requests = self.requests.saturating_add(1);
        let Some(endpoint) = fate.served_by else {
            self.unserved = self.unserved.saturating_add(1);
            return;
        };
        self.fallbacks = self.fallbacks.saturating_add(u32::from(failures > 0));
        if let Some(part) = self.part(endpoint) {
            part.served = part.served.saturating_add(1);
        }
        if fate.stream { &mut self.first_token } else { &mut self.answer }.record(fate.waited);
    }

    /// Adds how requests went elsewhere, but not who served them.
    pub fn add_flow(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.unserved = self.unserved.saturating_add(other.unserved);
        self.fallbacks = self.fallbacks.saturating_add(other.fallbacks);
        self.first_token.merge(&other.first_token);
        self.answer.merge(&other.answer);
    }

    fn merge(&mut self, other: &Self) {
        self.add_flow(other);
        for theirs in &other.parts {
            if let Some(part) = self.part(&theirs.endpoint) {
                part.served = part.served.saturating_add(theirs.served);
            }
            for (kind, count) in &theirs.failures {
                self.failed(&theirs.endpoint, *kind, *count);
            }
        }
    }
}

/// The last ten minutes of an alias.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Oldest first; only those in which something happened.
    slices: VecDeque<Stretch>,
}

/// When the first slice of a window began that ends now. The last is the one that is being
/// filled.
pub fn first(window: Duration, now: UnixMillis) -> UnixMillis {
    floor(now) + SLICE - window.min(SLICE * SLICES as u32)
}

fn floor(time: UnixMillis) -> UnixMillis {
    let length = SLICE.as_millis() as u64;
    UnixMillis(time.0 / length * length)
}

impl Traffic {
    /// A request has ended. A time before the latest slice counts as being in it.
    pub fn record<'a>(
        &mut self,
        now: UnixMillis,
        fate: Fate<'_>,
        failed: impl Iterator<Item = (&'a EndpointId, FailureKind)>,
    ) {
        let start = floor(now);
        if self.slices.back().is_none_or(|last| last.start < start) {
            let oldest = start - SLICE * (SLICES as u32 - 1);
            while self.slices.front().is_some_and(|slice| slice.start < oldest) {
                self.slices.pop_front();
            }
            self.slices.push_back(Stretch { start, ..Stretch::default() });
        }
        if let Some(slice) = self.slices.back_mut() {
            slice.record(fate, failed);
        }
    }

    /// The slices of a window that ends now, oldest first; those in which nothing happened are
    /// left out.
    pub fn slices(&self, window: Duration, now: UnixMillis) -> impl Iterator<Item = &Stretch> {
        let first = first(window, now);
        self.slices.iter().filter(move |slice| slice.start >= first)
    }

    /// All of a window together.
    pub fn sum(&self, window: Duration, now: UnixMillis) -> Stretch {
        let mut sum = Stretch { start: first(window, now), ..Stretch::default() };
        self.slices(window, now).for_each(|slice| sum.merge(slice));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn id(name: &str) -> EndpointId {
        EndpointId::new(name)
    }

    fn served<'a>(by: &'a EndpointId, ms: u64) -> Fate<'a> {
        Fate { served_by: Some(by), stream: true, waited: Duration::from_millis(ms) }
    }

    const NOBODY: Fate<'static> = Fate { served_by: None, stream: true, waited: Duration::ZERO };

    #[test]
    fn requests_are_counted_where_they_were_served_and_failures_where_they_failed() {
        let (a, b) = (id("m@a"), id("m@b"));
        let mut traffic = Traffic::default();
        traffic.record(NOW, served(&a, 100), [].into_iter());
        traffic.record(NOW, served(&b, 300), [(&a, FailureKind::RateLimited)].into_iter());
        let both = [(&a, FailureKind::RateLimited), (&b, FailureKind::Timeout)];
        traffic.record(NOW + SLICE, NOBODY, both.into_iter());
        traffic.record(NOW + SLICE, Fate { stream: false, ..served(&a, 900) }, [].into_iter());

        let sum = traffic.sum(SLICE * 6, NOW + SLICE);
        assert_eq!((sum.requests, sum.unserved, sum.fallbacks), (4, 1, 1));
        let [of_a, of_b] = &sum.parts[..] else { panic!("{sum:?}") };
        assert_eq!((&of_a.endpoint, of_a.served), (&a, 2));
        assert_eq!(of_a.failures, [(FailureKind::RateLimited, 2)]);
        assert_eq!((of_b.served, &of_b.failures[..]), (1, &[(FailureKind::Timeout, 1)][..]));
        assert_eq!(
            sum.first_token.buckets().map(|(_, count)| count).sum::<u32>(),
            2,
            "the one that nobody served is none"
        );
        assert_eq!(sum.answer.buckets().map(|(_, count)| count).sum::<u32>(), 1);
        assert_eq!(traffic.slices(SLICE * 6, NOW + SLICE).map(|slice| slice.requests).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(traffic.sum(SLICE, NOW + SLICE).requests, 2, "the slice that is being filled");
    }

    #[test]
    fn quantiles_are_within_a_twelfth_of_the_truth() {
        let a = id("m@a");
        let mut traffic = Traffic::default();
        assert_eq!(traffic.sum(SLICE, NOW).first_token.quantile_ms(0.5), None);
        (1..=1000).for_each(|ms| traffic.record(NOW, served(&a, ms), [].into_iter()));
        let times = traffic.sum(SLICE, NOW).first_token;
        for (q, truth) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = times.quantile_ms(q).unwrap();
            assert!((found / truth - 1.0).abs() < 1.0 / 12.0, "{q}: {found}");
        }
        let mut edge = Times::default();
        [Duration::ZERO, Duration::from_micros(10), Duration::from_secs(1 << 40)]
            .into_iter()
            .for_each(|t| edge.record(t));
        assert!(edge.quantile_ms(0.0).unwrap() < 1.1 && edge.quantile_ms(1.0).unwrap() > 1e9);
    }

    #[test]
    fn what_is_long_over_is_forgotten_and_memory_is_bounded() {
        let mut traffic = Traffic::default();
        for i in 0..300u32 {
            let endpoint = id(&format!("m@{i}"));
            traffic.record(NOW + SLICE * i, served(&endpoint, 1), [].into_iter());
        }
        assert_eq!(traffic.slices.len(), SLICES);
        let now = NOW + SLICE * 299;
        assert_eq!(traffic.sum(SLICE * 1000, now).requests, SLICES as u32);
        assert_eq!(traffic.sum(SLICE * 1000, now + SLICE * 1000).requests, 0, "also if nothing came since");
        for i in 0..300 {
            traffic.record(now, served(&id(&format!("m@{i}")), 1), [].into_iter());
        }
        let last = traffic.slices.back().unwrap();
        assert_eq!((last.requests, last.parts.len()), (301, MOST_ENDPOINTS));
        traffic.record(NOW, NOBODY, [].into_iter());
        assert_eq!(traffic.slices.back().unwrap().unserved, 1, "a clock that is late");
    }
}
