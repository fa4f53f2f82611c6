//! What does Pointsman itself cost, beside nginx as a plain reverse proxy?
//!
//! `cargo bench --bench proxy` runs the same load over the same upstream through both, one
//! after the other, in one run: the proxy alone on core 0, load generator and upstream on
//! core 1, medians of three rounds, and prints a Markdown table. `docs/benchmarks.md` says
//! what the figures mean.
//!
//! `--redis` measures something else, see `outages.rs`: what requests notice of the Redis that
//! replicas share.
//!
//! `--attacks`, see `attacks.rs`: what others notice while somebody misbehaves.
//!
//! `--instructions` counts those of a whole request, see `instructions.rs`, and leaves callgrind's
//! account of it where `--profile PATH` says; `--litellm` measures LiteLLM's proxy as well, and
//! prints the README's table with it. `--guided PATH` measures what `benches/pgo` has built as well.
//!
//! `--train` measures nothing: it puts the program under each load, for `benches/pgo`.
//!
//! Other arguments, after `--`: `--quick` (one round of one second each), `--only ID,ID…` (these loads, or one
//! attack; `--only list` names the loads), `--seconds N`, `--rounds N`, `--bin PATH` (another build of
//! Pointsman), `--tries N` (a measurement that other programs disturb is made again, up to so
//! many times).

mod attacks;
mod http;
mod instructions;
mod litellm;
mod load;
mod outages;
mod report;
mod systems;
#[path = "../../tests/it/support/toxic.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod toxic;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use load::{Job, Outcome, Window, quantile};
use report::Report;
use systems::{KEY, Process};
use upstream::{ANSWER_BYTES, OPENAI_EVENTS, SLOW_MODEL, TOKENS};

/// Streams held open for the memory that one takes: first so many, then so many in all.
const HELD: [(usize, &str); 2] = [(1000, "per_stream"), (5000, "per_stream_of_many")];
/// So many are enough to see what one of LiteLLM's takes.
const HELD_BY_LITELLM: [(usize, &str); 1] = [(100, "per_stream")];
const CONNECTIONS: usize = 64;

/// Who stands between load and upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    Direct,
    Nginx,
    Pointsman,
    /// The same, as `benches/pgo` builds it.
    Guided,
    LiteLlm,
}

/// One load on one system.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Its name in [`Report`] and for `--only`.
    pub id: &'static str,
    pub system: System,
    /// The alias, or the model where there is none.
    model: &'static str,
    stream: bool,
    /// Bytes of the request's body.
    body: usize,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Each connection sends as soon as it has its answer.
    Closed(usize),
    /// So many requests a second.
    Rate(u32),
}

use Shape::{Closed, Rate};
use System::{Direct, Guided, LiteLlm, Nginx, Pointsman};

const SMALL: usize = 512;
/// Whoever is compared with whom comes right after, so that both find the machine alike.
const RUNS: [Run; 23] = [
    whole("nginx-whole", Nginx, "mock", SMALL, Closed(CONNECTIONS)),
    whole("whole", Pointsman, "one", SMALL, Closed(CONNECTIONS)),
    whole("guided-whole", Guided, "one", SMALL, Closed(CONNECTIONS)),
    whole("whole-eight", Pointsman, "eight", SMALL, Closed(CONNECTIONS)),
    whole("guided-eight", Guided, "eight", SMALL, Closed(CONNECTIONS)),
    whole("whole-translated", Pointsman, "translated", SMALL, Closed(CONNECTIONS)),
    whole("guided-translated", Guided, "translated", SMALL, Closed(CONNECTIONS)),
    whole("litellm-whole", LiteLlm, "one", SMALL, Closed(CONNECTIONS)),
    whole("direct-rate", Direct, "mock", SMALL, Rate(2000)),
    whole("nginx-rate", Nginx, "mock", SMALL, Rate(2000)),
    whole("guided-rate", Guided, "one", SMALL, Rate(2000)),
    whole("rate", Pointsman, "one", SMALL, Rate(2000)),
    streamed("direct-stream", Direct, "mock"),
    streamed("nginx-stream", Nginx, "mock"),
    streamed("stream", Pointsman, "one"),
    streamed("guided-stream", Guided, "one"),
    streamed("stream-translated", Pointsman, "translated"),
    streamed("litellm-stream", LiteLlm, "one"),
    whole("nginx-100k", Nginx, "mock", 100_000, Closed(CONNECTIONS)),
    whole("100k", Pointsman, "one", 100_000, Closed(CONNECTIONS)),
    whole("guided-100k", Guided, "one", 100_000, Closed(CONNECTIONS)),
    whole("nginx-2m", Nginx, "mock", 2_000_000, Closed(8)),
    whole("2m", Pointsman, "one", 2_000_000, Closed(8)),
];

