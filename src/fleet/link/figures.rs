//! What has a link done so far? Sums that only grow, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::request::Reply;
use crate::fleet::LinkError;

/// What a link has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Calls that were answered, errors included.
    pub answered: u64,
    /// Calls that were sent and not answered: too late, or the connection broke.
    pub unanswered: u64,
    /// Calls that were refused at once.
    pub refused: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Bytes sent, before they are encrypted.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// What the last heartbeat took; zero before the first.
    pub round_trip: Duration,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    answered: AtomicU64,
    unanswered: AtomicU64,
    refused: AtomicU64,
    connections: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    round_trip_micros: AtomicU64,
}

impl Counters {
    /// A call has ended.
    pub(super) fn ended(&self, how: &Result<Reply, LinkError>) {
        let counter = match how {
            Err(LinkError::Down(_) | LinkError::Slow { .. }) => &self.refused,
            Err(LinkError::Timeout(_) | LinkError::Lost(_)) => &self.unanswered,
            _ => &self.answered,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn round_trip(&self, took: Duration) {
        self.round_trip_micros.store(micros(took), Relaxed);
    }

    pub(super) fn figures(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        Figures {
            answered: of(&self.answered),
            unanswered: of(&self.unanswered),
            refused: of(&self.refused),
            connections: of(&self.connections),
            bytes_out: of(&self.bytes_out),
            bytes_in: of(&self.bytes_in),
            round_trip: Duration::from_micros(of(&self.round_trip_micros)),
        }
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
