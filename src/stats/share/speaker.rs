//! What does this process say, in which words, and with which numbers?

use super::event::Event;
use super::frame::{FrameWriter, Kind, Record};
use super::knowledge::Knowledge;
use super::origin::{EndpointKey, Origin};
use super::outbox::Outbox;
use super::pulse::Pulse;
use crate::domain::time::UnixMillis;

/// Writes the messages of one process.
#[derive(Debug)]
pub struct Speaker {
    me: Origin,
    /// Of the latest frame of each kind.
    pulses: u64,
    knowledge: u64,
    slices: u64,
    events: u64,
    /// Slices that have not arrived yet.
    pub outbox: Outbox,
}

impl Speaker {
    /// Nothing was said yet.
    pub fn new(me: Origin) -> Self {
        Self { me, pulses: 0, knowledge: 0, slices: 0, events: 0, outbox: Outbox::default() }
    }

    /// Who speaks.
    pub fn origin(&self) -> Origin {
        self.me
    }

    /// What happened. At least one frame, even if nothing did: it says that this replica is
    /// there and that there is nothing else to know.
    pub fn pulses(&mut self, pulses: impl IntoIterator<Item = (EndpointKey, Pulse)>) -> Vec<Vec<u8>> {
        frames(self.me, Kind::Pulses, &mut self.pulses, pulses)
    }

    /// What is believed.
    pub fn knowledge(&mut self, known: impl IntoIterator<Item = (EndpointKey, Knowledge)>) -> Vec<Vec<u8>> {
        frames(self.me, Kind::Knowledge, &mut self.knowledge, known)
    }

    /// What all must know at once; nothing where there are no events.
    pub fn events(&mut self, events: impl IntoIterator<Item = (EndpointKey, Event)>) -> Vec<Vec<u8>> {
        let mut events = events.into_iter().peekable();
        if events.peek().is_none() {
            return Vec::new();
        }
        frames(self.me, Kind::Events, &mut self.events, events)
    }

    /// The oldest slices that have not arrived yet, and the number to be given to
    /// [`Outbox::arrived`] once these frames have.
    pub fn slices(&mut self, now: UnixMillis) -> (u64, Vec<Vec<u8>>) {
        self.outbox.frames(self.me, &mut self.slices, now)
    }
}

fn frames<T: Record>(
    me: Origin,
    kind: Kind,
    sequence: &mut u64,
    records: impl IntoIterator<Item = (EndpointKey, T)>,
) -> Vec<Vec<u8>> {
    let mut frames = FrameWriter::new(me, kind, sequence);
    for (key, record) in records {
        frames.put(key, &record);
    }
    frames.finish()
}
