//! What holds at this moment? The behaviour with its schedule applied, and the state that calls
//! share: random draws, servers, allowances, counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::Instant;

use super::behaviour::{Behaviour, BehaviourError, millis};
use super::cache::Cache;
use super::fault::{self, Fault};
use super::quota::{Allowances, Exceeded, Quota};
use super::servers::Servers;
use super::stats::Counters;
use crate::domain::provider::Protocol;

/// The state of one simulated provider.
pub(super) struct Engine {
    pub name: String,
    pub protocol: Protocol,
    pub seed: u64,
    pub counters: Arc<Counters>,
    pub servers: Arc<Servers>,
    pub cache: Cache,
    initial: Behaviour,
    current: ArcSwap<Programme>,
    rng: Mutex<StdRng>,
    quota: Mutex<Quota>,
    serial: AtomicU64,
    started: Instant,
    started_unix: Duration,
}

/// A behaviour and when it was put in place.
struct Programme {
    base: Arc<Behaviour>,
    since: Instant,
    /// The phases that hold (one bit each, the first 64) and the behaviour under them.
    phase: Mutex<(u64, Arc<Behaviour>)>,
}

/// The draws of one call.
pub(super) struct Draws {
    pub fault: Option<Fault>,
    pub ttft: Duration,
    pub length: u64,
    pub rng: StdRng,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Programme {
    fn new(behaviour: Behaviour) -> Self {
        let base = Arc::new(behaviour);
        Self { phase: Mutex::new((0, Arc::clone(&base))), base, since: Instant::now() }
    }

    /// The behaviour now, and whether it has just changed.
    fn now(&self) -> (Arc<Behaviour>, bool) {
        if self.base.schedule.is_empty() {
            return (Arc::clone(&self.base), false);
        }
        let elapsed_s = self.since.elapsed().as_secs_f64();
        let phases = || self.base.schedule.iter().take(64).enumerate();
        let holding = phases().filter(|(_, p)| p.holds_at(elapsed_s)).fold(0_u64, |mask, (index, _)| mask | 1 << index);
        let mut phase = lock(&self.phase);
        if phase.0 == holding {
            return (Arc::clone(&phase.1), false);
        }
        let mut behaviour = (*self.base).clone();
        for (_, holds) in phases().filter(|(index, _)| holding >> index & 1 == 1) {
            // Unwrap safety is not needed: `check` has tried each phase, and a combination that
            // does not fit together leaves the fields as they were.
            behaviour = behaviour.patched(&Value::Object(holds.set.clone())).unwrap_or(behaviour);
        }
        *phase = (holding, Arc::new(behaviour));
        (Arc::clone(&phase.1), true)
    }
}

impl Engine {
    #[expect(clippy::disallowed_methods, reason = "a provider of its own reads a clock of its own")]
    pub fn new(name: &str, protocol: Protocol, behaviour: Behaviour, seed: u64) -> Arc<Self> {
        let engine = Arc::new(Self {
            name: name.to_owned(),
            protocol,
            seed,
            counters: Arc::default(),
            servers: Arc::default(),
            cache: Cache::default(),
            initial: behaviour.clone(),
            current: ArcSwap::from_pointee(Programme::new(behaviour)),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            quota: Mutex::default(),
            serial: AtomicU64::new(0),
            started: Instant::now(),
            started_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        });
        engine.servers.resize(engine.behaviour().servers);
        engine
    }

    /// What holds now.
    pub fn behaviour(&self) -> Arc<Behaviour> {
        let (behaviour, changed) = self.current.load().now();
        if changed {
            self.servers.resize(behaviour.servers);
            self.cache.clear();
        }
        behaviour
    }

    /// The behaviour as it was put in place, without its schedule applied.
    pub fn base(&self) -> Arc<Behaviour> {
        Arc::clone(&self.current.load().base)
    }

    /// Puts a behaviour in place; its schedule counts from now.
    pub fn set(&self, behaviour: Behaviour) -> Result<(), BehaviourError> {
        behaviour.check()?;
        self.current.store(Arc::new(Programme::new(behaviour)));
        *lock(&self.quota) = Quota::default();
        self.cache.clear();
        self.servers.resize(self.behaviour().servers);
        Ok(())
    }

