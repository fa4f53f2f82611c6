//! The strategies on real sockets: a target becomes slow, breaks, falls silent, fills up or
//! is refused, and traffic goes elsewhere; it recovers, and traffic comes back.

use std::sync::Arc;
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::chat::{Asked, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::http;
use crate::support::sim::Sim;

/// These tests are about speeds of a tenth of a second, so that they do not run beside each
/// other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Requests per second.
const RATE: f64 = 20.0;

/// One request of a stretch of traffic.
#[derive(Clone, Debug)]
struct Seen {
    at: Duration,
    target: String,
    /// Who was asked first.
    first: String,
    attempts: String,
}

/// A gateway with one alias `a` over these simulators.
async fn gateway(sims: &[&Sim], alias: &str) -> Arc<Gateway> {
    let mut config = ConfigText::new("").key("it", "pm-it", None).env("POINTSMAN_LOG", "error");
    for sim in sims {
        config = config.sim(sim, "");
    }
    let names: Vec<&str> = sims.iter().map(|sim| sim.name()).collect();
    Arc::new(Gateway::start(&config.alias("a", &names, alias)).await)
}

/// Streams at a steady rate for so long, each served well; in the order they were sent.
async fn traffic(gateway: &Arc<Gateway>, lasting: Duration) -> Vec<Seen> {
    let client = http();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let mut sent = 0u32;
    while begun.elapsed() < lasting {
        let (gateway, client, number) = (Arc::clone(gateway), client.clone(), sent);
        tasks.spawn(async move {
            let at = begun.elapsed();
            let got = ask_with(&client, &gateway, &Asked { alias: "a", stream: true, ..Asked::default() }).await;
            assert!(got.status == 200 && got.complete, "request {number}: {got:?}");
            let attempts = got.header("x-pointsman-attempts").to_owned();
            let first = attempts.split(' ').next().unwrap_or_default().to_owned();
            (number, Seen { at, target: got.header("x-pointsman-target").to_owned(), first, attempts })
        });
        sent += 1;
        tokio::time::sleep_until(begun + Duration::from_secs_f64(f64::from(sent) / RATE)).await;
    }
    let mut all: Vec<(u32, Seen)> = tasks.join_all().await;
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, seen)| seen).collect()
}

/// What would be decided now, for the message of a test that fails.
async fn explained(gateway: &Gateway) -> String {
    let asked = http().post(gateway.admin_url("/admin/v1/explain")).header("content-type", "application/json");
    let body = json!({"alias": "a", "prompt": "hello", "stream": true}).to_string();
    asked.body(body).send().await.expect("the admin listener answers").text().await.expect("a whole answer")
}

fn share(seen: &[Seen], name: &str) -> f64 {
    let target = format!("{name}/m@{name}");
    seen.iter().filter(|seen| seen.target == target).count() as f64 / seen.len().max(1) as f64
}

/// From when on, and after how many requests, nine of ten requests were first sent to
/// somebody else; `None` if they never were.
fn left(seen: &[Seen], name: &str) -> Option<(Duration, usize)> {
    let target = format!("{name}/m@{name}");
    let position = seen.windows(10).position(|ten| ten.iter().filter(|seen| seen.first == target).count() <= 1)?;
    Some((seen[position].at, position))
}

fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

/// First tokens and tokens in milliseconds, ten tokens an answer.
fn speed(ttft: f64, token: f64) -> Value {
    json!({"ttft_ms": {"median": ttft, "sigma": 0.15}, "token_ms": token, "output_tokens": 10})
}

fn with(mut behaviour: Value, more: Value) -> Value {
    if let (Some(fields), Some(more)) = (behaviour.as_object_mut(), more.as_object()) {
        fields.extend(more.clone());
    }
    behaviour
}

