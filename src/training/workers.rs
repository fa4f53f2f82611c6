//! Work on all processors, with the same result on any number of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Threads that each do a whole piece of work.
#[derive(Debug)]
pub struct Workers {
    /// A pool of one thread per worker: a matrix product within a piece of work is done by the
    /// thread that has it, instead of waiting for the others.
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// So many threads; 0 is one for each processor.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let pools = (0..threads).map(|_| ThreadPoolBuilder::new().num_threads(1).build());
        Ok(Self { pools: pools.collect::<Result<_, _>>()? })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pools.len()
    }

    /// Whether there are none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// Does `count` pieces of work, and returns what came of each, in order.
    pub fn map<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(count));
        let run = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return;
                }
                let result = work(at);
                // Unwrap safety: whoever held the lock only pushed.
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
            }
        };
        std::thread::scope(|scope| {
            for pool in &self.pools {
                scope.spawn(|| pool.install(run));
            }
        });
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        for threads in [1, 3] {
            let workers = Workers::new(threads).unwrap();
            assert_eq!(workers.map(50, |at| at * at), (0..50).map(|at| at * at).collect::<Vec<_>>());
        }
    }
}
