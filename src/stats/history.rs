//! What happened in the last minutes, for people, dashboards and quantiles?
//!
//! Time is cut into slices: five seconds long for the last minute, a minute long for a
//! quarter of an hour before that. A slice holds sums and five HDR histograms ("High
//! Dynamic Range", Gil Tene: buckets that grow with the value, so that every quantile is
//! known to within one part in a hundred). Slices merge exactly by addition, whoever
//! recorded them and in whatever order.
//!
//! Memory is bounded: a closed slice keeps only the buckets that are not empty, and there
//! are only so many buckets and slices.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::domain::failure::FailureKind;
use crate::domain::money::PicoUsd;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;

/// The length of a fresh slice, and how many of them there are.
pub(super) const FINE: Duration = Duration::from_secs(5);
pub(super) const FINE_SLICES: usize = 12;
/// The length of an older slice, and how many of them there are.
pub(super) const COARSE: Duration = Duration::from_secs(60);
pub(super) const COARSE_SLICES: usize = 14;
/// Longer times are counted as this long, in steps of 10 µs.
const LONGEST: u64 = 360_000_000;

/// What has a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distribution {
    /// Streams: until the first token.
    FirstToken,
    /// Streams: between two tokens.
    PerToken,
    /// Streams: until the last token.
    StreamTotal,
    /// Whole answers.
    AnswerTotal,
    /// Time before the wire.
    Queued,
}

pub(super) const DISTRIBUTIONS: usize = 5;

/// One attempt that has ended.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sample {
    /// Its times say nothing of the speed of answers.
    pub unmeasured: bool,
    /// `None`: it delivered its whole answer.
    pub failure: Option<FailureKind>,
    /// The answer was a stream.
    pub stream: bool,
    /// Time to its first content, if that came.
    pub first_token: Option<Duration>,
    /// Time on the wire.
    pub total: Duration,
    /// From the first content to the end.
    pub generation: Option<Duration>,
    /// Tokens used.
    pub usage: TokenUsage,
    /// They are our own estimate.
    pub estimated: bool,
    /// What they cost.
    pub cost: PicoUsd,
    /// Time before the wire.
    pub queued: Duration,
}

impl Sample {
    /// What it adds to each distribution. Failures never make a target look fast: of them
    /// only a first token that was really seen counts.
    fn times(&self) -> [Option<Duration>; DISTRIBUTIONS] {
        let whole = self.failure.is_none() && !self.unmeasured;
        // The first token is not part of the time between tokens.
        let gaps = u32::try_from(self.usage.output.saturating_sub(1)).unwrap_or(u32::MAX);
        let per_token = self.generation.filter(|_| whole && self.stream && gaps >= 1).map(|time| time / gaps.max(1));
        [
            self.first_token.filter(|_| self.stream),
            per_token,
            Some(self.total).filter(|_| whole && self.stream),
            Some(self.total).filter(|_| whole && !self.stream),
            Some(self.queued),
        ]
    }
}

/// Sums over attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Attempts that delivered their whole answer.
    pub successes: u64,
    /// Attempts that did not, by class in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
    /// Of all of them, the streams.
    pub streams: u64,
    /// Tokens used, failed and abandoned attempts included.
    pub usage: TokenUsage,
    /// Attempts whose tokens are our own estimate.
    pub estimated: u64,
    /// Microseconds from first to last token.
    pub generation_us: u64,
    /// Tokens that were generated in that time.
    pub generated: u64,
    /// What it cost.
    pub cost: PicoUsd,
}

impl Sums {
    /// Attempts, however they ended.
    pub fn attempts(&self) -> u64 {
        self.successes + self.failures.iter().sum::<u64>()
    }

    fn record(&mut self, sample: &Sample) {
        let mut one = Self {
            successes: u64::from(sample.failure.is_none()),
            streams: u64::from(sample.stream),
            usage: sample.usage,
            estimated: u64::from(sample.estimated),
            cost: sample.cost,
            ..Self::default()
        };
        if let Some(kind) = sample.failure {
            one.failures[kind as usize] = 1;
        }
        if let Some(generation) = sample.generation.filter(|_| sample.failure.is_none()) {
            one.generation_us = u64::try_from(generation.as_micros()).unwrap_or(u64::MAX);
            one.generated = sample.usage.output;
        }
        self.merge(&one);
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.successes, other.successes);
        for (to, more) in self.failures.iter_mut().zip(other.failures) {
            add(to, more);
        }
        add(&mut self.streams, other.streams);
        add(&mut self.usage.input, other.usage.input);
        add(&mut self.usage.cached_input, other.usage.cached_input);
        add(&mut self.usage.cache_write, other.usage.cache_write);
        add(&mut self.usage.output, other.usage.output);
        add(&mut self.usage.reasoning, other.usage.reasoning);
        add(&mut self.estimated, other.estimated);
        add(&mut self.generation_us, other.generation_us);
        add(&mut self.generated, other.generated);
        add(&mut self.cost.0, other.cost.0);
    }
}

