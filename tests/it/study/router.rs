//! What orders the endpoints: the calls that the walk makes to a router.

use std::rc::Rc;
use std::time::Duration;

use pointsman::domain::failure::FailureKind;
use pointsman::domain::time::UnixMillis;
use pointsman::routing::Plan;

use super::baselines::{Baseline, Rule};
use super::fleet::Fleet;
use super::oracle::Oracle;
use super::ours::Ours;
use super::scenario::Scenario;
use super::traffic::Request;
use super::world::World;

/// How often an oracle that minds others counts a second of waiting.
const MINDING_OTHERS: f64 = 4.0;

/// An attempt; the number of its job in the world.
pub type AttemptId = usize;

/// What a router may look at when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The request. Only the oracle may look at what a gateway cannot know of it.
    pub request: &'a Request,
    /// The time since the beginning.
    pub now: Duration,
    /// The truth. For all but the oracle: only which endpoints are configured by now.
    pub world: &'a World,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// How it failed, if it did.
    pub failure: Option<FailureKind>,
    /// After which time the provider wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Tokens of the answer that came.
    pub output_tokens: u64,
    /// Time on the wire.
    pub elapsed: Duration,
    /// In [0, 1): spreads the end of a time out.
    pub jitter: f64,
}

/// Something that orders endpoints and learns from what comes of it.
pub trait Router {
    /// Orders the endpoints for a request.
    fn plan(&mut self, sight: &Sight<'_>) -> Plan;

    /// An attempt is about to go on the wire to the candidate at this position; `false` if
    /// it may not. A last resort is an attempt where everything is out.
    fn begin(&mut self, attempt: AttemptId, sight: &Sight<'_>, plan: &Plan, position: usize, last: bool) -> bool;

    /// Whether an attempt may be left early, now that its time for that has come.
    fn may_give_up(&mut self) -> bool {
        false
    }

    /// The first content of a stream came.
    fn first_token(&mut self, attempt: AttemptId, waited: Duration, now: Duration);

    /// Whether [`Router::progress`] is worth calling.
    fn follows_streams(&self) -> bool {
        false
    }

    /// So many tokens came in the last `over` of a stream.
    fn progress(&mut self, _attempt: AttemptId, _tokens: u64, _over: Duration, _now: Duration) {}

    /// An attempt ended.
    fn end(&mut self, attempt: AttemptId, end: &Ended, now: Duration);

    /// Its own clock.
    fn clock(&self, now: Duration) -> UnixMillis {
        wall(now)
    }

    /// What it tells the other replicas now and then.
    fn tell(&mut self, _now: Duration) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// What it tells them seldom, and what is kept for those that come later.
    fn tell_all(&mut self, _now: Duration) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// What it has to tell them at once.
    fn tell_now(&mut self, _now: Duration) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// What another one told; it was kept for a while since.
    fn hear(&mut self, _message: &[u8], _kept: Duration, _now: Duration) {}
}

/// The routers of the study.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One that knows the truth, and minds the time of others or only its own.
    Oracle {
        /// Whether it does.
        social: bool,
    },
    /// The real routing, under this strategy.
    Ours(&'static str),
    /// A usual balancer.
    Usual(Rule),
}

impl Kind {
    /// All of them, as columns of the table.
    pub const ALL: [Self; 6] = [
        Self::Ours("lowest-latency"),
        Self::Usual(Rule::PeakEwma),
        Self::Usual(Rule::LeastInFlight),
        Self::Usual(Rule::LowestMean),
        Self::Usual(Rule::RoundRobin),
        Self::Usual(Rule::Random),
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oracle { .. } => "oracle",
            Self::Ours(strategy) => strategy,
            Self::Usual(rule) => rule.name(),
        }
    }

    /// One router for each replica.
    pub fn routers(self, scenario: &Scenario, seed: u64) -> Vec<Box<dyn Router>> {
        let strategy = if let Self::Ours(strategy) = self { strategy } else { "random-shuffle" };
        let fleet = Rc::new(Fleet::new(scenario, strategy));
        let one = |replica: usize| -> Box<dyn Router> {
            let fleet = Rc::clone(&fleet);
            match self {
                Self::Oracle { social } => {
                    let waiting = if social { MINDING_OTHERS } else { 1.0 };
                    Box::new(Oracle::new(fleet, scenario.limits.failure_s, waiting))
                }
                Self::Ours(_) => Box::new(Ours::new(fleet, scenario, seed, replica)),
                Self::Usual(rule) => Box::new(Baseline::new(rule, fleet, seed, replica)),
            }
        };
        (0..scenario.replicas).map(one).collect()
    }
}

/// The wall clock of the simulation.
pub fn wall(now: Duration) -> UnixMillis {
    UnixMillis(1_700_000_000_000) + now
}
