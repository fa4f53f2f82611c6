//! Limits and budgets of four replicas together: bursts, a replica that dies, a Redis that goes
//! and one that has forgotten.

use std::sync::Arc;
use std::time::Duration;

use pointsman::api::key::KeyFields;
use pointsman::api::replica::FleetReport;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Fleet, Replica, sharing};
use crate::support::chat::{Asked, Got, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, folder};
use crate::support::redis::{Data, Redis, Setup};
use crate::support::traffic::sim;
use crate::support::{eventually, http};

const REPLICAS: usize = 4;

/// Tokens cost a millionth of a dollar in and ten out.
const PRICE: &str = "usd_per_mtok = { input = 1, output = 10 }";

/// Four replicas in front of a provider that behaves like this.
pub(super) async fn fleet(behaviour: Value) -> Fleet {
    // A disk that is busy with other tests would make it late.
    let redis = Redis::with(Setup::args("--appendfsync everysec")).await;
    let url = redis.url();
    fleet_over(redis, url, behaviour).await
}

/// The same, who find Redis there.
pub(super) async fn fleet_over(redis: Redis, url: String, behaviour: Value) -> Fleet {
    let sims = vec![sim("one", behaviour).await];
    let mut fleet = Fleet { redis, url, sims, replicas: Vec::new(), client: http() };
    for i in 0..REPLICAS {
        let replica = another(&fleet, &format!("r{i}")).await;
        fleet.replicas.push(replica);
    }
    for replica in &fleet.replicas {
        eventually("all know of all", async || {
            let report: FleetReport = replica.admin.get("/admin/v1/replicas").await.good();
            report.replicas.len() == REPLICAS
        })
        .await;
    }
    fleet
}

async fn another(fleet: &Fleet, name: &str) -> Replica {
    let one = &fleet.sims[0];
    let config = ConfigText::new("").key("it", "pm-it", None).toml("[[projects]]\nname = \"shop\"");
    let config = config.provider(one.name(), one.protocol(), &one.base_url(), "").model(one.name(), PRICE);
    let config = sharing(config.alias("a", &["one"], ""), &fleet.url, name);
    Replica::of(Gateway::start_in(&folder(), &config).await, name)
}

/// A key with these limits.
async fn key(fleet: &Fleet, fields: Value) -> String {
    let mut fields = fields;
    fields["name"] = json!("k");
    let fields: KeyFields = serde_json::from_value(fields).expect("fields of a key");
    fleet.replicas[0].admin.new_key(&fields).await.secret
}

/// How a burst went.
struct Burst {
    all: Vec<Got>,
    took: Duration,
}

impl Burst {
    fn served(&self) -> usize {
        self.all.iter().filter(|got| got.status == 200).count()
    }

    /// What a limit per minute allows in that time.
    fn allowed(&self, limit: usize) -> usize {
        limit + refilled(limit, self.took)
    }
}

/// What refills of a limit per minute in that time.
fn refilled(limit: usize, time: Duration) -> usize {
    (limit as f64 * time.as_secs_f64() / 60.0).ceil() as usize
}

/// So many requests at once, evenly at all replicas; `during` happens meanwhile.
async fn burst(fleet: &Fleet, key: &str, requests: usize, more: Value, during: impl AsyncFnOnce(&Fleet)) -> Burst {
    let start = Arc::new(Barrier::new(requests + 1));
    let mut sent = JoinSet::new();
    for i in 0..requests {
        let url = fleet.replicas[i % fleet.replicas.len()].gateway.url("/v1/chat/completions");
        let (client, key, more, start) = (fleet.client.clone(), key.to_owned(), more.clone(), Arc::clone(&start));
        sent.spawn(async move {
            start.wait().await;
            let asked = Asked { alias: "a", key: &key, more, ..Asked::default() };
            crate::support::chat::ask_at(&client, &url, &asked).await
        });
    }
    start.wait().await;
    let begun = Instant::now();
    during(fleet).await;
    let all = sent.join_all().await;
    assert!(all.iter().all(|got| matches!(got.status, 200 | 429)), "{all:?}");
    Burst { all, took: begun.elapsed() }
}

pub(super) async fn ask(fleet: &Fleet, at: usize, key: &str, more: Value) -> Got {
    let asked = Asked { alias: "a", key, more, ..Asked::default() };
    ask_with(&fleet.client, &fleet.replicas[at].gateway, &asked).await
}

async fn nothing(_: &Fleet) {}

/// How often the provider was called.
async fn called(fleet: &Fleet) -> usize {
    let stats = fleet.sims[0].stats().await;
    stats["requests"].as_object().into_iter().flatten().filter_map(|(_, calls)| calls.as_u64()).sum::<u64>() as usize
}

