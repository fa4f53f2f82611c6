//! What time is it at the server? Estimated from its answers: it read its clock at some moment
//! between the question and the answer, so the fastest of the last answers says it best.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::Clock;
use crate::domain::time::UnixMillis;

/// So many answers are remembered.
const REMEMBERED: usize = 8;

/// The time at the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerTime {
    /// Now, by the server's clock.
    pub now: UnixMillis,
    /// It is off by no more than this, if both clocks run equally fast.
    pub error: Duration,
}

/// How far the server's clock is ahead of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ahead {
    ms: i64,
    error: Duration,
}

/// The estimate.
#[derive(Debug)]
pub(super) struct ServerClock {
    clock: Clock,
    best: ArcSwapOption<Ahead>,
    last: Mutex<VecDeque<Ahead>>,
}

impl ServerClock {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, best: ArcSwapOption::empty(), last: Mutex::default() }
    }

    pub(super) fn now(&self) -> Option<ServerTime> {
        let ahead = **self.best.load().as_ref()?;
        let now = UnixMillis(self.clock.now().0.saturating_add_signed(ahead.ms));
        Some(ServerTime { now, error: ahead.error })
    }

    /// Forgets what another server said.
    pub(super) fn another_server(&self) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The server said that it was `server` o'clock, in an answer that took so long and came
    /// just now.
    pub(super) fn heard(&self, server: UnixMillis, round_trip: Duration) {
        let error = round_trip / 2;
        let at_server = self.clock.now() - error;
        // Both are whole milliseconds.
        let error = error + Duration::from_millis(1);
        let ms = i64::try_from(i128::from(server.0) - i128::from(at_server.0)).unwrap_or(0);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Answers that cannot all be right: the server's clock was set.
        if last.iter().any(|ahead| ahead.ms.abs_diff(ms) > millis(ahead.error + error)) {
            last.clear();
        }
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(Ahead { ms, error });
        let best = last.iter().min_by_key(|ahead| ahead.error).copied();
        self.best.store(best.map(std::sync::Arc::new));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_fastest_answer_says_it_best() {
        let clock = Clock::new();
        let server = ServerClock::new(clock);
        assert_eq!(server.now(), None);
        let hour = 3_600_000;
        // It was an hour ahead when it answered, 50 ms ago; the way there took no time.
        server.heard(UnixMillis(clock.now().0 + hour - 50), Duration::from_millis(50));
        let first = server.now().unwrap();
        assert_eq!(first.error, Duration::from_millis(26));
        assert!(first.now.0.abs_diff(clock.now().0 + hour) <= 26);
        server.heard(UnixMillis(clock.now().0 + hour), Duration::ZERO);
        server.heard(UnixMillis(clock.now().0 + hour - 400), Duration::from_millis(400));
        advance(Duration::from_secs(5)).await;
        let now = server.now().unwrap();
        assert_eq!(now, ServerTime { now: UnixMillis(clock.now().0 + hour), error: Duration::from_millis(1) });
        // Somebody has set its clock.
        server.heard(UnixMillis(clock.now().0 + 2 * hour), Duration::from_millis(10));
        assert_eq!(server.now().unwrap().error, Duration::from_millis(6));
    }
}
