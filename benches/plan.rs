//! What does a decision cost, and what does it cost to learn from an attempt?
//! `cargo bench --bench plan`.
//!
//! For each strategy `rank` over 2, 8 and 64 targets that have been measured, with the
//! allocations it makes; each call that records an attempt; both together as the gateway
//! makes them, by one thread and by two that share all targets; and, first, the memory
//! that a target takes.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use pointsman::clock::Clock;
use pointsman::config::{self, Config};
use pointsman::domain::feature::FeatureSet;
use pointsman::domain::ids::{AliasIdx, EndpointId, Revision};
use pointsman::domain::provider::Limits;
use pointsman::domain::spent::Spent;
use pointsman::domain::time::UnixMillis;
use pointsman::domain::usage::TokenUsage;
use pointsman::live::{Draft, EndpointLive, KeyRing, Live, View};
use pointsman::routing::facts::Fit;
use pointsman::routing::{Narrowing, Plan, Query, RequestFacts, Snapshot, rank};
use pointsman::stats::{Ask, End, EndpointStats, Ticket};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const TARGETS: [usize; 3] = [2, 8, 64];
/// The time of the first attempt.
const START: UnixMillis = UnixMillis(1_000_000_000_000);
/// Ten attempts a second.
const GAP: Duration = Duration::from_millis(100);

fn main() {
    // The clients of providers are built, though nothing is sent.
    let _ = rustls::crypto::ring::default_provider().install_default();
    memory();
    divan::main();
}

/// A gateway's state, as far as it decides and learns.
struct Fleet {
    live: Live,
    alias: AliasIdx,
    facts: RequestFacts,
    narrowing: Narrowing,
    /// Moves on with every attempt.
    now: AtomicU64,
}

impl Fleet {
    /// An alias over so many targets, each measured by a minute of attempts of its own speed.
    fn new(strategy: &str, targets: usize) -> Self {
        let config = configuration(strategy, targets);
        let draft = Draft {
            revision: Revision(1),
            catalog: config.catalog,
            projects: config.projects,
            keys: KeyRing::default(),
            limits: config.server.limits,
            open: true,
        };
        let live = match Live::new(draft, &|_| Spent::default(), Clock::new(), None) {
            Ok(live) => live,
            Err(error) => panic!("{error}"),
        };
        let alias = live.view().catalog.alias_by_name["bench"];
        let able = Some(FeatureSet::EMPTY);
        let facts = RequestFacts {
            fit: Fit { openai: able, openai_responses: able, anthropic: able, gemini: able },
            prompt_tokens: 1000,
            stream: true,
            ..RequestFacts::default()
        };
        let fleet = Self { live, alias, facts, narrowing: Narrowing::default(), now: AtomicU64::new(START.0) };
        let view = fleet.live.view();
        for _ in 0..600 {
            let now = fleet.pass();
            for (at, target) in view.catalog.alias(alias).targets.iter().enumerate() {
                let speed = 1.0 + at as f64 / 10.0;
                target.endpoints.iter().for_each(|&endpoint| attempt(view.endpoint(endpoint), now, speed));
            }
        }
        fleet
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.load(Relaxed))
    }

    fn pass(&self) -> UnixMillis {
        // Fits by far.
        UnixMillis(self.now.fetch_add(GAP.as_millis() as u64, Relaxed))
    }

    fn rank(&self, view: &View, snapshot: &Snapshot, rng: &mut StdRng, now: UnixMillis) -> Plan {
        let (catalog, alias) = (&view.catalog, view.catalog.alias(self.alias));
        rank(&Query { catalog, alias, facts: &self.facts, narrowing: &self.narrowing, now }, snapshot, rng)
    }
}

/// A decision by each strategy.
mod decide {
    use super::*;

    #[divan::bench(args = TARGETS)]
    fn priority(bencher: Bencher<'_, '_>, targets: usize) {
        by("priority", bencher, targets);
    }

    #[divan::bench(args = TARGETS)]
    fn random_shuffle(bencher: Bencher<'_, '_>, targets: usize) {
        by("random-shuffle", bencher, targets);
    }

    #[divan::bench(args = TARGETS)]
    fn lowest_latency(bencher: Bencher<'_, '_>, targets: usize) {
        by("lowest-latency", bencher, targets);
    }

