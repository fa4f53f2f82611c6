//! What do limits cost that hold for all replicas? Time for each request, and questions to Redis
//! for each active account.

use std::time::Duration;

use pointsman::api::key::KeyFields;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Fleet;
use super::quota::{ask, fleet, fleet_over};
use crate::support::chat::{Asked, ask_at, ask_with};
use crate::support::redis::{Redis, Setup};
use crate::support::toxic::{Mood, Toxic};

const MS: Duration = Duration::from_millis(1);

/// A key with limits of every kind, far from reached.
async fn limited(fleet: &Fleet, name: &str) -> String {
    let fields: Value = json!({
        "name": name, "requests_per_minute": 1_000_000, "tokens_per_minute": 1_000_000_000, "max_in_flight": 10_000,
        "budget": ["$100000/month"],
    });
    let fields: KeyFields = serde_json::from_value(fields).expect("fields of a key");
    fleet.replicas[0].admin.new_key(&fields).await.secret
}

/// How many scripts Redis has run.
async fn scripts(fleet: &Fleet) -> u64 {
    let info: String = fleet.redis.ask(&["INFO", "commandstats"]).await;
    let calls = |name: &str| -> Option<u64> {
        info.lines().find_map(|line| line.strip_prefix(name)?.split(',').next()?.parse().ok())
    };
    calls("cmdstat_evalsha:calls=").unwrap_or(0) + calls("cmdstat_eval:calls=").unwrap_or(0)
}

/// Scripts and requests per second while so many callers ask, one after the other each, with
/// these keys in turn at all replicas.
async fn rates(fleet: &Fleet, keys: &[String], callers: usize) -> (f64, f64) {
    const LASTS: Duration = Duration::from_secs(2);
    let (before, since) = (scripts(fleet).await, Instant::now());
    let mut asking = JoinSet::new();
    for caller in 0..callers {
        let client = fleet.client.clone();
        let urls: Vec<String> =
            fleet.replicas.iter().map(|replica| replica.gateway.url("/v1/chat/completions")).collect();
        let keys = keys.to_vec();
        asking.spawn(async move {
            let mut asked = 0;
            while since.elapsed() < LASTS {
                let at = caller + asked;
                let key = &keys[at / urls.len() % keys.len()];
                let asking = Asked { alias: "a", key, ..Asked::default() };
                assert_eq!(ask_at(&client, &urls[at % urls.len()], &asking).await.status, 200);
                asked += 1;
            }
            asked
        });
    }
    tokio::time::sleep_until(since + LASTS).await;
    let asked: usize = asking.join_all().await.into_iter().sum();
    let seconds = since.elapsed().as_secs_f64();
    ((scripts(fleet).await - before) as f64 / seconds, asked as f64 / seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_as_many_as_accounts_and_not_as_requests() {
    let fleet = fleet(json!({})).await;
    let mut keys = Vec::new();
    for i in 0..20 {
        keys.push(limited(&fleet, &format!("k{i}")).await);
    }
    let (idle, _) = rates(&fleet, &[], 0).await;
    println!("nobody: {idle:.1} scripts/s");
    for (accounts, callers) in [(1, 1), (1, 16), (20, 16)] {
        // What there was before goes back first, which takes a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (scripts, requests) = rates(&fleet, &keys[..accounts], callers).await;
        let each = (scripts - idle) / (accounts * fleet.replicas.len()) as f64;
        println!(
            "{accounts} accounts, {requests:.0} requests/s: {scripts:.0} scripts/s, {each:.1} for each at each replica"
        );
        // Four a second to come in, four for money, and some where an answer comes late; requests are
        // hundreds a second at each replica.
        assert!(each < 16.0, "{each} questions a second for each account");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_redis_seldom_and_not_for_long() {
    let fleet = fleet(json!({})).await;
    let key = limited(&fleet, "k").await;
    let mut times = [Vec::new(), Vec::new()];
    for i in 0..800 {
        let which = i % 2;
        let sent = Instant::now();
        let got = ask(&fleet, 0, if which == 0 { "pm-it" } else { &key }, json!({})).await;
        assert_eq!(got.status, 200);
        times[which].push(sent.elapsed());
    }
    for times in &mut times {
        times.sort();
    }
    let at = |which: usize, q: f64| times[which][(times[which].len() as f64 * q) as usize];
    for (what, which) in [("unlimited", 0), ("limited", 1)] {
        println!("{what}: p50 {:?}, p90 {:?}, p99 {:?}", at(which, 0.5), at(which, 0.9), at(which, 0.99));
    }
    assert!(at(1, 0.5) < at(0, 0.5) + Duration::from_millis(5));
    // One that comes alone has to ask each time.
    let mut alone = Vec::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut took = [Duration::ZERO; 2];
        for (took, key) in took.iter_mut().zip(["pm-it", &key]) {
            let sent = Instant::now();
            let asked = Asked { alias: "a", key, ..Asked::default() };
            assert_eq!(ask_with(&fleet.client, &fleet.replicas[1].gateway, &asked).await.status, 200);
            *took = sent.elapsed();
        }
        alone.push(took[1].as_secs_f64() - took[0].as_secs_f64());
    }
    alone.sort_by(f64::total_cmp);
    println!("one that comes alone waits {:.2} ms more", alone[5] * 1000.0);
}

/// Redis is refused, mute, half a second late, or a fifth of one: callers with limits are served on.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_redis_does_callers_with_limits_are_served_on() {
    let redis = Redis::with(Setup::args("--appendfsync everysec")).await;
    let network = Toxic::before(redis.port()).await;
    let fleet = fleet_over(redis, network.url(), json!({})).await;
    let key = limited(&fleet, "k").await;
    let moods = [Mood::Refusing, Mood::Swallowing, Mood::Delaying(MS * 500), Mood::Delaying(MS * 200), Mood::Well];
    for mood in moods {
        network.be(mood).await;
        let mut times = Vec::new();
        for i in 0..500 {
            let sent = Instant::now();
            let got = ask(&fleet, i % fleet.replicas.len(), &key, json!({})).await;
            assert_eq!(got.status, 200, "{mood:?}: {got:?}");
            times.push(sent.elapsed());
            tokio::time::sleep(MS * 10).await;
        }
        times.sort();
        let late = times.iter().filter(|time| **time > MS * 100).count();
        println!("{mood:?}: p50 {:?}, p90 {:?}, at most {:?}; {late} of 500 late", times[250], times[450], times[499]);
        // Those who ask before it is known to be away; and this machine has other things to do.
        assert!(late <= times.len() / 20 && times[499] < MS * 1500, "{mood:?}: {late} late");
        network.be(Mood::Well).await;
        tokio::time::sleep(MS * 4000).await;
    }
}
