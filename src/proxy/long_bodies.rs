//! Where long bodies are read: beside the requests, so that who shares a thread with them does not
//! wait until they have been.

use std::num::NonZeroUsize;

use futures_util::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

use crate::wire::turn::in_turns;

/// As many at once as there are processors. Others wait for their turn, and the system shares the
/// processors between the threads that read these and those that serve requests.
#[derive(Debug)]
pub struct LongBodies {
    turns: Semaphore,
}

impl Default for LongBodies {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::with_turns(processors)
    }
}

impl LongBodies {
    /// So many at once.
    pub fn with_turns(turns: usize) -> Self {
        Self { turns: Semaphore::new(turns) }
    }

    /// Does what takes long with a long body when it has its turn, while another thread goes on with all
    /// else that this one had to do, and goes first where they share a processor. Boxed, since most requests
    /// need no room for it.
    pub fn read<'a, T>(&'a self, work: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
        Box::pin(async {
            // An error would say that there are no turns any more.
            let turn = self.turns.acquire().await;
            let work = || in_turns(work).0;
            let done = if has_other_threads() { tokio::task::block_in_place(work) } else { work() };
            drop(turn);
            done
        })
    }
}

/// Whether there can be another thread that goes on with the tasks of this one.
fn has_other_threads() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_shares_a_thread_with_a_long_body_goes_on() {
        let (go_on, gone_on) = mpsc::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { LongBodies::default().read(move || gone_on.recv_timeout(PATIENCE).is_ok()).await });
        tasks.spawn(async move { go_on.send(()).is_ok() });
        assert_eq!(tasks.join_all().await, [true, true], "the only thread waits for the body");
    }

    #[tokio::test]
    async fn where_there_is_one_thread_it_is_read_there() {
        assert_eq!(LongBodies::default().read(|| 7).await, 7);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn only_so_many_are_read_at_once() {
        let long = Arc::new(LongBodies::with_turns(1));
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let first = Arc::clone(&long);
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let work = move || begin.send(()).is_ok() && ended.recv_timeout(PATIENCE).is_ok();
            first.read(work).await
        });
        begun.recv_timeout(PATIENCE).unwrap();
        let mut second = std::pin::pin!(long.read(|| ()));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        end.send(()).unwrap();
        assert_eq!(reading.join_all().await, [true]);
        second.await;
    }
}
