//! The usual balancers, for comparison.
//!
//! They have the same walk, the same breaker and blocks as ours, and the same limits of
//! time. They have no early give-up, because none of them predicts anything.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pointsman::domain::failure::FailureKind;
use pointsman::domain::time::UnixMillis;
use pointsman::health::{Health, Outcome, Standing, outcome_of};
use pointsman::routing::eligibility::SkipReason;
use pointsman::routing::rank::{Soonest, Why};
use pointsman::routing::{Candidate, Plan, Skipped};
use pointsman::stats::Purpose;

use super::fleet::Fleet;
use super::luck::Luck;
use super::router::{AttemptId, Ended, Router, Sight, wall};

/// What a usual balancer goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Any, with equal chances.
    Random,
    /// One after another.
    RoundRobin,
    /// The lowest mean of total times, fading over about ten requests; what was never
    /// measured first.
    LowestMean,
    /// The better of two random ones by peak EWMA times requests in flight (Finagle's and
    /// Linkerd's balancer).
    PeakEwma,
    /// The fewest requests in flight.
    LeastInFlight,
    /// The lowest mean of total times that replicas have published.
    SharedMean,
}

impl Rule {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round robin",
            Self::LowestMean => "lowest mean",
            Self::PeakEwma => "p2c peak EWMA",
            Self::LeastInFlight => "least in flight",
            Self::SharedMean => "lowest shared mean",
        }
    }
}

/// Weight of one sample in the mean of [`Rule::LowestMean`].
const MEAN_WEIGHT: f64 = 0.1;
/// What is left of the samples of a published mean at the next telling.
const FADING: f64 = 0.5;
/// Time constant of [`Rule::PeakEwma`], Finagle's default.
const PEAK_DECAY_S: f64 = 10.0;

/// What a balancer knows of an endpoint.
#[derive(Debug, Default)]
struct Peer {
    health: Health,
    in_flight: u32,
    mean_s: Option<f64>,
    /// Samples, those of earlier tellings fading.
    samples: f64,
    peak_s: f64,
    peak_at: Duration,
}

/// A usual balancer.
#[derive(Debug)]
pub struct Baseline {
    rule: Rule,
    fleet: Rc<Fleet>,
    peers: Vec<Peer>,
    attempts: HashMap<AttemptId, usize>,
    luck: Luck,
    turn: usize,
    replica: usize,
    published: Published,
}

/// Means that replicas have published: for each of them, of each endpoint.
#[derive(Debug, Default)]
struct Published(Vec<Vec<Sampled>>);

/// A mean and what it rests on.
#[derive(Clone, Copy, Debug, Default)]
struct Sampled {
    mean_s: f64,
    samples: f64,
}

impl Published {
    /// The mean over all replicas; 0 where nobody knows.
    fn mean(&self, endpoint: usize) -> f64 {
        let all = || self.0.iter().filter_map(|means| means.get(endpoint));
        let samples: f64 = all().map(|one| one.samples).sum();
        if samples > 0.0 { all().map(|one| one.mean_s * one.samples).sum::<f64>() / samples } else { 0.0 }
    }

    fn set(&mut self, replica: usize, means: Vec<Sampled>) {
        if self.0.len() <= replica {
            self.0.resize(replica + 1, Vec::new());
        }
        self.0[replica] = means;
    }
}

impl Baseline {
    /// That of one replica.
    pub fn new(rule: Rule, fleet: Rc<Fleet>, seed: u64, replica: usize) -> Self {
        let peers = fleet.endpoints.iter().map(|_| Peer::default()).collect();
        Self {
            rule,
            fleet,
            peers,
            attempts: HashMap::new(),
            luck: Luck::of(&[seed, 3, replica as u64]),
            turn: replica,
            replica,
            published: Published::default(),
        }
    }

    /// Brings those that may be used into order.
    fn sort(&mut self, endpoints: &mut [usize], now: Duration) {
        self.luck.shuffle(endpoints);
        match self.rule {
            Rule::Random => {}
            Rule::RoundRobin => {
                self.turn += 1;
                let count = self.peers.len();
                endpoints.sort_by_key(|endpoint| (endpoint + count - self.turn % count) % count);
            }
            Rule::LowestMean => {
                let mean = |endpoint: usize| self.peers[endpoint].mean_s.unwrap_or(0.0);
                endpoints.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
            }
            Rule::PeakEwma => {
                if let [first, second, ..] = endpoints
                    && self.peers[*second].load(now) < self.peers[*first].load(now)
                {
                    endpoints.swap(0, 1);
                }
            }
            Rule::LeastInFlight => endpoints.sort_by_key(|endpoint| self.peers[*endpoint].in_flight),
            Rule::SharedMean => {
                endpoints.sort_by(|a, b| self.published.mean(*a).total_cmp(&self.published.mean(*b)));
            }
        }
    }
}

impl Peer {
    fn load(&self, now: Duration) -> f64 {
        let peak = self.peak_s * (-now.saturating_sub(self.peak_at).as_secs_f64() / PEAK_DECAY_S).exp();
        // Never measured, but in use: as bad as can be, so that one request measures it.
        let cost = if self.peak_s == 0.0 && self.in_flight > 0 { 1e6 } else { peak };
        cost * f64::from(self.in_flight + 1)
    }

