//! Was this one counted already? Numbers that come late, twice and in any order, each to be
//! counted once, in a few bytes.
//!
//! The window of IPsec against replayed packets (RFC 4303, section 3.4.3): the highest number
//! seen, and a bit for each of those just below it. What lies below the window counts as
//! seen.

/// So many numbers below the highest are told apart: 21 minutes of slices.
const WIDTH: u64 = 256;
const WORDS: usize = (WIDTH / 64) as usize;

/// Which numbers were seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Replay {
    highest: u64,
    /// Bit `n % WIDTH` belongs to number `n`.
    bits: [u64; WORDS],
}

impl Replay {
    /// Counts a number; `false` if it was counted before. Numbers begin with one.
    pub(super) fn is_new(&mut self, number: u64) -> bool {
        if number == 0 || number.saturating_add(WIDTH) <= self.highest {
            return false;
        }
        if number > self.highest {
            let passed = (number - self.highest).min(WIDTH);
            for step in 0..passed {
                self.clear(number - step);
            }
            self.highest = number;
        }
        let (word, bit) = place(number);
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }

    /// The highest number seen; 0 is none.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = place(number);
        self.bits[word] &= !bit;
    }
}

fn place(number: u64) -> (usize, u64) {
    // Below the width, which is small.
    ((number % WIDTH / 64) as usize, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_is_new_once_and_what_is_long_past_never() {
        let mut replay = Replay::default();
        assert!(!replay.is_new(0));
        assert!(replay.is_new(5) && !replay.is_new(5) && replay.is_new(3) && !replay.is_new(3));
        assert!(replay.is_new(1000) && !replay.is_new(744) && replay.is_new(745));
        assert!(replay.is_new(u64::MAX) && !replay.is_new(1001));
    }

    proptest! {
        #[test]
        fn it_is_a_set_within_its_window(numbers in proptest::collection::vec(1u64..200, 0..300)) {
            let (mut replay, mut set) = (Replay::default(), std::collections::HashSet::new());
            for number in numbers {
                prop_assert_eq!(replay.is_new(number), set.insert(number));
            }
        }
    }
}
