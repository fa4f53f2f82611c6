//! What does this replica hold of a limit per minute that all replicas share?
//!
//! The bucket is in Redis, [`Cells`](super::super::cells::Cells) for all of them. A replica
//! takes units out of it, a few more than it needs at the moment, and lets requests in from
//! those; so the sum over all replicas never exceeds what the bucket gave. What nobody took
//! within a second goes back. A refusal is remembered for a moment, so that a flood of
//! requests is not a flood of questions.
//!
//! While Redis is away the replica goes on [`Alone`], with its part of the limit and of what
//! was left when it heard of the bucket last.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Peers;
use crate::domain::time::UnixMillis;
use crate::limits::refusal::Wait;
use crate::limits::standing::RateLeft;

/// Units that nobody took for so long go back to the others.
pub(super) const HELD_FOR: Duration = Duration::from_secs(1);

/// So long a refusal is believed; then others may have given something back.
pub(super) const BELIEVED_FOR: Duration = Duration::from_millis(250);

/// Units are taken for so long ahead, if they are used as fast as those before: it bounds how
/// often is asked.
const AHEAD_MS: u64 = 250;

/// No replica takes more ahead than its part of the limit divided by this.
const LARGEST_PART: u64 = 8;

/// The time in which an empty bucket is full again, in microseconds.
const MINUTE: u64 = 60_000_000;

/// What is asked of the shared bucket of a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateAsk {
    /// Units a minute; zero where there is no limit, and nothing is asked.
    pub limit: u32,
    /// So many units were not used, and go back.
    pub back: u64,
    /// The oldest of them were taken so long ago.
    pub back_age: Duration,
    /// So many were used that had not been taken, and have not refilled since.
    pub charge: u64,
    /// The same with those that have refilled: they have only if nobody else used as many.
    pub charge_in_all: u64,
    /// Fewer than this are of no use now.
    pub need: u64,
    /// So many are waited for.
    pub wanted: u64,
    /// So many more would be used soon.
    pub ahead: u64,
    /// After this time the bucket was to be full, as far as this replica knows; below zero, it
    /// was full so long ago.
    pub full_in_us: i64,
    /// Which bucket that was; zero if this replica has never asked.
    pub made: u64,
    /// How often it had changed when that was so.
    pub seq: u64,
    /// What had been taken of it then, if this replica has been alone since.
    pub taken_us: Option<i64>,
    /// What this replica had used since the question before.
    used: u64,
}

/// What the shared bucket gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateGrant {
    /// So many units.
    pub granted: u64,
    /// After this time it is full, if nothing else comes.
    pub owed_us: u64,
    /// Which bucket it is: when it was made, by the clock of Redis in microseconds.
    pub made: u64,
    /// How often it has changed.
    pub seq: u64,
    /// What was taken of it since it was made, as the time in which that refills, in
    /// microseconds. Less than none if more came back of a bucket before it.
    pub taken_us: i64,
}

/// What this replica holds, and what it knows of the bucket.
#[derive(Debug, Default)]
pub(super) struct Pool {
    held: u64,
    /// When the oldest of them were taken.
    since: UnixMillis,
    /// When the bucket gave some last.
    given_at: UnixMillis,
    /// To go back, and when the oldest of them were taken.
    back: u64,
    back_since: UnixMillis,
    /// Used, and not taken from the bucket yet.
    debt: u64,
    /// When the bucket is full; `None` as long as it was never asked.
    full_at: Option<u64>,
    made: u64,
    seq: u64,
    taken_us: i64,
    refused_until: UnixMillis,
    /// Used since the last time that the bucket was asked, and when that was.
    used: u64,
    asked_at: UnixMillis,
    alone: Option<Alone>,
}

impl Pool {
    /// Takes `units`, all of them or none.
    pub(super) fn take(&mut self, units: u64, limit: NonZeroU32, now: UnixMillis) -> Result<(), Wait> {
        self.look(units, limit, now)?;
        let lacking = units.saturating_sub(self.held);
        self.held -= units - lacking;
        if let Some(alone) = self.alone.as_mut().filter(|_| lacking > 0) {
            alone.charge(lacking, limit, now);
        }
        self.used = self.used.saturating_add(units);
        Ok(())
    }

