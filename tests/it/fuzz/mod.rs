//! Questions that nobody would ask: made from what each API says of itself, and spoilt a little.
//!
//! Both APIs of a running gateway are asked a number of questions that is small enough for
//! every change. `FUZZ_CASES=100000 cargo test --test it fuzz` asks more of them, and
//! `FUZZ_SEED=…` others than the usual ones; whatever fails tells the seed and the question.

mod admin;
mod data;
mod generate;
mod question;

use rand::SeedableRng;
use rand::rngs::StdRng;

/// How many questions are asked, and where they come from.
struct Effort {
    cases: usize,
    seed: u64,
}

impl Effort {
    /// So many, where nothing else is said.
    fn of(cases: usize) -> Self {
        Self { cases: number("FUZZ_CASES", cases as u64) as usize, seed: number("FUZZ_SEED", 1) }
    }

    /// The chance of one question: the same whatever was asked before.
    fn rng(&self, case: usize) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(case as u64))
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    let said = std::env::var(variable).ok();
    said.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}