    #[divan::bench(args = TARGETS)]
    fn highest_throughput(bencher: Bencher<'_, '_>, targets: usize) {
        by("highest-throughput", bencher, targets);
    }

    #[divan::bench(args = TARGETS)]
    fn lowest_usage(bencher: Bencher<'_, '_>, targets: usize) {
        by("lowest-usage", bencher, targets);
    }

    #[divan::bench(args = TARGETS)]
    fn lowest_price(bencher: Bencher<'_, '_>, targets: usize) {
        by("lowest-price", bencher, targets);
    }
}

fn by(strategy: &str, bencher: Bencher<'_, '_>, targets: usize) {
    let fleet = Fleet::new(strategy, targets);
    let (view, now) = (fleet.live.view(), fleet.now());
    let snapshot = view.snapshot(fleet.alias, &fleet.facts, &view.operator(), now);
    let mut rng = StdRng::seed_from_u64(1);
    bencher.bench_local(|| {
        let plan = fleet.rank(&view, &snapshot, &mut rng, now);
        assert_eq!(plan.candidates.len(), targets);
        plan
    });
}

/// One request as the gateway routes it: read what is known of every target, decide by a
/// seed of its own, record the attempt at the first of them. `threads` of them at once,
/// over the same eight targets.
#[divan::bench(threads = [1, 2], sample_size = 100, sample_count = 200)]
fn decide_and_record(bencher: Bencher<'_, '_>) {
    let fleet = Fleet::new("lowest-latency", 8);
    bencher.bench(|| {
        let (view, now) = (fleet.live.view(), fleet.pass());
        let snapshot = view.snapshot(fleet.alias, &fleet.facts, &view.operator(), now);
        let mut rng = StdRng::seed_from_u64(now.0);
        let plan = fleet.rank(&view, &snapshot, &mut rng, now);
        attempt(view.endpoint(plan.candidates[0].endpoint), now, 1.0);
    });
}

/// Reading what is known of eight targets, while nobody or another thread does the same.
#[divan::bench(threads = [1, 2], sample_size = 100, sample_count = 200)]
fn read_eight(bencher: Bencher<'_, '_>) {
    let fleet = Fleet::new("lowest-latency", 8);
    let (view, now) = (fleet.live.view(), fleet.now());
    bencher.bench(|| view.snapshot(fleet.alias, &fleet.facts, &view.operator(), now));
}

/// One stream, told of when it begins, at its first token and at its end, each published.
fn attempt(endpoint: &EndpointLive, now: UnixMillis, speed: f64) {
    if let Ok(mut ticket) = endpoint.change(now, |stats| stats.begin(&ask(), now)) {
        let first = Duration::from_secs_f64(0.2 * speed);
        endpoint.change(now, |stats| stats.first_token(&mut ticket, first, now));
        endpoint.change(now, |stats| stats.end(ticket, &end(speed), now, 0.5));
    }
}

fn ask() -> Ask {
    Ask { prompt_tokens: 1000, output_tokens: 100, stream: true, ..Ask::default() }
}

fn end(speed: f64) -> End {
    let usage = TokenUsage { input: 1000, output: 100, ..TokenUsage::default() };
    End { usage, pieces: 100, elapsed: Duration::from_secs_f64(speed), ..End::default() }
}

/// Attempts under way while one call is measured; a sample is so many calls.
const UNDER_WAY: u32 = 16;

/// An endpoint's statistics without lock or publication, and the attempts under way.
struct Solo {
    stats: RefCell<EndpointStats>,
    under_way: RefCell<Vec<Ticket>>,
    now: Cell<UnixMillis>,
}

impl Solo {
    fn new() -> Self {
        let under_way = RefCell::new(Vec::with_capacity(UNDER_WAY as usize));
        Self { stats: RefCell::new(EndpointStats::new(Limits::default())), under_way, now: Cell::new(START) }
    }

    /// Ends the attempts of the sample before, so that no more than one sample's are under way.
    fn make_room(&self) {
        if self.under_way.borrow().len() < UNDER_WAY as usize {
            return;
        }
        for ticket in self.under_way.borrow_mut().drain(..) {
            self.stats.borrow_mut().end(ticket, &end(1.0), self.now.get(), 0.5);
        }
    }