    /// The initial behaviour, counters at zero, the random draws from the start.
    pub fn reset(&self) -> Result<(), BehaviourError> {
        *lock(&self.rng) = StdRng::seed_from_u64(self.seed);
        self.counters.reset();
        self.set(self.initial.clone())
    }

    /// The draws of the next call, in one go so that the order of calls alone decides them.
    pub fn draw(&self, behaviour: &Behaviour) -> Draws {
        let mut rng = lock(&self.rng);
        Draws {
            fault: fault::draw(&behaviour.faults, &mut *rng).cloned(),
            ttft: behaviour.ttft_ms.draw_ms(&mut *rng),
            // A cast from a float saturates.
            length: behaviour.output_tokens.draw(&mut *rng).round() as u64,
            rng: StdRng::seed_from_u64(rng.random()),
        }
    }

    /// Counts a call of so many tokens against the allowances.
    pub fn take_quota(&self, behaviour: &Behaviour, tokens: u64) -> (Result<(), Exceeded>, Allowances) {
        if behaviour.requests_per_minute.is_none() && behaviour.tokens_per_minute.is_none() {
            return (Ok(()), Allowances::default());
        }
        let (requests, per_minute) = (behaviour.requests_per_minute, behaviour.tokens_per_minute);
        lock(&self.quota).take(requests, per_minute, tokens, Instant::now())
    }

    /// The time to the first token for a prompt of this size.
    pub fn first_token(&self, behaviour: &Behaviour, draws: &Draws, prompt_tokens: u64) -> Duration {
        draws.ttft + millis(behaviour.ttft_ms_per_1k_prompt_tokens * prompt_tokens as f64 / 1000.0)
    }

    /// A number no other call of this simulator has.
    pub fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Time since the Unix epoch, moved by tokio's clock.
    pub fn unix_now(&self) -> Duration {
        self.started_unix + self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulate::behaviour::Spread;

    fn engine(behaviour: Value) -> Arc<Engine> {
        let behaviour: Behaviour = serde_json::from_value(behaviour).unwrap();
        behaviour.check().unwrap();
        Engine::new("acme", Protocol::OpenAi, behaviour, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn the_schedule_changes_behaviour_at_its_times() {
        let engine = engine(json!({"token_ms": 5, "schedule": [
            {"at_s": 10, "for_s": 5, "repeat_s": 20, "set": {"token_ms": 50}},
            {"at_s": 12, "set": {"servers": 1}},
        ]}));
        let mut seen = Vec::new();
        for _ in 0..7 {
            let now = engine.behaviour();
            seen.push((now.token_ms == Spread::Fixed(50.0), now.servers));
            tokio::time::advance(Duration::from_secs(6)).await;
        }
        // At 0, 6, 12, 18, 24, 30 and 36 seconds.
        let one = Some(1);
        assert_eq!(
            seen,
            [(false, None), (false, None), (true, one), (false, one), (false, one), (true, one), (false, one)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_behaviour_starts_its_schedule_anew_and_reset_brings_back_the_first() {
        let engine = engine(json!({"token_ms": 5}));
        tokio::time::advance(Duration::from_secs(100)).await;
        let patch = json!({"schedule": [{"at_s": 10, "set": {"token_ms": 50}}]});
        engine.set(engine.base().patched(&patch).unwrap()).unwrap();
        assert_eq!(engine.behaviour().token_ms, Spread::Fixed(5.0));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(engine.behaviour().token_ms, Spread::Fixed(50.0));
        engine.reset().unwrap();
        assert_eq!(engine.behaviour().token_ms, Spread::Fixed(5.0));
        assert!(engine.base().schedule.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_meets_the_same_faults() {
        let behaviour = json!({"faults": [{"share": 0.5, "kind": "hang"}]});
        let faults = |engine: &Engine| -> Vec<bool> {
            (0..50).map(|_| engine.draw(&engine.behaviour()).fault.is_some()).collect()
        };
        let (one, other) = (engine(behaviour.clone()), engine(behaviour));
        assert_eq!(faults(&one), faults(&other));
        one.reset().unwrap();
        other.reset().unwrap();
        assert_eq!(faults(&one), faults(&other));
    }
}
