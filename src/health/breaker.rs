//! When is a failing endpoint left alone, and how does it come back?
//!
//! Closed → open after three failures in a row or more than half of the recent attempts;
//! open → half-open when its time is over; half-open → closed by one successful probe,
//! into a slow start. Each failed probe makes the next time out longer.

use std::time::Duration;

use super::Standing;
use crate::domain::failure::FailureKind;
use crate::domain::time::UnixMillis;

/// Failures in a row that open the breaker.
const IN_A_ROW: u32 = 3;
/// Share of recent attempts that opens it.
const FAILURE_RATE: f64 = 0.5;
/// How many recent attempts the rate needs to mean anything.
const ENOUGH_ATTEMPTS: f64 = 8.0;
/// Recent attempts fade with this time constant.
const DECAY: Duration = Duration::from_secs(10);
/// A returned endpoint reaches its full share after this long.
pub const SLOW_START: Duration = Duration::from_secs(10);
/// The share a returned endpoint begins with.
const SLOW_START_FROM: f64 = 0.1;
/// Where it has answered so lately, failures that another replica's network may have made are
/// no failures here.
const FRESH: Duration = Duration::from_secs(2);
/// Growth of the time out with each failed probe.
const GROWTH: f64 = 1.6;

/// First time out and its cap, in milliseconds, by what opened the breaker: most failures,
/// silence (trying again costs a whole deadline), and what only a person can mend.
pub const OPEN_STEPS: [(f64, f64); 3] = [(1_000.0, 6_000.0), (2_000.0, 12_000.0), (30_000.0, 300_000.0)];

/// Where the breaker is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum State {
    /// Everything may pass.
    Closed {
        /// When it came back, if it has been open.
        since: Option<UnixMillis>,
    },
    /// Nothing may pass before its time is over; then a probe.
    Open {
        /// When that is.
        until: UnixMillis,
        /// How often it has opened in a row.
        round: u32,
        /// What opened it.
        cause: FailureKind,
    },
    /// A probe is under way.
    HalfOpen {
        /// How often it has opened in a row.
        round: u32,
        /// What opened it.
        cause: FailureKind,
    },
}

impl State {
    /// What it allows at `now`.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        match *self {
            Self::Closed { since: None } => Standing::Ready { share: 1.0 },
            Self::Closed { since: Some(since) } => {
                let grown = now.since(since).as_secs_f64() / SLOW_START.as_secs_f64();
                Standing::Ready { share: grown.clamp(SLOW_START_FROM, 1.0) }
            }
            Self::Open { until, cause, .. } if now < until => Standing::Open { until, cause },
            Self::Open { .. } => Standing::Probe,
            Self::HalfOpen { .. } => Standing::Probing,
        }
    }
}

/// The breaker of one endpoint.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    in_a_row: u32,
    /// Failures and attempts, fading.
    failures: f64,
    attempts: f64,
    faded_at: UnixMillis,
    /// When it last opened or closed.
    changed_at: UnixMillis,
    /// When an attempt last succeeded here.
    succeeded_at: UnixMillis,
    /// What opened it was seen here.
    seen_here: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed { since: None },
            in_a_row: 0,
            failures: 0.0,
            attempts: 0.0,
            faded_at: UnixMillis(0),
            changed_at: UnixMillis(0),
            succeeded_at: UnixMillis(0),
            seen_here: false,
        }
    }
}

impl Breaker {
    /// What it allows at `now`.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        self.state.standing(now)
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when it is open for what was seen here, if it is. Only that is told again: if
    /// everybody told the ends that they have, which are spread, an end would move away with
    /// every telling.
    pub(super) fn opened_here_at(&self) -> Option<UnixMillis> {
        (self.seen_here && matches!(self.state, State::Open { .. })).then_some(self.changed_at)
    }

    /// An attempt starts. While it is open or half-open, the attempt is a probe: `false` if
    /// another one is under way. Before its time is over only a last resort comes here,
    /// and is as good a probe as any.
    pub fn begin(&mut self) -> bool {
        match self.state {
            State::Open { round, cause, .. } => {
                self.state = State::HalfOpen { round, cause };
                true
            }
            State::HalfOpen { .. } => false,
            State::Closed { .. } => true,
        }
    }

    /// An attempt delivered content. An answer to a request from before the breaker opened
    /// proves nothing of now, but a half-open breaker cannot tell it from its probe, and
    /// either shows that the endpoint works.
    pub fn success(&mut self, now: UnixMillis) {
        self.in_a_row = 0;
        self.succeeded_at = self.succeeded_at.max(now);
        self.fade(now);
        self.attempts += 1.0;
        match self.state {
            State::HalfOpen { .. } => self.close(now),
            State::Closed { since: Some(since) } if now.since(since) >= SLOW_START => {
                self.state = State::Closed { since: None };
            }
            State::Closed { .. } | State::Open { .. } => {}
        }
    }