const fn whole(id: &'static str, system: System, model: &'static str, body: usize, shape: Shape) -> Run {
    Run { id, system, model, stream: false, body, shape }
}

const fn streamed(id: &'static str, system: System, model: &'static str) -> Run {
    Run { id, system, model, stream: true, body: SMALL, shape: Closed(CONNECTIONS) }
}

struct Args {
    rounds: usize,
    window: Window,
    only: Option<String>,
    redis: bool,
    attacks: bool,
    train: bool,
    instructions: bool,
    litellm: bool,
    guided: Option<PathBuf>,
    tries: usize,
    program: PathBuf,
    profile: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    if args.iter().any(|arg| arg == "--upstream") {
        return local.block_on(&runtime, upstream::serve());
    }
    if let Some(at) = args.iter().position(|arg| arg == "--attack") {
        let [id, addr] = [1, 2].map(|next| args.get(at + next).map_or("", String::as_str));
        return attacks::misbehave(id, addr);
    }
    let args = Args::read(&args)?;
    if args.only.as_deref() == Some("list") {
        RUNS.iter().for_each(|run| println!("{}", run.id));
        return Ok(());
    }
    if let Some(only) = args.only.as_deref().filter(|_| !args.attacks) {
        let unknown = only.split(',').find(|id| RUNS.iter().all(|run| run.id != *id));
        anyhow::ensure!(
            unknown.is_none(),
            "no load is called `{}`; --only list names them",
            unknown.unwrap_or_default()
        );
    }
    systems::settle_here()?;
    let dir = tempfile::tempdir()?;
    let upstream = systems::start_upstream()?;
    if args.redis || args.attacks {
        let load = RUNS.iter().find(|run| run.id == "rate").context("no such load")?;
        let job = |addr| job(load, addr);
        return if args.attacks {
            attacks::measure(&args.program, &upstream, dir.path(), &job, args.only.as_deref())
        } else {
            outages::measure(&args.program, upstream.addr, dir.path(), &job)
        };
    }
    if args.instructions {
        let (only, keep) = (args.only.as_deref(), args.profile.as_deref());
        return local.block_on(&runtime, instructions::count(&args.program, upstream.addr, dir.path(), only, keep));
    }
    if args.train {
        return train(&args.program, upstream.addr, dir.path(), &|job, connections| {
            local.block_on(&runtime, load::closed(job, connections, TRAINED, || ())).map(drop)
        });
    }
    let mut report = Report::default();
    for round in 1..=args.rounds {
        if args.only.is_none() {
            eprintln!("round {round} of {}: memory", args.rounds);
            memory(&args, &upstream, dir.path(), &mut report, args.litellm && round == 1, &|job, streams| {
                local.block_on(&runtime, load::hold(job, streams))
            })?;
        }
        let (nginx, unbuffered) = systems::start_nginx(upstream.addr, dir.path())?;
        let (pointsman, _) = systems::start_pointsman(&args.program, upstream.addr, dir.path(), "")?;
        // Each process has a store of its own.
        let other_dir = tempfile::tempdir_in(dir.path())?;
        let guided = args
            .guided
            .as_deref()
            .map(|program| systems::start_pointsman(program, upstream.addr, other_dir.path(), ""));
        let guided = guided.transpose()?.map(|(process, _)| process);
        let litellm = args.litellm.then(|| litellm::start(upstream.addr, dir.path())).transpose()?;
        for run in RUNS.iter().filter(|run| args.wants(run)) {
            let (addr, proxy) = match run.system {
                LiteLlm | Guided => match if run.system == Guided { &guided } else { &litellm } {
                    Some(process) => (process.addr, Some(process)),
                    None => continue,
                },
                Direct => (upstream.addr, None),
                Nginx if run.stream => (unbuffered, Some(&nginx)),
                Nginx => (nginx.addr, Some(&nginx)),
                Pointsman => (pointsman.addr, Some(&pointsman)),
            };
            let meter = || Meter {
                proxy: proxy.map_or(Duration::ZERO, Process::cpu),
                load: systems::cpu_with_ended(std::process::id()) + upstream.cpu(),
                machine: systems::machine_busy(),
            };
            let job = job(run, addr);
            let measure = || match run.shape {
                Closed(connections) => local.block_on(&runtime, load::closed(&job, connections, args.window, meter)),
                Rate(rate) => load::open(&job, rate, args.window, meter),
            };
            let (outcome, before, after) =
                undisturbed(measure, args.tries, &mut report).with_context(|| format!("the load `{}`", run.id))?;
            let line = record(&mut report, run.id, &outcome, &before, &after);
            eprintln!("round {round} of {}: {:18} {line}", args.rounds, run.id);
        }
    }
    match &args.only {
        None => report.print(args.guided.is_some(), args.litellm),
        Some(_) => {
            RUNS.iter().filter(|run| args.wants(run)).for_each(|run| report.print_load(run.id));
            Ok(())
        }
    }
}

