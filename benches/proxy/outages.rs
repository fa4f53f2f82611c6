//! What do requests notice of the Redis that replicas share, and of its loss? And after which
//! time is a change served by four replicas? `cargo bench --bench proxy -- --redis`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::load::{self, Job, Window, quantile};
use super::systems::{self, ADMIN_TOKEN, KEY, Process};
use super::toxic::{Mood, Toxic};

/// Requests a second while Redis is in its moods.
const RATE: u32 = 1000;
const ROUNDS: usize = 3;
const WINDOW: Window = Window { warm_up: Duration::from_secs(3), measured: Duration::from_secs(10) };

const REPLICAS: usize = 4;
const CHANGES: usize = 500;
/// Between two requests at each replica while changes are made.
const PAUSE: Duration = Duration::from_millis(5);

/// Redis, and a network before it that is as it is told to be.
struct Shared {
    _redis: Process,
    url: String,
    mood: UnboundedSender<Mood>,
}

impl Shared {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let addr = systems::free_port()?;
        let child = Command::new("redis-server")
            .args(["--port", &addr.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::null())
            .spawn()
            .context("`redis-server` cannot be started")?;
        let redis = Process::new(child, addr);
        systems::wait_for(addr)?;
        let ((mood, moods), (url, urls)) = (unbounded_channel(), mpsc::channel());
        // It ends with the process; its runtime is its own, since the load blocks.
        std::thread::spawn(move || network(addr.port(), moods, &url));
        let url = urls.recv().context("the network before Redis does not start")?;
        Ok(Self { _redis: redis, url, mood })
    }

    fn be(&self, mood: Mood) {
        // If the network is gone every request fails, which is seen.
        let _ = self.mood.send(mood);
    }
}

fn network(redis: u16, mut moods: UnboundedReceiver<Mood>, url: &mpsc::Sender<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let toxic = Toxic::before(redis).await;
        let _ = url.send(toxic.url());
        while let Some(mood) = moods.recv().await {
            toxic.be(mood).await;
        }
    });
}

/// Prints both tables.
///
/// # Errors
/// If something cannot be started, or an answer is wrong.
pub fn measure(
    program: &Path,
    upstream: SocketAddr,
    dir: &Path,
    job: &dyn Fn(SocketAddr) -> Job,
) -> anyhow::Result<()> {
    let slow = Mood::Delaying(Duration::from_millis(500));
    let moods = [
        ("no `store.url`", None),
        ("Redis answers", Some(Mood::Well)),
        ("it refuses connections", Some(Mood::Refusing)),
        ("it never answers", Some(Mood::Swallowing)),
        ("it answers 500 ms late", Some(slow)),
    ];
    let mut figures = vec![Vec::new(); moods.len()];
    for round in 1..=ROUNDS {
        for ((name, mood), figures) in moods.iter().zip(&mut figures) {
            let folder = tempfile::tempdir_in(dir)?;
            let shared = Shared::start(folder.path())?;
            let more = mood.map_or(String::new(), |_| store(&shared.url, "bench"));
            let (process, _) = systems::start_pointsman(program, upstream, folder.path(), &more)?;
            // It is well as long as the load warms up; the change of mood is measured.
            let (outcome, ..) = load::open(&job(process.addr), RATE, WINDOW, || {
                if let Some(mood) = mood {
                    shared.be(*mood);
                }
            })?;
            let at = |share| quantile(&outcome.latencies, share);
            eprintln!("round {round} of {ROUNDS}: {name}: p50 {:.0} µs, p99 {:.0} µs", at(0.5), at(0.99));
            figures.push([at(0.5), at(0.99), at(0.999), at(1.0)]);
        }
    }
    println!("| {RATE} requests/s through one replica | p50 | p99 | p99.9 | longest |\n|---|---:|---:|---:|---:|");
    for ((name, _), figures) in moods.iter().zip(&figures) {
        let median = |at: usize| load::median(figures.iter().map(|round| round[at])) / 1000.0;
        println!("| {name} | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} ms |", median(0), median(1), median(2), median(3));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, changes(program.to_owned(), upstream, dir))
}

fn store(url: &str, replica: &str) -> String {
    format!("\n[store]\npath = \"pointsman.db\"\nurl = \"{url}\"\nreplica = \"{replica}\"\n")
}

/// Changes an alias at one of four replicas after the other, with some load on each.
async fn changes(program: PathBuf, upstream: SocketAddr, dir: &Path) -> anyhow::Result<()> {
    let shared = Shared::start(dir)?;
    let (mut replicas, mut folders) = (Vec::new(), Vec::new());
    for i in 0..REPLICAS {
        let folder = tempfile::tempdir_in(dir)?;
        let more = store(&shared.url, &format!("r{i}"));
        replicas.push(systems::start_pointsman(&program, upstream, folder.path(), &more)?);
        folders.push(folder);
    }
    // The client wants one, though nothing here is encrypted; a second installation is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut load = tokio::task::JoinSet::new();
    for (process, _) in &replicas {
        load.spawn_local(ask_again_and_again(client.clone(), process.addr));
    }
    let mut took = Vec::new();
    // The first one waits: whoever has begun the journal leaves time to those who know more.
    for i in 0..=CHANGES {
        let (process, admin) = &replicas[i % REPLICAS];
        let begun = Instant::now();
        let answer = client
            .patch(format!("http://{admin}/admin/v1/aliases/one"))
            .bearer_auth(ADMIN_TOKEN)
            .header("content-type", "application/json")
            .header("if-match", "*")
            .body(json!({"max_attempts": i % 5 + 1}).to_string())
            .send()
            .await?;
        let (status, text) = (answer.status(), answer.text().await?);
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        let report: Value = serde_json::from_str(&text).with_context(|| format!("{status}: {text}"))?;
        let late = report["unconfirmed"].as_array().is_some_and(|late| !late.is_empty());
        if !status.is_success() || late {
            bail!("a change at {} was not made everywhere: {status}: {text}", process.addr);
        }
    }
    while let Some(ended) = load.try_join_next() {
        ended??;
    }
    took.remove(0);
    took.sort_by(f64::total_cmp);
    println!(
        "\n| {CHANGES} changes at {REPLICAS} replicas, {} requests/s at each | p50 | p99 | longest |",
        1000 / PAUSE.as_millis()
    );
    println!("|---|---:|---:|---:|");
    let at = |share| quantile(&took, share);
    println!("| acknowledged, and served by all | {:.1} ms | {:.1} ms | {:.1} ms |", at(0.5), at(0.99), at(1.0));
    Ok(())
}

async fn ask_again_and_again(client: reqwest::Client, addr: SocketAddr) -> anyhow::Result<()> {
    let body = json!({"model": "one", "messages": [{"role": "user", "content": "Hello!"}]}).to_string();
    loop {
        let request = client.post(format!("http://{addr}/v1/chat/completions")).bearer_auth(KEY);
        let answer = request.header("content-type", "application/json").body(body.clone()).send().await?;
        if !answer.status().is_success() {
            bail!("a request failed meanwhile: {answer:?}");
        }
        answer.bytes().await?;
        tokio::time::sleep(PAUSE).await;
    }
}