    /// An attempt failed in a way that counts.
    pub fn failure(&mut self, kind: FailureKind, now: UnixMillis, jitter: f64) {
        self.fade(now);
        self.attempts += 1.0;
        self.failures += 1.0;
        self.in_a_row = self.in_a_row.saturating_add(1);
        match self.state {
            State::HalfOpen { round, .. } => self.open(kind, round + 1, now, jitter),
            State::Closed { .. } if self.trips(kind) => self.open(kind, 0, now, jitter),
            // Failures of attempts that began before it opened add nothing.
            State::Closed { .. } | State::Open { .. } => {}
        }
    }

    /// An attempt ended without a verdict: a probe it may have claimed is free again.
    pub fn release(&mut self) {
        if let State::HalfOpen { round, cause } = self.state {
            self.state = State::Open { until: UnixMillis(0), round, cause };
        }
    }

    /// Another replica opened it at `at`.
    pub(super) fn opened_elsewhere(
        &mut self,
        until: UnixMillis,
        round: u32,
        cause: FailureKind,
        at: UnixMillis,
        now: UnixMillis,
    ) {
        match self.state {
            // It has come back since.
            State::Closed { .. } if at < self.changed_at => {}
            State::Closed { .. } if self.doubts(cause, now) => self.in_a_row = IN_A_ROW - 1,
            State::Closed { .. } => {
                self.state = State::Open { until, round, cause };
                (self.changed_at, self.in_a_row, self.seen_here) = (at, 0, false);
            }
            State::Open { until: mine, round: my_round, .. } => {
                if until > mine {
                    self.state = State::Open { until, round: round.max(my_round), cause };
                    (self.changed_at, self.seen_here) = (self.changed_at.max(at), false);
                }
            }
            // Our own probe decides.
            State::HalfOpen { .. } => {}
        }
    }

    /// Another replica's probe succeeded at `at`; whether that closes it here.
    pub(super) fn closed_elsewhere(&mut self, at: UnixMillis) -> bool {
        let closes = !matches!(self.state, State::Closed { .. }) && at >= self.changed_at;
        if closes {
            self.in_a_row = 0;
            self.close(at);
        }
        closes
    }

    /// Others had so many attempts answered or failing until `at`.
    pub(super) fn heard_of(
        &mut self,
        answered: u32,
        failed: u32,
        kind: Option<FailureKind>,
        at: UnixMillis,
        jitter: f64,
    ) {
        let kind = kind.unwrap_or(FailureKind::ServerError);
        // What was before it came back, or was opened for, says nothing new.
        if at < self.changed_at || (failed > 0 && self.doubts(kind, at)) {
            return;
        }
        self.fade(at);
        self.attempts += f64::from(answered.saturating_add(failed));
        self.failures += f64::from(failed);
        // The order in which they came is not known.
        match (answered, failed) {
            (0, failed) => self.in_a_row = self.in_a_row.saturating_add(failed),
            (_, 0) => self.in_a_row = 0,
            _ => {}
        }
        if failed > 0 && matches!(self.state, State::Closed { .. }) && self.trips(kind) {
            self.open(kind, 0, at, jitter);
            self.seen_here = false;
        }
    }

    /// Whether a failure seen elsewhere may be that replica's own network's.
    fn doubts(&self, kind: FailureKind, now: UnixMillis) -> bool {
        matches!(kind, FailureKind::Connect | FailureKind::Timeout) && now.since(self.succeeded_at) < FRESH
    }

    fn close(&mut self, now: UnixMillis) {
        self.state = State::Closed { since: Some(now) };
        (self.failures, self.attempts) = (0.0, 0.0);
        self.changed_at = now;
    }

    fn trips(&self, kind: FailureKind) -> bool {
        step_of(kind) == 2
            || self.in_a_row >= IN_A_ROW
            || (self.attempts >= ENOUGH_ATTEMPTS && self.failures / self.attempts > FAILURE_RATE)
    }

    fn open(&mut self, cause: FailureKind, round: u32, now: UnixMillis, jitter: f64) {
        let (first, cap) = OPEN_STEPS[step_of(cause)];
        // The exponent is capped where every step has reached its cap.
        let millis = (first * GROWTH.powi(round.min(16) as i32)).min(cap) * (0.9 + 0.2 * jitter);
        self.state = State::Open { until: now + Duration::from_millis(millis as u64), round, cause };
        self.changed_at = now;
        (self.in_a_row, self.seen_here) = (0, true);
    }