    fn measured(&mut self, took: Duration, now: Duration) {
        let took = took.as_secs_f64();
        self.samples += 1.0;
        self.mean_s = Some(self.mean_s.map_or(took, |mean| mean + MEAN_WEIGHT * (took - mean)));
        let keep = (-now.saturating_sub(self.peak_at).as_secs_f64() / PEAK_DECAY_S).exp();
        self.peak_s = if took > self.peak_s { took } else { self.peak_s * keep + took * (1.0 - keep) };
        self.peak_at = now;
    }
}

impl Router for Baseline {
    fn plan(&mut self, sight: &Sight<'_>) -> Plan {
        let at = wall(sight.now);
        let mut plan = Plan::default();
        let (mut ready, mut behind) = (Vec::new(), Vec::new());
        let mut back = None;
        for endpoint in 0..self.peers.len() {
            if !sight.world.is_present(endpoint, sight.now) {
                continue;
            }
            let idx = self.fleet.endpoints[endpoint];
            let (until, when, reason) = match self.peers[endpoint].health.standing(at) {
                Standing::Ready { share } if share < 1.0 && self.luck.unit() >= share => {
                    behind.push(endpoint);
                    continue;
                }
                Standing::Ready { .. } | Standing::Probe => {
                    ready.push(endpoint);
                    continue;
                }
                Standing::Probing => (at, at, SkipReason::Probing),
                Standing::Open { until, cause } => (until, at, SkipReason::CoolingDown { until, cause }),
                Standing::Blocked { until } => (until, until, SkipReason::RateLimited { until }),
            };
            if back.is_none_or(|back| until < back) {
                back = Some(until);
                plan.soonest = Some(Soonest { candidate: candidate(&self.fleet, endpoint), at: when });
            }
            plan.skipped.push(Skipped { endpoint: idx, reason });
        }
        self.sort(&mut ready, sight.now);
        self.sort(&mut behind, sight.now);
        plan.candidates = ready.iter().chain(&behind).map(|endpoint| candidate(&self.fleet, *endpoint)).collect();
        if !plan.candidates.is_empty() {
            plan.soonest = None;
        }
        plan
    }

    fn begin(&mut self, attempt: AttemptId, _: &Sight<'_>, plan: &Plan, position: usize, last: bool) -> bool {
        let endpoint = plan.candidates[position].target;
        let peer = &mut self.peers[endpoint];
        if !peer.health.begin() && !last {
            return false;
        }
        peer.in_flight += 1;
        self.attempts.insert(attempt, endpoint);
        true
    }

    fn first_token(&mut self, attempt: AttemptId, _: Duration, now: Duration) {
        if let Some(endpoint) = self.attempts.get(&attempt) {
            self.peers[*endpoint].health.record(Outcome::Success, wall(now), 0.5);
        }
    }

    fn end(&mut self, attempt: AttemptId, end: &Ended, now: Duration) {
        let Some(endpoint) = self.attempts.remove(&attempt) else { return };
        let peer = &mut self.peers[endpoint];
        peer.in_flight -= 1;
        match end.failure {
            Some(kind) => peer.health.record(
                outcome_of(kind, end.retry_after.map(|after| wall(now) + after)),
                wall(now),
                end.jitter,
            ),
            None => peer.health.record(Outcome::Success, wall(now), end.jitter),
        }
        if matches!(end.failure, None | Some(FailureKind::Timeout)) {
            peer.measured(end.elapsed, now);
        }
    }

    fn tell(&mut self, _: Duration) -> Vec<Vec<u8>> {
        let sample = |peer: &mut Peer| {
            let sampled = Sampled { mean_s: peer.mean_s.unwrap_or(0.0), samples: peer.samples };
            peer.samples *= FADING;
            sampled
        };
        let means: Vec<Sampled> = self.peers.iter_mut().map(sample).collect();
        let numbers = means.iter().flat_map(|one| [one.mean_s, one.samples]);
        let message = std::iter::once(self.replica as f64).chain(numbers).flat_map(f64::to_le_bytes).collect();
        self.published.set(self.replica, means);
        vec![message]
    }

    fn hear(&mut self, message: &[u8], _: Duration, _: Duration) {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0.0, f64::from_le_bytes);
        let numbers: Vec<f64> = message.chunks(8).map(number).collect();
        let means = numbers[1..].chunks(2).map(|pair| Sampled { mean_s: pair[0], samples: pair[1] }).collect();
        self.published.set(numbers[0] as usize, means);
    }
}

/// The candidate of a plan that leads to this endpoint.
pub fn candidate(fleet: &Fleet, endpoint: usize) -> Candidate {
    Candidate {
        endpoint: fleet.endpoints[endpoint],
        target: endpoint,
        why: Why::Draw { weight: 1.0 },
        purpose: Purpose::Usual,
        score: None,
        predicted_s: (f64::NAN, f64::NAN),
        give_up_s: None,
        hedge_s: None,
        seen_sent_at: UnixMillis(0),
    }
}
