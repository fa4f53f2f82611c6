//! How does what one replica knows get to the others, and back?
//!
//! No I/O: whoever has a connection asks for frames and carries them, and brings those of
//! others. What to call, and when:
//!
//! | when | call | then |
//! |---|---|---|
//! | every second | [`Sharing::pulses`] | publish each frame; nobody has to keep it |
//! | when [`Sharing::rung`] returns | [`Sharing::events`] | publish each frame at once |
//! | every 5 s, and whenever a connection is back | [`Sharing::collect_slices`]; where there is a connection [`Sharing::slices`] until it has none | append each frame where it is kept for 15 min, and publish it; then [`Sharing::arrived`] |
//! | every 10 s, soon after [`Sharing::alarms`] has grown, and before the end | [`Sharing::knowledge`] | keep the frames as this replica's (the latest ones only, for an hour) and publish them |
//! | before the end | [`Sharing::close_slices`], then slices | as ever |
//! | a message comes | [`Sharing::hear`] | with how long it was under way, as far as that is known |
//! | at the start, before the first request | [`Sharing::hear`] | of all knowledge that is kept, and of all slices of the last 15 min, with their ages in the store |
//!
//! An age in the store is the store's time now less its time when the frame was written
//! (Redis: `TIME` in the script that writes, or the id of a stream's entry). A frame that is
//! published and heard at once has the age zero.
//!
//! Nothing of all this is on the path of a decision: hearing changes an endpoint's statistics
//! under its lock, a few microseconds for each endpoint and message.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::View;
use crate::domain::ids::EndpointIdx;
use crate::domain::time::UnixMillis;
use crate::stats::share::{Content, FleetReading, Frame, Origin, Peers, Speaker, Unreadable};

/// What one process tells others and hears of them.
#[derive(Debug)]
pub struct Sharing {
    speaker: Mutex<Speaker>,
    peers: Mutex<Peers>,
    /// What decisions read of the peers, without the lock: a word each of `FleetReading`.
    fleet: [AtomicU64; 3],
    bell: Notify,
    alarms: AtomicU64,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// So many endpoints learned something.
    Endpoints(u32),
    /// It was our own, or a newer one has overtaken it.
    Nothing,
}

