//! Should a call be sent at all, and is this connection still worth something? Watches what
//! is owed on one connection.
//!
//! Answers come in the order of the calls, so while one is owed for a time, every later call
//! waits at least as long. A call that has less time than that is not sent. A server that has
//! owed an answer for the whole of a usual limit without a single byte is mute; one that is
//! late several times in a row is too slow. Both end the connection. A big answer that is on
//! its way is neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::Timing;
use super::figures::micros;
use crate::fleet::error::LinkError;

/// So many bytes within one limit are a big answer on its way.
const BIG: u64 = 64 << 10;

/// What is owed on a connection.
#[derive(Debug)]
pub(super) struct Gate {
    /// When the connection was made; all times count from here.
    origin: Instant,
    /// Since when an answer is owed, in microseconds; 0 if none is.
    owed_since: AtomicU64,
    owed: AtomicU32,
    /// Calls in a row that were not answered in time.
    late: AtomicU32,
    /// What an answer takes, in microseconds: as the last one did that was not big.
    round_trip: AtomicU64,
    /// Bytes that have come in.
    received: Arc<AtomicU64>,
}

/// A call on its way. Dropped without an outcome, nobody waits for it any more.
pub(super) struct Owed<'g> {
    gate: &'g Gate,
    sent: Instant,
    received: u64,
}

impl Gate {
    pub(super) fn new(received: Arc<AtomicU64>) -> Self {
        let zero = || AtomicU64::new(0);
        let (owed_since, round_trip) = (zero(), zero());
        let (owed, late) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { origin: Instant::now(), owed_since, owed, late, round_trip, received }
    }

    /// Refuses a call that has less time than an answer takes.
    pub(super) fn admit(&self, limit: Duration) -> Result<(), LinkError> {
        let since = self.owed_since.load(Relaxed);
        let waited = if since == 0 { 0 } else { self.now().saturating_sub(since) };
        let round_trip = Duration::from_micros(waited.max(self.round_trip.load(Relaxed)));
        if round_trip >= limit { Err(LinkError::Slow { round_trip, limit }) } else { Ok(()) }
    }

    /// A call is sent.
    pub(super) fn send(&self) -> Owed<'_> {
        self.owed.fetch_add(1, Relaxed);
        // Whoever is first owes the rest.
        let _ = self.owed_since.compare_exchange(0, self.now(), Relaxed, Relaxed);
        Owed { gate: self, sent: Instant::now(), received: self.received.load(Relaxed) }
    }

    fn now(&self) -> u64 {
        // 0 means that nothing is owed.
        micros(self.origin.elapsed()).saturating_add(1)
    }
}

impl Owed<'_> {
    /// The answer is there. Returns what it took.
    pub(super) fn answered(self) -> Duration {
        let (gate, took) = (self.gate, self.sent.elapsed());
        if self.bytes() < BIG {
            gate.round_trip.store(micros(took), Relaxed);
        } else {
            gate.round_trip.fetch_min(micros(took), Relaxed);
        }
        gate.late.store(0, Relaxed);
        // The drop below takes this one away.
        let others = gate.owed.load(Relaxed) > 1;
        gate.owed_since.store(if others { gate.now() } else { 0 }, Relaxed);
        took
    }

    /// It did not come within `limit`. Says why the connection should end, if it should.
    pub(super) fn late(self, limit: Duration, timing: &Timing) -> Option<String> {
        let bytes = self.bytes();
        // A call with little time says nothing of the server.
        if limit < timing.call || bytes >= BIG {
            return None;
        }
        let late = self.gate.late.fetch_add(1, Relaxed) + 1;
        let ms = timing.call.as_millis();
        if bytes == 0 {
            Some(format!("it has been mute for {ms} ms"))
        } else {
            (late >= timing.failures).then(|| format!("it took longer than {ms} ms {late} times in a row"))
        }
    }

    /// What has come in since it was sent.
    fn bytes(&self) -> u64 {
        self.gate.received.load(Relaxed).saturating_sub(self.received)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.gate.owed.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn gate() -> (Gate, Arc<AtomicU64>) {
        let received = Arc::new(AtomicU64::new(0));
        (Gate::new(Arc::clone(&received)), received)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_with_less_time_than_an_answer_takes_is_not_sent() {
        let (gate, _) = gate();
        gate.admit(MS).unwrap();
        let first = gate.send();
        advance(20 * MS).await;
        let slow = LinkError::Slow { round_trip: 20 * MS, limit: 20 * MS };
        assert_eq!(gate.admit(20 * MS), Err(slow), "one is owed for as long");
        gate.admit(21 * MS).unwrap();
        first.answered();
        assert!(gate.admit(20 * MS).is_err(), "the last answer took as long");
        gate.send().answered();
        gate.admit(20 * MS).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_waits_for_is_still_owed() {
        let (gate, _) = gate();
        drop(gate.send());
        advance(20 * MS).await;
        assert!(gate.admit(20 * MS).is_err());
        gate.send().answered();
        gate.admit(20 * MS).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_mute_server_is_told_from_a_slow_one_and_from_a_big_answer() {
        let (gate, received) = gate();
        let timing = Timing::default();
        assert_eq!(gate.send().late(20 * MS, &timing), None, "it had little time");
        let why = gate.send().late(timing.call, &timing);
        assert_eq!(why.as_deref(), Some("it has been mute for 500 ms"));
        gate.send().answered();
        for i in 1..=3 {
            let owed = gate.send();
            received.fetch_add(10, Relaxed);
            let why = owed.late(timing.call, &timing);
            assert_eq!(why.is_some(), i == 3, "{why:?}");
        }
        let owed = gate.send();
        received.fetch_add(BIG, Relaxed);
        assert_eq!(owed.late(timing.call, &timing), None);
    }
}
