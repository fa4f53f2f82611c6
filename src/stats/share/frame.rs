//! What does a message look like on the wire?
//!
//! ```text
//! version 1 byte · kind 1 byte · replica 8 bytes · epoch · sequence · records
//! record:  length · endpoint 8 bytes · what its kind says
//! ```
//!
//! Numbers are varints. A record carries its length, so that a part of it that a later
//! version appends is skipped, and so is one that makes no sense; a frame of a later version
//! or an unknown kind is no error either. Reading allocates nothing: records are read as they
//! are asked for.

use std::marker::PhantomData;

use super::codec::{Reader, Writer};
use super::event::Event;
use super::knowledge::Knowledge;
use super::origin::{EndpointKey, Origin};
use super::pulse::Pulse;
use super::slices::SliceRecord;

/// What this version writes.
const VERSION: u8 = 1;
/// A frame is closed once it is as long as this…
const CLOSE_AT: usize = 32 << 10;
/// …and nobody reads a longer one than this. The longest record, a slice in which every
/// bucket was used, takes less than half of it.
pub const LONGEST: usize = 256 << 10;

/// What a frame's records are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What happened since the last one.
    Pulses = 1,
    /// What is believed.
    Knowledge = 2,
    /// Closed slices and sums since the start.
    Slices = 3,
    /// What all must know at once.
    Events = 4,
}

/// What can stand in a record.
pub trait Record: Sized {
    /// Writes it.
    fn write(&self, to: &mut Writer);
    /// Reads it, if it makes sense.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Why a message is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// A later version wrote it, or of a kind that this one does not know: to be skipped.
    #[error("written by a later version")]
    Newer,
    /// It is none of ours.
    #[error("not a message of a replica")]
    Malformed,
}

/// A message that came.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Who sent it.
    pub from: Origin,
    /// Its number among those of its kind from there, counted from one.
    pub sequence: u64,
    /// What it says.
    pub content: Content<'a>,
}

/// What a frame says, endpoint by endpoint.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// What happened since the last one.
    Pulses(Records<'a, Pulse>),
    /// What is believed.
    Knowledge(Records<'a, Knowledge>),
    /// Closed slices and sums since the start.
    Slices(Records<'a, SliceRecord>),
    /// What all must know at once.
    Events(Records<'a, Event>),
}

/// The records of a frame, read one by one.
#[derive(Debug)]
pub struct Records<'a, T>(Reader<'a>, PhantomData<T>);

impl<T> Clone for Records<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Records<'_, T> {}

impl<T: Record> Iterator for Records<'_, T> {
    type Item = (EndpointKey, T);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let length = usize::try_from(self.0.number()?).ok()?;
            let mut record = Reader(self.0.bytes(length)?);
            if let Some(key) = record.word()
                && let Some(content) = T::read(&mut record)
            {
                return Some((EndpointKey(key), content));
            }
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// If it is none, or a later version's.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        if bytes.len() > LONGEST {
            return Err(Unreadable::Malformed);
        }
        let mut reader = Reader(bytes);
        let (version, kind) = reader.byte().zip(reader.byte()).ok_or(Unreadable::Malformed)?;
        match version {
            VERSION => {}
            0 => return Err(Unreadable::Malformed),
            _ => return Err(Unreadable::Newer),
        }
        let mut head = || Some((reader.word()?, reader.number()?, reader.number()?));
        let (replica, epoch, sequence) = head().ok_or(Unreadable::Malformed)?;
        let content = match kind {
            _ if kind == Kind::Pulses as u8 => Content::Pulses(Records(reader, PhantomData)),
            _ if kind == Kind::Knowledge as u8 => Content::Knowledge(Records(reader, PhantomData)),
            _ if kind == Kind::Slices as u8 => Content::Slices(Records(reader, PhantomData)),
            _ if kind == Kind::Events as u8 => Content::Events(Records(reader, PhantomData)),
            _ => return Err(Unreadable::Newer),
        };
        Ok(Self { from: Origin { replica, epoch }, sequence, content })
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Pulses(_) => Kind::Pulses,
            Content::Knowledge(_) => Kind::Knowledge,
            Content::Slices(_) => Kind::Slices,
            Content::Events(_) => Kind::Events,
        }
    }
}

/// Writes frames of one kind, each as long as is useful.
#[derive(Debug)]
pub(super) struct FrameWriter<'a> {
    from: Origin,
    kind: Kind,
    /// Of the latest frame.
    sequence: &'a mut u64,
    done: Vec<Vec<u8>>,
    open: Writer,
    record: Writer,
}

impl<'a> FrameWriter<'a> {
    /// The first frame is begun at once, so that there is one even where nothing is put in.
    pub(super) fn new(from: Origin, kind: Kind, sequence: &'a mut u64) -> Self {
        let mut writer =
            Self { from, kind, sequence, done: Vec::new(), open: Writer::default(), record: Writer::default() };
        writer.begin();
        writer
    }

    fn begin(&mut self) {
        *self.sequence += 1;
        self.open.byte(VERSION);
        self.open.byte(self.kind as u8);
        self.open.word(self.from.replica);
        self.open.number(self.from.epoch);
        self.open.number(*self.sequence);
    }

    pub(super) fn put(&mut self, key: EndpointKey, record: &impl Record) {
        self.put_with(key, |to| record.write(to));
    }

    pub(super) fn put_with(&mut self, key: EndpointKey, write: impl FnOnce(&mut Writer)) {
        self.record.0.clear();
        self.record.word(key.0);
        write(&mut self.record);
        if self.open.0.len() >= CLOSE_AT {
            self.done.push(std::mem::take(&mut self.open.0));
            self.begin();
        }
        self.open.number(self.record.0.len() as u64);
        self.open.bytes(&self.record.0);
    }

    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.done.push(self.open.0);
        self.done
    }
}
