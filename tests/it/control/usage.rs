//! Is everything that was used counted, and once? Through kills, through an orderly end, and
//! for callers that leave.

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman::api::usage::{UsageNumbers, UsageReport};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{World, configured, sims};
use crate::support::admin::Admin;
use crate::support::chat::{Asked, ask_with};
use crate::support::gateway::{Gateway, Signal};
use crate::support::{eventually, http};

/// What happened is written down 50 ms after it at the latest, and a disk and a busy machine
/// take their time on top of it.
const WRITTEN: Duration = Duration::from_millis(500);

/// Sums under the names of one column.
fn by_name(
    report: &UsageReport,
    name: impl Fn(&pointsman::api::usage::UsageRow) -> &Option<String>,
) -> BTreeMap<String, UsageNumbers> {
    report.rows.iter().map(|row| (name(row).clone().unwrap_or_default(), row.numbers.clone())).collect()
}

/// A stream that has begun.
struct Stream {
    answer: reqwest::Response,
    target: String,
}

impl Stream {
    async fn begin(gateway: &Gateway, alias: &str, key: &str) -> Self {
        let body = json!({"model": alias, "stream": true, "messages": [{"role": "user", "content": "hello"}]});
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(key).body(body.to_string());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let target = answer.headers()["x-pointsman-target"].to_str().expect("text").to_owned();
        Self { answer, target }
    }

    /// Reads so many pieces at least.
    async fn read(&mut self, pieces: usize) {
        let mut seen = 0;
        while seen < pieces {
            let chunk = self.answer.chunk().await.expect("it goes on").expect("it has not ended");
            seen += chunk.windows(6).filter(|window| window == b"data: ").count();
        }
    }

