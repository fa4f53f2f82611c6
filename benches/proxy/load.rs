//! The load generator: closed loops, an open loop at a constant rate, and streams that are
//! held open. Every answer is checked; one that is wrong ends the run.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::http::Answer;

/// What is asked, of whom, and what has to come back.
#[derive(Clone, Debug)]
pub struct Job {
    pub addr: SocketAddr,
    /// The whole request.
    pub request: Arc<[u8]>,
    /// Bytes of the answer's body, where they are known.
    pub body_bytes: Option<usize>,
    /// Events of the answer at least.
    pub events: usize,
    /// Which event has the first content. The first of every dialect's stream is a preamble, but
    /// whoever writes streams anew may put both into one.
    pub content_event: usize,
}

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub warm_up: Duration,
    pub measured: Duration,
}

/// What the load saw within its window.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers.
    pub done: usize,
    /// Seconds that the window really took.
    pub seconds: f64,
    /// Microseconds of each answer, ascending.
    pub latencies: Vec<f64>,
    /// Microseconds until the first content of each stream, ascending.
    pub first_contents: Vec<f64>,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
struct Took {
    first_content: Duration,
    whole: Duration,
}

impl Job {
    fn check(&self, answer: &Answer) -> anyhow::Result<()> {
        if self.body_bytes.is_some_and(|expected| expected != answer.body_bytes) || answer.events < self.events {
            bail!("{} bytes and {} events came back for {self:?}", answer.body_bytes, answer.events);
        }
        Ok(())
    }
}

/// A stream that is to be held has begun by then.
const PATIENCE: Duration = Duration::from_secs(30);
const READ: usize = 64 * 1024;

async fn connect(addr: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await.with_context(|| format!("no connection to {addr}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One exchange; stops early at the first content where that is asked for.
async fn exchange(stream: &mut TcpStream, job: &Job, buffer: &mut [u8], only_begin: bool) -> anyhow::Result<Took> {
    let started = Instant::now();
    stream.write_all(&job.request).await?;
    let mut answer = Answer::default();
    let mut first_content = None;
    loop {
        let size = stream.read(buffer).await?;
        if size == 0 {
            bail!("the connection was closed within an answer: {answer:?}");
        }
        let whole = answer.take(&buffer[..size]).map_err(anyhow::Error::msg)?;
        if first_content.is_none() && answer.events >= job.content_event {
            first_content = Some(started.elapsed());
        }
        if whole {
            job.check(&answer)?;
        }
        if whole || (only_begin && first_content.is_some()) {
            let whole = started.elapsed();
            return Ok(Took { first_content: first_content.unwrap_or(whole), whole });
        }
    }
}

/// Connections that each send a request as soon as the last is answered. `meter` is read
/// at both ends of the window.
pub async fn closed<T>(
    job: &Job,
    connections: usize,
    window: Window,
    mut meter: impl FnMut() -> T,
) -> anyhow::Result<(Outcome, T, T)> {
    let seen: Rc<RefCell<Vec<Took>>> = Rc::default();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (job, seen) = (job.clone(), Rc::clone(&seen));
        tasks.spawn_local(async move {
            let mut stream = connect(job.addr).await?;
            let mut buffer = vec![0; READ];
            loop {
                let took = exchange(&mut stream, &job, &mut buffer, false).await?;
                seen.borrow_mut().push(took);
            }
        });
    }
    let watch = async {
        tokio::time::sleep(window.warm_up).await;
        seen.borrow_mut().clear();
        let (before, started) = (meter(), Instant::now());
        tokio::time::sleep(window.measured).await;
        let (after, seconds) = (meter(), started.elapsed().as_secs_f64());
        (Outcome::of(&seen.borrow(), seconds), before, after)
    };
    tokio::select! {
        measured = watch => Ok(measured),
        failed = first_failure(&mut tasks) => Err(failed),
    }
}

async fn first_failure(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    match tasks.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => error.into(),
        None | Some(Ok(Ok(()))) => anyhow::anyhow!("a connection ended by itself"),
    }
}

/// Requests at a constant rate, whatever becomes of the answers: each is timed from the
/// moment at which it was due, so that a stall counts for all who would have met it.
///
/// Threads that block: they wake within microseconds of their time, which no runtime's
/// timer does.
pub fn open<T>(job: &Job, rate: u32, window: Window, mut meter: impl FnMut() -> T) -> anyhow::Result<(Outcome, T, T)> {
    const THREADS: u32 = 32;
    let start = Instant::now() + Duration::from_millis(100);
    let (from, until) = (start + window.warm_up, start + window.warm_up + window.measured);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|at| {
                scope.spawn(move || -> anyhow::Result<Vec<Took>> {
                    // The default lets the kernel wake a sleeper 50 µs late.
                    let _ = std::fs::write("/proc/thread-self/timerslack_ns", "1");
                    let mut stream = std::net::TcpStream::connect(job.addr)?;
                    stream.set_nodelay(true)?;
                    let mut buffer = vec![0; READ];
                    let mut seen = Vec::new();
                    for i in 0.. {
                        let due = start + Duration::from_secs(1) * (i * THREADS + at) / rate;
                        if due >= until {
                            break;
                        }
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        stream.write_all(&job.request)?;
                        let mut answer = Answer::default();
                        while !answer_takes(&mut answer, &mut stream, &mut buffer)? {}
                        let whole = due.elapsed();
                        job.check(&answer)?;
                        if due >= from {
                            seen.push(Took { first_content: whole, whole });
                        }
                    }
                    Ok(seen)
                })
            })
            .collect();
        std::thread::sleep(from.saturating_duration_since(Instant::now()));
        let before = meter();
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let after = meter();
        let mut seen = Vec::new();
        for thread in threads {
            // A thread that panicked has said why; its load is missing.
            seen.extend(thread.join().map_err(|_| anyhow::anyhow!("a thread of the load generator died"))??);
        }
        Ok((Outcome::of(&seen, window.measured.as_secs_f64()), before, after))
    })
}

