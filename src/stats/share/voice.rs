//! What is kept of each replica that has spoken of an endpoint?

use super::origin::Origin;
use super::peers::{GONE, MOST_PEERS};
use super::pulse::{Pulse, Spent};
use super::remote::RemoteHistory;
use super::replay::Replay;
use super::slices::SliceRecord;
use crate::domain::time::UnixMillis;
use crate::stats::history::Sums;
use crate::stats::minute::Usage;

use std::time::Duration;

/// Usage that was told so long ago has left the minute.
const MINUTE: Duration = Duration::from_secs(60);
/// Whoever has said nothing of an endpoint for so long is forgotten there.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// One process, as far as it spoke of one endpoint.
#[derive(Clone, Debug)]
struct Voice {
    origin: Origin,
    /// When its latest word was true, by our clock.
    at: UnixMillis,
    /// When its latest pulse was.
    pulse_at: UnixMillis,
    usage: Usage,
    in_flight: u32,
    spent: Spent,
    rate: f64,
    slices: Replay,
    since_start: Sums,
}

/// What others told of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Voices {
    list: Vec<Voice>,
    history: RemoteHistory,
}

/// What others use of an endpoint.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Others {
    /// In the last minute.
    pub usage: Usage,
    /// Attempts under way, as of their latest words.
    pub in_flight: u32,
    /// Requests per second that were learned from 429s, of those who learned one.
    pub rate: f64,
}

impl Voices {
    fn of(&mut self, origin: Origin, at: UnixMillis, now: UnixMillis) -> &mut Voice {
        let place = match self.list.iter().position(|voice| voice.origin == origin) {
            Some(place) => place,
            None => {
                self.list.retain(|voice| now.since(voice.at) < FORGOTTEN);
                if self.list.len() >= MOST_PEERS {
                    let silent = self.list.iter().enumerate().min_by_key(|(_, voice)| voice.at);
                    if let Some((silent, _)) = silent {
                        self.list.swap_remove(silent);
                    }
                }
                self.list.push(Voice {
                    origin,
                    at,
                    pulse_at: UnixMillis(0),
                    usage: Usage::default(),
                    in_flight: 0,
                    spent: Spent::default(),
                    rate: 0.0,
                    slices: Replay::default(),
                    since_start: Sums::default(),
                });
                self.list.len() - 1
            }
        };
        let voice = &mut self.list[place];
        voice.at = voice.at.max(at);
        voice
    }

    /// A pulse that was written at `at`. Returns what was used since the one before; of a
    /// voice that is new, what it used in the last minute.
    pub fn pulse(&mut self, origin: Origin, pulse: &Pulse, at: UnixMillis, now: UnixMillis) -> [f64; 2] {
        // Whatever an earlier process of it used at once is over.
        for earlier in self.list.iter_mut().filter(|voice| voice.origin.replica == origin.replica) {
            if earlier.origin.epoch < origin.epoch {
                (earlier.in_flight, earlier.rate) = (0, 0.0);
            }
        }
        let voice = self.of(origin, at, now);
        let used = if voice.pulse_at == UnixMillis(0) {
            [pulse.usage.requests as f64, pulse.usage.tokens as f64]
        } else {
            // Tokens that were given back make it less.
            [
                pulse.spent.requests as f64 - voice.spent.requests as f64,
                pulse.spent.tokens as f64 - voice.spent.tokens as f64,
            ]
        };
        voice.pulse_at = at;
        (voice.usage, voice.in_flight, voice.spent, voice.rate) =
            (pulse.usage, pulse.in_flight, pulse.spent, pulse.rate);
        used
    }

    /// A slice; one that was heard before is passed over.
    pub fn slice(&mut self, origin: Origin, record: &SliceRecord, aged: Duration, now: UnixMillis) {
        let voice = self.of(origin, now - aged, now);
        if record.number >= voice.slices.highest() {
            voice.since_start = record.since_start;
        }
        if voice.slices.is_new(record.number) {
            self.history.add(&record.slice, record.ago + aged, now);
        }
    }

    /// What others use. What was told some time ago slides out of the minute since.
    pub fn others(&self, now: UnixMillis) -> Others {
        let mut others = Others::default();
        for voice in self.list.iter().filter(|voice| now.since(voice.pulse_at) < MINUTE) {
            let kept = 1.0 - now.since(voice.pulse_at).as_secs_f64() / MINUTE.as_secs_f64();
            let part = |told: u64| (told as f64 * kept) as u64;
            others.usage.requests = others.usage.requests.saturating_add(part(voice.usage.requests));
            others.usage.tokens = others.usage.tokens.saturating_add(part(voice.usage.tokens));
            others.usage.cost = others.usage.cost.saturating_add(part(voice.usage.cost));
            // Whoever has attempts under way says so every second, unless it is gone.
            if now.since(voice.pulse_at) <= GONE {
                others.in_flight = others.in_flight.saturating_add(voice.in_flight);
            }
            others.rate += voice.rate;
        }
        others
    }

    /// Everything since the start of each process that is remembered.
    pub fn since_start(&self) -> Sums {
        let mut sums = Sums::default();
        self.list.iter().for_each(|voice| sums.merge(&voice.since_start));
        sums
    }

    /// What happened in the last minutes.
    pub fn history(&self) -> &RemoteHistory {
        &self.history
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Voice>() + self.history.memory_bytes()
    }
}
