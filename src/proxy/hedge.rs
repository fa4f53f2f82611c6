//! A second copy of a request that is late: whoever delivers first wins.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::Instant;

use super::error::GatewayError;
use super::respond::{AttemptNote, Trace};
use super::walk::{Landed, Tried, Walk};
use crate::domain::failure::FailureKind;
use crate::routing::Candidate;
use crate::stats::Purpose;

impl Walk<'_> {
    /// Waits for an attempt, and asks the rival too when it is late.
    pub(super) async fn race(
        &mut self,
        candidate: &Candidate,
        first: impl Future<Output = Landed>,
        (after, rival): (f64, &Candidate),
        race: &Arc<AtomicBool>,
        last_resort: bool,
        trace: &mut Trace,
    ) -> Result<Tried, GatewayError> {
        tokio::pin!(first);
        let begun = Instant::now();
        tokio::select! {
            biased;
            landed = &mut first => return Ok(self.landed(landed, last_resort, trace)),
            () = tokio::time::sleep(Duration::from_secs_f64(after)) => {}
        }
        let second = Candidate { purpose: Purpose::Hedge, give_up_s: None, ..*rival };
        let departed = if self.live.stats.may_hedge() {
            tokio::select! {
                biased;
                landed = &mut first => return Ok(self.landed(landed, last_resort, trace)),
                departed = self.depart(&second, 1, false, race, trace) => departed?,
            }
        } else {
            None
        };
        let Some(departed) = departed else {
            let landed = first.await;
            return Ok(self.landed(landed, last_resort, trace));
        };
        let second = self.fly(&second, departed);
        tokio::pin!(second);
        // Whoever delivers first wins; a failure waits for the other.
        let (landed, other) = tokio::select! {
            landed = &mut first => {
                let other = if landed.outcome.is_err() { Ok(second.await) } else { Err((rival.endpoint, true)) };
                (landed, other)
            }
            landed = &mut second => {
                let other = if landed.outcome.is_err() { Ok(first.await) } else { Err((candidate.endpoint, false)) };
                (landed, other)
            }
        };
        let asked = landed.endpoint;
        match other {
            Err((loser, hedge)) => {
                trace.attempts.push(AttemptNote {
                    endpoint: self.id(loser),
                    failure: Some(FailureKind::Superseded),
                    status: None,
                    took: begun.elapsed(),
                    last_resort,
                    hedge,
                });
                Ok(self.landed(landed, last_resort, trace))
            }
            Ok(other) => {
                if let Tried::Failed(error) = self.landed(landed, last_resort, trace) {
                    self.failed.push((self.name(asked), error));
                }
                Ok(self.landed(other, last_resort, trace))
            }
        }
    }
}
