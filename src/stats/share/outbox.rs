//! Which slices still have to be told, and how much may they take while nobody can be
//! reached?
//!
//! Slices wait here, as the bytes that will be sent, until the transport says that they have
//! arrived: an outage shorter than the quarter of an hour that is kept loses none. Sent twice
//! they do no harm. The oldest make room for new ones where the box is full.

use std::collections::VecDeque;
use std::time::Duration;

use super::codec::Writer;
use super::frame::{FrameWriter, Kind};
use super::origin::{EndpointKey, Origin};
use super::slices::write_content;
use crate::domain::time::UnixMillis;
use crate::stats::history::{Slice, Sums};

/// Bytes that may wait. A slice of fifty attempts takes about 600 bytes, so these are those
/// of a hundred endpoints for a quarter of an hour, at ten attempts per second each.
pub const MOST_WAITING: usize = 12 << 20;
/// So many bytes are sent at once, so that what has waited through an outage does not come to
/// everybody in one piece.
const AT_ONCE: usize = 64 << 10;
/// Older slices are in nobody's window.
const OLDEST: Duration = Duration::from_secs(900);

/// Slices on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Slices put in so far.
    count: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    start: UnixMillis,
    key: EndpointKey,
    content: Box<[u8]>,
}

impl Outbox {
    /// A slice was closed; `since_start` are the sums of its endpoint now.
    pub fn put(&mut self, key: EndpointKey, number: u64, slice: &Slice, since_start: &Sums) {
        let mut content = Writer::default();
        write_content(number, slice, since_start, &mut content);
        self.bytes += content.0.len();
        self.count += 1;
        self.waiting.push_back(Waiting { start: slice.start, key, content: content.0.into() });
        while self.bytes > MOST_WAITING {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.waiting.pop_front() {
            self.bytes -= oldest.content.len();
            self.dropped += 1;
        }
    }

    /// The oldest of what waits, as frames, and the number to be given to [`Self::arrived`].
    pub(super) fn frames(&mut self, from: Origin, sequence: &mut u64, now: UnixMillis) -> (u64, Vec<Vec<u8>>) {
        while self.waiting.front().is_some_and(|oldest| now.since(oldest.start) > OLDEST) {
            self.drop_oldest();
        }
        let mut number = self.count - self.waiting.len() as u64;
        if self.waiting.is_empty() {
            return (number, Vec::new());
        }
        let mut frames = FrameWriter::new(from, Kind::Slices, sequence);
        let mut bytes = 0;
        for Waiting { start, key, content } in &self.waiting {
            if bytes >= AT_ONCE {
                break;
            }
            frames.put_with(*key, |to| {
                to.age(now.since(*start));
                to.bytes(content);
            });
            bytes += content.len();
            number += 1;
        }
        (number, frames.finish())
    }

    /// All slices up to this number have arrived.
    pub fn arrived(&mut self, upto: u64) {
        let first = self.count - self.waiting.len() as u64;
        for _ in first..upto.min(self.count) {
            if let Some(arrived) = self.waiting.pop_front() {
                self.bytes -= arrived.content.len();
            }
        }
    }

    /// How many wait, and how many were dropped so far since they were too old or too many.
    pub fn standing(&self) -> (usize, u64) {
        (self.waiting.len(), self.dropped)
    }
}
