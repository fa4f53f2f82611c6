//! Which requests come, and when? Drawn before anybody routes them.

use std::time::Duration;

use super::luck::Luck;
use super::scenario::{Scenario, Traffic};

/// A request as the world will have it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Request {
    /// When it comes, since the beginning.
    pub at: Duration,
    /// The gateway that it comes to.
    pub replica: usize,
    /// Tokens of the prompt, which a gateway can estimate.
    pub prompt_tokens: u64,
    /// Tokens of its answer, which nobody knows before.
    pub output_tokens: u64,
    /// The mean over requests of its kind, which only the oracle knows.
    pub mean_output: f64,
    /// What it says about the longest answer.
    pub max_tokens: Option<u64>,
    /// It is streamed.
    pub stream: bool,
}

/// All requests of a run, in the order in which they come.
pub fn requests(scenario: &Scenario, seed: u64) -> Vec<Request> {
    let Scenario { traffic, replicas, joining, seconds, .. } = scenario;
    let mut luck = Luck::of(&[seed, 1]);
    let peak = traffic.peak();
    let shares: f64 = traffic.mix.iter().map(|kind| kind.share).sum();
    let mut requests = Vec::new();
    let mut now = 0.0;
    loop {
        // Thinning: candidates at the peak rate, kept with the rate of the moment.
        now += luck.exponential() / peak;
        if now >= *seconds {
            return requests;
        }
        if !luck.chance(traffic.rate_at(now) / peak) {
            continue;
        }
        let mut draw = luck.unit() * shares;
        let kind = traffic.mix.iter().find(|kind| {
            draw -= kind.share;
            draw < 0.0
        });
        let kind = kind.unwrap_or(&traffic.mix[0]);
        let mut tokens = |spread: super::scenario::Spread| {
            (spread.median * (spread.sigma * luck.normal()).exp()).round().clamp(1.0, 200_000.0) as u64
        };
        let prompt_tokens = tokens(kind.prompt);
        let output_tokens = tokens(kind.output).min(kind.max_tokens.unwrap_or(u64::MAX));
        let mut replica = luck.below(*replicas);
        while joining.iter().any(|joins| joins.replica == replica && joins.at_s > now) {
            replica = (replica + 1) % replicas;
        }
        requests.push(Request {
            at: Duration::from_secs_f64(now),
            replica,
            prompt_tokens,
            output_tokens,
            mean_output: kind.output.mean(),
            max_tokens: kind.max_tokens,
            stream: luck.chance(kind.streamed),
        });
    }
}

impl Traffic {
    /// Requests per second at a time.
    fn rate_at(&self, now: f64) -> f64 {
        match self.bursts {
            Some(bursts) if now % bursts.every_s < bursts.for_s => bursts.rate,
            _ => self.rates.iter().rev().find(|rate| rate.from_s <= now).map_or(self.rate, |rate| rate.rate),
        }
    }

    fn peak(&self) -> f64 {
        let rates = self.rates.iter().map(|rate| rate.rate);
        rates.chain(self.bursts.map(|bursts| bursts.rate)).fold(self.rate, f64::max)
    }

    /// The mean over kinds of something of theirs.
    pub fn mean(&self, of: impl Fn(&super::scenario::Kind) -> f64) -> f64 {
        let shares: f64 = self.mix.iter().map(|kind| kind.share).sum();
        self.mix.iter().map(|kind| kind.share * of(kind)).sum::<f64>() / shares
    }
}
