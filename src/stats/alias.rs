//! What is known of an alias: how long its answers are, and what it may still spend on
//! knowing better.
//!
//! All in atomics, since every request of an alias passes here. Two requests that race may
//! lose one of two updates, which an average and a budget can bear.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Classes of output limits: none given, and up to these many tokens.
const LIMITS: [u64; 6] = [64, 256, 1024, 4096, 16_384, u64::MAX];
/// How far one answer moves the expected length.
const LENGTH_STEP: f64 = 0.05;
/// Exploration saved up at most, in costs of the best target.
const EXPLORE_CAP: f64 = 6.0;
/// A new alias may explore this much before it has earned anything.
const EXPLORE_FIRST: f64 = 2.0;
/// Share of requests that may be given up early; and saved up at most.
const GIVE_UP: (f64, f64) = (0.05, 5.0);
/// Hedges saved up at most.
const HEDGE_CAP: f64 = 4.0;
/// While some target could be better than the present best, exploration earns this much more.
const PROMISING: f64 = 2.5;

/// A floating-point number that threads share.
#[derive(Debug)]
struct Number(AtomicU64);

impl Number {
    fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// Takes `amount` if that much is there.
    fn take(&self, amount: f64) -> bool {
        let take = |bits| {
            let left = f64::from_bits(bits) - amount;
            (left >= 0.0).then_some(left.to_bits())
        };
        self.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

/// The state of an alias.
#[derive(Debug)]
pub struct AliasStats {
    /// Expected output tokens: without a limit, then by class of limit; 0 is not known.
    output: [Number; LIMITS.len() + 1],
    explore: Number,
    give_up: Number,
    hedge: Number,
}

/// What a decision reads of an alias.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AliasReading {
    /// Output tokens that this request is expected to generate.
    pub expected_output: f64,
    /// What may be lost by exploring, in costs of the best target.
    pub explore: f64,
    /// Whether an attempt may be given up early.
    pub give_up: bool,
    /// Whether a request may be sent twice.
    pub hedge: bool,
}

impl Default for AliasStats {
    fn default() -> Self {
        Self {
            output: std::array::from_fn(|_| Number::new(0.0)),
            explore: Number::new(EXPLORE_FIRST),
            give_up: Number::new(GIVE_UP.1),
            hedge: Number::new(1.0),
        }
    }
}

fn class(max_output_tokens: Option<u64>) -> usize {
    let Some(max) = max_output_tokens else { return 0 };
    1 + LIMITS.iter().position(|limit| max <= *limit).unwrap_or(LIMITS.len() - 1)
}

impl AliasStats {
    /// What a decision reads.
    pub fn reading(&self, max_output_tokens: Option<u64>) -> AliasReading {
        let known = self.output[class(max_output_tokens)].get();
        // Before any answer: half of what is allowed, at most 300 tokens.
        let guess = max_output_tokens.map_or(300.0, |max| (max as f64 / 2.0).min(300.0));
        AliasReading {
            expected_output: if known > 0.0 { known } else { guess.max(1.0) },
            explore: self.explore.get(),
            give_up: self.give_up.get() >= 1.0,
            hedge: self.hedge.get() >= 1.0,
        }
    }

    /// A request came in: each earns a part of the budgets. `promising`: some target could
    /// be better than the present best.
    pub fn earn(&self, explore: f64, hedge: f64, promising: bool) {
        let earned = if promising { explore * PROMISING } else { explore };
        self.explore.set((self.explore.get() + earned).min(EXPLORE_CAP));
        self.give_up.set((self.give_up.get() + GIVE_UP.0).min(GIVE_UP.1));
        if hedge > 0.0 {
            self.hedge.set((self.hedge.get() + hedge).min(HEDGE_CAP));
        }
    }

    /// Another than the best was tried, at this many costs of the best.
    pub fn explored(&self, excess: f64) {
        self.explore.set((self.explore.get() - excess).max(-EXPLORE_CAP));
    }

    /// Takes one early give-up, if there is one.
    pub fn may_give_up(&self) -> bool {
        self.give_up.take(1.0)
    }

    /// Takes one hedge, if there is one.
    pub fn may_hedge(&self) -> bool {
        self.hedge.take(1.0)
    }

    /// An answer was this long.
    pub fn answered(&self, max_output_tokens: Option<u64>, output_tokens: u64) {
        let expected = &self.output[class(max_output_tokens)];
        let before = self.reading(max_output_tokens).expected_output;
        expected.set(before + LENGTH_STEP * (output_tokens as f64 - before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_length_begins_with_a_guess_and_follows_the_answers() {
        let alias = AliasStats::default();
        let expected = |max| alias.reading(max).expected_output;
        assert_eq!([expected(None), expected(Some(10_000)), expected(Some(100))], [300.0, 300.0, 50.0]);
        for _ in 0..200 {
            alias.answered(Some(100), 80);
        }
        assert!((expected(Some(100)) - 80.0).abs() < 1.0);
        assert_eq!(expected(None), 300.0);
    }

    #[test]
    fn a_request_in_twenty_may_be_given_up() {
        let alias = AliasStats::default();
        let mut given_up = 0;
        for _ in 0..1000 {
            alias.earn(0.0, 0.0, false);
            given_up += u32::from(alias.may_give_up());
        }
        assert!((50..=55).contains(&given_up), "{given_up}");
    }

    #[test]
    fn exploring_costs_what_it_loses() {
        let alias = AliasStats::default();
        alias.explored(3.0);
        assert_eq!(alias.reading(None).explore, -1.0);
        for _ in 0..1000 {
            alias.earn(0.03, 0.0, false);
        }
        assert_eq!(alias.reading(None).explore, EXPLORE_CAP);
    }

    #[test]
    fn hedges_are_earned_only_where_they_are_switched_on() {
        let alias = AliasStats::default();
        assert!(alias.may_hedge() && !alias.may_hedge());
        for _ in 0..25 {
            alias.earn(0.0, 0.04, false);
        }
        assert!(alias.may_hedge() && !alias.may_hedge());
    }
}
