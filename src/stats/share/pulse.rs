//! What did one replica see of an endpoint since it last told of it?
//!
//! Not what it believes, but what happened: the latest observations, how many attempts
//! failed, what was used. Whoever hears it lets its own filters follow as if it had seen it
//! itself, so that many replicas that each see little know as much as one that sees all.
//! (To tell beliefs and weigh them by their variances was the first design: each of sixteen
//! replicas then has one fresh sample that fifteen stale beliefs outvote. docs/study.md has
//! both.)

use std::time::Duration;

use smallvec::SmallVec;

use super::codec::{Reader, Writer};
use super::frame::Record;
use crate::domain::failure::FailureKind;
use crate::domain::rate::{Allowance, RateHint};
use crate::domain::time::UnixMillis;
use crate::stats::minute::Usage;
use crate::stats::speed::Observation;

/// Observations in a pulse at most: of first tokens and whole answers, and of running streams.
pub const MOST_ANSWERS: usize = 6;
/// See [`MOST_ANSWERS`].
pub const MOST_PIECES: usize = 4;

/// An observation, and how long ago it was made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Seen {
    /// Before the pulse was written.
    pub ago: Duration,
    /// What was seen.
    pub what: Observation,
}

/// How attempts ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// Delivered content.
    pub answered: u32,
    /// Failed before any.
    pub failed: u32,
    /// How the latest of them failed.
    pub failure: Option<FailureKind>,
    /// Streams that came to their end.
    pub whole: u32,
    /// Streams that broke.
    pub broken: u32,
}

/// What happened at one endpoint since the pulse before, and what is used of it now.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pulse {
    /// How long ago an attempt last went out; `None`: not since the pulse before.
    pub sent_ago: Option<Duration>,
    /// Explorations among those that went out.
    pub explored: u32,
    /// How attempts ended.
    pub ends: Ends,
    /// Used in the last minute, reservations included.
    pub usage: Usage,
    /// Attempts under way.
    pub in_flight: u32,
    /// Requests and tokens since the process began, reservations included: a number that is
    /// told anew each time, so that nothing is lost with a pulse that is.
    pub spent: Spent,
    /// Requests per second that were learned from 429s; 0 is unknown.
    pub rate: f64,
    /// What the provider told of its limits since the pulse before, with resets relative to
    /// the epoch of this pulse: `UnixMillis(0)` is when it was written.
    pub told: RateHint,
    /// The latest observations, oldest first.
    pub seen: SmallVec<[Seen; 4]>,
}

/// What has been used since a process began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// Attempts.
    pub requests: u64,
    /// Tokens; those of attempts under way as expected.
    pub tokens: u64,
}

/// What a pulse holds beside the numbers that are always there.
mod holds {
    pub(super) const SENT: u8 = 1;
    pub(super) const ENDS: u8 = 1 << 1;
    pub(super) const USAGE: u8 = 1 << 2;
    pub(super) const RATE: u8 = 1 << 3;
    pub(super) const TOLD: u8 = 1 << 4;
}

/// Kinds of observations.
const FIRST: u8 = 0;
const WHOLE: u8 = 1;
const PIECES: u8 = 2;

