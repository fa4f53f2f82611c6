//! The data plane: what a client's request goes through, from its head to the last byte.
//!
//! [`server`] accepts connections; [`routes`] knows the paths; [`auth`] says who calls;
//! [`pipeline`] resolves the alias and, by [`category`], whose targets are meant, asks
//! [`crate::routing`] for a plan and walks it with [`crate::upstream`]; [`respond`] puts what happened into headers, and [`error`] turns
//! what failed into the client's own error shape.

mod admission;
pub mod auth;
mod behind;
pub mod category;
mod decide;
pub mod error;
mod facts;
pub mod intake;
pub mod models;
pub mod multipart;
pub mod narrowing;
pub mod pipeline;
pub mod respond;
pub mod routes;
pub mod server;
pub mod tls;
mod unserved;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};

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
    /// Held for a few instructions at a time, never across an await.
    retries: Mutex<RetryBudget>,
}

impl Gateway {
    /// A gateway over a first view.
    pub fn new(live: Arc<Live>, quota: Option<Quota>) -> Self {
        let retries = Mutex::new(RetryBudget::new(live.clock.now()));
        Self { live, decisions: Decisions::default(), desk: category::Desk::default(), quota, retries }
    }

    fn retries<T>(&self, f: impl FnOnce(&mut RetryBudget) -> T) -> T {
        f(&mut self.retries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a repeat out of the retry budget, if there is one.
    fn may_repeat(&self, now: UnixMillis) -> bool {
        self.retries(|budget| budget.withdraw(now))
    }
}
