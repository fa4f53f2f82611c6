//! Which connections does a listener have, which of them may go when there is no room, and how
//! many went which way?
//!
//! Nobody reads a clock for this: a sweep of the listener counts ticks, and a connection notes
//! the tick at which it fell quiet. That is as exact as choosing the longest idle one needs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use slab::Slab;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::watched::Unread;

/// HTTP/2 streams that a client may give up at once, and how often afterwards. Opening a stream
/// and resetting it costs a client nothing, and us a request.
const RESETS: Bucket = Bucket { burst: 200, every: Duration::from_millis(50) };

/// How many pieces of what nobody wanted are read for all connections together: 256 MiB a second,
/// which takes a small part of a core whoever sends them, and no more at once than keeps other requests
/// waiting for a quarter of a millisecond.
const RUBBISH: Bucket = Bucket { burst: 32, every: Duration::from_micros(64) };

/// The bytes of such a piece.
pub(super) const PIECE: usize = 16 * 1024;

/// When there is no room, one of so many connections is closed at once, of those that idle:
/// looking for them means looking at all.
const CLOSED_AT_ONCE: usize = 16;

/// Whoever was idle for fewer ticks is not closed: its next request may be on its way.
const YOUNG: u64 = 2;

/// What became of the connections of a listener since the start.
#[derive(Debug, Default)]
pub struct Connections {
    /// Taken from the system, those that were closed at once included.
    pub accepted: AtomicU64,
    /// There now.
    pub open: AtomicU64,
    /// Times that the system gave none, mostly for want of descriptors.
    pub not_accepted: AtomicU64,
    /// Closed at once: their address had as many as it may.
    pub over_address: AtomicU64,
    /// Closed while idle, to make room for others.
    pub evicted: AtomicU64,
    /// Closed because a head that had begun did not come to its end in time.
    pub slow_heads: AtomicU64,
    /// Closed because nothing had come for the time that a connection may idle.
    pub idle: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Closed because what came was not HTTP, or against its rules.
    pub malformed: AtomicU64,
    /// Cut off because the client took nothing of an answer for too long.
    pub stalled: AtomicU64,
    /// HTTP/2 streams given up because their client took nothing of them for too long.
    pub unread: AtomicU64,
    /// Cut off because the client reset HTTP/2 streams faster than anybody has reason to.
    pub resets: AtomicU64,
    rubbish: AtomicU64,
    begun: Begun,
    tick: AtomicU64,
    all: Mutex<All>,
}

/// When a listener began.
#[derive(Clone, Copy, Debug)]
struct Begun(Instant);

impl Default for Begun {
    fn default() -> Self {
        Self(Instant::now())
    }
}

#[derive(Debug, Default)]
struct All {
    held: Slab<Arc<Held>>,
    by_address: HashMap<IpAddr, usize>,
}

/// What a connection is told to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Stay,
    /// Finish what is under way, and end.
    Finish,
    /// End now.
    End,
}

/// One connection, as others see it.
#[derive(Debug)]
pub(super) struct Held {
    /// Who is at its other end.
    pub(super) address: IpAddr,
    /// It speaks HTTP/2, as its requests say.
    http2: AtomicBool,
    /// A head has begun and is not whole.
    pub(super) partial: AtomicBool,
    /// Its client may be sending a body still that nobody will read.
    pub(super) linger: AtomicBool,
    /// Its listener.
    pub(super) all: Arc<Connections>,
    /// Requests whose answer is not over.
    busy: AtomicU32,
    /// The tick at which the last of them was.
    quiet_since: AtomicU64,
    resets: AtomicU64,
    begun: Instant,
    order: AtomicU8,
    bell: AtomicWaker,
    /// Answers over HTTP/2 that are not over.
    answers: Mutex<Vec<Weak<Unread>>>,
}

/// A place among the connections; dropping it leaves.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) held: Arc<Held>,
    key: usize,
}

/// A request under way on a connection.
#[derive(Debug)]
pub(super) struct Busy {
    held: Arc<Held>,
    http2: bool,
    over: bool,
}

