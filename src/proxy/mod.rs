//! The data plane: what a client's request goes through, from its head to the last byte.
//!
//! [`server`] accepts connections, of which [`server::Connections`] knows; [`guard`] knows who
//! guesses keys; [`routes`] knows the paths; [`auth`] says who calls;
//! [`pipeline`] resolves the alias and, by [`category`], whose targets are meant, asks
//! [`crate::routing`] for a plan and walks it with [`crate::upstream`]; [`respond`] puts what happened into headers, and [`error`] turns
//! what failed into the client's own error shape.

mod admission;
pub mod auth;
mod behind;
mod bucket;
pub mod category;
mod connections;
mod decide;
pub mod descriptors;
pub mod error;
mod facts;
pub mod guard;
mod hedge;
pub mod intake;
pub mod long_bodies;
pub mod models;
pub mod multipart;
pub mod narrowing;
mod outcome;
pub mod pipeline;
pub mod respond;
pub mod routes;
pub mod server;
mod socket;
pub mod taking;
pub mod tls;
mod unserved;
mod walk;
mod watched;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::UnixMillis;
use crate::fleet::quota::Quota;
use crate::health::RetryBudget;
use crate::live::Live;
use crate::live::decisions::Decisions;

/// What all requests share.
#[derive(Debug)]
pub struct Gateway {
    /// The current view.
    pub live: Arc<Live>,
    /// What was decided lately.
    pub decisions: Decisions,
    /// Where prompts in doubt are looked at again.
    pub desk: category::Desk,
    /// Where limits are shared with other replicas.
    pub quota: Option<Quota>,
    /// The data plane's connections.
    pub connections: Arc<server::Connections>,
    /// Those of the admin listener.
    pub admin_connections: Arc<server::Connections>,
    /// Who shows keys and tokens that nobody knows.
    pub guesses: guard::Guesses,
    /// What was turned away before it was read.
    pub refused: intake::Refused,
    /// The room of all bodies.
    pub room: taking::Room,
    /// Where long ones are read.
    pub long_bodies: long_bodies::LongBodies,
    /// Held for a few instructions at a time, never across an await.
    retries: Mutex<RetryBudget>,
}

impl Gateway {
    /// A gateway over a first view.
    pub fn new(live: Arc<Live>, quota: Option<Quota>) -> Self {
        let retries = Mutex::new(RetryBudget::new(live.clock.now()));
        Self {
            live,
            decisions: Decisions::default(),
            desk: category::Desk::default(),
            quota,
            connections: Arc::default(),
            admin_connections: Arc::default(),
            guesses: guard::Guesses::default(),
            refused: intake::Refused::default(),
            room: taking::Room::default(),
            long_bodies: long_bodies::LongBodies::default(),
            retries,
        }
    }

    /// Somebody has shown a key or a token that nobody knows.
    ///
    /// # Errors
    /// If the address has done so too often: how long it should wait. Then this takes a while.
    pub async fn wrong_key(&self, peer: Option<guard::Peer>) -> Result<(), Duration> {
        let Some(guard::Peer(peer)) = peer else { return Ok(()) };
        let outcome = self.guesses.wrong(peer, self.live.view().limits.failed_auth_per_minute).await;
        if outcome.is_err() {
            self.refused.guessing.fetch_add(1, Relaxed);
        }
        outcome
    }

    fn retries<T>(&self, f: impl FnOnce(&mut RetryBudget) -> T) -> T {
        f(&mut self.retries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a repeat out of the retry budget, if there is one.
    fn may_repeat(&self, now: UnixMillis) -> bool {
        self.retries(|budget| budget.withdraw(now))
    }
}