    /// What [`take`](Self::take) would answer.
    pub(super) fn look(&self, units: u64, limit: NonZeroU32, now: UnixMillis) -> Result<(), Wait> {
        if units <= self.held {
            return Ok(());
        }
        if units > u64::from(limit.get()) {
            return Err(Wait::Never);
        }
        let lacking = units - self.held;
        let wait = match (&self.alone, self.full_at) {
            (Some(alone), _) => alone.bucket().wait(lacking, limit, now),
            (None, Some(full_at)) if now < self.refused_until => Bucket::whole(full_at).wait(lacking, limit, now),
            _ => return Err(Wait::Ask),
        };
        match (wait, &self.alone) {
            (Some(wait), _) => Err(Wait::For(wait)),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Wait::Ask),
        }
    }

    /// Gives back what was just taken, as if it had not been.
    pub(super) fn give_back(&mut self, units: u64, now: UnixMillis) {
        self.used = self.used.saturating_sub(units);
        self.hold(units, now);
    }

    /// Gives back what was taken at `taken` and not used.
    ///
    /// What was taken long ago goes back to the bucket, which knows whether it has refilled
    /// meanwhile: whoever found it full had those units already.
    pub(super) fn give_back_unused(&mut self, units: u64, taken: UnixMillis, now: UnixMillis) {
        if now.since(taken) < HELD_FOR || self.alone.is_some() {
            self.hold(units, taken);
        } else if units > 0 {
            self.put_aside(units, taken);
        }
    }

    /// Takes what was used already, though it be more than is left.
    pub(super) fn charge(&mut self, units: u64, limit: NonZeroU32, now: UnixMillis) {
        let lacking = units.saturating_sub(self.held);
        self.held -= units - lacking;
        match &mut self.alone {
            Some(alone) => alone.charge(lacking, limit, now),
            None => self.debt = self.debt.saturating_add(lacking),
        }
    }

    /// What is left for all replicas, as far as it is known; alone, for this one.
    pub(super) fn left(&self, limit: NonZeroU32, now: UnixMillis) -> RateLeft {
        let bucket = self.bucket();
        let free = bucket.level(limit, now).saturating_add(self.held).saturating_sub(self.debt);
        let remaining = u32::try_from(free).unwrap_or(u32::MAX).min(limit.get());
        RateLeft { limit, remaining, resets_in: whole_ms(bucket.owed(now)) }
    }

    /// Whether the bucket has to hear of something though no request waits for it.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.back > 0 || self.debt > 0 || self.is_unused(now) || self.alone.is_some()
    }

    /// Whether there is nothing that the bucket would ever have to hear of.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.back == 0 && self.debt == 0 && self.alone.is_none()
    }

    /// Whether something was taken, as far as this replica knows, that has not refilled: a Redis
    /// that has lost it has to be told.
    pub(super) fn has_taken(&self, now: UnixMillis) -> bool {
        self.full_at.is_some_and(|full_at| full_at > micros(now))
    }

    /// What is asked for a request that needs `need` units, while `wanted` are waited for in
    /// all. None at all only brings back what is not needed.
    pub(super) fn ask(&mut self, limit: NonZeroU32, need: u64, wanted: u64, peers: Peers, now: UnixMillis) -> RateAsk {
        if self.is_unused(now) {
            let held = std::mem::take(&mut self.held);
            self.put_aside(held, self.since);
        }
        let wanted = wanted.max(need);
        let largest = u64::from(limit.get()) / (LARGEST_PART * u64::from(peers.count.max(1)));
        let over = u64::try_from(now.since(self.asked_at).as_millis()).unwrap_or(u64::MAX).max(1);
        let used = std::mem::take(&mut self.used);
        let ahead = if wanted == 0 { 0 } else { (used.saturating_mul(AHEAD_MS) / over).min(largest) };
        self.asked_at = now;
        let [alone, alone_in_all] = self.alone.as_mut().map_or([0; 2], |alone| alone.tell_used(limit.get(), now));
        let (back, debt) = (std::mem::take(&mut self.back), std::mem::take(&mut self.debt));
        RateAsk {
            limit: limit.get(),
            back,
            back_age: now.since(self.back_since),
            charge: debt.saturating_add(alone),
            charge_in_all: debt.saturating_add(alone_in_all),
            need: need.saturating_sub(self.held),
            wanted: wanted.saturating_sub(self.held),
            ahead,
            full_in_us: self.full_at.map_or(0, |full_at| signed(full_at) - signed(micros(now))),
            made: self.made,
            seq: self.seq,
            taken_us: self.alone.is_some().then_some(self.taken_us),
            used,
        }
    }

    /// What the bucket answered.
    pub(super) fn granted(&mut self, ask: &RateAsk, grant: &RateGrant, now: UnixMillis) {
        if let Some(mut alone) = self.alone.take() {
            // What was let in while this was on its way was not told with it.
            let [unrefilled, _] = alone.tell_used(ask.limit, now);
            self.debt = self.debt.saturating_add(unrefilled);
        }
        self.full_at = Some(micros(now).saturating_add(grant.owed_us));
        (self.made, self.seq, self.taken_us) = (grant.made, grant.seq, grant.taken_us);
        self.refused_until = if grant.granted < ask.need { now + BELIEVED_FOR } else { UnixMillis(0) };
        if grant.granted > 0 {
            self.given_at = now;
        }
        self.hold(grant.granted, now);
    }

    /// The bucket did not answer: if it may have heard all the same, nothing is said twice.
    pub(super) fn unanswered(&mut self, ask: &RateAsk, may_have_happened: bool, now: UnixMillis) {
        self.used = self.used.saturating_add(ask.used);
        if may_have_happened {
            return;
        }
        if ask.back > 0 {
            self.put_aside(ask.back, now - ask.back_age);
        }
        match &mut self.alone {
            Some(alone) => alone.used = alone.used.saturating_add(ask.charge_in_all),
            None => self.debt = self.debt.saturating_add(ask.charge),
        }
    }

    /// From now on there is no bucket to ask. The others are taken to have used as much as this
    /// replica since it heard of it, and to want as much, so that together they do not take more
    /// than was left.
    pub(super) fn part(&mut self, limit: NonZeroU32, wanted: u64, peers: Peers, now: UnixMillis) {
        if self.alone.is_none() {
            let others = u64::from(peers.count.saturating_sub(1));
            let used = self.used.saturating_add(wanted).saturating_mul(others);
            let free = self.bucket().level(limit, now).saturating_sub(used);
            let mut alone = Alone::with(free, limit, peers, now);
            alone.charge(std::mem::take(&mut self.debt), limit, now);
            self.alone = Some(alone);
        }
    }

    fn is_unused(&self, now: UnixMillis) -> bool {
        self.held > 0 && now.since(self.given_at) >= HELD_FOR
    }

    fn bucket(&self) -> Bucket {
        match &self.alone {
            Some(alone) => alone.bucket(),
            // Nothing was used as far as is known.
            None => Bucket::whole(self.full_at.unwrap_or(0)),
        }
    }

    fn hold(&mut self, units: u64, since: UnixMillis) {
        if units > 0 {
            self.since = if self.held == 0 { since } else { self.since.min(since) };
            self.held = self.held.saturating_add(units);
        }
    }

    fn put_aside(&mut self, units: u64, since: UnixMillis) {
        self.back_since = if self.back == 0 { since } else { self.back_since.min(since) };
        self.back = self.back.saturating_add(units);
    }
}

