//! What time is it? The only place that asks the operating system.
//!
//! The wall clock is read once, at the start; afterwards time is that reading plus what
//! tokio's clock has counted. So a step of the wall clock moves no deadline, and a test
//! that pauses tokio's time moves the whole house.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::domain::time::UnixMillis;

/// A clock anchored to the wall clock at its making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Instant,
    anchor_unix: UnixMillis,
}

impl Clock {
    /// Reads the wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the place where the clock belongs")]
    pub fn new() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor: Instant::now(), anchor_unix: UnixMillis(u64::try_from(unix.as_millis()).unwrap_or(0)) }
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        self.at(Instant::now())
    }

    /// What time it is at a moment, which spares whoever has read it to ask once more; that of
    /// the anchor, where it is earlier.
    pub fn at(&self, moment: Instant) -> UnixMillis {
        self.anchor_unix + moment.saturating_duration_since(self.anchor)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_told_by_the_anchor_and_never_before_it() {
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let clock = Clock::new();
        let begun = clock.now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.at(Instant::now()), begun + Duration::from_millis(1500));
        assert_eq!(clock.at(before), begun);
    }
}
