//! The way to Redis: every topology, every mood, and what a caller waits at most.

mod listening;
mod moods;
mod replicas;
mod topologies;

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman::clock::Clock;
use pointsman::fleet::{Link, LinkError, State, cmd};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::eventually;
use crate::support::link::{Running, is_up, running, up};

/// What a busy machine adds to everything.
const BUSY: Duration = Duration::from_millis(250);

/// A call's usual limit.
const LIMIT: Duration = Duration::from_millis(500);

/// Waits until it is down, and returns why.
async fn is_down(link: &Link) -> String {
    let mut why = String::new();
    eventually("the link is down", async || match link.state() {
        State::Up => false,
        State::Down { why: because, .. } => {
            why = because.to_string();
            true
        }
    })
    .await;
    why
}

/// How long it takes until the link is up, or down.
async fn until(link: &Link, up: bool) -> Duration {
    let since = Instant::now();
    let mut state = link.changes();
    state.wait_for(|state| state.is_up() == up).await.unwrap();
    since.elapsed()
}

async fn set(link: &Link, key: &str, value: &str) -> Result<(), LinkError> {
    link.call(cmd("SET").arg(key).arg(value)).await
}

async fn get(link: &Link, key: &str) -> Result<Option<String>, LinkError> {
    link.call(cmd("GET").arg(key)).await
}

/// Callers that never stop calling.
struct Callers {
    tasks: JoinSet<Tally>,
    stop: CancellationToken,
}

/// What callers have seen.
#[derive(Debug, Default)]
struct Tally {
    /// The longest call.
    longest: Duration,
    /// The longest that was refused without being sent.
    longest_refused: Duration,
    /// How they ended.
    ended: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, took: Duration, how: &Result<(), LinkError>) {
        self.longest = self.longest.max(took);
        if matches!(how, Err(LinkError::Down(_) | LinkError::Slow { .. })) {
            self.longest_refused = self.longest_refused.max(took);
        }
        *self.ended.entry(how.as_ref().map_or_else(LinkError::label, |()| "ok")).or_default() += 1;
    }

    fn count(&self, how: &str) -> u64 {
        self.ended.get(how).copied().unwrap_or(0)
    }
}

/// Several callers at once, each writing a key of its own every few milliseconds.
fn callers(link: &Link, count: usize) -> Callers {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    for i in 0..count {
        let (link, stop) = (link.clone(), stop.clone());
        tasks.spawn(async move {
            let (mut tally, key) = (Tally::default(), format!("caller-{i}"));
            while !stop.is_cancelled() {
                let begun = Instant::now();
                let how = set(&link, &key, "x").await;
                tally.add(begun.elapsed(), &how);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tally
        });
    }
    Callers { tasks, stop }
}

impl Callers {
    /// Stops them; no call has taken longer than a limit.
    async fn stop(self, limit: Duration, what: &str) -> Tally {
        self.stop.cancel();
        let mut all = Tally::default();
        for tally in self.tasks.join_all().await {
            all.longest = all.longest.max(tally.longest);
            all.longest_refused = all.longest_refused.max(tally.longest_refused);
            for (how, count) in tally.ended {
                *all.ended.entry(how).or_default() += count;
            }
        }
        println!("{what}: {all:?}");
        assert!(all.longest <= limit + BUSY, "{what}: {all:?}");
        assert!(all.longest_refused <= BUSY, "{what}: {all:?}");
        all
    }
}