/// A bucket, or one of several equal parts of it.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it is full, in microseconds.
    full_at: u64,
    parts: u64,
}

impl Bucket {
    fn whole(full_at: u64) -> Self {
        Self { full_at, parts: 1 }
    }

    fn owed(self, now: UnixMillis) -> u64 {
        self.full_at.saturating_sub(micros(now))
    }

    /// How many units are in it.
    fn level(self, limit: NonZeroU32, now: UnixMillis) -> u64 {
        let filled = MINUTE - self.owed(now).min(MINUTE);
        let units = u128::from(limit.get()) * u128::from(filled) / (u128::from(MINUTE) * u128::from(self.parts));
        // At most the limit.
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// The time that it takes to refill so many units.
    fn worth(self, units: u64, limit: NonZeroU32) -> u64 {
        let time = u128::from(units) * u128::from(MINUTE) * u128::from(self.parts);
        u64::try_from(time.div_ceil(u128::from(limit.get()))).unwrap_or(u64::MAX)
    }

    /// After which time it has so many units; `None` if it has them now. A part that never
    /// has so many gives them when it is full, and is empty for longer then.
    fn wait(self, units: u64, limit: NonZeroU32, now: UnixMillis) -> Option<Duration> {
        let least = MINUTE.saturating_sub(self.worth(units, limit));
        let wait = self.owed(now).saturating_sub(least);
        (wait > 0).then(|| whole_ms(wait))
    }
}

/// This replica's part of a bucket that it cannot ask.
#[derive(Debug)]
struct Alone {
    full_at: u64,
    parts: u64,
    /// Used since, and not told; what has refilled meanwhile included.
    used: u64,
}

impl Alone {
    /// One that has its part of `free`.
    fn with(free: u64, limit: NonZeroU32, peers: Peers, now: UnixMillis) -> Self {
        let parts = u64::from(peers.count.max(1));
        let mut alone = Self { full_at: 0, parts, used: 0 };
        let missing = u64::from(limit.get()).saturating_sub(free);
        alone.full_at = micros(now).saturating_add(Bucket::whole(0).worth(missing, limit));
        alone
    }

    fn bucket(&self) -> Bucket {
        Bucket { full_at: self.full_at, parts: self.parts }
    }

    fn charge(&mut self, units: u64, limit: NonZeroU32, now: UnixMillis) {
        self.full_at = self.full_at.max(micros(now)).saturating_add(self.bucket().worth(units, limit));
        self.used = self.used.saturating_add(units);
    }

    /// What was used and has not refilled since, in whole units and so rather more; and all that
    /// was used. Told once.
    fn tell_used(&mut self, limit: u32, now: UnixMillis) -> [u64; 2] {
        let missing = u128::from(limit) * u128::from(self.bucket().owed(now));
        let missing = missing.div_ceil(u128::from(MINUTE) * u128::from(self.parts));
        let used = std::mem::take(&mut self.used);
        [used.min(u64::try_from(missing).unwrap_or(u64::MAX)), used]
    }
}

fn micros(at: UnixMillis) -> u64 {
    at.0.saturating_mul(1000)
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Rounded up, so that after so many milliseconds the time has come.
fn whole_ms(micros: u64) -> Duration {
    Duration::from_millis(micros.div_ceil(1000))
}

#[cfg(test)]
mod tests;
