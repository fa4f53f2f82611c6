//! What happened at an endpoint in five seconds, as one replica saw it; and everything since
//! its start.
//!
//! A slice is told once it is closed, never changes again, and has a number of its own, so
//! that who has heard it before knows. The sums since the start are told anew with every
//! slice: absolute numbers, which are right whatever was lost before.

use std::time::Duration;

use super::codec::{Reader, Writer};
use super::frame::Record;
use crate::domain::money::PicoUsd;
use crate::domain::usage::TokenUsage;
use crate::stats::history::{Slice, Sums};

/// A closed slice.
#[derive(Clone, PartialEq, Debug)]
pub struct SliceRecord {
    /// How long ago it began.
    pub ago: Duration,
    /// Counted from one at each endpoint of each process.
    pub number: u64,
    /// Its content; its beginning is not told.
    pub slice: Slice,
    /// Since the start of the process, this slice included.
    pub since_start: Sums,
}

impl Record for SliceRecord {
    fn write(&self, to: &mut Writer) {
        to.age(self.ago);
        write_content(self.number, &self.slice, &self.since_start, to);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (ago, number) = (from.age()?, from.number()?);
        let mut slice = Slice { sums: read_sums(from)?, ..Slice::default() };
        for buckets in &mut slice.buckets {
            *buckets = read_buckets(from)?;
        }
        Some(Self { ago, number, slice, since_start: read_sums(from)? })
    }
}

/// All of a record but the age, which depends on when it is sent.
pub(super) fn write_content(number: u64, slice: &Slice, since_start: &Sums, to: &mut Writer) {
    to.number(number);
    write_sums(&slice.sums, to);
    for buckets in &slice.buckets {
        write_buckets(buckets, to);
    }
    write_sums(since_start, to);
}

const SUMS: usize = 25;

fn numbers(sums: &Sums) -> [u64; SUMS] {
    let mut numbers = [0; SUMS];
    let usage = &sums.usage;
    let others = [
        sums.successes,
        sums.streams,
        usage.input,
        usage.cached_input,
        usage.cache_write,
        usage.output,
        usage.reasoning,
        sums.estimated,
        sums.generation_us,
        sums.generated,
        sums.cost.0,
    ];
    for (to, number) in numbers.iter_mut().zip(others.into_iter().chain(sums.failures)) {
        *to = number;
    }
    numbers
}

/// Which are not zero, as bits, and those.
fn write_sums(sums: &Sums, to: &mut Writer) {
    let numbers = numbers(sums);
    let bit = |(at, number): (usize, &u64)| if *number > 0 { 1u64 << at } else { 0 };
    to.number(numbers.iter().enumerate().map(bit).sum());
    numbers.iter().filter(|number| **number > 0).for_each(|number| to.number(*number));
}

fn read_sums(from: &mut Reader<'_>) -> Option<Sums> {
    let bits = from.number()?;
    let mut numbers = [0; SUMS];
    for at in (0..64).filter(|at| bits >> at & 1 == 1) {
        let number = from.number()?;
        // What a later version counts beside these is passed over.
        if let Some(known) = numbers.get_mut(at) {
            *known = number;
        }
    }
    let [
        successes,
        streams,
        input,
        cached_input,
        cache_write,
        output,
        reasoning,
        estimated,
        generation_us,
        generated,
        cost,
        failures @ ..,
    ] = numbers;
    Some(Sums {
        successes,
        failures,
        streams,
        usage: TokenUsage { input, cached_input, cache_write, output, reasoning },
        estimated,
        generation_us,
        generated,
        cost: PicoUsd(cost),
    })
}

/// Bits of a value that a bucket tells apart: HDR histograms of two digits have 256 buckets of
/// width one, and 128 for each doubling after that.
const BITS: u32 = 8;

/// The number of the bucket that a value is in.
fn bucket(value: u32) -> u32 {
    let shift = (u32::BITS - value.leading_zeros()).saturating_sub(BITS);
    (shift << (BITS - 1)) + (value >> shift)
}

/// The highest value of a bucket, by which a slice keeps it; `None` beyond the longest.
fn highest(bucket: u32) -> Option<u32> {
    let shift = (bucket >> (BITS - 1)).saturating_sub(1);
    if shift > u32::BITS - BITS {
        return None;
    }
    let low = bucket - (shift << (BITS - 1));
    let above = u64::from(low + 1) << shift;
    u32::try_from(above - 1).ok()
}

/// How many, and each one's distance from the one before and how often it came: mostly two
/// bytes each.
fn write_buckets(buckets: &[(u32, u32)], to: &mut Writer) {
    to.number(buckets.len() as u64);
    let mut before = 0;
    for (value, count) in buckets {
        let at = bucket(*value);
        to.number(u64::from(at - before));
        to.number(u64::from(*count));
        before = at;
    }
}

fn read_buckets(from: &mut Reader<'_>) -> Option<Box<[(u32, u32)]>> {
    let count = usize::try_from(from.number()?).ok()?;
    // Each takes two bytes at least, so what is allocated is bounded by what came.
    if count > from.0.len() / 2 {
        return None;
    }
    let mut buckets = Vec::with_capacity(count);
    let mut at = 0u32;
    for place in 0..count {
        let step = from.small()?;
        if place > 0 && step == 0 {
            return None;
        }
        at = at.checked_add(step)?;
        buckets.push((highest(at).filter(|value| *value <= MOST)?, from.small()?));
    }
    Some(buckets.into())
}

/// The highest value of the bucket of the longest time.
const MOST: u32 = (1 << 29) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_bucket_beyond_the_longest_is_none() {
        assert_eq!(highest(bucket(u32::MAX)), Some(u32::MAX));
        for beyond in [bucket(u32::MAX) + 1, 64 << (BITS - 1), u32::MAX] {
            assert_eq!(highest(beyond), None);
        }
    }

    #[test]
    fn a_bucket_is_that_of_the_histogram() {
        let mut histogram = hdrhistogram::Histogram::<u32>::new_with_bounds(1, 360_000_000, 2).unwrap();
        for shift in 0..29u32 {
            for value in [1u64 << shift, (1 << shift) + (1 << shift) / 3, (2 << shift) - 1] {
                histogram.saturating_record(value.min(360_000_000));
            }
        }
        for step in histogram.iter_recorded() {
            let value = u32::try_from(step.value_iterated_to()).unwrap();
            assert_eq!(highest(bucket(value)), Some(value));
        }
    }
}
