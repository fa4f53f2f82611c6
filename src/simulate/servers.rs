//! Who is served next? A queue with as many servers as the behaviour says: a call holds a
//! server from its start to the end of its answer, others wait in order of arrival.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The servers of one simulated provider.
#[derive(Default)]
pub(super) struct Servers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many may be busy. The behaviour may lower it below `busy`; then leaving calls free no server.
    count: usize,
    busy: usize,
    waiting: VecDeque<oneshot::Sender<Busy>>,
}

/// A server held; dropping it serves the next in line.
pub(super) struct Busy(Option<Arc<Servers>>);

/// The queue is full.
#[derive(Debug)]
pub(super) struct Full;

impl Servers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the number of servers; `None` is as many as are wanted.
    pub fn resize(self: &Arc<Self>, count: Option<u32>) {
        self.lock().count = count.map_or(usize::MAX, |count| count as usize);
        self.hand_out();
    }

    /// Calls waiting now.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits for a server, or tells at once that `max_queue` others wait already.
    pub async fn acquire(self: &Arc<Self>, max_queue: Option<u32>) -> Result<Busy, Full> {
        let turn = {
            let mut state = self.lock();
            if state.busy < state.count && state.waiting.is_empty() {
                state.busy += 1;
                return Ok(Busy(Some(Arc::clone(self))));
            }
            // Those who went away while waiting no longer count.
            state.waiting.retain(|waiting| !waiting.is_closed());
            if max_queue.is_some_and(|max| state.waiting.len() >= max as usize) {
                return Err(Full);
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push_back(sender);
            turn
        };
        turn.await.map_err(|_| Full)
    }

    /// Gives free servers to those who wait. The lock is not held while sending, since a server
    /// sent to someone who has left comes back through `Busy`'s drop.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                if state.busy >= state.count {
                    return;
                }
                let Some(next) = state.waiting.pop_front() else { return };
                state.busy += 1;
                next
            };
            if let Err(mut unwanted) = next.send(Busy(Some(Arc::clone(self)))) {
                // Given back by hand: `drop` would hand out again from within.
                unwanted.0 = None;
                self.lock().busy -= 1;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(servers) = self.0.take() {
            servers.lock().busy -= 1;
            servers.hand_out();
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests spawn what they wait for")]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    fn servers(count: u32) -> Arc<Servers> {
        let servers = Arc::new(Servers::default());
        servers.resize(Some(count));
        servers
    }

    #[tokio::test(start_paused = true)]
    async fn two_servers_take_six_calls_of_a_second_in_three_seconds() {
        let servers = servers(2);
        let start = Instant::now();
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let servers = Arc::clone(&servers);
                tokio::spawn(async move {
                    let _busy = servers.acquire(None).await.unwrap();
                    sleep(Duration::from_secs(1)).await;
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_told_at_once() {
        let servers = servers(1);
        let busy = servers.acquire(Some(0)).await.unwrap();
        assert!(servers.acquire(Some(0)).await.is_err());
        drop(busy);
        assert!(servers.acquire(Some(0)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_queue_takes_no_server_along() {
        let servers = servers(1);
        let busy = servers.acquire(None).await.unwrap();
        assert!(timeout(Duration::from_secs(1), servers.acquire(None)).await.is_err());
        drop(busy);
        assert!(timeout(Duration::from_secs(1), servers.acquire(None)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn more_servers_take_those_who_wait() {
        let servers = servers(1);
        let _busy = servers.acquire(None).await.unwrap();
        let waiting = {
            let servers = Arc::clone(&servers);
            tokio::spawn(async move { servers.acquire(None).await.is_ok() })
        };
        sleep(Duration::from_secs(1)).await;
        assert_eq!(servers.waiting(), 1);
        servers.resize(None);
        assert!(waiting.await.unwrap());
    }
}