impl Record for Pulse {
    fn write(&self, to: &mut Writer) {
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        to.byte(
            flag(self.sent_ago.is_some(), holds::SENT)
                | flag(self.ends != Ends::default(), holds::ENDS)
                | flag(self.usage != Usage::default(), holds::USAGE)
                | flag(self.rate > 0.0, holds::RATE)
                | flag(self.told != RateHint::default(), holds::TOLD),
        );
        to.number(self.in_flight.into());
        to.number(self.spent.requests);
        to.number(self.spent.tokens);
        if let Some(ago) = self.sent_ago {
            to.age(ago);
            to.number(self.explored.into());
        }
        if self.ends != Ends::default() {
            let Ends { answered, failed, failure, whole, broken } = self.ends;
            [answered, failed, whole, broken].into_iter().for_each(|count| to.number(count.into()));
            to.byte(failure.map_or(u8::MAX, |kind| kind as u8));
        }
        if self.usage != Usage::default() {
            to.number(self.usage.requests);
            to.number(self.usage.tokens);
            to.float(self.usage.cost as f64);
        }
        if self.rate > 0.0 {
            to.float(self.rate);
        }
        if self.told != RateHint::default() {
            write_allowance(self.told.requests, to);
            write_allowance(self.told.tokens, to);
        }
        to.number(self.seen.len() as u64);
        self.seen.iter().for_each(|seen| write_seen(seen, to));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let flags = from.byte()?;
        let holds = |flag: u8| flags & flag != 0;
        let mut pulse = Self {
            in_flight: from.small()?,
            spent: Spent { requests: from.number()?, tokens: from.number()? },
            ..Self::default()
        };
        if holds(holds::SENT) {
            pulse.sent_ago = Some(from.age()?);
            pulse.explored = from.small()?;
        }
        if holds(holds::ENDS) {
            let (answered, failed, whole, broken) = (from.small()?, from.small()?, from.small()?, from.small()?);
            let failure = FailureKind::ALL.get(usize::from(from.byte()?)).copied();
            pulse.ends = Ends { answered, failed, failure, whole, broken };
        }
        if holds(holds::USAGE) {
            // A float below 2^63 that is not negative fits.
            pulse.usage =
                Usage { requests: from.number()?, tokens: from.number()?, cost: from.float()?.min(9e18) as u64 };
        }
        if holds(holds::RATE) {
            pulse.rate = from.float()?;
        }
        if holds(holds::TOLD) {
            pulse.told = RateHint { requests: read_allowance(from)?, tokens: read_allowance(from)? };
        }
        for _ in 0..from.number()?.min((MOST_ANSWERS + MOST_PIECES) as u64) {
            pulse.seen.push(read_seen(from)?);
        }
        Some(pulse)
    }
}

fn write_seen(seen: &Seen, to: &mut Writer) {
    let Seen { ago, what: Observation { seconds, prompt_kilotokens, tokens } } = *seen;
    match prompt_kilotokens {
        Some(kilotokens) => {
            to.byte(if tokens > 0.0 { WHOLE } else { FIRST });
            to.level(seconds.ln());
            // Counts that were made from whole numbers.
            to.number((kilotokens * 1000.0).round() as u64);
            if tokens > 0.0 {
                to.number(tokens.round() as u64);
            }
        }
        None => {
            to.byte(PIECES);
            to.level((seconds / tokens).ln());
        }
    }
    to.age(ago);
}

fn read_seen(from: &mut Reader<'_>) -> Option<Seen> {
    let kind = from.byte()?;
    let seconds = from.level().filter(|level| !level.is_nan())?.exp();
    let count = |from: &mut Reader<'_>| Some(f64::from(from.small()?));
    let (prompt_kilotokens, tokens) = match kind {
        FIRST => (Some(count(from)? / 1000.0), 0.0),
        WHOLE => (Some(count(from)? / 1000.0), count(from)?),
        PIECES => (None, 1.0),
        _ => return None,
    };
    Some(Seen { ago: from.age()?, what: Observation { seconds, prompt_kilotokens, tokens } })
}

fn write_allowance(allowance: Option<Allowance>, to: &mut Writer) {
    let Allowance { limit, remaining, reset_at } = allowance.unwrap_or_default();
    // None is 0, and what is there one more than it is.
    [limit, remaining, reset_at.map(|at| at.0)]
        .into_iter()
        .for_each(|part| to.number(part.map_or(0, |part| part.saturating_add(1))));
}

fn read_allowance(from: &mut Reader<'_>) -> Option<Option<Allowance>> {
    let mut part = || Some(from.number()?.checked_sub(1));
    let told = Allowance { limit: part()?, remaining: part()?, reset_at: part()?.map(UnixMillis) };
    Some((told != Allowance::default()).then_some(told))
}
