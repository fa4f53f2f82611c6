//! Half of what it can bear, with a fault every few seconds: afterwards memory, threads and
//! descriptors are what they were, and every request is counted, once.
//!
//! Fifteen seconds of it; `POINTSMAN_SOAK=600` makes it ten minutes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{client, limit, sim, stream};
use crate::support::admin::{Admin, If};
use crate::support::chat::{Asked, ask_with};
use crate::support::config::ConfigText;
use crate::support::eventually;
use crate::support::gateway::{Gateway, Signal};
use crate::support::sim::Sim;

const USUAL: Duration = Duration::from_secs(15);
/// More than that is the load generator's business, not the gateway's.
const FASTEST: f64 = 400.0;

/// What the load generator did.
#[derive(Debug, Default)]
struct Count {
    /// Chats that were sent and let in.
    sent: AtomicU64,
    /// Those that ended well.
    served: AtomicU64,
    /// Those whose client left.
    left: AtomicU64,
    /// Those that ended in an error.
    failed: AtomicU64,
}

/// One of the faults.
async fn fault(number: usize, gateway: &Gateway, admin: &Admin, sims: &[Sim]) {
    let flaky = ["reset", "hang", "garbage", "empty", "invalid_json", "role_then_error"];
    let worst = &sims[number % 2];
    match number % 10 {
        0..=2 => {
            let kind = flaky[number / 2 % flaky.len()];
            worst.behave(json!({"faults": [{"share": 0.5, "kind": kind}], "output_tokens": 5})).await;
        }
        3 => worst.behave(json!({"faults": [{"kind": "status", "code": 503}], "output_tokens": 5})).await,
        4 => {
            worst
                .behave(json!({"faults": [{"share": 0.3, "kind": "cut", "after_tokens": 2}], "output_tokens": 5}))
                .await
        }
        5 => gateway.signal(Signal::Hangup),
        6 => {
            let weight =
                json!({"targets": [{"model": "one/m"}, {"model": "two/m"}, {"model": "good/m", "weight": number + 1}]});
            assert_eq!(admin.patch("aliases", "a", &weight, If::Any).await.status, 200);
        }
        7 => {
            limit(gateway, "--fsize=1:");
            tokio::time::sleep(Duration::from_millis(500)).await;
            limit(gateway, "--fsize=unlimited:");
        }
        8 => {
            // Half of a head, and gone again, two hundred times.
            let address = gateway.url("").trim_start_matches("http://").to_owned();
            for _ in 0..200 {
                if let Ok(mut raw) = tokio::net::TcpStream::connect(&address).await {
                    let _ = raw.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nauthoriz").await;
                }
            }
        }
        _ => {
            for sim in &sims[..2] {
                sim.behave(json!({"output_tokens": 5})).await;
            }
        }
    }
}

/// Chats a second that a few clients together get, each waiting for its answer.
async fn capacity(gateway: &Arc<Gateway>, count: &Arc<Count>) -> f64 {
    let (mut workers, begun) = (JoinSet::new(), Instant::now());
    let lasting = Duration::from_secs(2);
    let before = count.sent.load(SeqCst);
    for _ in 0..16 {
        let (gateway, count, client) = (Arc::clone(gateway), Arc::clone(count), client());
        workers.spawn(async move {
            while begun.elapsed() < lasting {
                chat(&client, &gateway, &count, false).await;
            }
        });
    }
    workers.join_all().await;
    (count.sent.load(SeqCst) - before) as f64 / begun.elapsed().as_secs_f64()
}

async fn chat(client: &reqwest::Client, gateway: &Gateway, count: &Count, streamed: bool) {
    count.sent.fetch_add(1, SeqCst);
    let got = ask_with(client, gateway, &Asked { alias: "a", stream: streamed, ..Asked::default() }).await;
    let well = got.status == 200 && got.complete;
    // Whatever happens, the caller is told.
    assert!(well || got.error.is_some(), "{got:?}");
    if well { &count.served } else { &count.failed }.fetch_add(1, SeqCst);
}