async fn three() -> [Sim; 3] {
    [
        Sim::start("best", Protocol::OpenAi, speed(60.0, 2.0)).await,
        Sim::start("second", Protocol::Anthropic, speed(120.0, 4.0)).await,
        Sim::start("third", Protocol::Gemini, speed(250.0, 8.0)).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brown_out_is_left_and_its_recovery_used() {
    let _alone = ALONE.lock().await;
    let [best, second, third] = three().await;
    let gateway = gateway(&[&best, &second, &third], "strategy = \"lowest-latency\"").await;
    let steady = traffic(&gateway, seconds(6.0)).await;
    assert!(share(&steady[40..], "best") > 0.8, "{steady:#?}");

    best.behave(speed(300.0, 10.0)).await;
    let slow = traffic(&gateway, seconds(8.0)).await;
    let (after, requests) = left(&slow, "best").expect("it was left");
    eprintln!("brown-out left after {after:?}, {requests} requests");
    assert!(after < seconds(3.0) && requests <= 60, "{after:?} {requests}");
    assert!(share(&slow[80..], "best") < 0.25, "{}", share(&slow[80..], "best"));

    best.behave(speed(60.0, 2.0)).await;
    let back = traffic(&gateway, seconds(12.0)).await;
    eprintln!("share of the recovered: {:?}", back.chunks(20).map(|part| share(part, "best")).collect::<Vec<_>>());
    assert!(share(&back[back.len() - 40..], "best") > 0.6, "{}", share(&back[back.len() - 40..], "best"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_and_a_silence_are_left_at_once_and_no_caller_sees_them() {
    let _alone = ALONE.lock().await;
    for (fault, longest) in [(json!({"kind": "status", "code": 503}), 1.6), (json!({"kind": "hang"}), 2.5)] {
        let [best, second, third] = three().await;
        let gateway = gateway(&[&best, &second, &third], "strategy = \"lowest-latency\"").await;
        let before = traffic(&gateway, seconds(5.0)).await;
        assert!(share(&before[60..], "best") > 0.7, "{}", explained(&gateway).await);
        best.behave(with(speed(60.0, 2.0), json!({"faults": [fault]}))).await;
        // Each is served well, or `traffic` panics.
        let seen = traffic(&gateway, seconds(5.0)).await;
        let (after, requests) = left(&seen, "best").expect("it was left");
        eprintln!("{fault} left after {after:?}, {requests} requests");
        assert!(after < seconds(longest), "{fault}: {after:?}, {requests} requests");
        best.behave(speed(60.0, 2.0)).await;
        let back = traffic(&gateway, seconds(14.0)).await;
        let shares: Vec<f64> = back.chunks(20).map(|part| share(part, "best")).collect();
        eprintln!("{fault}: share of the recovered: {shares:?}");
        assert!(share(&back[back.len() - 40..], "best") > 0.5, "{fault}: {shares:?} {}", explained(&gateway).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranks_may_swap() {
    let _alone = ALONE.lock().await;
    let one = Sim::start("one", Protocol::OpenAi, speed(60.0, 2.0)).await;
    let two = Sim::start("two", Protocol::OpenAi, speed(240.0, 8.0)).await;
    let gateway = gateway(&[&one, &two], "strategy = \"lowest-latency\"").await;
    let before = traffic(&gateway, seconds(4.0)).await;
    assert!(share(&before[20..], "one") > 0.8);
    one.behave(speed(240.0, 8.0)).await;
    two.behave(speed(60.0, 2.0)).await;
    let after = traffic(&gateway, seconds(14.0)).await;
    assert!(share(&after[after.len() - 60..], "two") > 0.7, "{}", share(&after[after.len() - 60..], "two"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fastest_with_few_slots_is_used_to_its_capacity_and_not_beyond() {
    // Two slots of 150 ms: at most thirteen a second of the twenty.
    let own = Sim::start("own", Protocol::OpenAi, with(speed(50.0, 10.0), json!({"servers": 2}))).await;
    let hosted = Sim::start("hosted", Protocol::OpenAi, speed(350.0, 15.0)).await;
    let gateway = gateway(&[&own, &hosted], "strategy = \"lowest-latency\"").await;
    let seen = traffic(&gateway, seconds(16.0)).await;
    let late = &seen[seen.len() / 2..];
    let shares: Vec<f64> = seen.chunks(20).map(|part| share(part, "own")).collect();
    assert!((0.1..0.9).contains(&share(late, "own")), "{shares:?} {}", explained(&gateway).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_per_minute_are_learned_and_no_caller_sees_a_429() {
    let _alone = ALONE.lock().await;
    let tight = with(speed(40.0, 2.0), json!({"requests_per_minute": 120}));
    let tight = Sim::start("tight", Protocol::OpenAi, tight).await;
    let wide = Sim::start("wide", Protocol::OpenAi, speed(150.0, 5.0)).await;
    let gateway = gateway(&[&tight, &wide], "strategy = \"lowest-latency\"").await;
    let seen = traffic(&gateway, seconds(15.0)).await;
    let refused = seen.iter().filter(|seen| seen.attempts.contains("rate_limited")).count();
    let share = refused as f64 / seen.len() as f64;
    assert!(share < 0.05, "{refused} of {} met a 429", seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn price_usage_and_throughput_each_have_their_own_best() {
    let _alone = ALONE.lock().await;
    let sims = three().await;
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for (sim, usd) in sims.iter().zip([Some(5.0), Some(0.5), None]) {
        let price = usd.map_or(String::new(), |usd| format!("usd_per_mtok = {{ input = {usd}, output = {usd} }}"));
        config = config.provider(sim.name(), sim.protocol(), &sim.base_url(), "").model(sim.name(), &price);
    }
    let all = ["best", "second", "third"];
    let config = config
        .alias("cheap", &all, "strategy = \"lowest-price\"")
        .alias("dear-no-more", &all, "strategy = \"lowest-latency\"\nmax_price = { input = 1.0 }")
        .alias("even", &all, "strategy = \"lowest-usage\"\nunit = \"requests\"")
        .alias("sustained", &all, "strategy = \"highest-throughput\"");
    let gateway = Gateway::start(&config).await;
    let client = http();
    let served = async |alias: &str| {
        let got = ask_with(&client, &gateway, &Asked { alias, stream: true, ..Asked::default() }).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("x-pointsman-target").to_owned()
    };
    for _ in 0..5 {
        assert_eq!(served("cheap").await, "second/m@second");
        assert_eq!(served("dear-no-more").await, "second/m@second");
    }
    let mut even = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..30 {
        *even.entry(served("even").await).or_default() += 1;
    }
    // The others have ten requests less behind them.
    assert!(even["best/m@best"] >= 11 && even["third/m@third"] >= 11, "{even:?}");
    assert!(even.get("second/m@second").is_none_or(|n| *n <= 8), "{even:?}");
    for _ in 0..9 {
        served("sustained").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_first_token_is_hedged_and_the_loser_is_cancelled() {
    let _alone = ALONE.lock().await;
    let moody = with(speed(60.0, 2.0), json!({"faults": [{"share": 0.15, "kind": "slow_headers", "ms": 3000}]}));
    let moody = Sim::start("moody", Protocol::OpenAi, moody).await;
    let calm = Sim::start("calm", Protocol::OpenAi, speed(75.0, 2.0)).await;
    let alias = "strategy = \"lowest-latency\"\nhedge = 0.2\ngive_up_early = false";
    let gateway = gateway(&[&moody, &calm], alias).await;
    let seen = traffic(&gateway, seconds(8.0)).await;
    let hedged: Vec<&Seen> = seen.iter().filter(|seen| seen.attempts.contains("hedge")).collect();
    assert!(!hedged.is_empty(), "nobody was late: {:?}", seen.iter().map(|s| &s.attempts).collect::<Vec<_>>());
    let lost = gateway.target("moody/m@moody").await["failures"]["superseded"].as_u64().unwrap_or(0)
        + gateway.target("calm/m@calm").await["failures"]["superseded"].as_u64().unwrap_or(0);
    assert!(lost > 0);
    for name in ["moody", "calm"] {
        assert_eq!(gateway.target(&format!("{name}/m@{name}")).await["in_flight"], 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_stays_and_a_user_keeps_its_arm() {
    let _alone = ALONE.lock().await;
    let sims = three().await;
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for sim in &sims {
        config = config.sim(sim, "");
    }
    let all = ["best", "second", "third"];
    let config = config
        .alias("talk", &all, "strategy = \"random-shuffle\"\naffinity = \"conversation\"")
        .alias("ab", &all, "strategy = \"random-shuffle\"\nsticky_by = \"user\"")
        .alias("by-header", &all, "strategy = \"random-shuffle\"\nsticky_by = \"header:x-session\"");
    let gateway = Gateway::start(&config).await;
    let client = http();
    let served = async |asked: &Asked<'_>| {
        let got = ask_with(&client, &gateway, asked).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("x-pointsman-target").to_owned()
    };
    let mut arms = std::collections::BTreeSet::new();
    for i in 0..20 {
        let prompt = format!("hello {i}");
        let session = format!("s{i}");
        for asked in [
            Asked { alias: "talk", prompt: &prompt, ..Asked::default() },
            Asked { alias: "ab", more: json!({"user": prompt}), ..Asked::default() },
            Asked { alias: "by-header", headers: &[("x-session", &session)], ..Asked::default() },
        ] {
            let first = served(&asked).await;
            assert_eq!(served(&asked).await, first);
            assert_eq!(served(&asked).await, first);
            arms.insert((asked.alias.to_owned(), first));
        }
    }
    assert_eq!(arms.len(), 9, "every alias uses every target: {arms:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_explained_and_decided_again() {
    let _alone = ALONE.lock().await;
    let [best, second, third] = three().await;
    let gateway = gateway(&[&best, &second, &third], "strategy = \"lowest-latency\"").await;
    traffic(&gateway, seconds(2.0)).await;
    let client = http();
    let json_of =
        async |answer: reqwest::Response| -> Value { serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap() };
    let asked = client
        .post(gateway.admin_url("/admin/v1/explain"))
        .header("content-type", "application/json")
        .body(json!({"alias": "a", "prompt": "hello there", "stream": true}).to_string());
    let told = json_of(asked.send().await.unwrap()).await;
    assert_eq!((&told["strategy"], told["candidates"].as_array().unwrap().len()), (&json!("lowest-latency"), 3));
    assert!(told["candidates"][0]["predicted_ttft_ms"].as_f64().unwrap() > 10.0, "{told}");

    let made =
        json_of(client.get(gateway.admin_url("/admin/v1/decisions?alias=a&last=30")).send().await.unwrap()).await;
    let made = made.as_array().unwrap();
    assert_eq!(made.len(), 30);
    for decision in made {
        assert_eq!(decision["replayed"], true, "{decision}");
        assert_eq!(decision["attempts"][0]["outcome"], "ok", "{decision}");
    }
    let statistics = json_of(client.get(gateway.admin_url("/admin/v1/statistics")).send().await.unwrap()).await;
    let of_best = &statistics["targets"].as_array().unwrap()[0];
    assert!(of_best["ttft_ms"]["p50"].as_f64().unwrap() > 30.0, "{statistics}");
    let unknown = client.get(gateway.admin_url("/admin/v1/decisions?alias=nobody")).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}
