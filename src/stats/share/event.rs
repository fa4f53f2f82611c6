//! What must every replica know at once? That an endpoint is to be left alone, and that it
//! is back.
//!
//! Ends are told as what is left until them, since clocks differ. Events may come late, twice
//! and in any order: of two ends the later one holds, and what a replica has found out itself
//! is only ever shortened by a return that is newer ([`crate::health::Health::hear`]).

use std::time::Duration;

use super::codec::{Reader, Writer};
use super::frame::Record;
use crate::domain::failure::FailureKind;
use crate::health::Notice;

const BLOCKED: u8 = 0;
const OPENED: u8 = 1;
const CLOSED: u8 = 2;
const PROBING: u8 = 3;

/// Something that happened to an endpoint's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// How long before it was told.
    pub ago: Duration,
    /// What.
    pub what: Notice,
}

impl Record for Event {
    fn write(&self, to: &mut Writer) {
        to.age(self.ago);
        match self.what {
            Notice::Blocked { left } => {
                to.byte(BLOCKED);
                to.age(left);
            }
            Notice::Opened { left, round, cause } => {
                to.byte(OPENED);
                to.age(left);
                to.number(round.into());
                to.byte(cause as u8);
            }
            Notice::Closed => to.byte(CLOSED),
            Notice::Probing { left } => {
                to.byte(PROBING);
                to.age(left);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let ago = from.age()?;
        let what = match from.byte()? {
            BLOCKED => Notice::Blocked { left: from.age()? },
            OPENED => Notice::Opened {
                left: from.age()?,
                round: from.small()?,
                cause: *FailureKind::ALL.get(usize::from(from.byte()?))?,
            },
            CLOSED => Notice::Closed,
            PROBING => Notice::Probing { left: from.age()? },
            _ => return None,
        };
        Some(Self { ago, what })
    }
}
