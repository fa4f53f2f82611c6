//! What does it cost Redis, and a replica, that sixteen replicas tell each other what they
//! see of a hundred targets? `cargo bench --bench replicas`, about three minutes.
//!
//! The replicas are in this process, each with a link, statistics and a task of its own, as
//! in the gateway; Redis is a real one, which this starts and whose own counters are read.
//! Attempts are only recorded, not made.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::Clock;
use pointsman::config::{self, DEFAULT_PREFIX, SharedConfig};
use pointsman::domain::ids::{EndpointIdx, Revision};
use pointsman::domain::spent::Spent;
use pointsman::domain::time::UnixMillis;
use pointsman::domain::usage::TokenUsage;
use pointsman::fleet::telemetry::Telemetry;
use pointsman::fleet::{Keys, Link, cmd};
use pointsman::live::{Draft, EndpointLive, KeyRing, Live, Sharing};
use pointsman::stats::{Ask, End};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const REPLICAS: usize = 16;
const TARGETS: usize = 100;
/// Targets that do something, and the attempts that each replica makes at each in a second.
const SETTINGS: [(usize, f64); 5] = [(0, 0.0), (10, 1.0), (100, 0.1), (100, 1.0), (100, 10.0)];
/// Until everybody knows everybody, and then as long as is measured.
const BEGINNING: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(30);
/// How often attempts are recorded.
const STEP: Duration = Duration::from_millis(50);

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!(
        "| active targets | attempts/s at each, by each replica | operations/s | KiB/s to Redis | KiB/s from Redis \
         | CPU of a replica | CPU of Redis | memory of Redis |\n|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for setting in SETTINGS {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        println!("{}", runtime.block_on(measure(setting)));
    }
}

/// A Redis of its own, which keeps nothing on a disk.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("redis-server is installed"), url: format!("redis://127.0.0.1:{port}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of the table.
async fn measure((active, rate): (usize, f64)) -> String {
    let server = Server::start();
    let shared = SharedConfig {
        address: server.url.parse().expect("a good URL"),
        prefix: DEFAULT_PREFIX.to_owned(),
        ca_file: None,
        replica: None,
    };
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let link = |shared: &SharedConfig| Link::new(shared, Clock::new()).expect("a link");
    // The process may be busy with attempts.
    let asking = link(&shared).within(Duration::from_secs(10));
    tasks.spawn(asking.clone().run(stop.clone()));
    for number in 0..REPLICAS {
        let link = link(&shared);
        let sharing = Arc::new(Sharing::new(&number.to_string(), Clock::new().now()));
        let live = Arc::new(live(Arc::clone(&sharing)));
        let telemetry = Telemetry::new(&link, Keys::new(&shared.prefix), sharing, Arc::clone(&live));
        tasks.spawn(link.run(stop.clone()));
        tasks.spawn(telemetry.run(stop.clone()));
        tasks.spawn(attempts(live, active, rate, number as u64, stop.clone()));
    }
    sleep(BEGINNING).await;
    let (before, ours, since) = (Counted::read(&asking).await, own_cpu_s(), Instant::now());
    sleep(MEASURED).await;
    let (after, lasted) = (Counted::read(&asking).await, since.elapsed().as_secs_f64());
    let each = |of: fn(&Counted) -> f64| (of(&after) - of(&before)) / lasted / REPLICAS as f64;
    let line = format!(
        "| {active} | {rate} | {:.1} | {:.1} | {:.1} | {:.2} % | {:.1} % | {:.1} MiB |",
        each(|counted| counted.commands),
        each(|counted| counted.bytes_in) / 1024.0,
        each(|counted| counted.bytes_out) / 1024.0,
        (own_cpu_s() - ours) / lasted / REPLICAS as f64 * 100.0,
        each(|counted| counted.cpu_s) * REPLICAS as f64 * 100.0,
        after.memory / f64::from(1 << 20),
    );
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    line
}

/// What Redis counts.
struct Counted {
    commands: f64,
    bytes_in: f64,
    bytes_out: f64,
    cpu_s: f64,
    memory: f64,
}

impl Counted {
    async fn read(link: &Link) -> Self {
        let info: String = link.call(&cmd("INFO")).await.expect("Redis answers");
        let of = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or(f64::NAN)
        };
        Self {
            commands: of("total_commands_processed"),
            bytes_in: of("total_net_input_bytes"),
            bytes_out: of("total_net_output_bytes"),
            cpu_s: of("used_cpu_user") + of("used_cpu_sys"),
            memory: of("used_memory"),
        }
    }
}

/// Seconds of CPU that this process has used.
fn own_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: user and system time are the 12th and 13th, in hundredths.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let of = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (of(11) + of(12)) / 100.0
}

/// What a replica knows, over all targets.
fn live(sharing: Arc<Sharing>) -> Live {
    let mut text = String::new();
    for at in 0..TARGETS {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n\
             [[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n"
        );
    }
    let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let config = match config::parse(&text, &|_| None, &files) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    };
    let draft = Draft {
        revision: Revision(1),
        catalog: config.catalog,
        projects: config.projects,
        keys: KeyRing::default(),
        limits: config.server.limits,
        open: true,
    };
    match Live::new(draft, &|_| Spent::default(), Clock::new(), Some(sharing)) {
        Ok(live) => live,
        Err(error) => panic!("{error}"),
    }
}

/// Attempts at so many targets, so many a second at each.
async fn attempts(live: Arc<Live>, active: usize, rate: f64, seed: u64, stop: CancellationToken) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = step.tick() => {}
        }
        let (view, now) = (live.view(), live.clock.now());
        for target in 0..active {
            let expected = rate * STEP.as_secs_f64();
            // A float of at most a few.
            let count = expected as u32 + u32::from(rng.random::<f64>() < expected.fract());
            for _ in 0..count {
                attempt(view.endpoint(EndpointIdx(target as u32)), rng.random(), now);
            }
        }
    }
}

/// A stream of ten to forty pieces over some seconds, all of it told at once.
fn attempt(endpoint: &EndpointLive, luck: f64, now: UnixMillis) {
    let ask = Ask { prompt_tokens: 800, output_tokens: 250, stream: true, ..Ask::default() };
    let Ok(mut ticket) = endpoint.change(now, |stats| stats.begin(&ask, now)) else { return };
    let first = Duration::from_secs_f64(0.3 + luck);
    endpoint.change(now, |stats| stats.first_token(&mut ticket, first, now));
    for _ in 0..4 {
        let over = Duration::from_secs_f64(0.5 + luck / 10.0);
        endpoint.change(now, |stats| stats.progress(&mut ticket, 40, over, now));
    }
    let usage = TokenUsage { input: 800, output: 160 + (luck * 200.0) as u64, ..TokenUsage::default() };
    let end = End { usage, pieces: usage.output, elapsed: first + Duration::from_secs(2), ..End::default() };
    endpoint.change(now, |stats| stats.end(ticket, &end, now, luck));
}
