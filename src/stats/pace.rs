//! How fast may requests go to a provider that has answered 429?
//!
//! The rate at which it last admitted them is what it bears, and what it admitted between
//! two refusals tells that better: before the first it may have lived on a bucket that was
//! full. Requests are paced a little above that, and ten seconds after the last refusal the
//! pace begins to grow, so that a limit that was raised is found.

use std::time::Duration;

use crate::domain::time::UnixMillis;

/// The pace after a refusal, against the rate that was admitted.
const ABOVE: f64 = 1.03;
/// How long after a refusal the pace stays as it is.
const HOLD: Duration = Duration::from_secs(10);
/// Growth per second after that.
const GROWTH: f64 = 1.02;
/// The admitted rate fades with this time constant.
const MEMORY: f64 = 20.0;
/// What was admitted between refusals is counted over about this long.
const BETWEEN: Duration = Duration::from_secs(60);
/// Without a refusal for this long the pace is forgotten.
const FORGET: Duration = Duration::from_secs(300);
/// The slowest pace, in requests per second.
const SLOWEST: f64 = 0.05;

/// What has been learned of an endpoint's rate.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Pace {
    /// Admitted requests, fading.
    admitted: f64,
    first_at: Option<UnixMillis>,
    at: UnixMillis,
    learned: Option<Learned>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Learned {
    /// Requests per second at `refused_at`.
    rate: f64,
    refused_at: UnixMillis,
    /// When the next request may go.
    next: UnixMillis,
    /// A refusal some time ago, and what was admitted since.
    since: UnixMillis,
    admitted: f64,
}

impl Pace {
    /// A request was admitted.
    pub fn admitted(&mut self, now: UnixMillis) {
        self.fade(now);
        self.admitted += 1.0;
        if let Some(learned) = &mut self.learned {
            learned.admitted += 1.0;
        }
    }

    /// A request was refused.
    pub fn refused(&mut self, now: UnixMillis) {
        self.fade(now);
        let rate = (self.admitted_rate(now) * ABOVE).max(SLOWEST);
        let Some((paced, mut learned)) = self.rate(now).zip(self.learned) else {
            self.learned = Some(Learned { rate, refused_at: now, next: now, since: now, admitted: 0.0 });
            return;
        };
        let between = now.since(learned.since);
        // One more than were admitted: at both ends there was less than one left to have.
        let shown = (learned.admitted + 1.0) / between.as_secs_f64().max(1e-3) * ABOVE;
        if between > BETWEEN {
            (learned.since, learned.admitted) = (now - between / 2, learned.admitted / 2.0);
        }
        learned.rate = rate.min(paced).min(shown).max(SLOWEST);
        learned.refused_at = now;
        self.learned = Some(learned);
    }

    /// Another replica's request was refused: the provider's limit is reached by all together,
    /// and what it admitted of ours is our part of it.
    pub fn refused_elsewhere(&mut self, at: UnixMillis) {
        if self.admitted > 0.0 {
            self.refused(at);
        }
    }

    /// A request goes out.
    pub fn sent(&mut self, now: UnixMillis) {
        if let (Some(rate), Some(learned)) = (self.rate(now), &mut self.learned) {
            // Up to two may be made up for after a pause.
            let slack = Duration::from_secs_f64(2.0 / rate);
            learned.next = learned.next.max(now - slack) + Duration::from_secs_f64(1.0 / rate);
        }
    }

    /// Requests per second that it bears, as far as that was learned.
    pub fn rate(&self, now: UnixMillis) -> Option<f64> {
        let learned = self.learned.as_ref().filter(|learned| now.since(learned.refused_at) < FORGET)?;
        let grown = now.since(learned.refused_at).saturating_sub(HOLD).as_secs_f64();
        Some(learned.rate * GROWTH.powf(grown))
    }

    /// When the next request may go.
    pub fn ready_at(&self, now: UnixMillis) -> UnixMillis {
        match &self.learned {
            Some(learned) if self.rate(now).is_some() => learned.next,
            _ => UnixMillis(0),
        }
    }

    fn admitted_rate(&self, now: UnixMillis) -> f64 {
        // Early on less than one time constant has been seen.
        let seen = now.since(self.first_at.unwrap_or(now)).as_secs_f64().max(1.0);
        self.admitted / (MEMORY * (1.0 - (-seen / MEMORY).exp()))
    }

    fn fade(&mut self, now: UnixMillis) {
        self.first_at.get_or_insert(now);
        self.admitted *= (-now.since(self.at).as_secs_f64() / MEMORY).exp();
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> UnixMillis {
        UnixMillis(1_000_000 + ms)
    }

    #[test]
    fn the_pace_is_a_little_above_what_was_admitted_and_grows_after_a_while() {
        let mut pace = Pace::default();
        for i in 0..600 {
            pace.admitted(at(i * 100));
        }
        assert_eq!(pace.rate(at(60_000)), None);
        pace.refused(at(60_000));
        let rate = pace.rate(at(60_000)).unwrap();
        assert!((rate - 10.0 * ABOVE).abs() < 0.5, "{rate}");
        assert_eq!(pace.rate(at(69_000)), Some(rate));
        assert!(pace.rate(at(105_000)).unwrap() > 1.9 * rate);
        assert_eq!(pace.rate(at(400_000)), None);
    }

    #[test]
    fn a_full_bucket_before_the_first_refusal_does_not_mislead_for_long() {
        let mut pace = Pace::default();
        for i in 0..100 {
            pace.admitted(at(i * 40));
        }
        // A hundred at once, and two a second from then on.
        let (mut level, mut refused) = (0.0, 0);
        for ms in 4_000..34_000 {
            level = f64::min(level + 0.002, 100.0);
            if pace.ready_at(at(ms)) <= at(ms) && ms % 40 == 0 {
                pace.sent(at(ms));
                if level >= 1.0 {
                    level -= 1.0;
                    pace.admitted(at(ms));
                } else {
                    pace.refused(at(ms));
                    refused += 1;
                }
            }
        }
        let rate = pace.rate(at(34_000)).unwrap();
        assert!((1.8..2.5).contains(&rate), "{rate}");
        assert!(refused < 25, "{refused}");
    }

    #[test]
    fn requests_are_spread_and_a_pause_is_made_up_for_only_a_little() {
        let mut pace = Pace::default();
        for i in 0..100 {
            pace.admitted(at(i * 500));
        }
        pace.refused(at(50_000));
        let mut sent = 0;
        for ms in 50_000..60_000 {
            if pace.ready_at(at(ms)) <= at(ms) {
                pace.sent(at(ms));
                sent += 1;
            }
        }
        assert!((20..=24).contains(&sent), "{sent} in ten seconds at two a second");
    }
}