/// Buckets that are not empty: their value in steps of 10 µs, and how often it came.
type Buckets = Box<[(u32, u32)]>;

/// What happened in a stretch of time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Slice {
    /// When it began.
    pub start: UnixMillis,
    /// Its sums.
    pub sums: Sums,
    pub(super) buckets: [Buckets; DISTRIBUTIONS],
}

impl Slice {
    fn empty(start: UnixMillis) -> Self {
        Self { start, sums: Sums::default(), buckets: Default::default() }
    }

    /// Adds what happened elsewhere in the same stretch of time.
    pub fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        for (mine, others) in self.buckets.iter_mut().zip(&other.buckets) {
            let mut sum = std::collections::BTreeMap::new();
            for (value, count) in mine.iter().chain(others.iter()) {
                let entry: &mut u32 = sum.entry(*value).or_default();
                *entry = entry.saturating_add(*count);
            }
            *mine = sum.into_iter().collect();
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.buckets.iter().map(|buckets| size_of_val(&**buckets)).sum()
    }
}

/// The slice that is being filled.
#[derive(Debug)]
struct Open {
    start: UnixMillis,
    sums: Sums,
    /// Allocated with the first time that comes.
    histograms: [Option<Box<Histogram<u32>>>; DISTRIBUTIONS],
}

fn histogram<C: hdrhistogram::Counter>() -> Option<Histogram<C>> {
    // Fails only for bounds that make no sense, which these do.
    Histogram::new_with_bounds(1, LONGEST, 2).ok()
}

fn steps(time: Duration) -> u64 {
    u64::try_from(time.as_micros() / 10).unwrap_or(LONGEST).clamp(1, LONGEST)
}

impl Open {
    fn new(start: UnixMillis) -> Self {
        Self { start, sums: Sums::default(), histograms: Default::default() }
    }

    fn record(&mut self, sample: &Sample) {
        self.sums.record(sample);
        for (slot, time) in self.histograms.iter_mut().zip(sample.times()) {
            let Some(time) = time else { continue };
            if slot.is_none() {
                *slot = histogram().map(Box::new);
            }
            if let Some(histogram) = slot {
                histogram.saturating_record(steps(time));
            }
        }
    }

    /// Closes it, and makes it the next one.
    fn close(&mut self, next: UnixMillis) -> Slice {
        let mut closed = Slice::empty(self.start);
        closed.sums = std::mem::take(&mut self.sums);
        for (buckets, histogram) in closed.buckets.iter_mut().zip(&mut self.histograms) {
            if let Some(histogram) = histogram.as_mut().filter(|histogram| !histogram.is_empty()) {
                *buckets = recorded(histogram);
                histogram.reset();
            }
        }
        self.start = next;
        closed
    }
}

fn recorded(histogram: &Histogram<u32>) -> Buckets {
    // Values are at most LONGEST, which fits.
    histogram.iter_recorded().map(|step| (step.value_iterated_to() as u32, step.count_at_value())).collect()
}

/// The last quarter of an hour, and sums since the start.
#[derive(Debug)]
pub struct History {
    since_start: Sums,
    open: Open,
    /// Slices closed so far; the newest of `fine` has this number.
    closed: u64,
    /// Oldest first.
    fine: VecDeque<Slice>,
    /// Oldest first; each starts on a whole minute.
    coarse: VecDeque<Slice>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            since_start: Sums::default(),
            open: Open::new(UnixMillis(0)),
            closed: 0,
            fine: VecDeque::new(),
            coarse: VecDeque::new(),
        }
    }
}

pub(super) fn floor(time: UnixMillis, length: Duration) -> UnixMillis {
    let length = length.as_millis() as u64;
    UnixMillis(time.0 / length * length)
}

impl History {
    /// An attempt has ended. A time before the open slice counts as being in it.
    pub fn record(&mut self, sample: &Sample, now: UnixMillis) {
        self.advance(now);
        self.since_start.record(sample);
        self.open.record(sample);
    }

    /// Closes what is over at `now`, so that it can be told.
    pub fn advance(&mut self, now: UnixMillis) {
        let start = floor(now, FINE);
        if start <= self.open.start {
            return;
        }
        self.close_until(start);
        while self.fine.front().is_some_and(|slice| slice.start + FINE * FINE_SLICES as u32 <= start) {
            if let Some(slice) = self.fine.pop_front() {
                self.put_by(slice);
            }
        }
        let oldest = start - (FINE * FINE_SLICES as u32 + COARSE * COARSE_SLICES as u32);
        while self.coarse.front().is_some_and(|slice| slice.start + COARSE <= oldest) {
            self.coarse.pop_front();
        }
    }