/// How long the program is under each load to be trained by it.
const TRAINED: Window = Window { warm_up: Duration::ZERO, measured: Duration::from_secs(4) };

/// All that Pointsman does in the bench, by one process, which ends by itself afterwards.
fn train(
    program: &std::path::Path,
    upstream: SocketAddr,
    dir: &std::path::Path,
    closed: &dyn Fn(&Job, usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (pointsman, _) = systems::start_pointsman(program, upstream, dir, "")?;
    for run in RUNS.iter().filter(|run| run.system == Pointsman) {
        let job = job(run, pointsman.addr);
        let trained = match run.shape {
            Closed(connections) => closed(&job, connections),
            Rate(rate) => load::open(&job, rate, TRAINED, || ()).map(drop),
        };
        trained.with_context(|| format!("the load `{}`", run.id))?;
        eprintln!("trained by {}", run.id);
    }
    Ok(())
}

/// CPU time at one moment.
struct Meter {
    proxy: Duration,
    load: Duration,
    /// Everything that ran on this machine, ourselves included.
    machine: Duration,
}

/// What others may use of a core while we measure.
const OTHERS: f64 = 0.08;
const TRIES: usize = 10;

/// Measures again while other programs keep the machine busy, up to a point.
fn undisturbed(
    mut measure: impl FnMut() -> anyhow::Result<(Outcome, Meter, Meter)>,
    tries: usize,
    report: &mut Report,
) -> anyhow::Result<(Outcome, Meter, Meter)> {
    for _ in 1..tries {
        let (outcome, before, after) = measure()?;
        let ours = (after.proxy - before.proxy) + (after.load - before.load);
        let others = (after.machine - before.machine).saturating_sub(ours).as_secs_f64() / outcome.seconds;
        if others <= OTHERS {
            return Ok((outcome, before, after));
        }
        report.repeated += 1;
        eprintln!("  other programs used {:.0} % of a core; once more", others * 100.0);
        std::thread::sleep(Duration::from_secs(5));
    }
    report.disturbed += 1;
    measure()
}

fn record(report: &mut Report, id: &'static str, outcome: &Outcome, before: &Meter, after: &Meter) -> String {
    let done = outcome.done.max(1) as f64;
    let cpu = (after.proxy - before.proxy).as_secs_f64();
    let rate = done / outcome.seconds;
    let cpu_us = cpu / done * 1e6;
    let busy = cpu / outcome.seconds;
    let load_busy = (after.load - before.load).as_secs_f64() / outcome.seconds;
    let (p50, p99) = (quantile(&outcome.latencies, 0.5), quantile(&outcome.latencies, 0.99));
    let first = quantile(&outcome.first_contents, 0.5);
    for (figure, value) in [("rate", rate), ("cpu", cpu_us), ("p50", p50), ("p99", p99), ("first", first)] {
        report.add(id, figure, value);
    }
    report.add(id, "busy", busy);
    report.add(id, "load_busy", load_busy);
    format!(
        "{rate:8.0}/s  {cpu_us:7.1} µs CPU each  proxy {:3.0} %  load {:3.0} %  p50 {p50:.0} µs  p99 {p99:.0} µs  first content {first:.0} µs",
        busy * 100.0,
        load_busy * 100.0
    )
}

fn job(run: &Run, addr: SocketAddr) -> Job {
    let as_it_came = !run.id.ends_with("translated") && run.system != LiteLlm;
    let key = if run.system == LiteLlm { litellm::KEY } else { KEY };
    Job {
        addr,
        content_event: content_event(run.system),
        request: http::post("/v1/chat/completions", key, &body(run.model, run.stream, run.body)).into(),
        body_bytes: (!run.stream && as_it_came).then_some(ANSWER_BYTES),
        events: match run.stream {
            true if run.system == LiteLlm => TOKENS,
            true => OPENAI_EVENTS,
            false => 0,
        },
    }
}

/// Which event of a stream has its first content.
fn content_event(system: System) -> usize {
    if system == LiteLlm { 1 } else { 2 }
}

/// A chat of this many bytes.
fn body(model: &str, stream: bool, bytes: usize) -> String {
    let chat = |text: &str| {
        serde_json::json!({
            "model": model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": text},
            ],
            "max_tokens": 64,
            "temperature": 0.7,
            "stream": stream,
        })
        .to_string()
    };
    let words = "The quick brown fox jumps over the lazy dog. ".repeat(bytes / 45 + 1);
    chat(&words[..bytes - chat("").len()])
}