/// Figures for gauges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SharingStanding {
    /// Who there is, and how old their words are.
    pub fleet: FleetReading,
    /// Slices that wait to be told.
    pub slices_waiting: usize,
    /// Slices that will never be told: too old, or too many.
    pub slices_dropped: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sharing {
    /// As the process that has this store and started then.
    pub fn new(store: &str, started: UnixMillis) -> Self {
        let me = Origin::of(store, started);
        Self {
            speaker: Mutex::new(Speaker::new(me)),
            peers: Mutex::new(Peers::new(me)),
            fleet: Default::default(),
            bell: Notify::new(),
            alarms: AtomicU64::new(0),
        }
    }

    /// Who this process is to others.
    pub fn origin(&self) -> Origin {
        lock(&self.speaker).origin()
    }

    /// What happened since the last call. At least one frame, which says that we are there.
    pub fn pulses(&self, view: &View, now: UnixMillis) -> Vec<Vec<u8>> {
        self.note_fleet(&lock(&self.peers), now);
        let pulses = view.shared_endpoints().filter_map(|(key, live)| {
            // Nobody decides by what was told, so nothing is published.
            live.with(|stats| stats.pulse(now)).map(|pulse| (key, pulse))
        });
        lock(&self.speaker).pulses(pulses)
    }

    /// What is believed of every endpoint that is known, and which are to be left alone.
    pub fn knowledge(&self, view: &View, now: UnixMillis) -> Vec<Vec<u8>> {
        let (mut known, mut standing) = (Vec::new(), Vec::new());
        for (key, live) in view.shared_endpoints() {
            live.with(|stats| {
                known.extend(stats.knowledge(now).map(|known| (key, known)));
                standing.extend(stats.standing_events(now).map(|event| (key, event)));
            });
        }
        let mut speaker = lock(&self.speaker);
        let mut frames = speaker.knowledge(known);
        frames.extend(speaker.events(standing));
        frames
    }

    /// Takes the slices that are closed to those that have to be told. Whoever calls it less than
    /// once a minute misses some.
    pub fn collect_slices(&self, view: &View, now: UnixMillis) {
        let mut speaker = lock(&self.speaker);
        for (key, live) in view.shared_endpoints() {
            live.with(|stats| {
                stats.closed_slices(now, |number, slice, sums| speaker.outbox.put(key, number, slice, sums));
            });
        }
    }

    /// The oldest slices that have not arrived yet, some 64 KiB of them, and the number for
    /// [`Self::arrived`].
    pub fn slices(&self, now: UnixMillis) -> (u64, Vec<Vec<u8>>) {
        lock(&self.speaker).slices(now)
    }

    /// Nothing will happen any more: slices that are being filled are closed.
    pub fn close_slices(&self, view: &View, now: UnixMillis) {
        view.shared_endpoints().for_each(|(_, live)| live.with(|stats| stats.close_slice(now)));
    }

    /// The frames of the call to [`Self::slices`] that returned this number have arrived.
    pub fn arrived(&self, number: u64) {
        lock(&self.speaker).outbox.arrived(number);
    }

    /// Waits until there is something that all must know at once.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// What all must know at once.
    pub fn events(&self, view: &View, now: UnixMillis) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        for (key, live) in view.shared_endpoints() {
            live.with(|stats| stats.take_events(now, |event| events.push((key, event))));
        }
        self.alarms.fetch_add(events.len() as u64, Relaxed);
        lock(&self.speaker).events(events)
    }

    /// So many events were told so far.
    pub fn alarms(&self) -> u64 {
        self.alarms.load(Relaxed)
    }

    /// A message came that was under way for `aged`, as far as that is known. `jitter` in
    /// [0, 1) spreads the ends of time outs over replicas.
    ///
    /// # Errors
    /// If it cannot be read: a later version's, which is to be skipped, or no message at all.
    pub fn hear(
        &self,
        view: &View,
        message: &[u8],
        aged: Duration,
        now: UnixMillis,
        jitter: f64,
    ) -> Result<Heard, Unreadable> {
        let frame = Frame::read(message)?;
        let mut peers = lock(&self.peers);
        let is_news = peers.accept(&frame, aged, now);
        self.note_fleet(&peers, now);
        drop(peers);
        if !is_news {
            return Ok(Heard::Nothing);
        }
        let from = frame.from;
        let mut heard = 0;
        let endpoint = |key| view.endpoint_by_key(key).map(|idx: EndpointIdx| view.endpoint(idx));
        match frame.content {
            Content::Pulses(records) => {
                for (key, pulse) in records {
                    let Some(live) = endpoint(key) else { continue };
                    live.change(now, |stats| stats.hear_pulse(from, &pulse, aged, now, jitter));
                    heard += 1;
                }
            }
            Content::Knowledge(records) => {
                for (key, known) in records {
                    let Some(live) = endpoint(key) else { continue };
                    live.change(now, |stats| stats.hear_knowledge(&known, aged, now));
                    heard += 1;
                }
            }
            Content::Events(records) => {
                for (key, event) in records {
                    let Some(live) = endpoint(key) else { continue };
                    live.change(now, |stats| stats.hear_event(&event, aged, now, jitter));
                    heard += 1;
                }
            }
            Content::Slices(records) => {
                for (key, slice) in records {
                    let Some(live) = endpoint(key) else { continue };
                    live.with(|stats| stats.hear_slice(from, &slice, aged, now));
                    heard += 1;
                }
            }
        }
        Ok(Heard::Endpoints(heard))
    }

    fn note_fleet(&self, peers: &Peers, now: UnixMillis) {
        let FleetReading { others, oldest, newest } = peers.reading(now);
        for (word, value) in self.fleet.iter().zip([u64::from(others), oldest.0, newest.0]) {
            word.store(value, Relaxed);
        }
    }

    /// What decisions have to know of the fleet, as of the latest word or pulse.
    pub fn fleet(&self) -> FleetReading {
        let [others, oldest, newest] = [0, 1, 2].map(|word: usize| self.fleet[word].load(Relaxed));
        // Was a u32.
        FleetReading { others: others as u32, oldest: UnixMillis(oldest), newest: UnixMillis(newest) }
    }

    /// Figures for gauges.
    pub fn standing(&self) -> SharingStanding {
        let (slices_waiting, slices_dropped) = lock(&self.speaker).outbox.standing();
        SharingStanding { fleet: self.fleet(), slices_waiting, slices_dropped }
    }
}