    /// Closes what is not over yet: what is recorded before its end is in the next one.
    pub fn close(&mut self, now: UnixMillis) {
        self.close_until(floor(now, FINE) + FINE);
    }

    fn close_until(&mut self, next: UnixMillis) {
        let closed = self.open.close(next);
        if closed.sums.attempts() > 0 {
            self.fine.push_back(closed);
            self.closed += 1;
        }
    }

    /// The slices of the last minute whose number is higher than `told`, with their numbers,
    /// oldest first. Closed slices are counted from one and never change.
    pub fn closed_after(&self, told: u64) -> impl Iterator<Item = (u64, &Slice)> {
        let before = self.closed - self.fine.len() as u64;
        (before + 1..).zip(&self.fine).filter(move |(number, _)| *number > told)
    }

    /// The number of the slice that was closed last; 0 is none.
    pub fn closed(&self) -> u64 {
        self.closed
    }

    fn put_by(&mut self, mut slice: Slice) {
        slice.start = floor(slice.start, COARSE);
        match self.coarse.back_mut() {
            Some(last) if last.start == slice.start => last.merge(&slice),
            _ => self.coarse.push_back(slice),
        }
    }

    fn slices(&self, window: Duration, now: UnixMillis) -> impl Iterator<Item = &Slice> {
        let from = now - window;
        let within = move |slice: &&Slice, length| slice.start + length > from;
        // The last minute stands in fresh slices. The newest old one lies before it, though
        // its whole minute would reach into it.
        let reaches_back = window > FINE * FINE_SLICES as u32;
        self.coarse
            .iter()
            .filter(move |slice| reaches_back && within(slice, COARSE))
            .chain(self.fine.iter().filter(move |slice| within(slice, FINE)))
    }

    /// Sums over a window that ends now, to the precision of the slices.
    pub fn sums(&self, window: Duration, now: UnixMillis) -> Sums {
        let mut sums = Sums::default();
        for slice in self.slices(window, now) {
            sums.merge(&slice.sums);
        }
        if self.open.start + FINE > now - window {
            sums.merge(&self.open.sums);
        }
        sums
    }

    /// Sums since the start.
    pub fn since_start(&self) -> &Sums {
        &self.since_start
    }

    /// A quantile, `q` in [0, 1], over a window that ends now; `None` where nothing was
    /// recorded.
    pub fn quantile(&self, what: Distribution, q: f64, window: Duration, now: UnixMillis) -> Option<Duration> {
        self.quantiles(what, [q], window, now, &mut std::iter::empty()).map(|[time]| time)
    }

    /// Quantiles, together with buckets that others have recorded.
    pub fn quantiles<const N: usize>(
        &self,
        what: Distribution,
        qs: [f64; N],
        window: Duration,
        now: UnixMillis,
        others: &mut dyn Iterator<Item = &(u32, u32)>,
    ) -> Option<[Duration; N]> {
        let mut all: Histogram<u64> = histogram()?;
        for (value, count) in others {
            all.saturating_record_n(u64::from(*value), u64::from(*count));
        }
        for slice in self.slices(window, now) {
            for (value, count) in &slice.buckets[what as usize] {
                all.saturating_record_n(u64::from(*value), u64::from(*count));
            }
        }
        if let Some(open) = &self.open.histograms[what as usize]
            && self.open.start + FINE > now - window
        {
            for (value, count) in recorded(open) {
                all.saturating_record_n(u64::from(value), u64::from(count));
            }
        }
        (!all.is_empty()).then(|| qs.map(|q| Duration::from_micros(all.value_at_quantile(q) * 10)))
    }

    /// Bytes on the heap now; [`Self::MOST_BYTES`] at most.
    pub fn memory_bytes(&self) -> usize {
        let open =
            self.open.histograms.iter().flatten().map(|histogram| histogram.distinct_values() * size_of::<u32>());
        let slots = (self.fine.capacity() + self.coarse.capacity()) * size_of::<Slice>();
        let closed = self.fine.iter().chain(&self.coarse).map(Slice::memory_bytes);
        slots + open.sum::<usize>() + closed.sum::<usize>()
    }

    /// What it never exceeds, if every bucket of every slice were in use; a few dozen
    /// kilobytes are usual.
    pub const MOST_BYTES: usize =
        (FINE_SLICES + COARSE_SLICES + 2) * DISTRIBUTIONS * BUCKETS * size_of::<(u32, u32)>() + (1 << 16);
}

/// Buckets of a histogram with these bounds.
const BUCKETS: usize = 3072;

#[cfg(test)]
mod tests;