    fn fade(&mut self, now: UnixMillis) {
        let keep = (-now.since(self.faded_at).as_secs_f64() / DECAY.as_secs_f64()).exp();
        self.failures *= keep;
        self.attempts *= keep;
        self.faded_at = self.faded_at.max(now);
    }
}

/// Row of [`OPEN_STEPS`].
fn step_of(kind: FailureKind) -> usize {
    match kind {
        FailureKind::Credential | FailureKind::ModelGone => 2,
        FailureKind::Timeout => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_000_000;

    fn at(ms: u64) -> UnixMillis {
        UnixMillis(T + ms)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            breaker.failure(FailureKind::ServerError, at(0), 0.5);
        }
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_two_do_not() {
        let mut breaker = Breaker::default();
        breaker.failure(FailureKind::Connect, at(0), 0.5);
        breaker.failure(FailureKind::Connect, at(0), 0.5);
        breaker.success(at(0));
        breaker.failure(FailureKind::Connect, at(0), 0.5);
        breaker.failure(FailureKind::Connect, at(0), 0.5);
        assert_eq!(breaker.standing(at(0)), Standing::Ready { share: 1.0 });
        breaker.failure(FailureKind::Connect, at(0), 0.5);
        assert_eq!(breaker.standing(at(999)), Standing::Open { until: at(1000), cause: FailureKind::Connect });
    }

    #[test]
    fn more_than_half_of_recent_attempts_open_it() {
        let mut breaker = Breaker::default();
        for i in 0..30 {
            // Two of three fail, never three in a row.
            if i % 3 == 0 {
                breaker.success(at(i));
            } else {
                breaker.failure(FailureKind::Malformed, at(i), 0.5);
            }
        }
        assert!(matches!(breaker.standing(at(30)), Standing::Open { .. }));
    }

    #[test]
    fn failures_long_ago_are_forgotten() {
        let mut breaker = Breaker::default();
        for i in 0..7 {
            breaker.success(at(i));
            breaker.failure(FailureKind::Malformed, at(i), 0.5);
        }
        breaker.success(at(8));
        breaker.failure(FailureKind::Malformed, at(200_000), 0.5);
        assert_eq!(breaker.standing(at(200_000)), Standing::Ready { share: 1.0 });
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_starts_slowly() {
        let mut breaker = opened();
        assert_eq!(breaker.standing(at(1000)), Standing::Probe);
        assert!(breaker.begin());
        assert!(!breaker.begin());
        assert_eq!(breaker.standing(at(1000)), Standing::Probing);
        breaker.success(at(1200));
        assert_eq!(breaker.standing(at(1200)), Standing::Ready { share: 0.1 });
        assert_eq!(breaker.standing(at(6200)), Standing::Ready { share: 0.5 });
        assert_eq!(breaker.standing(at(60_000)), Standing::Ready { share: 1.0 });
    }

    #[test]
    fn each_failed_probe_waits_longer_up_to_the_cap() {
        let mut breaker = opened();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..7 {
            let Standing::Open { until, .. } = breaker.standing(at(now)) else { panic!() };
            waits.push(until.0 - T - now);
            now = until.0 - T;
            assert!(breaker.begin());
            breaker.failure(FailureKind::ServerError, at(now), 0.5);
        }
        assert_eq!(waits, [1000, 1600, 2560, 4096, 6000, 6000, 6000]);
    }

    #[test]
    fn a_last_resort_that_succeeds_closes_it_early() {
        let mut breaker = opened();
        assert!(breaker.begin());
        breaker.success(at(100));
        assert_eq!(breaker.standing(at(100)), Standing::Ready { share: 0.1 });
    }

    #[test]
    fn a_probe_that_ends_without_a_verdict_frees_its_place() {
        let mut breaker = opened();
        assert!(breaker.begin());
        breaker.release();
        assert_eq!(breaker.standing(at(1000)), Standing::Probe);
    }

    #[test]
    fn a_bad_credential_opens_at_once_and_for_long() {
        let mut breaker = Breaker::default();
        breaker.failure(FailureKind::Credential, at(0), 0.5);
        assert_eq!(breaker.standing(at(29_999)), Standing::Open { until: at(30_000), cause: FailureKind::Credential });
    }

    #[test]
    fn jitter_spreads_the_end_by_a_tenth() {
        for (jitter, wait) in [(0.0, 900), (0.999_999, 1099)] {
            let mut breaker = Breaker::default();
            for _ in 0..3 {
                breaker.failure(FailureKind::ServerError, at(0), jitter);
            }
            let Standing::Open { until, .. } = breaker.standing(at(0)) else { panic!() };
            assert_eq!(until, at(wait));
        }
    }
}