    /// Reads to the end; whether that is the end that the protocol wants.
    async fn finish(mut self) -> bool {
        let mut text = String::new();
        while let Ok(Some(chunk)) = self.answer.chunk().await {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        text.ends_with("data: [DONE]\n\n")
    }
}

async fn tokens_sent(world: &World) -> u64 {
    let mut sum = 0;
    for sim in &world.sims {
        sum += sim.stats().await["tokens_sent"].as_u64().expect("a number");
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_the_last_moment_of_a_stream_and_nothing_that_had_ended() {
    const STREAMS: u64 = 6;
    const WHOLE: u64 = 20;
    let sims = sims(&[("slow", json!({"token_ms": 10, "output_tokens": 5_000})), ("quick", json!({}))]).await;
    let config = configured(&sims)
        .key("whole", "pm-whole", None)
        .alias("slow", &["slow"], "")
        .alias("quick", &["quick"], "")
        .env("POINTSMAN_LOG", "info");
    let mut world = World::of(Gateway::start(&config).await, sims);
    let (mut cut, mut ended) = (UsageNumbers::default(), UsageNumbers::default());
    // Several times, since a kill right after the disk was written to would prove nothing.
    for round in 1..=4 {
        let sent = async || world.sims[0].stats().await["tokens_sent"].as_u64().expect("a number");
        let before = sent().await;
        let mut reading = JoinSet::new();
        for _ in 0..STREAMS {
            reading.spawn(Stream::begin(&world.gateway, "slow", "pm-it").await.finish());
        }
        for _ in 0..WHOLE {
            assert_eq!(world.ask("quick", "pm-whole").await.status, 200);
        }
        let (earlier, since) = (sent().await, Instant::now());
        tokio::time::sleep(WRITTEN + Duration::from_millis(rand::random_range(0..200))).await;
        let rate = (sent().await - earlier) as f64 / since.elapsed().as_secs_f64();
        let dir = world.gateway.killed().await;
        assert!(reading.join_all().await.iter().all(|whole| !whole), "the streams were cut");
        let after = world.sims[0].stats().await["tokens_sent"].as_u64().expect("a number");

        world.gateway = Gateway::start_in(&dir, &config).await;
        world.admin = Admin::of(&world.gateway);
        let by_key = by_name(&world.admin.usage("key").await, |row| &row.key);
        let (of_streams, of_whole) = (&by_key["it"], &by_key["whole"]);
        let (calls, answers) = (round * STREAMS, round * WHOLE);
        assert_eq!((of_streams.requests, of_streams.attempts, of_streams.estimated_attempts), (calls, calls, calls));
        assert_eq!((of_whole.requests, of_whole.attempts, of_whole.output_tokens), (answers, answers, 24 * answers));
        let (sent, counted) = (after - before, of_streams.output_tokens - cut.output_tokens);
        let lost = sent as f64 - counted as f64;
        println!("{sent} sent, {lost} not counted, which is {:.0} ms of streaming", lost / rate * 1e3);
        // At the start a provider sends a role, at most a piece for each stream.
        assert!(lost >= -(STREAMS as f64), "{counted} counted, {sent} sent");
        assert!(lost <= rate * WRITTEN.as_secs_f64(), "{counted} counted, {sent} sent, {rate:.0} a second");
        (cut, ended) = (of_streams.clone(), of_whole.clone());
    }
    assert!(world.gateway.log().contains("what its calls had used is counted"), "{}", world.gateway.log());

    // Further kills change nothing: what was settled is settled once.
    for _ in 0..2 {
        let dir = world.gateway.killed().await;
        world.gateway = Gateway::start_in(&dir, &config).await;
    }
    let again = by_name(&Admin::of(&world.gateway).usage("key").await, |row| &row.key);
    assert_eq!((&again["it"], &again["whole"]), (&cut, &ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_loses_nothing() {
    const EACH: u64 = 30;
    let fails = json!({"faults": [{"share": 0.5, "kind": "status", "code": 503}]});
    let slow = json!({"token_ms": 20, "output_tokens": 50});
    let sims = sims(&[("shaky", fails), ("solid", json!({"token_ms": 1})), ("slow", slow)]).await;
    let config = configured(&sims)
        .key("leaving", "pm-leaving", None)
        .alias("a", &["shaky", "solid"], "explore = 0")
        .alias("slow", &["slow"], "");
    let mut world = World::of(Gateway::start(&config).await, sims);

    // Answers that are waited for, on one of two providers, of which one fails half the time.
    let mut load = JoinSet::new();
    for n in 0..EACH {
        let (client, url) = (world.client.clone(), world.gateway.url("/v1/chat/completions"));
        load.spawn(async move {
            let body = json!({
                "model": "a", "stream": n % 2 == 0, "stream_options": {"include_usage": true},
                "messages": [{"role": "user", "content": "hello"}],
            });
            let body = if n % 2 == 0 { body } else { json!({"model": "a", "messages": body["messages"]}) };
            let answer = client.post(url).bearer_auth("pm-it").body(body.to_string()).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            let text = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
            let (target, attempts) = (text("x-pointsman-target"), text("x-pointsman-attempts"));
            let body = answer.text().await.expect("the whole answer");
            let last = body.lines().filter_map(|line| line.strip_prefix("data: ")).rfind(|data| *data != "[DONE]");
            let last: Value = serde_json::from_str(last.unwrap_or(&body)).expect("JSON");
            (target, attempts, last["usage"]["completion_tokens"].as_u64().expect("usage"))
        });
    }
    let seen = load.join_all().await;
    // Callers that leave in the middle of a stream.
    let mut left = 0;
    for _ in 0..EACH / 5 {
        let mut stream = Stream::begin(&world.gateway, "slow", "pm-leaving").await;
        stream.read(4).await;
        left += 1;
    }
    eventually("the provider was left", async || world.sims[2].stats().await["in_flight"] == 0).await;
    // And streams that are under way when the end comes.
    let mut under_way = Vec::new();
    for _ in 0..EACH / 5 {
        let mut stream = Stream::begin(&world.gateway, "slow", "pm-it").await;
        stream.read(2).await;
        under_way.push(stream);
    }
    world.gateway.signal(Signal::Terminate);
    for stream in under_way.drain(..) {
        assert!(stream.finish().await, "it may finish");
    }
    assert_eq!(world.gateway.ended().await.code(), Some(0));
    let dir = world.gateway.killed().await;
    world.gateway = Gateway::start_in(&dir, &config).await;
    let usage = Admin::of(&world.gateway).usage("key,target").await;
    let mut rows: BTreeMap<(String, String), UsageNumbers> = BTreeMap::new();
    for row in usage.rows {
        rows.insert((row.key.unwrap_or_default(), row.target.unwrap_or_default()), row.numbers);
    }
    let row = |key: &str, target: &str| rows.get(&(key.to_owned(), target.to_owned())).cloned().unwrap_or_default();
    for target in ["shaky/m@shaky", "solid/m@solid"] {
        let served = seen.iter().filter(|(by, ..)| by == target);
        let asked: Vec<&str> = seen.iter().flat_map(|(_, attempts, _)| attempts.split(", ")).collect();
        let asked = asked.iter().filter(|attempt| attempt.starts_with(target));
        let numbers = row("it", target);
        assert_eq!(numbers.requests, served.clone().count() as u64, "{target}");
        assert_eq!(numbers.attempts, asked.clone().count() as u64, "{target}");
        assert_eq!(numbers.failures, asked.filter(|attempt| !attempt.contains(" ok ")).count() as u64, "{target}");
        assert_eq!(numbers.output_tokens, served.map(|(.., tokens)| tokens).sum::<u64>(), "{target}");
    }
    assert!(row("it", "shaky/m@shaky").failures > 0, "nothing fell back: {rows:?}");
    let finished = row("it", "slow/m@slow");
    assert_eq!((finished.requests, finished.attempts, finished.output_tokens), (EACH / 5, EACH / 5, 50 * EACH / 5));
    let leaving = row("leaving", "slow/m@slow");
    assert_eq!((leaving.requests, leaving.attempts, leaving.failures), (left, left, 0), "nobody's failure");
    let sent = tokens_sent(&world).await;
    let counted: u64 = rows.values().map(|numbers| numbers.output_tokens).sum();
    // A provider notices a little later than we do that nobody listens any more.
    assert!((counted..=counted + 4 * left).contains(&sent), "{counted} counted, {sent} sent");
    assert!(leaving.output_tokens >= 2 * left, "{leaving:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_a_process_drains_survives_its_kill() {
    let sims =
        sims(&[("slow", json!({"token_ms": 20, "output_tokens": 5_000})), ("short", json!({"token_ms": 20}))]).await;
    let config = configured(&sims).alias("slow", &["slow"], "").alias("short", &["short"], "");
    let mut world = World::of(Gateway::start(&config).await, sims);
    let mut long = Stream::begin(&world.gateway, "slow", "pm-it").await;
    let short = Stream::begin(&world.gateway, "short", "pm-it").await;
    long.read(1).await;
    world.gateway.signal(Signal::Terminate);
    assert!(short.finish().await);
    long.read(10).await;
    tokio::time::sleep(WRITTEN).await;
    let dir = world.gateway.killed().await;
    world.gateway = Gateway::start_in(&dir, &config).await;
    let usage = Admin::of(&world.gateway).usage("target").await;
    let rows = by_name(&usage, |row| &row.target);
    assert_eq!((rows["short/m@short"].requests, rows["short/m@short"].output_tokens), (1, 24));
    assert!(rows[&long.target].output_tokens >= 10, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_before_the_first_token_has_used_its_prompt() {
    let sims = sims(&[("slow", json!({"ttft_ms": 60_000}))]).await;
    let config = configured(&sims).alias("a", &["slow"], "give_up_early = false");
    let world = World::of(Gateway::start(&config).await, sims);
    let prompt = "word ".repeat(400);
    for stream in [true, false] {
        let asked = Asked { alias: "a", stream, prompt: &prompt, ..Asked::default() };
        let asking = ask_with(&world.client, &world.gateway, &asked);
        assert!(tokio::time::timeout(Duration::from_millis(500), asking).await.is_err());
    }
    eventually("both calls are over", async || world.gateway.target("slow/m@slow").await["in_flight"] == 0).await;
    let total = world.admin.total().await;
    let UsageNumbers { requests, attempts, estimated_attempts, failures, output_tokens, .. } = total;
    assert_eq!((requests, attempts, estimated_attempts, failures, output_tokens), (2, 2, 2, 0, 0), "{total:?}");
    // Five bytes a word, four a token.
    assert!((900..1200).contains(&total.input_tokens), "the provider has read it, and will bill it: {total:?}");
}