/// Resident memory of fresh processes, and what each held stream adds.
fn memory(
    args: &Args,
    upstream: &Process,
    dir: &std::path::Path,
    report: &mut Report,
    litellm: bool,
    hold: &dyn Fn(&Job, usize) -> anyhow::Result<Vec<tokio::net::TcpStream>>,
) -> anyhow::Result<()> {
    let measure = |process: &Process, addr, counts: &[(usize, &'static str)], (model, key, id), report: &mut Report| {
        let job = Job {
            addr,
            content_event: if key == litellm::KEY { content_event(LiteLlm) } else { content_event(Direct) },
            request: http::post("/v1/chat/completions", key, &body(model, true, SMALL)).into(),
            body_bytes: None,
            events: 0,
        };
        std::thread::sleep(Duration::from_secs(2));
        let idle = process.resident();
        report.add(id, "idle", idle);
        eprintln!("  {id}: {:.1} MiB idle", idle / 1048576.0);
        // One goes before: what the program needs for its first is not what each takes.
        let mut held = hold(&job, 1)?;
        std::thread::sleep(Duration::from_millis(500));
        let before = process.resident();
        for (count, figure) in counts {
            held.extend(hold(&job, count + 1 - held.len())?);
            std::thread::sleep(Duration::from_millis(500));
            let each = (process.resident() - before) / *count as f64;
            report.add(id, figure, each);
            eprintln!("  {id}: {:.1} KiB for each of {count} streams", each / 1024.0);
        }
        anyhow::Ok(())
    };
    let (nginx, unbuffered) = systems::start_nginx(upstream.addr, dir)?;
    measure(&nginx, unbuffered, &HELD, (SLOW_MODEL, KEY, "nginx-memory"), report)?;
    drop(nginx);
    for (program, id) in [(Some(&args.program), "memory"), (args.guided.as_ref(), "guided-memory")] {
        let Some(program) = program else { continue };
        let dir = tempfile::tempdir_in(dir)?;
        let pointsman = systems::start_unasked(program, upstream.addr, dir.path())?;
        measure(&pointsman, pointsman.addr, &HELD, ("slow", KEY, id), report)?;
    }
    if !litellm {
        return Ok(());
    }
    let litellm = litellm::start(upstream.addr, dir)?;
    measure(&litellm, litellm.addr, &HELD_BY_LITELLM, ("slow", litellm::KEY, "litellm-memory"), report)
}

impl Args {
    /// Whether this load is asked for.
    fn wants(&self, run: &Run) -> bool {
        self.only.as_deref().is_none_or(|only| only.split(',').any(|id| id == run.id))
    }

    fn read(args: &[String]) -> anyhow::Result<Self> {
        let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
        let quick = args.iter().any(|arg| arg == "--quick");
        let seconds = value("--seconds").map_or(Ok(if quick { 1.0 } else { 4.0 }), |text| text.parse())?;
        Ok(Self {
            rounds: value("--rounds").map_or(Ok(if quick { 1 } else { 3 }), |text| text.parse())?,
            window: Window {
                warm_up: Duration::from_millis(if quick { 300 } else { 1000 }),
                measured: Duration::try_from_secs_f64(seconds)?,
            },
            only: value("--only").cloned(),
            redis: args.iter().any(|arg| arg == "--redis"),
            attacks: args.iter().any(|arg| arg == "--attacks"),
            train: args.iter().any(|arg| arg == "--train"),
            instructions: args.iter().any(|arg| arg == "--instructions"),
            litellm: args.iter().any(|arg| arg == "--litellm"),
            guided: value("--guided").map(PathBuf::from),
            tries: value("--tries").map_or(Ok(TRIES), |text| text.parse())?,
            program: value("--bin").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_pointsman")), PathBuf::from),
            profile: value("--profile").map(PathBuf::from),
        })
    }
}
