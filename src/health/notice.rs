//! What does a replica tell others of an endpoint's health, and what do they make of it?
//!
//! One replica's discovery spares the others: an endpoint that it blocks or opens is left
//! alone by all, until the later of all ends. A close spares them the probe. Two things a
//! replica does not take on trust. A failure that may be the other's own network's (no
//! connection, no answer) opens nothing where the endpoint has just answered here; the next
//! failure here does. And what was found out here later than what is told stands.

use std::time::Duration;

use super::{Health, HealthReading, State};
use crate::domain::failure::FailureKind;
use crate::domain::time::UnixMillis;

/// How long a probe keeps others from probing at most.
const PROBE: Duration = Duration::from_secs(5);
/// An end that was heard of is put off by up to this share of what is left, so that replicas
/// do not probe at the same time: the first of them tells that it does.
const SPREAD: f64 = 0.2;

/// What is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The provider asked to wait, and for so much longer.
    Blocked {
        /// So much longer.
        left: Duration,
    },
    /// The breaker has opened.
    Opened {
        /// For so much longer.
        left: Duration,
        /// How often in a row.
        round: u32,
        /// What opened it.
        cause: FailureKind,
    },
    /// A probe succeeded.
    Closed,
    /// A probe is under way; of zero length: it has ended without a verdict.
    Probing {
        /// Others wait for it so long.
        left: Duration,
    },
}

impl HealthReading {
    /// What others have to know, now that health was `before` and is this.
    pub fn notices(&self, before: &Self, now: UnixMillis) -> impl Iterator<Item = Notice> {
        let blocked = (self.blocked_until > before.blocked_until && self.blocked_until > now)
            .then(|| Notice::Blocked { left: self.blocked_until.since(now) });
        let breaker = match (before.state, self.state) {
            (was, is) if was == is => None,
            (State::HalfOpen { .. }, State::Open { until: UnixMillis(0), .. }) => {
                Some(Notice::Probing { left: Duration::ZERO })
            }
            (_, State::Open { until, round, cause }) => Some(Notice::Opened { left: until.since(now), round, cause }),
            (State::Open { .. }, State::HalfOpen { .. }) => Some(Notice::Probing { left: PROBE }),
            (State::HalfOpen { .. } | State::Open { .. }, State::Closed { .. }) => Some(Notice::Closed),
            _ => None,
        };
        blocked.into_iter().chain(breaker)
    }
}

impl Health {
    /// Another replica tells what was so at `at`. `jitter` in [0, 1) spreads the ends.
    pub fn hear(&mut self, notice: &Notice, at: UnixMillis, now: UnixMillis, jitter: f64) {
        match *notice {
            Notice::Blocked { left } => self.blocked_until = self.blocked_until.max(at + left),
            Notice::Opened { left, round, cause } => {
                let until = at + left;
                if until > now {
                    let until = until + until.since(now).mul_f64(SPREAD * jitter);
                    self.breaker.opened_elsewhere(until, round, cause, at, now);
                    // Whoever was probing has found out.
                    self.probe_from = UnixMillis(0);
                }
            }
            Notice::Closed => {
                if self.breaker.closed_elsewhere(at) {
                    self.probe_from = UnixMillis(0);
                }
            }
            Notice::Probing { left } => self.probe_from = at + left,
        }
    }

    /// What whoever has heard nothing has to know, and since when it is so.
    pub fn standing_notices(&self, now: UnixMillis) -> impl Iterator<Item = (UnixMillis, Notice)> {
        let left = self.blocked_until.since(now);
        let blocked = (self.blocked_until > now).then_some((now, Notice::Blocked { left }));
        let opened = match (self.breaker.state(), self.breaker.opened_here_at()) {
            (State::Open { until, round, cause }, Some(since)) if until > now => {
                Some((since, Notice::Opened { left: until.since(since), round, cause }))
            }
            _ => None,
        };
        blocked.into_iter().chain(opened)
    }