impl Connections {
    /// Takes one in, unless its address has `most` already.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, most: Option<usize>) -> Option<Place> {
        self.accepted.fetch_add(1, Relaxed);
        let held = Arc::new(Held {
            address,
            http2: AtomicBool::new(false),
            partial: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            all: Arc::clone(self),
            busy: AtomicU32::new(0),
            quiet_since: AtomicU64::new(self.tick.load(Relaxed)),
            resets: AtomicU64::new(0),
            begun: Instant::now(),
            order: AtomicU8::new(Order::Stay as u8),
            bell: AtomicWaker::new(),
            answers: Mutex::default(),
        });
        let mut all = self.all();
        if most.is_some() {
            let count = all.by_address.entry(address).or_default();
            if most.is_some_and(|most| *count >= most) {
                self.over_address.fetch_add(1, Relaxed);
                return None;
            }
            *count += 1;
        }
        let key = all.held.insert(Arc::clone(&held));
        self.open.fetch_add(1, Relaxed);
        Some(Place { held, key })
    }

    /// After which time so many more bytes of what nobody wanted may be read, or answered if they were;
    /// `longest` at most. Each that asks gets a time of its own, so that they do not read all at once.
    pub(super) fn rubbish_after(&self, bytes: usize, longest: Duration) -> Duration {
        RUBBISH.reserve(&self.rubbish, self.begun.0.elapsed(), bytes.div_ceil(PIECE) as u64, longest)
    }

    /// Time goes on: closes whoever was idle for `idle` ticks, and gives up answers over HTTP/2
    /// of which nothing was taken for `unread` ticks.
    pub(super) fn sweep(&self, idle: u64, unread: u64) {
        let now = self.tick.fetch_add(1, Relaxed) + 1;
        for (_, held) in &self.all().held {
            self.unread.fetch_add(held.give_up(now, unread), Relaxed);
            // Of a head that is not whole there is nothing to finish.
            let leave = if held.has_begun() { Order::End } else { Order::Finish };
            if held.idle_for(now) > idle && held.give(leave) {
                self.count_silent(held);
            }
            // Whoever was told to finish and has nothing to finish had its time for that.
            if held.idle_for(now) > 2 * idle {
                held.give(Order::End);
            }
        }
    }

    /// Which of the two ways of saying nothing ended a connection.
    pub(super) fn count_silent(&self, held: &Held) {
        let which = if held.has_begun() { &self.slow_heads } else { &self.idle };
        which.fetch_add(1, Relaxed);
    }

    /// Closes some of those that have been idle for longest; how many.
    pub(super) fn evict(&self) -> usize {
        let now = self.tick.load(Relaxed);
        let all = self.all();
        let idle = all.held.iter().filter(|(_, held)| held.order() == Order::Stay);
        let mut idle: Vec<(u64, usize)> =
            idle.map(|(key, held)| (held.idle_for(now), key)).filter(|(for_ticks, _)| *for_ticks >= YOUNG).collect();
        let many = (all.held.len() / CLOSED_AT_ONCE).max(1).min(idle.len());
        if many > 0 {
            idle.select_nth_unstable_by(many - 1, |one, other| other.cmp(one));
        }
        for (_, key) in &idle[..many] {
            all.held[*key].give(Order::End);
        }
        self.evicted.fetch_add(many as u64, Relaxed);
        many
    }

    /// Tells all of them to finish what is under way.
    pub(super) fn finish(&self) {
        for (_, held) in &self.all().held {
            held.give(Order::Finish);
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.held.all;
        let mut all = connections.all();
        all.held.remove(self.key);
        if let Some(count) = all.by_address.get_mut(&self.held.address) {
            *count -= 1;
            if *count == 0 {
                all.by_address.remove(&self.held.address);
            }
        }
        connections.open.fetch_sub(1, Relaxed);
    }
}

impl Held {
    /// What it is told; `waker` is woken when that changes.
    pub(super) fn hears(&self, waker: &std::task::Waker) -> Order {
        self.bell.register(waker);
        self.order()
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Acquire) {
            0 => Order::Stay,
            1 => Order::Finish,
            _ => Order::End,
        }
    }

    /// Tells it; whether that is new.
    pub(super) fn give(&self, order: Order) -> bool {
        let before = self.order.fetch_max(order as u8, Release);
        let new = before < order as u8;
        if new {
            self.bell.wake();
        }
        new
    }

    /// Something of a head has come, and not all of it. Over HTTP/2 there is always something to say.
    fn has_begun(&self) -> bool {
        self.partial.load(Relaxed) && !self.http2.load(Relaxed)
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        self.partial.store(false, Relaxed);
        if http2 {
            self.http2.store(true, Relaxed);
        }
        Busy { held: Arc::clone(self), http2, over: false }
    }

    /// An answer over HTTP/2 that may never be read.
    pub(super) fn watch(&self, answer: &Arc<Unread>) {
        let mut answers = self.answers();
        if answers.len() == answers.capacity() {
            answers.retain(|answer| answer.strong_count() > 0);
        }
        answers.push(Arc::downgrade(answer));
    }

    /// The tick it is.
    pub(super) fn tick(&self) -> u64 {
        self.all.tick.load(Relaxed)
    }

    /// Ticks since the end of its last answer; none while there is one.
    fn idle_for(&self, now: u64) -> u64 {
        if self.busy.load(Relaxed) > 0 { 0 } else { now.saturating_sub(self.quiet_since.load(Relaxed)) }
    }

    fn give_up(&self, now: u64, unread: u64) -> u64 {
        let mut given_up = 0;
        self.answers().retain(|answer| {
            let Some(answer) = answer.upgrade() else { return false };
            let gone = answer.give_up(now, unread);
            given_up += u64::from(gone);
            !gone
        });
        given_up
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Weak<Unread>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    /// The tick it is.
    pub(super) fn tick(&self) -> u64 {
        self.held.tick()
    }

    /// Its answer came to its end.
    pub(super) fn over(&mut self) {
        self.over = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let held = &self.held;
        held.quiet_since.store(held.tick(), Relaxed);
        held.busy.fetch_sub(1, Relaxed);
        // What follows the end of a request is the next one's.
        held.partial.store(false, Relaxed);
        if self.http2 && !self.over && RESETS.take(&held.resets, held.begun.elapsed()).is_err() && held.give(Order::End)
        {
            held.all.resets.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