/// Keeps a load up for a while.
async fn load(gateway: &Arc<Gateway>, count: &Arc<Count>, rate: f64, until: Instant) {
    let (client, mut sent) = (client(), JoinSet::new());
    let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let mut number = 0u64;
    while Instant::now() < until {
        due.tick().await;
        number += 1;
        let (gateway, count, client) = (Arc::clone(gateway), Arc::clone(count), client.clone());
        sent.spawn(async move {
            if number.is_multiple_of(50) {
                // Leaves in the middle. What it asks never fails, so that it has a middle.
                drop(stream(&client, &gateway, "long").await);
                count.sent.fetch_add(1, SeqCst);
                count.left.fetch_add(1, SeqCst);
            } else {
                chat(&client, &gateway, &count, number.is_multiple_of(2)).await;
            }
        });
        while let Some(done) = sent.try_join_next() {
            done.expect("every chat is answered");
        }
    }
    while let Some(done) = sent.join_next().await {
        done.expect("every chat is answered");
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Holds {
    own_kib: u64,
    descriptors: usize,
    threads: u64,
}

impl Holds {
    fn of(gateway: &Gateway) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("its status");
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).expect("its threads");
        Self {
            own_kib: gateway.own_kib(),
            descriptors: gateway.descriptors(),
            threads: threads.trim().parse().expect("a number"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_soak_everything_is_what_it_was_and_every_request_is_counted() {
    let lasting = std::env::var("POINTSMAN_SOAK").ok().map(|text| text.parse().expect("POINTSMAN_SOAK is seconds"));
    let lasting = lasting.map_or(USUAL, Duration::from_secs_f64);
    let mut sims = Vec::new();
    for (name, behaviour) in [
        ("one", json!({"output_tokens": 5})),
        ("two", json!({"output_tokens": 5})),
        ("good", json!({"output_tokens": 5})),
        ("long", json!({"output_tokens": 200, "token_ms": 20})),
    ] {
        sims.push(sim(name, behaviour).await);
    }
    let config = sims.iter().fold(ConfigText::new("").key("it", "pm-it", None), |config, sim| config.sim(sim, ""));
    let short = "strategy = \"random-shuffle\"\nfirst_token_timeout = \"400ms\"\nanswer_timeout = \"400ms\"";
    let config = config.alias("a", &["one", "two", "good"], short).alias("long", &["long"], "");
    let gateway = Arc::new(Gateway::start_ignoring_file_limits(&config.env("POINTSMAN_LOG", "error")).await);
    let (admin, count) = (Admin::of(&gateway), Arc::new(Count::default()));

    // A gateway that has worked, and is at rest.
    let capacity = capacity(&gateway, &count).await;
    let rate = (capacity / 2.0).min(FASTEST);
    load(&gateway, &count, rate, Instant::now() + Duration::from_secs(2)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Holds::of(&gateway);

    let until = Instant::now() + lasting;
    let faults = async {
        let mut number = 0;
        let every = Duration::from_secs_f64((lasting.as_secs_f64() / 10.0).min(3.0));
        while Instant::now() + every < until {
            tokio::time::sleep(every).await;
            fault(number, &gateway, &admin, &sims).await;
            number += 1;
        }
        number
    };
    let (faults, ()) = tokio::join!(faults, load(&gateway, &count, rate, until));

    for sim in &sims {
        eventually("no provider has anything under way", async || sim.stats().await["in_flight"] == 0).await;
    }
    let mut total = admin.total().await;
    eventually("every request is counted", async || {
        total = admin.total().await;
        total.requests >= count.sent.load(SeqCst)
    })
    .await;
    assert_eq!(total.requests, count.sent.load(SeqCst), "{total:?} {count:?}");
    let (sent, ended) = (&count.sent, [&count.served, &count.left, &count.failed]);
    assert_eq!(sent.load(SeqCst), ended.iter().map(|of| of.load(SeqCst)).sum::<u64>(), "{count:?}");
    let attempts: u64 = {
        let targets = gateway.targets().await;
        let of = |target: &Value| {
            assert_eq!(target["in_flight"], 0, "{target}");
            let failures = target["failures"].as_object().expect("failures");
            target["successes"].as_u64().expect("a number") + failures.values().filter_map(Value::as_u64).sum::<u64>()
        };
        targets.as_array().expect("a list").iter().map(of).sum()
    };
    assert_eq!(total.attempts, attempts, "what is kept of attempts and what is counted of targets");
    let mut after = Holds::of(&gateway);
    eventually("descriptors and threads are given back", async || {
        after = Holds::of(&gateway);
        after.descriptors <= before.descriptors + 40 && after.threads <= before.threads + 4
    })
    .await;
    println!(
        "{:.0} s at {rate:.0} of {capacity:.0} requests/s, {faults} faults: {count:?}; {total:?}; {before:?}, afterwards {after:?}",
        lasting.as_secs_f64()
    );
    let most = before.own_kib + before.own_kib / 4 + 16 * 1024;
    assert!(after.own_kib < most, "{before:?}, afterwards {after:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    assert!(faults >= 5, "{faults} faults");
}
