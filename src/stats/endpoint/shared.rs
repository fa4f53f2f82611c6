//! What an endpoint tells other replicas, and what it does with what it hears of them.
//!
//! What others saw moves the same filters as what was seen here, with the time at which it was
//! seen: the level of speed, the shares of failures, the breaker's count. So sixteen replicas
//! that each see a request in eighty seconds know as much as one that sees one in five. Two
//! rules keep what is fresh here from being drowned by what was true a second ago elsewhere:
//! an observation from before a change that is believed by now is dropped
//! ([`crate::stats::Speed::hear`]), and what must react at once (requests that wait, the
//! window, attempts in flight) is never told.

use std::time::Duration;

use smallvec::SmallVec;

use super::EndpointStats;
use crate::domain::rate::{Allowance, RateHint};
use crate::domain::time::UnixMillis;
use crate::health::{HealthReading, Notice};
use crate::stats::history::{Slice, Sums};
use crate::stats::minute::Usage;
use crate::stats::share::{
    Ends, Event, Knowledge, Level, MOST_ANSWERS, MOST_PIECES, Origin, Others, Pulse, Seen, Share, SliceRecord, Spent,
    Voices,
};
use crate::stats::speed::{Observation, Tracker};

/// Another replica's knowledge is taken over where it has seen something so much later.
const LATER: Duration = Duration::from_secs(5);
/// Samples that make an endpoint known.
const KNOWN: u32 = 3;
/// What is read from the store was true some time ago, and nobody says what was since: its
/// variance has grown by so much per second.
const UNHEARD: f64 = 0.02;
/// Events that wait to be told at most.
const MOST_EVENTS: usize = 8;

/// What has not been told yet, and what was heard.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Nobody is told anything before this is switched on.
    telling: bool,
    answers: SmallVec<[(UnixMillis, Observation); MOST_ANSWERS]>,
    pieces: SmallVec<[(UnixMillis, Observation); MOST_PIECES]>,
    /// Where the next one goes once there are as many as are told.
    next: usize,
    pub(super) ends: Ends,
    sent: bool,
    pub(super) explored: u32,
    told: RateHint,
    pub(super) spent: Spent,
    events: SmallVec<[(UnixMillis, Notice); 2]>,
    /// Health as it was when events were last looked for.
    before: HealthReading,
    /// The slice that was told last.
    slice: u64,
    /// The usage that was told last.
    usage: Usage,
    voices: Option<Box<Voices>>,
    pub(super) others: Others,
    others_at: UnixMillis,
}

impl Shared {
    /// An observation was made here.
    pub(super) fn saw(&mut self, what: &Observation, now: UnixMillis) {
        if !self.telling {
            return;
        }
        self.next = self.next.wrapping_add(1);
        // Of more than are told the latest.
        if what.prompt_kilotokens.is_some() {
            put(&mut self.answers, MOST_ANSWERS, self.next, (now, *what));
        } else {
            put(&mut self.pieces, MOST_PIECES, self.next, (now, *what));
        }
    }

    /// An attempt went out with so many tokens reserved.
    pub(super) fn sent(&mut self, tokens: u64) {
        self.sent = true;
        self.spent.requests += 1;
        self.spent.tokens = self.spent.tokens.saturating_add(tokens);
    }

    /// The provider told of its limits.
    pub(super) fn told(&mut self, hint: &RateHint) {
        if self.telling {
            self.told =
                RateHint { requests: hint.requests.or(self.told.requests), tokens: hint.tokens.or(self.told.tokens) };
        }
    }
}

fn put<T, const N: usize>(list: &mut SmallVec<[T; N]>, most: usize, next: usize, new: T) {
    if list.len() < most {
        list.push(new);
    } else {
        list[next % most] = new;
    }
}

impl EndpointStats {
    /// From now on what happens is kept to be told.
    pub fn tell(&mut self) {
        self.shared.telling = true;
    }