    /// Others had so many attempts answered, or failing, until `at`: as if it had been here.
    pub fn heard_of(&mut self, answered: u32, failed: u32, kind: Option<FailureKind>, at: UnixMillis, jitter: f64) {
        self.breaker.heard_of(answered, failed, kind, at, jitter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Outcome, Standing};

    fn at(ms: u64) -> UnixMillis {
        UnixMillis(1_000_000 + ms)
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened(kind: FailureKind) -> Health {
        let mut health = Health::default();
        for _ in 0..3 {
            health.record(Outcome::Failure(kind), at(0), 0.5);
        }
        health
    }

    #[test]
    fn whatever_happens_is_told_once() {
        let mut health = Health::default();
        let mut told = |now, change: &dyn Fn(&mut Health)| {
            let before = health.reading();
            change(&mut health);
            health.reading().notices(&before, at(now)).collect::<Vec<_>>()
        };
        let fail = |health: &mut Health| health.record(Outcome::Failure(FailureKind::ServerError), at(0), 0.5);
        assert_eq!(told(0, &fail), []);
        assert_eq!(told(0, &fail), []);
        assert_eq!(told(0, &fail), [Notice::Opened { left: s(1), round: 0, cause: FailureKind::ServerError }]);
        assert_eq!(told(0, &fail), []);
        let begin = |health: &mut Health| assert!(health.begin());
        assert_eq!(told(1000, &begin), [Notice::Probing { left: PROBE }]);
        assert_eq!(
            told(1000, &|health| health.record(Outcome::Neutral, at(1000), 0.5)),
            [Notice::Probing { left: s(0) }]
        );
        assert_eq!(told(1000, &begin), [Notice::Probing { left: PROBE }]);
        assert_eq!(told(1500, &|health| health.record(Outcome::Success, at(1500), 0.5)), [Notice::Closed]);
        let block = |health: &mut Health| health.record(Outcome::RateLimited(Some(at(5000))), at(2000), 0.5);
        assert_eq!(told(2000, &block), [Notice::Blocked { left: s(3) }]);
        assert_eq!(told(2000, &block), []);
    }

    #[test]
    fn of_two_ends_the_later_one_holds() {
        let mut health = opened(FailureKind::ServerError);
        let open = |left| Notice::Opened { left, round: 2, cause: FailureKind::Timeout };
        health.hear(&open(s(4)), at(500), at(510), 0.0);
        health.hear(&open(s(2)), at(500), at(520), 0.0);
        assert_eq!(health.standing(at(4499)), Standing::Open { until: at(4500), cause: FailureKind::Timeout });
        health.hear(&Notice::Blocked { left: s(9) }, at(0), at(600), 0.0);
        health.hear(&Notice::Blocked { left: s(1) }, at(0), at(600), 0.0);
        assert_eq!(health.standing(at(8999)), Standing::Blocked { until: at(9000) });
    }

    #[test]
    fn only_a_close_that_is_newer_closes() {
        let mut health = opened(FailureKind::ServerError);
        health.hear(&Notice::Closed, at(0) - s(1), at(10), 0.0);
        assert!(matches!(health.standing(at(10)), Standing::Open { .. }));
        health.hear(&Notice::Closed, at(300), at(310), 0.0);
        assert_eq!(health.standing(at(310)), Standing::Ready { share: 0.1 });
        // And what was told before it is over.
        health.hear(&Notice::Opened { left: s(4), round: 0, cause: FailureKind::Connect }, at(200), at(320), 0.0);
        assert!(matches!(health.standing(at(320)), Standing::Ready { .. }));
    }

    #[test]
    fn another_ones_network_closes_nobody_elses_door() {
        let open = Notice::Opened { left: s(4), round: 0, cause: FailureKind::Connect };
        let mut health = Health::default();
        health.record(Outcome::Success, at(0), 0.5);
        health.hear(&open, at(100), at(110), 0.0);
        assert_eq!(health.standing(at(110)), Standing::Ready { share: 1.0 });
        health.record(Outcome::Failure(FailureKind::Connect), at(120), 0.5);
        assert!(matches!(health.standing(at(130)), Standing::Open { .. }));
        // Nothing was seen here for a while: it is believed.
        let mut health = Health::default();
        health.record(Outcome::Success, at(0), 0.5);
        health.hear(&open, at(9000), at(9010), 0.0);
        assert!(matches!(health.standing(at(9010)), Standing::Open { .. }));
    }

    #[test]
    fn what_is_told_again_and_again_moves_no_end_away() {
        let mut health = [opened(FailureKind::Credential), Health::default(), Health::default()];
        let end = |health: &Health| match health.standing(at(20_000)) {
            Standing::Open { until, .. } => until,
            other => panic!("{other:?}"),
        };
        for turn in 0..30 {
            for from in 0..3 {
                let told: Vec<_> = health[from].standing_notices(at(turn * 500)).collect();
                assert_eq!(told.len(), usize::from(from == 0));
                for (since, notice) in told {
                    let others = health.iter_mut().enumerate().filter(|(to, _)| *to != from);
                    others.for_each(|(_, other)| other.hear(&notice, since, at(turn * 500), 0.5));
                }
            }
        }
        assert_eq!(end(&health[0]), at(30_000));
        assert!(health[1..].iter().all(|other| end(other) <= at(33_000)), "{:?}", end(&health[1]));
    }

    #[test]
    fn one_probe_per_fleet() {
        let mut health = opened(FailureKind::ServerError);
        health.hear(&Notice::Probing { left: PROBE }, at(1000), at(1010), 0.0);
        assert_eq!(health.standing(at(1020)), Standing::Probing);
        health.hear(&Notice::Probing { left: s(0) }, at(1500), at(1510), 0.0);
        assert_eq!(health.standing(at(1510)), Standing::Probe);
        health.hear(&Notice::Probing { left: PROBE }, at(2000), at(2010), 0.0);
        // Nobody says what became of it.
        assert_eq!(health.standing(at(6999)), Standing::Probing);
        assert_eq!(health.standing(at(7000)), Standing::Probe);
    }

    #[test]
    fn three_failures_in_a_row_open_it_wherever_they_were_seen() {
        let mut health = Health::default();
        health.heard_of(0, 1, Some(FailureKind::ServerError), at(0), 0.5);
        health.record(Outcome::Failure(FailureKind::ServerError), at(100), 0.5);
        assert!(matches!(health.standing(at(100)), Standing::Ready { .. }));
        health.heard_of(0, 1, Some(FailureKind::ServerError), at(200), 0.5);
        assert!(matches!(health.standing(at(200)), Standing::Open { .. }));
    }
}