fn answer_takes(answer: &mut Answer, stream: &mut std::net::TcpStream, buffer: &mut [u8]) -> anyhow::Result<bool> {
    let size = stream.read(buffer)?;
    if size == 0 {
        bail!("the connection was closed within an answer: {answer:?}");
    }
    answer.take(&buffer[..size]).map_err(anyhow::Error::msg)
}

/// So many requests, one after the other on one connection.
pub async fn times(job: &Job, requests: usize) -> anyhow::Result<()> {
    let mut stream = connect(job.addr).await?;
    let mut buffer = vec![0; READ];
    for _ in 0..requests {
        exchange(&mut stream, job, &mut buffer, false).await?;
    }
    Ok(())
}

/// Streams of which each has had its first content and now waits; they end when dropped.
pub async fn hold(job: &Job, streams: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut held = Vec::with_capacity(streams);
    let mut buffer = vec![0; READ];
    for _ in 0..streams {
        let mut stream = connect(job.addr).await?;
        let begun = tokio::time::timeout(PATIENCE, exchange(&mut stream, job, &mut buffer, true)).await;
        begun.with_context(|| format!("stream {} has no content after {PATIENCE:?}", held.len() + 1))??;
        held.push(stream);
    }
    Ok(held)
}

impl Outcome {
    fn of(seen: &[Took], seconds: f64) -> Self {
        let sorted = |time: fn(&Took) -> Duration| {
            let mut all: Vec<f64> = seen.iter().map(|took| time(took).as_secs_f64() * 1e6).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        Self {
            done: seen.len(),
            seconds,
            latencies: sorted(|took| took.whole),
            first_contents: sorted(|took| took.first_content),
        }
    }
}

/// The one in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The value below which this share of an ascending list lies; 0 for an empty one.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).or(sorted.last()).copied().unwrap_or(0.0)
}