    /// What happened since the last pulse; `None` where there is nothing to say.
    pub fn pulse(&mut self, now: UnixMillis) -> Option<Pulse> {
        self.minute.advance(now);
        let usage = self.minute.sum();
        let shared = &mut self.shared;
        let silent = !shared.sent
            && shared.ends == Ends::default()
            && shared.answers.is_empty()
            && shared.pieces.is_empty()
            && shared.told == RateHint::default()
            && self.in_flight == 0
            && usage == shared.usage;
        if silent {
            return None;
        }
        shared.usage = usage;
        let relative = |allowance: Option<Allowance>| {
            // As the time that is left.
            let left = |at: UnixMillis| UnixMillis(0) + at.since(now);
            allowance.map(|told| Allowance { reset_at: told.reset_at.map(left), ..told })
        };
        let seen = |(at, what): (UnixMillis, Observation)| Seen { ago: now.since(at), what };
        let seen = shared.answers.drain(..).chain(shared.pieces.drain(..)).map(seen).collect();
        let told = std::mem::take(&mut shared.told);
        Some(Pulse {
            sent_ago: std::mem::take(&mut shared.sent).then(|| now.since(self.sent_at)),
            explored: std::mem::take(&mut shared.explored),
            ends: std::mem::take(&mut shared.ends),
            usage,
            in_flight: self.in_flight,
            spent: shared.spent,
            rate: self.pace.rate(now).unwrap_or(0.0),
            told: RateHint { requests: relative(told.requests), tokens: relative(told.tokens) },
            seen,
        })
    }

    /// What is believed; `None` where nothing is.
    pub fn knowledge(&self, now: UnixMillis) -> Option<Knowledge> {
        let (first, token) = (&self.speed.first, &self.speed.token);
        if self.samples < KNOWN {
            return None;
        }
        let level = |tracker: &Tracker| Level {
            mean: tracker.mean,
            variance: tracker.variance,
            noise: tracker.noise,
            ago: now.since(tracker.at),
            samples: tracker.samples,
        };
        let share = |(share, at): (f64, UnixMillis)| Share { share, ago: now.since(at) };
        let (slope, slope_variance) = self.speed.slope_level();
        Some(Knowledge {
            samples: self.samples,
            first: level(first),
            token: level(token),
            slope,
            slope_variance,
            failing: share(self.failing.last()),
            breaking: share(self.breaking.last()),
            potential: self.window.potential().unwrap_or(f64::NAN),
            piece_tokens: self.piece_tokens.unwrap_or(0.0),
            cached: self.cached,
            sent_ago: now.since(self.sent_at),
            explored: self.explored,
        })
    }

    /// Slices that were closed since the last call, each with its number, and the sums since
    /// the start.
    pub fn closed_slices(&mut self, now: UnixMillis, mut tell: impl FnMut(u64, &Slice, &Sums)) {
        self.history.advance(now);
        for (number, slice) in self.history.closed_after(self.shared.slice) {
            tell(number, slice, self.history.since_start());
        }
        self.shared.slice = self.history.closed();
    }

    /// Looks whether health has changed in a way that others have to know; whether there is
    /// something to be told.
    pub fn note_events(&mut self, now: UnixMillis) -> bool {
        let health = self.health.reading();
        if self.shared.telling && health != self.shared.before {
            for notice in health.notices(&self.shared.before, now) {
                if self.shared.events.len() < MOST_EVENTS {
                    self.shared.events.push((now, notice));
                }
            }
        }
        self.shared.before = health;
        !self.shared.events.is_empty()
    }

    /// What others have to know at once.
    pub fn take_events(&mut self, now: UnixMillis, mut tell: impl FnMut(Event)) {
        for (at, what) in self.shared.events.drain(..) {
            tell(Event { ago: now.since(at), what });
        }
    }

    /// What somebody who has heard nothing has to know: until when it is to be left alone.
    pub fn standing_events(&self, now: UnixMillis) -> impl Iterator<Item = Event> {
        self.health.standing_notices(now).map(move |(at, what)| Event { ago: now.since(at), what })
    }

    /// Nothing will happen any more: the slice that is being filled is closed.
    pub fn close_slice(&mut self, now: UnixMillis) {
        self.history.close(now);
    }

    /// Another replica's pulse, written `aged` ago. `jitter` in [0, 1) spreads the end of a
    /// time out that it leads to.
    pub fn hear_pulse(&mut self, origin: Origin, pulse: &Pulse, aged: Duration, now: UnixMillis, jitter: f64) {
        let written = now - aged;
        self.note_events(now);
        for seen in &pulse.seen {
            self.heard(&seen.what, written - seen.ago);
        }
        let Ends { answered, failed, failure, whole, broken } = pulse.ends;
        if answered + failed > 0 {
            self.failing.observe_many(failed, answered.saturating_add(failed), written);
            self.failing_at = self.failing_at.max(written);
            self.health.heard_of(answered, failed, failure, written, jitter);
        }
        self.breaking.observe_many(broken, whole.saturating_add(broken), written);
        if let Some(ago) = pulse.sent_ago {
            self.sent_at = self.sent_at.max(written - ago);
            self.explored = self.explored.saturating_add(pulse.explored);
        }
        if written > self.told_at {
            self.believe_limits(&pulse.told, written);
        }
        let voices = self.shared.voices.get_or_insert_default();
        let [requests, tokens] = voices.pulse(origin, pulse, written, now);
        self.shared.others = voices.others(now);
        self.shared.others_at = now;
        for (bucket, used) in [(&mut self.requests, requests), (&mut self.tokens, tokens)] {
            if let Some(bucket) = bucket {
                bucket.take(used, now);
            }
        }
        // A breaker that this has opened is told by whoever saw the failures.
        self.shared.before = self.health.reading();
    }

