//! Which replicas are there, and how fresh is what they say?

use std::time::Duration;

use super::frame::{Frame, Kind};
use super::origin::Origin;
use super::replay::Replay;
use crate::domain::time::UnixMillis;

/// Whoever says nothing for so long is gone: ten pulses.
pub const GONE: Duration = Duration::from_secs(10);
/// As many others are known at most; of more than that the longest silent are forgotten.
pub const MOST_PEERS: usize = 64;

/// What a decision has to know of the fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FleetReading {
    /// Other replicas that were heard lately.
    pub others: u32,
    /// What the one heard longest ago said was true then; zero where there is nobody else.
    pub oldest: UnixMillis,
    /// The newest word of any.
    pub newest: UnixMillis,
}

impl FleetReading {
    /// How old the newest word is; `None` where nobody ever said anything.
    pub fn age(&self, now: UnixMillis) -> Option<Duration> {
        (self.newest > UnixMillis(0)).then(|| now.since(self.newest))
    }
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    origin: Origin,
    /// When the newest of what it said was true, by our clock.
    heard: UnixMillis,
    /// The number of its latest pulse.
    pulse: u64,
    /// Events that were heard.
    events: Replay,
}

/// Other replicas.
#[derive(Debug)]
pub struct Peers {
    me: Origin,
    list: Vec<Peer>,
}

impl Peers {
    /// Nobody is known yet.
    pub fn new(me: Origin) -> Self {
        Self { me, list: Vec::new() }
    }

    /// A message came that was written `aged` ago. Whether it is to be listened to: not one of
    /// our own, of an earlier process, or an old one that a newer one has overtaken.
    pub fn accept(&mut self, frame: &Frame<'_>, aged: Duration, now: UnixMillis) -> bool {
        if frame.from.replica == self.me.replica {
            // Our own echo; or what was known and happened before our own restart.
            return frame.from != self.me && frame.kind() != Kind::Pulses;
        }
        let written = now - aged;
        let known = self.list.iter().position(|peer| peer.origin.replica == frame.from.replica);
        let at = match known {
            Some(at) => at,
            None => {
                if self.list.len() >= MOST_PEERS {
                    self.forget_longest_silent();
                }
                self.list.push(Peer { origin: frame.from, heard: UnixMillis(0), pulse: 0, events: Replay::default() });
                self.list.len() - 1
            }
        };
        let peer = &mut self.list[at];
        let is_gone = now.since(peer.heard) > GONE;
        if frame.from.epoch > peer.origin.epoch || (is_gone && frame.from.epoch != peer.origin.epoch) {
            *peer = Peer { origin: frame.from, heard: UnixMillis(0), pulse: 0, events: Replay::default() };
        }
        // What happened in an earlier process has still happened.
        if frame.kind() == Kind::Slices {
            return true;
        }
        if frame.from.epoch < peer.origin.epoch {
            return false;
        }
        let is_news = match frame.kind() {
            Kind::Pulses => frame.sequence > peer.pulse,
            Kind::Events => peer.events.is_new(frame.sequence),
            Kind::Knowledge | Kind::Slices => true,
        };
        if is_news && frame.kind() == Kind::Pulses {
            peer.pulse = frame.sequence;
            peer.heard = peer.heard.max(written);
        }
        is_news
    }

    fn forget_longest_silent(&mut self) {
        let silent = self.list.iter().enumerate().min_by_key(|(_, peer)| peer.heard);
        if let Some((at, _)) = silent {
            self.list.swap_remove(at);
        }
    }

    /// What decisions read.
    pub fn reading(&self, now: UnixMillis) -> FleetReading {
        let live = || self.list.iter().filter(|peer| now.since(peer.heard) <= GONE).map(|peer| peer.heard);
        FleetReading {
            others: u32::try_from(live().count()).unwrap_or(u32::MAX),
            oldest: live().min().unwrap_or_default(),
            newest: self.list.iter().map(|peer| peer.heard).max().unwrap_or_default(),
        }
    }
}
