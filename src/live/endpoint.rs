//! What is observed of endpoints and providers while requests run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::sharing::Sharing;
use crate::domain::ids::{EndpointId, KeyName, ProjectName};
use crate::domain::provider::Limits;
use crate::domain::time::UnixMillis;
use crate::health::Standing;
use crate::stats::share::{EndpointKey, Voices};
use crate::stats::{Bucket, EndpointStats, History, Minute, Published, Reading, Usage};
use crate::telemetry::metrics::TargetMeters;
use crate::transport::client::Client;

/// How old a reading may be before sliding windows are moved on.
const STALE: Duration = Duration::from_secs(1);

/// A panic elsewhere leaves plain numbers behind, which are as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose usage is counted apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CountedBy {
    /// A key's.
    Key(KeyName),
    /// A project's.
    Project(ProjectName),
}

/// The live state of an endpoint.
#[derive(Debug)]
pub struct EndpointLive {
    /// How other replicas name it.
    key: EndpointKey,
    /// Who tells them.
    sharing: Option<Arc<Sharing>>,
    /// Held for a few instructions at a time, never across an await.
    stats: Mutex<EndpointStats>,
    /// What decisions read, without the lock.
    published: Published,
    /// Usage by caller, kept only for aliases that count by key or project. As many as there
    /// are keys and projects.
    by_caller: Mutex<HashMap<CountedBy, Minute>>,
    /// Made with the first attempt.
    meters: OnceLock<Arc<TargetMeters>>,
}

impl EndpointLive {
    /// Nothing is known of it; `limits` are our own towards it.
    pub fn new(id: &EndpointId, limits: Limits, sharing: Option<Arc<Sharing>>) -> Self {
        let mut stats = EndpointStats::new(limits);
        if sharing.is_some() {
            stats.tell();
        }
        Self {
            key: EndpointKey::of(id),
            sharing,
            stats: Mutex::new(stats),
            published: Published::new(&Reading::default()),
            by_caller: Mutex::default(),
            meters: OnceLock::new(),
        }
    }

    /// What is known of it at `now`.
    pub fn reading(&self, now: UnixMillis) -> Reading {
        match self.published.read() {
            Some(reading) if now.since(reading.read_at) < STALE => reading,
            _ => self.change(now, |stats| stats.reading(now)),
        }
    }

    /// Its health at `now`.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        self.reading(now).health.standing(now)
    }

    /// Changes what is known and publishes it.
    pub fn change<T>(&self, now: UnixMillis, change: impl FnOnce(&mut EndpointStats) -> T) -> T {
        let mut stats = lock(&self.stats);
        let result = change(&mut stats);
        self.published.publish(&stats.reading(now));
        if let Some(sharing) = &self.sharing
            && stats.note_events(now)
        {
            sharing.ring();
        }
        result
    }

    /// Where its attempts are counted.
    pub fn meters(&self, make: impl FnOnce() -> Arc<TargetMeters>) -> &Arc<TargetMeters> {
        self.meters.get_or_init(make)
    }

    /// The same, if there was any.
    pub fn metered(&self) -> Option<&Arc<TargetMeters>> {
        self.meters.get()
    }

    /// How other replicas name it.
    pub fn key(&self) -> EndpointKey {
        self.key
    }

    /// Changes nothing that a decision reads.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut EndpointStats) -> T) -> T {
        change(&mut lock(&self.stats))
    }

    /// Looks at the last quarter of an hour.
    pub fn history<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(lock(&self.stats).history())
    }

    /// Looks at the last quarter of an hour, and at what other replicas have told of it.
    pub fn histories<T>(&self, look: impl FnOnce(&History, Option<&Voices>) -> T) -> T {
        let stats = lock(&self.stats);
        look(stats.history(), stats.voices())
    }

    /// What a caller used in the last minute.
    pub fn used_by(&self, by: &CountedBy, now: UnixMillis) -> Usage {
        lock(&self.by_caller).get_mut(by).map_or_else(Usage::default, |minute| {
            minute.advance(now);
            minute.sum()
        })
    }

    /// A caller used this.
    pub fn count_for(&self, by: &CountedBy, usage: Usage, now: UnixMillis) {
        let mut by_caller = lock(&self.by_caller);
        if !by_caller.contains_key(by) {
            by_caller.insert(by.clone(), Minute::default());
        }
        if let Some(minute) = by_caller.get_mut(by) {
            minute.add(usage, now);
        }
    }
}

/// The live state of a provider.
#[derive(Debug)]
pub struct ProviderLive {
    /// Its connections.
    pub client: Client,
    limits: Limits,
    in_flight: AtomicU32,
    per_minute: Option<DefaultDirectRateLimiter>,
    tokens: Option<Mutex<Bucket>>,
}

impl ProviderLive {
    /// With our own limits towards it.
    pub fn new(limits: Limits, client: Client) -> Self {
        let per_minute = limits
            .requests_per_minute
            .and_then(std::num::NonZeroU32::new)
            .map(|rpm| RateLimiter::direct(Quota::per_minute(rpm)));
        let tokens = limits.tokens_per_minute.map(|tpm| Mutex::new(Bucket::new(tpm)));
        Self { client, limits, in_flight: AtomicU32::new(0), per_minute, tokens }
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether it may get no request now.
    pub fn is_full(&self, now: UnixMillis) -> bool {
        self.limits.max_in_flight.is_some_and(|max| self.in_flight.load(Relaxed) >= max)
            || self.tokens.as_ref().is_some_and(|tokens| lock(tokens).left(now) < 1.0)
    }

    /// Takes a place among those under way and reserves tokens, if there is one.
    pub fn enter(&self, tokens: u64, now: UnixMillis) -> bool {
        let max = self.limits.max_in_flight.unwrap_or(u32::MAX);
        let place = self.in_flight.fetch_update(Relaxed, Relaxed, |now| (now < max).then(|| now + 1));
        if place.is_err() {
            return false;
        }
        let reserved = self.tokens.as_ref().is_none_or(|bucket| {
            let mut bucket = lock(bucket);
            let ready = bucket.ready_at(tokens as f64, now) <= now;
            if ready {
                bucket.take(tokens as f64, now);
            }
            ready
        });
        if !reserved || self.per_minute.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            if reserved {
                self.settle(tokens, 0, now);
            }
            self.in_flight.fetch_sub(1, Relaxed);
            return false;
        }
        true
    }

    /// Replaces what was reserved by what was used.
    pub fn settle(&self, reserved: u64, used: u64, now: UnixMillis) {
        if let Some(bucket) = &self.tokens {
            lock(bucket).take(used as f64 - reserved as f64, now);
        }
    }

    /// Gives its place back.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}
