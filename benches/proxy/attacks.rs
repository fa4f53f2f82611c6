//! What do others notice while somebody misbehaves? `cargo bench --bench proxy -- --attacks`.
//!
//! One client asks five hundred times a second, at a constant rate, and each attack begins while
//! it does: a process of its own on the load's core, which gets what load and upstream leave of it
//! (`SCHED_IDLE`). These two run before all else there (`SCHED_RR`): what is measured is who waits for
//! the proxy, not who waits for the attackers at their own end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::load::{self, Job, Window, quantile};
use super::systems::{self, KEY, Process};
use super::{SMALL, body, http};

const RATE: u32 = 500;
const ROUNDS: usize = 3;
const WINDOW: Window = Window { warm_up: Duration::from_secs(2), measured: Duration::from_secs(6) };

/// Connections that only cost what they hold.
const PATIENT: usize = 1000;
/// Connections that are as fast as they can.
const EAGER: usize = 16;

/// One way to misbehave.
#[derive(Clone, Copy, Debug)]
struct Attack {
    /// For the command line of its process.
    id: &'static str,
    name: &'static str,
    go: fn(SocketAddr),
}

const ATTACKS: [Attack; 10] = [
    Attack { id: "silent", name: "1,000 connections that say nothing", go: |addr| drip(addr, "") },
    Attack {
        id: "heads",
        name: "1,000 heads, a byte a second",
        go: |addr| drip(addr, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"),
    },
    Attack { id: "bodies", name: "1,000 bodies, a byte a second", go: slow_bodies },
    Attack { id: "large", name: "bodies of 100 MB announced, by 16 connections", go: announced },
    Attack { id: "deep", name: "1 MB of brackets with a valid key, by 16 connections", go: brackets },
    Attack { id: "fields", name: "1 MB of fields with a valid key, by 16 connections", go: fields },
    Attack { id: "messages", name: "1 MB of messages to be translated, by 16 connections", go: messages },
    Attack { id: "guesses", name: "keys guessed by 16 connections", go: guesses },
    Attack { id: "resets", name: "HTTP/2 streams opened and reset, by 16 connections", go: resets },
    Attack { id: "pings", name: "HTTP/2 pings whose answers nobody reads, by 16 connections", go: pings },
];

/// Does nothing but misbehave, until the process is ended.
///
/// # Errors
/// If there is no such attack.
pub fn misbehave(id: &str, addr: &str) -> anyhow::Result<()> {
    let attack = ATTACKS.iter().find(|attack| attack.id == id).with_context(|| format!("no attack `{id}`"))?;
    (attack.go)(addr.parse()?);
    Ok(())
}

/// What is started now runs before all else on its core.
struct First;

impl First {
    fn begin() -> anyhow::Result<Self> {
        systems::schedule(std::process::id(), "--rr", "1")?;
        Ok(Self)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // It has been asked for before; the next program would take the whole core, which is seen.
        let _ = systems::schedule(std::process::id(), "--other", "0");
    }
}

/// A process that misbehaves until it is dropped.
struct Attacker(Child);

impl Attacker {
    fn start(attack: &Attack, addr: SocketAddr) -> anyhow::Result<Self> {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(std::env::current_exe()?);
        command.args(["--attack", attack.id, &addr.to_string()]).stdin(Stdio::null());
        Ok(Self(command.spawn().context("`chrt` cannot be started; it is part of util-linux")?))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the client noticed, in microseconds, and what the attack took.
#[derive(Clone, Copy, Debug)]
struct Seen {
    p50: f64,
    p99: f64,
    longest: f64,
    /// Of the proxy's core.
    busy: f64,
    /// Bytes more than before.
    grown: f64,
}

/// Prints the table.
///
/// # Errors
/// If something cannot be started, or an answer to the client is wrong.
pub fn measure(
    program: &Path,
    upstream: &Process,
    dir: &Path,
    job: &dyn Fn(SocketAddr) -> Job,
    only: Option<&str>,
) -> anyhow::Result<()> {
    upstream.pids.iter().try_for_each(|pid| systems::schedule(*pid, "--rr", "1"))?;
    let chosen = ATTACKS.iter().filter(|attack| only.is_none_or(|only| only == attack.id));
    let attacks: Vec<Option<&Attack>> = std::iter::once(None).chain(chosen.map(Some)).collect();
    let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); attacks.len()];
    for round in 1..=ROUNDS {
        for (attack, seen) in attacks.iter().zip(&mut seen) {
            let (process, _) = systems::start_pointsman(program, upstream.addr, dir, "")?;
            let name = attack.map_or("nobody", |attack| attack.name);
            let one = under(&process, &job(process.addr), *attack).with_context(|| format!("the attack: {name}"))?;
            eprintln!("round {round} of {ROUNDS}: {name}: p50 {:.0} µs, p99 {:.0} µs", one.p50, one.p99);
            seen.push(one);
        }
    }
    println!("| {RATE} requests/s of others, while there are … | p50 | p99 | | longest | the core | memory |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let median = |seen: &[Seen], of: fn(&Seen) -> f64| load::median(seen.iter().map(of));
    let quiet = median(&seen[0], |seen| seen.p99);
    for (attack, seen) in attacks.iter().zip(&seen) {
        let name = attack.map_or("nobody", |attack| attack.name);
        let p99 = median(seen, |seen| seen.p99);
        println!(
            "| {name} | {:.2} ms | {:.2} ms | {:.1} × | {:.1} ms | {:.0} % | +{:.0} MiB |",
            median(seen, |seen| seen.p50) / 1e3,
            p99 / 1e3,
            p99 / quiet,
            median(seen, |seen| seen.longest) / 1e3,
            median(seen, |seen| seen.busy) * 100.0,
            median(seen, |seen| seen.grown) / 1_048_576.0,
        );
    }
    Ok(())
}

fn under(process: &Process, job: &Job, attack: Option<&Attack>) -> anyhow::Result<Seen> {
    let before = process.resident();
    // What it starts runs like it, so this is not for longer than the load.
    let _first = First::begin()?;
    // It begins with the load, and has made its connections when that is warm.
    let attacker = attack.map(|attack| Attacker::start(attack, job.addr)).transpose()?;
    let (outcome, from, to) = load::open(job, RATE, WINDOW, || process.cpu())?;
    let grown = (process.resident() - before).max(0.0);
    if let Some(mut attacker) = attacker
        && let Some(status) = attacker.0.try_wait()?
    {
        bail!("it ended by itself: {status}");
    }
    let at = |share| quantile(&outcome.latencies, share);
    let busy = (to - from).as_secs_f64() / outcome.seconds;
    Ok(Seen { p50: at(0.5), p99: at(0.99), longest: at(1.0), busy, grown })
}

/// Runs it in so many threads, again as soon as it ends.
fn eagerly(once: impl Fn() -> std::io::Result<()> + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..EAGER {
            scope.spawn(|| {
                loop {
                    // That the connection is closed is what it is for.
                    let _ = once();
                }
            });
        }
    });
}

fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Keeps many connections open that begin so and then send a byte a second; nothing, if they
/// begin with nothing.
fn drip(addr: SocketAddr, begin: &str) {
    let mut all: Vec<Option<TcpStream>> = (0..PATIENT).map(|_| None).collect();
    loop {
        let round = Instant::now();
        for slot in &mut all {
            let sent = slot.as_mut().map(|stream| if begin.is_empty() { Ok(()) } else { stream.write_all(b"x") });
            if !matches!(sent, Some(Ok(()))) {
                *slot = connect(addr).ok().filter(|mut stream| stream.write_all(begin.as_bytes()).is_ok());
            }
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(round.elapsed()));
    }
}

fn slow_bodies(addr: SocketAddr) {
    let head =
        String::from_utf8_lossy(&http::post("/v1/chat/completions", KEY, &body("one", false, SMALL))).into_owned();
    // Its body is still to come, all but a part.
    let begun = head.find("\r\n\r\n").map_or(&*head, |end| &head[..end + 14]);
    drip(addr, begun);
}

fn announced(addr: SocketAddr) {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 104857600\r\n\r\n"
    );
    let piece = vec![b' '; 64 * 1024];
    eagerly(|| {
        let mut stream = connect(addr)?;
        stream.write_all(head.as_bytes())?;
        loop {
            stream.write_all(&piece)?;
        }
    });
}

fn brackets(addr: SocketAddr) {
    let request = http::post("/v1/chat/completions", KEY, &format!("{{\"model\": {}", "[".repeat(1 << 20)));
    asked_again_and_again(addr, || request.clone());
}

fn fields(addr: SocketAddr) {
    let fields: String = (0..90_000).map(|i| format!("\"f{i:06}\":1,")).collect();
    let request =
        http::post("/v1/chat/completions", KEY, &body("one", false, SMALL).replacen('{', &format!("{{{fields}"), 1));
    asked_again_and_again(addr, || request.clone());
}

fn messages(addr: SocketAddr) {
    let messages = r#"{"role":"user","content":"a"},"#.repeat(35_000);
    let body = body("translated", false, SMALL).replacen("\"messages\":[", &format!("\"messages\":[{messages}"), 1);
    let request = http::post("/v1/chat/completions", KEY, &body);
    asked_again_and_again(addr, || request.clone());
}

fn guesses(addr: SocketAddr) {
    asked_again_and_again(addr, || {
        let key = format!("pm-guess-{:032x}", rand::random::<u128>());
        http::post("/v1/chat/completions", &key, "{}")
    });
}

/// Asks on each connection until it is closed, whatever the answers say.
fn asked_again_and_again(addr: SocketAddr, request: impl Fn() -> Vec<u8> + Sync) {
    eagerly(|| {
        let mut stream = connect(addr)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            stream.write_all(&request())?;
            if stream.read(&mut buffer)? == 0 {
                return Ok(());
            }
        }
    });
}

const SETTINGS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn resets(addr: SocketAddr) {
    let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    let field = |(name, value): (&str, &str)| [vec![0], text(name), text(value)].concat();
    let key = format!("Bearer {KEY}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1/chat/completions"),
        (":authority", "x"),
        ("authorization", &*key),
    ];
    let head: Vec<u8> = fields.into_iter().flat_map(field).collect();
    eagerly(|| {
        let mut stream = connect(addr)?;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
        for id in (1..).step_by(2) {
            let (open, cancel) = (frame(1, 4, id, &head), frame(3, 0, id, &8u32.to_be_bytes()));
            stream.write_all(&[open, cancel].concat())?;
        }
        Ok(())
    });
}

fn pings(addr: SocketAddr) {
    let many = frame(6, 0, 0, b"12345678").repeat(1000);
    eagerly(|| {
        let mut stream = connect(addr)?;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
        loop {
            stream.write_all(&many)?;
        }
    });
}
