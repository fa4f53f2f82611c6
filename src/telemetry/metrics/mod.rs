//! What Prometheus reads: every metric is declared in [`table`], and its handle is resolved
//! once, so that a request only adds to it.
//!
//! Counters and histograms live as long as the process, in one recorder. Everything that is a
//! state rather than an event (gauges, and sums that others keep) is put on a fresh [`Page`] at
//! each scrape, so that what is gone from the configuration is gone from the page.
//!
//! Labels are names that the operator has configured, or words of ours. Since a configuration
//! may change for ever, there is a bound: beyond [`MOST_NAMES`] names (and pairs of an alias and
//! a target) new ones are counted as [`OTHER`].

mod alias;
pub mod labels;
mod lazy;
mod page;
mod pair;
pub mod table;
mod target;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use alias::{AliasMeters, Ended};
use lazy::Lazy;
pub use page::Page;
pub use pair::PairMeters;
pub use table::{ALL, Kind, Metric};
pub use target::TargetMeters;

/// Names, and pairs of names, that have series of their own.
pub const MOST_NAMES: usize = 8192;

/// What is counted for all names beyond that.
pub const OTHER: &str = "_other";

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// Sums that are no whole numbers, which the recorder cannot keep: pico-dollars by the values
/// of their labels.
type Sums = BTreeMap<Vec<String>, Arc<AtomicU64>>;

/// All metrics that events add to.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    names: Mutex<HashSet<Vec<String>>>,
    costs: Mutex<[Sums; 2]>,
    /// Requests that have come and not ended.
    pub in_flight: AtomicI64,
    overhead: Histogram,
    decision: Histogram,
    category_times: [Histogram; 2],
    refusals: [Lazy<5, Counter>; 5],
    /// Of requests whose name led nowhere.
    pub nobody: OnceLock<Arc<AliasMeters>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let recorder = recorder();
        let histogram = |metric: &Metric, labels: &[&str]| recorder.register_histogram(&key(metric, labels), &METADATA);
        Self {
            overhead: histogram(&table::OVERHEAD, &[]),
            decision: histogram(&table::DECISION_TIME, &[]),
            category_times: ["fast", "strong"].map(|tier| histogram(&table::CATEGORY_TIME, &[tier])),
            handle: recorder.handle(),
            recorder,
            names: Mutex::default(),
            costs: Mutex::default(),
            in_flight: AtomicI64::new(0),
            refusals: Default::default(),
            nobody: OnceLock::new(),
        }
    }
}

/// A recorder that knows every metric.
fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            // Refused only where there are no bounds, and there are.
            builder = builder.set_buckets_for_metric(name, bounds).unwrap_or_default();
        }
    }
    let recorder = builder.build_recorder();
    for metric in ALL {
        let (name, help) = (metric.name.into(), metric.help.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
        }
    }
    recorder
}

/// A series of a metric: values in the order of its labels, without those that are empty.
fn key(metric: &Metric, values: &[&str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let labels = metric.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    Key::from_parts(metric.name, labels.map(|(name, value)| Label::new(*name, (*value).to_owned())).collect::<Vec<_>>())
}

/// Whose cost a sum is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CostOf {
    /// An alias's at a target.
    Pair,
    /// A project's.
    Project,
}

impl Metrics {
    fn counter(&self, metric: &Metric, values: &[&str]) -> Counter {
        self.recorder.register_counter(&key(metric, values), &METADATA)
    }

    fn histogram(&self, metric: &Metric, values: &[&str]) -> Histogram {
        self.recorder.register_histogram(&key(metric, values), &METADATA)
    }

    /// Whether this name, or these together, may have series of their own.
    fn admits(&self, names: &[&str]) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&names) {
            return true;
        }
        known.len() < MOST_NAMES && known.insert(names)
    }

    /// How many have.
    pub fn series(&self) -> usize {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The meters of an alias.
    pub fn alias(self: &Arc<Self>, name: &str) -> Arc<AliasMeters> {
        let name = if self.admits(&["alias", name]) { name } else { OTHER };
        Arc::new(AliasMeters::new(Arc::clone(self), name))
    }

    /// The meters of a target: `model` at `provider`.
    pub fn target(self: &Arc<Self>, name: &str, provider: &str, model: &str) -> Arc<TargetMeters> {
        let names = if self.admits(&["target", name]) { [name, provider, model] } else { [OTHER; 3] };
        Arc::new(TargetMeters::new(Arc::clone(self), names))
    }

    /// A sum of pico-dollars.
    pub fn cost(&self, of: CostOf, values: &[&str]) -> Arc<AtomicU64> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let mut costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(costs[of as usize].entry(values).or_default())
    }

    /// The counters of a project's requests, those that failed last, and its cost.
    pub fn project(&self, name: &str) -> ProjectMeters {
        let name = if self.admits(&["project", name]) { name } else { OTHER };
        let requests = ["ok", "failed"].map(|outcome| self.counter(&table::PROJECT_REQUESTS, &[name, outcome]));
        ProjectMeters { requests, cost: self.cost(CostOf::Project, &[name]) }
    }

    /// A request took one attempt, and so much time beside it.
    pub fn overhead(&self, seconds: f64) {
        self.overhead.record(seconds);
    }

    /// An order was decided.
    pub fn decided(&self, seconds: f64) {
        self.decision.record(seconds);
    }

    /// A category was found, by the fast tier alone or with a second look.
    pub fn sorted(&self, strong: bool, seconds: f64) {
        self.category_times[usize::from(strong)].record(seconds);
    }

    /// A limit refused. `owner` and `limit` are numbers and names of closed sets.
    pub fn refused(&self, owner: (usize, &'static str), limit: (usize, &'static str)) {
        let Some(of_owner) = self.refusals.get(owner.0) else { return };
        if let Some(counter) = of_owner.get(limit.0, || self.counter(&table::REFUSALS, &[owner.1, limit.1])) {
            counter.increment(1);
        }
    }

    /// Moves what was recorded into buckets. To be called every second or two: until then each
    /// value is kept by itself.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything that events have added to, as text; `page` has the rest.
    pub fn render(&self, mut page: Page) -> String {
        page.gauge(&table::REQUESTS_IN_FLIGHT, &[], self.in_flight.load(Relaxed) as f64);
        page.gauge(&table::SERIES, &[], self.series() as f64);
        page.gauge(&table::SERIES_LIMIT, &[], MOST_NAMES as f64);
        {
            let costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
            for (metric, sums) in [&table::COST, &table::PROJECT_COST].into_iter().zip(&*costs) {
                for (values, sum) in sums {
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    page.sum(metric, &values, sum.load(Relaxed) as f64 / 1e12);
                }
            }
        }
        let mut text = self.handle.render();
        text.push_str(&page.render());
        text
    }
}

/// What is counted of a project.
#[derive(Clone)]
pub struct ProjectMeters {
    requests: [Counter; 2],
    cost: Arc<AtomicU64>,
}

impl std::fmt::Debug for ProjectMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProjectMeters").finish_non_exhaustive()
    }
}

impl ProjectMeters {
    /// A request has ended, and this is what its attempts cost, in pico-dollars.
    pub fn requested(&self, ok: bool, cost: u64) {
        self.requests[usize::from(!ok)].increment(1);
        self.cost.fetch_add(cost, Relaxed);
    }
}

#[cfg(test)]
mod tests;
