//! What if replicas told each other what they believe, instead of what they saw?
//!
//! The first design, kept to be compared with: every replica follows its own requests alone
//! and publishes the level of its filters; others fuse these by inverse variance, which grows
//! by 0.02 a second with their age, and then with their own. Where the two differ by more
//! than three deviations the newer one counts.

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman::domain::time::UnixMillis;
use pointsman::stats::Reading;
use pointsman::stats::share::{EndpointKey, Knowledge, Level};

/// Growth of the variance of another one's belief with its age.
const STALE: f64 = 0.02;
/// What differs by so many deviations is not the same.
const DIFFERENT: f64 = 3.0;

/// A level with a variance that holds now.
#[derive(Clone, Copy, Debug)]
struct Belief {
    mean: f64,
    variance: f64,
    noise: f64,
    age: Duration,
}

/// What others believe.
#[derive(Debug, Default)]
pub struct Beliefs(BTreeMap<(EndpointKey, u64), (UnixMillis, Knowledge)>);

impl Beliefs {
    /// A replica told what it believes.
    pub fn hear(&mut self, replica: u64, key: EndpointKey, known: &Knowledge, at: UnixMillis) {
        self.0.insert((key, replica), (at, *known));
    }

    /// What is read of an endpoint, with what others believe of it.
    pub fn fuse(&self, key: EndpointKey, own: &Reading, now: UnixMillis) -> Reading {
        let mut reading = *own;
        let others = || self.0.range((key, 0)..=(key, u64::MAX)).map(|(_, told)| told);
        if others().next().is_none() {
            return reading;
        }
        let told = |of: &dyn Fn(&Knowledge) -> Level| {
            let belief = |(at, known): &(UnixMillis, Knowledge)| {
                let level = of(known);
                let age = now.since(*at) + level.ago;
                let variance = level.variance + STALE * age.as_secs_f64();
                Belief { mean: level.mean, variance, noise: level.noise, age }
            };
            others().map(belief).reduce(|a, b| both(&a, &b))
        };
        let mine = |mean: f64, variance: f64, noise: f64, at: UnixMillis| {
            let age = now.since(at);
            let variance = (variance + 0.002 * age.as_secs_f64()).min(1.0);
            (own.samples > 0).then_some(Belief { mean, variance, noise, age })
        };
        let first = mine(own.first_mean, own.first_variance, own.first_noise, own.first_at);
        if let Some(first) = with_own(first, told(&|known| known.first)) {
            (reading.first_mean, reading.first_variance, reading.first_noise) =
                (first.mean, first.variance, first.noise);
            (reading.first_s, reading.first_at) = ((first.mean + first.noise / 2.0).exp(), now);
        }
        let token_mean = own.token_s.ln() - own.token_noise / 2.0;
        let token = mine(token_mean, own.token_variance, own.token_noise, own.token_at);
        if let Some(token) = with_own(token, told(&|known| known.token)) {
            (reading.token_variance, reading.token_noise, reading.token_at) = (token.variance, token.noise, now);
            reading.token_s = (token.mean + token.noise / 2.0).exp();
        }
        reading.samples += others().map(|(_, known)| known.samples).sum::<u32>();
        for (at, known) in others() {
            reading.sent_at = reading.sent_at.max(*at - known.sent_ago);
            if *at - known.failing.ago > reading.failing_at {
                (reading.failing, reading.failing_at) = (known.failing.share, *at - known.failing.ago);
            }
        }
        reading
    }
}

fn with_own(own: Option<Belief>, others: Option<Belief>) -> Option<Belief> {
    let Some((own, others)) = own.zip(others) else { return own.or(others) };
    if (own.mean - others.mean).abs() > DIFFERENT * (own.variance + others.variance).sqrt() {
        return Some(if own.age <= others.age { own } else { others });
    }
    Some(both(&own, &others))
}

fn both(a: &Belief, b: &Belief) -> Belief {
    let (of_a, of_b) = (1.0 / a.variance, 1.0 / b.variance);
    let mean = |x: f64, y: f64| (x * of_a + y * of_b) / (of_a + of_b);
    Belief {
        mean: mean(a.mean, b.mean),
        variance: 1.0 / (of_a + of_b),
        noise: mean(a.noise, b.noise),
        age: a.age.min(b.age),
    }
}
