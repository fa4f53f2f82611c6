//! What replicas tell each other, and how it gets there: a network that delays, loses, and is
//! sometimes not there at all.
//!
//! Messages are the real bytes. Which carries them does not matter; what does is how often,
//! how late and whether they come.

use std::time::Duration;

use serde::Deserialize;

use super::luck::Luck;

/// How replicas share; from a scenario's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sharing {
    /// Seconds from one telling to the next.
    pub every_s: f64,
    /// How long a message is under way, on average; from half to one and a half of it.
    pub delay_s: f64,
    /// The share of messages that never arrive, for each receiver by itself.
    pub loss: f64,
    /// When nothing arrives at all.
    pub outages: Vec<Outage>,
    /// Ours tell what they believe instead of what they saw ([`super::beliefs`]).
    pub beliefs: bool,
    /// Clocks of replicas differ by up to so much either way.
    pub skew_s: f64,
}

/// A while in which nothing arrives.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// From here on…
    pub at_s: f64,
    /// …for so long.
    pub for_s: f64,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { every_s: 1.0, delay_s: 0.02, loss: 0.0, outages: Vec::new(), beliefs: false, skew_s: 0.0 }
    }
}

/// How often what is believed is told, and kept for whoever comes later.
pub const KNOWLEDGE_S: f64 = 10.0;

impl Sharing {
    /// Whether messages sent at this time arrive at all.
    pub fn is_up(&self, now: Duration) -> bool {
        let now = now.as_secs_f64();
        !self.outages.iter().any(|outage| (outage.at_s..outage.at_s + outage.for_s).contains(&now))
    }

    /// How long a message is under way to one receiver; `None`: for ever.
    pub fn under_way(&self, luck: &mut Luck) -> Option<Duration> {
        let (lost, delay) = (luck.chance(self.loss), luck.between(0.5, 1.5) * self.delay_s);
        (!lost).then(|| Duration::from_secs_f64(delay))
    }

    /// By how much the clock of a replica is ahead of the slowest possible.
    pub fn ahead(&self, replica: usize, seed: u64) -> Duration {
        Duration::from_secs_f64(Luck::of(&[seed, 6, replica as u64]).between(0.0, 2.0) * self.skew_s)
    }
}