fn number(got: &Got, header: &str) -> usize {
    got.header(header).parse().unwrap_or_else(|_| panic!("{header}: {got:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_at_four_replicas_are_let_in_as_by_one() {
    const LIMIT: usize = 200;
    let fleet = fleet(json!({})).await;
    let key = key(&fleet, json!({"requests_per_minute": LIMIT})).await;
    let burst = burst(&fleet, &key, 1000, json!({}), nothing).await;
    let (served, allowed) = (burst.served(), burst.allowed(LIMIT));
    println!("{served} of {allowed} requests in {:?}", burst.took);
    // On a machine that is too busy for answers within half a second some of what they grant is lost.
    let least = if burst.took < Duration::from_secs(1) { LIMIT - LIMIT / 50 } else { LIMIT / 2 };
    assert!(served <= allowed && served >= least, "{served} of {allowed}");
    for got in burst.all.iter().filter(|got| got.status == 429) {
        assert!((1..=60).contains(&number(got, "retry-after")), "{got:?}");
    }
    // What is left is known everywhere, and a wait that is told is true.
    let refused = ask(&fleet, 3, &key, json!({})).await;
    if refused.status == 429 {
        tokio::time::sleep(Duration::from_secs(number(&refused, "retry-after") as u64)).await;
        assert_eq!(ask(&fleet, 3, &key, json!({})).await.status, 200);
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let left = number(&ask(&fleet, 1, &key, json!({})).await, "x-ratelimit-remaining-requests");
    assert!((15..=40).contains(&left), "{left} are left after seven seconds or so");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_project_keep_to_its_limits_together() {
    const LIMIT: usize = 100;
    let fleet = fleet(json!({})).await;
    let shop = json!({"requests_per_minute": LIMIT, "budget": "$50/month"});
    fleet.replicas[1].admin.change("projects", "shop", &shop).await;
    let mut keys = Vec::new();
    for i in 0..4 {
        let fields = json!({"name": format!("k{i}"), "project": "shop", "requests_per_minute": 90});
        let fields: KeyFields = serde_json::from_value(fields).expect("fields of a key");
        keys.push(fleet.replicas[i].admin.new_key(&fields).await.secret);
    }
    let begun = Instant::now();
    let [one, two, three, four] = &keys[..] else { panic!() };
    let some = async |key: &str| burst(&fleet, key, 100, json!({}), nothing).await.served();
    let (one, two, three, four) = tokio::join!(some(one), some(two), some(three), some(four));
    let allowed = LIMIT + (LIMIT as f64 * begun.elapsed().as_secs_f64() / 60.0).ceil() as usize;
    println!("{one}, {two}, {three} and {four} served of {allowed} in all");
    let served = one + two + three + four;
    assert!(served <= allowed && served >= LIMIT - LIMIT / 20, "{served} of {allowed}");
    assert!([one, two, three, four].iter().all(|served| *served <= 91));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_shared_and_those_not_used_come_back() {
    const LIMIT: usize = 20_000;
    let fleet = fleet(json!({"output_tokens": 50})).await;
    let key = key(&fleet, json!({"tokens_per_minute": LIMIT})).await;
    let burst = burst(&fleet, &key, 1000, json!({"max_tokens": 100}), nothing).await;
    let (served, allowed) = (burst.served(), burst.allowed(LIMIT));
    let used = async || fleet.replicas[0].admin.total().await;
    eventually("all is counted", async || used().await.attempts as usize == served).await;
    let used = used().await;
    let used = (used.input_tokens + used.output_tokens) as usize;
    println!("{served} served with {used} of {allowed} tokens in {:?}", burst.took);
    assert!(used <= allowed, "{used} of {allowed}");
    assert!(used > LIMIT / 3, "{used} of {allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_shared_and_a_dead_replica_holds_none() {
    const LIMIT: usize = 24;
    let mut fleet = fleet(json!({"ttft_ms": 3000, "output_tokens": 2})).await;
    let key = key(&fleet, json!({"max_in_flight": LIMIT})).await;
    let burst = burst(&fleet, &key, 400, json!({}), nothing).await;
    let peak = fleet.sims[0].stats().await["peak_in_flight"].as_u64().unwrap_or(0) as usize;
    println!("{} served, {peak} at once of {LIMIT}", burst.served());
    assert!(peak <= LIMIT && burst.served() >= LIMIT, "{peak} of {LIMIT}");

    // One replica takes them all, and dies with them.
    tokio::time::sleep(Duration::from_secs(4)).await;
    fleet.sims[0].behave(json!({"ttft_ms": 60_000})).await;
    let mut taken = JoinSet::new();
    for _ in 0..LIMIT {
        let url = fleet.replicas[0].gateway.url("/v1/chat/completions");
        let body = json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
        taken.spawn(fleet.client.post(url).bearer_auth(&key).body(body.to_string()).send());
    }
    let in_flight = async || fleet.sims[0].stats().await["in_flight"].as_u64().unwrap_or(0) as usize;
    eventually("all are taken", async || in_flight().await == LIMIT).await;
    fleet.sims[0].behave(json!({})).await;
    assert_eq!(ask(&fleet, 1, &key, json!({})).await.status, 429);
    let since = Instant::now();
    drop(fleet.replicas.remove(0).gateway.killed().await);
    taken.abort_all();
    eventually("its places are free", async || ask(&fleet, 1, &key, json!({})).await.status == 200).await;
    println!("the places of a dead replica were free after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_shared() {
    let fleet = fleet(json!({"output_tokens": 20})).await;
    let more = json!({"max_tokens": 20});
    assert_eq!(ask(&fleet, 0, "pm-it", more.clone()).await.status, 200);
    let cost = fleet.replicas[0].admin.total().await.cost_usd;
    let budget = 100.5 * cost;
    let key = key(&fleet, json!({"budget": [format!("${budget:.9}/month")]})).await;
    let first = burst(&fleet, &key, 1000, more.clone(), nothing).await;
    println!("{} served at first, for 100 there is money", first.served());
    // Those who were in the way of others have ended.
    let mut served = first.served();
    for i in 0.. {
        let got = ask(&fleet, i % REPLICAS, &key, more.clone()).await;
        let long = got.header("retry-after").parse::<u64>().is_ok_and(|wait| wait > 60);
        match got.status {
            200 => served += 1,
            429 if long => break,
            _ => tokio::time::sleep(Duration::from_millis(300)).await,
        }
        assert!(i < 400, "it is never used up: {got:?}");
    }
    println!("{served} served in all");
    let usage = fleet.replicas[2].admin.usage("key").await;
    let row = usage.rows.iter().find(|row| row.key.as_deref() == Some("k")).expect("a row");
    // What is set aside falls short by a token of each prompt at most.
    assert!(row.numbers.cost_usd <= budget + served as f64 * 1e-6, "{row:?}, {budget}");
    assert!(served >= 95, "{served} of 100");
    // Everybody knows what all have spent.
    for replica in &fleet.replicas {
        eventually("the others' spending is known", async || {
            let standing = replica.admin.standing("keys", "k").await;
            (standing.spent_month_usd - row.numbers.cost_usd).abs() < cost * 8.0
        })
        .await;
    }
}

/// Redis goes while a burst is on its way: what was let in before and what each replica lets in
/// by itself is no more than the limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_goes_in_the_middle_of_a_burst_stops_nobody_and_adds_nothing() {
    const LIMIT: usize = 400;
    for (mood, dies) in [("killed", true), ("paused", false)] {
        let mut fleet = fleet(json!({})).await;
        let key = key(&fleet, json!({"requests_per_minute": LIMIT})).await;
        let began = Instant::now();
        let burst = burst(&fleet, &key, 1000, json!({}), async |fleet: &Fleet| {
            eventually("it has begun", async || called(fleet).await > LIMIT / 8).await;
            if dies {
                let _: Result<(), _> = fleet.redis.try_ask(&["SHUTDOWN", "NOSAVE"]).await;
            } else {
                fleet.redis.pause();
            }
        })
        .await;
        if dies {
            fleet.redis.kill();
        }
        let served = burst.served();
        // Whoever goes on alone does not know what others took since it has heard of the bucket
        // last: nothing to speak of, but on a machine that is too busy to hear of it in time.
        let unheard = if burst.took < Duration::from_secs(2) { 0 } else { LIMIT / 8 };
        let limit = LIMIT + unheard;
        println!("{mood}: {served} of {} requests in {:?}", burst.allowed(limit), burst.took);
        assert!(served <= burst.allowed(limit), "{served} of {limit}");

        // Traffic goes on within the shares, and at once.
        let (mut more, mut times) = (0, Vec::new());
        for i in 0..400 {
            let sent = Instant::now();
            let got = ask(&fleet, i % REPLICAS, &key, json!({})).await;
            assert!(matches!(got.status, 200 | 429), "{got:?}");
            more += usize::from(got.status == 200);
            times.push(sent.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        times.sort();
        let allowed = || limit + refilled(LIMIT, began.elapsed());
        let late = times.iter().filter(|time| **time > Duration::from_millis(100)).count();
        println!(
            "{mood}: {more} more, p50 {:?}, p90 {:?}, {late} late, at most {:?}; {} allowed",
            times[200],
            times[360],
            times[399],
            allowed()
        );
        assert!(more > 0 && served + more <= allowed(), "{served} and {more} of {}", allowed());
        // Whoever comes before Redis is known to be away waits for it, once at each replica.
        assert!(late <= 2 * REPLICAS && times[399] < Duration::from_millis(600), "{late} late, {:?}", times[399]);

        if dies {
            fleet.redis.restart(Data::Lost).await;
        } else {
            fleet.redis.resume();
        }
        let end = Instant::now() + Duration::from_secs(5);
        let mut after = 0;
        while Instant::now() < end {
            for at in 0..REPLICAS {
                after += usize::from(ask(&fleet, at, &key, json!({})).await.status == 200);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{mood} and back: {} in all of {}", served + more + after, allowed());
        assert!(after > 0 && served + more + after <= allowed(), "{served}, {more}, {after} of {}", allowed());
    }
}

/// What was taken of a limit per minute stays taken, though each replica knows of another part of
/// it, those who know least ask first, and the others have nothing to ask.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_of_a_rate_is_not_forgotten_with_redis() {
    for has_an_older_copy in [false, true] {
        redis_forgets_a_rate(has_an_older_copy).await;
    }
}

async fn redis_forgets_a_rate(has_an_older_copy: bool) {
    const LIMIT: usize = 60;
    let mut fleet = fleet(json!({})).await;
    let key = key(&fleet, json!({"requests_per_minute": LIMIT})).await;
    let began = Instant::now();
    let take = async |fleet: &Fleet, at: usize, requests: usize| {
        let mut served = 0;
        for _ in 0..requests {
            served += usize::from(ask(fleet, at, &key, json!({})).await.status == 200);
        }
        served
    };
    let mut served = take(&fleet, 0, 2).await;
    let snapshot = fleet.redis.snapshot();
    for (at, requests) in [(1, 9), (2, 16), (3, 23)] {
        served += take(&fleet, at, requests).await;
    }
    assert_eq!(served, 50);

    fleet.redis.restart(if has_an_older_copy { Data::Older(&snapshot) } else { Data::Lost }).await;
    for replica in &fleet.replicas {
        eventually("it is back", async || {
            let report: FleetReport = replica.admin.get("/admin/v1/replicas").await.good();
            report.connected
        })
        .await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for at in 0..REPLICAS {
        served += take(&fleet, at, LIMIT).await;
    }
    let allowed = LIMIT + refilled(LIMIT, began.elapsed());
    println!("{served} of {allowed} requests in {:?}", began.elapsed());
    assert!(served > 50 && served <= allowed, "{served} of {allowed}");
}

/// A budget that was spent stays spent, whatever Redis has forgotten, and whoever comes later
/// knows of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_is_not_forgotten_with_redis() {
    let mut fleet = fleet(json!({"output_tokens": 20})).await;
    let more = json!({"max_tokens": 20});
    assert_eq!(ask(&fleet, 0, "pm-it", more.clone()).await.status, 200);
    let cost = fleet.replicas[0].admin.total().await.cost_usd;
    let budget = 60.5 * cost;
    let key = key(&fleet, json!({"budget": [format!("${budget:.9}/month")]})).await;
    let spend = async |fleet: &Fleet, calls: usize| {
        let mut served = 0;
        for i in 0..calls {
            served += usize::from(ask(fleet, i % fleet.replicas.len(), &key, more.clone()).await.status == 200);
        }
        served
    };
    let all_know = async |fleet: &Fleet, served: usize| {
        for replica in &fleet.replicas {
            let spent = async || replica.admin.standing("keys", "k").await.spent_month_usd;
            eventually(&format!("{} knows of {served}", replica.name), async || {
                (spent().await - served as f64 * cost).abs() < cost / 2.0
            })
            .await;
        }
    };
    let mut served = spend(&fleet, 12).await;
    assert_eq!(served, 12);
    all_know(&fleet, served).await;
    let snapshot = fleet.redis.snapshot();
    served += spend(&fleet, 12).await;

    fleet.redis.restart(Data::Older(&snapshot)).await;
    served += spend(&fleet, 8).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    served += spend(&fleet, 4).await;
    all_know(&fleet, served).await;

    fleet.redis.kill();
    served += spend(&fleet, 8).await;
    fleet.redis.restart(Data::Lost).await;
    served += spend(&fleet, 4).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    served += spend(&fleet, 4).await;
    all_know(&fleet, served).await;
    println!("{served} served of 60 through all that");
    assert!(served >= 44, "{served}");

    let new = another(&fleet, "r9").await;
    fleet.replicas.push(new);
    let calls = 20 * fleet.replicas.len();
    served += spend(&fleet, calls).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    served += spend(&fleet, calls).await;
    let total = fleet.replicas[4].admin.usage("key").await;
    let spent = total.rows.iter().find(|row| row.key.as_deref() == Some("k")).map(|row| row.numbers.cost_usd);
    println!("{served} served of 60 in the end: ${spent:?} of ${budget}");
    assert!((56..=61).contains(&served), "{served}");
    all_know(&fleet, served).await;
}