    fn begin(&self) -> Ticket {
        self.now.set(self.now.get() + GAP);
        match self.stats.borrow_mut().begin(&ask(), self.now.get()) {
            Ok(ticket) => ticket,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    fn first_token(&self, ticket: &mut Ticket) {
        self.stats.borrow_mut().first_token(ticket, Duration::from_millis(200), self.now.get());
    }
}

/// Each call that records an attempt, with ten of them a second.
mod record {
    use super::*;

    #[divan::bench(sample_size = UNDER_WAY, sample_count = 500)]
    fn begin(bencher: Bencher<'_, '_>) {
        let solo = Solo::new();
        bencher.with_inputs(|| solo.make_room()).bench_local_values(|()| {
            let ticket = solo.begin();
            solo.under_way.borrow_mut().push(ticket);
        });
    }

    #[divan::bench(sample_size = UNDER_WAY, sample_count = 500)]
    fn first_token(bencher: Bencher<'_, '_>) {
        let solo = Solo::new();
        let ticket = || {
            solo.make_room();
            let ticket = solo.begin();
            solo.under_way.borrow_mut().push(ticket);
            ticket
        };
        bencher.with_inputs(ticket).bench_local_values(|mut ticket| solo.first_token(&mut ticket));
    }

    #[divan::bench]
    fn progress(bencher: Bencher<'_, '_>) {
        let solo = Solo::new();
        let mut ticket = solo.begin();
        solo.first_token(&mut ticket);
        bencher.bench_local(|| {
            solo.now.set(solo.now.get() + Duration::from_millis(500));
            solo.stats.borrow_mut().progress(&mut ticket, 50, Duration::from_millis(500), solo.now.get());
        });
    }

    #[divan::bench(sample_size = UNDER_WAY, sample_count = 500)]
    fn end(bencher: Bencher<'_, '_>) {
        let solo = Solo::new();
        let ticket = || {
            let mut ticket = solo.begin();
            solo.first_token(&mut ticket);
            ticket
        };
        bencher
            .with_inputs(ticket)
            .bench_local_values(|ticket| solo.stats.borrow_mut().end(ticket, &super::end(1.0), solo.now.get(), 0.5));
    }

    /// What a decision reads, as it is made after each of these.
    #[divan::bench]
    fn reading(bencher: Bencher<'_, '_>) {
        let solo = Solo::new();
        (0..100).for_each(|_| {
            let mut ticket = solo.begin();
            solo.first_token(&mut ticket);
            solo.stats.borrow_mut().end(ticket, &super::end(1.0), solo.now.get(), 0.5);
        });
        bencher.bench_local(|| solo.stats.borrow_mut().reading(solo.now.get()));
    }
}

/// Prints what a target takes, by the growth of this process.
fn memory() {
    const TARGETS: u32 = 200;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
        // Pages of 4 KiB on all machines this was run on.
        Some(pages.split_whitespace().nth(1)?.parse::<f64>().ok()? * 4.0)
    };
    let before = resident();
    let targets: Vec<EndpointLive> =
        (0..TARGETS).map(|_| EndpointLive::new(&EndpointId::new("m@p"), Limits::default(), None)).collect();
    let fresh = resident();
    let mut now = START;
    // A quarter of an hour is kept, in which speeds vary by a factor of two.
    for round in 0..9000u32 {
        now = now + GAP;
        targets.iter().for_each(|target| attempt(target, now, 1.0 + f64::from(round % 97) / 97.0));
    }
    if let (Some(before), Some(fresh), Some(full)) = (before, fresh, resident()) {
        let each = |after: f64| (after - before) / f64::from(TARGETS);
        println!(
            "memory of a target: {:.1} KiB unused, {:.1} KiB with a quarter of an hour at 10 attempts/s",
            each(fresh),
            each(full)
        );
    }
}

/// An alias over so many models, each at a provider of its own.
fn configuration(strategy: &str, targets: usize) -> Config {
    let mut text = String::new();
    let mut list = String::new();
    for at in 0..targets {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n\
             [[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n\
             usd_per_mtok = {{ input = {}, output = {} }}\n",
            at + 1,
            4 * (at + 1),
        );
        let _ = write!(list, "{{ model = \"p{at}/m\", weight = {} }}, ", at + 1);
    }
    let _ = write!(text, "[[aliases]]\nname = \"bench\"\nstrategy = \"{strategy}\"\ntargets = [{list}]\n");
    let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    match config::parse(&text, &|_| None, &files) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}