    fn heard(&mut self, seen: &Observation, at: UnixMillis) {
        let deviation = (self.speed.first.variance_at(at) + self.speed.first.noise).sqrt();
        if self.speed.hear(seen, at).abs() > 2.2 * deviation {
            self.explored = 0;
        }
        if let Some(kilotokens) = seen.prompt_kilotokens {
            self.samples = self.samples.saturating_add(1);
            if seen.tokens == 0.0 {
                let level = (seen.seconds / self.speed.growth(kilotokens)).ln();
                self.window.heard(level, self.speed.first.noise);
            }
        }
    }

    /// What a provider told another replica, with resets as the time left at `written`.
    fn believe_limits(&mut self, told: &RateHint, written: UnixMillis) {
        for (known, told) in [(&mut self.told.requests, told.requests), (&mut self.told.tokens, told.tokens)] {
            if let Some(told) = told {
                let reset_at = told.reset_at.map(|left| UnixMillis(written.0.saturating_add(left.0)));
                *known = Some(Allowance { reset_at, ..told });
                self.told_at = written;
            }
        }
    }

    /// What another replica believes, written `aged` ago. Only whoever knows nothing, or has
    /// not heard what others saw for a while, takes something over.
    pub fn hear_knowledge(&mut self, known: &Knowledge, aged: Duration, now: UnixMillis) {
        let at = |ago: Duration| now - aged - ago;
        if self.piece_tokens.is_none() && known.piece_tokens > 0.0 {
            self.piece_tokens = Some(known.piece_tokens);
            self.speed.token.mean -= known.piece_tokens.ln();
        }
        let unheard = UNHEARD * aged.as_secs_f64();
        let cold = self.samples < KNOWN;
        for (mine, level) in [(&mut self.speed.first, &known.first), (&mut self.speed.token, &known.token)] {
            if level.samples > 0 && (cold || at(level.ago) > mine.at + LATER) {
                mine.adopt(&Level { variance: level.variance + unheard, ..*level }, at(level.ago));
            }
        }
        if cold {
            self.speed.adopt_slope(known.slope, known.slope_variance);
            self.cached = known.cached;
        }
        self.samples = self.samples.max(known.samples);
        for (mine, share) in [(&mut self.failing, &known.failing), (&mut self.breaking, &known.breaking)] {
            if at(share.ago) > mine.last().1 + LATER {
                mine.adopt(share.share, at(share.ago));
            }
        }
        self.failing_at = self.failing_at.max(self.failing.last().1);
        self.window.adopt_potential(known.potential);
        if at(known.sent_ago) > self.sent_at {
            (self.sent_at, self.explored) = (at(known.sent_ago), known.explored);
        }
    }

    /// A slice of another replica, written `aged` ago.
    pub fn hear_slice(&mut self, origin: Origin, record: &SliceRecord, aged: Duration, now: UnixMillis) {
        self.shared.voices.get_or_insert_default().slice(origin, record, aged, now);
    }

    /// What another replica wants all to know, written `aged` ago. `jitter` in [0, 1) spreads
    /// ends.
    pub fn hear_event(&mut self, event: &Event, aged: Duration, now: UnixMillis, jitter: f64) {
        self.note_events(now);
        let at = now - aged - event.ago;
        if event.what == Notice::Closed {
            self.failing.forgive();
        }
        if matches!(event.what, Notice::Blocked { .. }) {
            self.pace.refused_elsewhere(at);
        }
        self.health.hear(&event.what, at, now, jitter);
        self.shared.before = self.health.reading();
    }

    /// What others use of it now.
    pub(super) fn others(&mut self, now: UnixMillis) -> Others {
        if let Some(voices) = &self.shared.voices
            && now.since(self.shared.others_at) >= Duration::from_secs(1)
        {
            self.shared.others = voices.others(now);
            self.shared.others_at = now;
        }
        self.shared.others
    }

    /// What others saw, where they told of anything.
    pub fn voices(&self) -> Option<&Voices> {
        self.shared.voices.as_deref()
    }
}
