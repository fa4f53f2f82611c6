//! Connections that wait for their next exchange, the latest on top: so as many stay open as are
//! needed, and the others grow old.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::http1::Connection;

/// How long an idle connection is kept: shorter than the minute after which common load
/// balancers close theirs, so that we rarely write to a connection that is being closed.
pub const IDLE: Duration = Duration::from_secs(50);

/// Those that have waited too long are looked for no more often than this.
const SWEEP: Duration = Duration::from_secs(1);

/// The connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// With the moment at which they are too old; the oldest first.
    idle: Mutex<VecDeque<(Instant, Connection)>>,
    swept: AtomicBool,
}

impl Pool {
    /// One that can be used, if there is one.
    pub async fn take(&self) -> Option<Connection> {
        loop {
            let (until, mut connection) = self.0.idle().pop_back()?;
            if Instant::now() < until && connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Keeps one for later.
    pub fn put(&self, connection: Connection) {
        self.0.idle().push_back((Instant::now() + IDLE, connection));
        if !self.0.swept.swap(true, AcqRel) {
            TokioExecutor::new().execute(sweep(Arc::downgrade(&self.0)));
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, Connection)>> {
        // A panic elsewhere leaves whole connections behind.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes those that have waited too long. Returns when to look again; never, where none is
    /// left.
    fn close_old(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        while idle.front().is_some_and(|(until, _)| *until <= now) {
            idle.pop_front();
        }
        let next = idle.front().map(|(until, _)| (*until).max(now + SWEEP));
        if next.is_none() {
            // Under the lock, so that whoever puts one back after this begins anew.
            self.swept.store(false, std::sync::atomic::Ordering::Release);
        }
        next
    }
}

/// Closes connections that nobody has used for long, until there are none.
async fn sweep(pool: Weak<Shared>) {
    let mut next = Instant::now() + IDLE;
    loop {
        tokio::time::sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.close_old() {
            Some(again) => next = again,
            None => return,
        }
    }
}
