//! What one replica learns of a target the others know: sums that are exactly what the
//! providers have seen, speeds, and whom to leave alone; and all of that through outages.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use pointsman::api::decision::{DecisionReport, EXPLAIN_PATH};
use pointsman::api::replica::FleetReport;
use pointsman::api::statistics::{Statistics, TargetStatistics};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Fleet, Replica, configured, sharing};
use crate::support::chat::{Asked, ask_with};
use crate::support::eventually;
use crate::support::gateway::{Gateway, Signal, folder};
use crate::support::redis::Data;
use crate::support::sim::Sim;
use crate::support::skew::ahead;

/// Calls and tokens of each target.
type Sums = BTreeMap<String, [u64; 3]>;

impl Replica {
    /// What it tells of a quarter of an hour, of all replicas or of itself.
    async fn statistics(&self, scope: &str) -> Statistics {
        self.admin.get(&format!("/admin/v1/statistics?window_s=900&scope={scope}")).await.good()
    }

    async fn sums(&self) -> Sums {
        let of = |target: TargetStatistics| {
            let provider = target.target.split_once('@').map_or("", |(_, provider)| provider).to_owned();
            (provider, [target.attempts, target.successes, target.output_tokens])
        };
        self.statistics("fleet").await.targets.into_iter().map(of).collect()
    }

    /// All attempts of the last quarter of an hour that it knows of.
    pub(super) async fn attempts(&self) -> u64 {
        self.sums().await.values().map(|[attempts, ..]| attempts).sum()
    }

    async fn fleet_report(&self) -> FleetReport {
        self.admin.get("/admin/v1/replicas").await.good()
    }

    /// What it says of a target.
    async fn state(&self, target: &str) -> String {
        self.gateway.target(target).await["state"].as_str().unwrap_or_default().to_owned()
    }
}

/// Calls that a provider got, those that it answered well, and tokens that it sent with them.
async fn seen(sim: &Sim) -> [u64; 3] {
    let stats = sim.stats().await;
    let sum = |of: &Value| of.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let (calls, well) = (sum(&stats["requests"]), stats["outcomes"]["ok"].as_u64().unwrap_or_default());
    [calls, well, stats["tokens_sent"].as_u64().unwrap_or_default()]
}

impl Fleet {
    /// So many chats through each replica, every second one as a stream.
    async fn chats(&self, alias: &str, each: usize) {
        for turn in 0..each {
            for replica in &self.replicas {
                let asked = Asked { alias, stream: turn % 2 == 0, ..Asked::default() };
                let got = ask_with(&self.client, &replica.gateway, &asked).await;
                assert_eq!(got.status, 200, "{}: {got:?}", replica.name);
            }
        }
    }

    /// Waits until every replica tells exactly what the providers have seen.
    pub(super) async fn all_know_all(&self) {
        let mut truth = Sums::new();
        for sim in &self.sims {
            truth.insert(sim.name().to_owned(), seen(sim).await);
        }
        truth.retain(|_, [calls, ..]| *calls > 0);
        let mut told = Vec::new();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(30) {
            told.clear();
            for replica in &self.replicas {
                told.push(replica.sums().await);
            }
            if told.iter().all(|told| *told == truth) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the providers have seen {truth:?}, the replicas tell {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sums_of_every_replica_are_what_the_providers_have_seen() {
    let fleet = Fleet::new(3).await;
    fleet.sims[0].behave(json!({"faults": [{"share": 0.3, "kind": "status", "code": 400}]})).await;
    for turn in 0..60 {
        for replica in &fleet.replicas {
            let asked = Asked { alias: "a", stream: turn % 3 > 0, ..Asked::default() };
            ask_with(&fleet.client, &replica.gateway, &asked).await;
        }
    }
    fleet.sims[0].behave(json!({})).await;
    fleet.chats("a", 20).await;
    fleet.all_know_all().await;

    // Quantiles are those of all calls together, whoever tells them.
    let [one, two, three] = &fleet.replicas[..] else { panic!() };
    let [first, second, third] = [one.statistics("fleet"), two.statistics("fleet"), three.statistics("fleet")];
    let [first, second, third] = [first.await.targets, second.await.targets, third.await.targets];
    assert_eq!(first[0].ttft_ms, second[0].ttft_ms);
    assert_eq!(first[0].answer_total_ms, third[0].answer_total_ms);
    let alone = one.statistics("replica").await;
    assert_eq!((alone.targets[0].attempts, alone.heard), (80, None));

    let report = two.fleet_report().await;
    assert_eq!((report.heard.others, report.slices_waiting, report.slices_dropped), (2, 0, 0));
    assert!(report.heard.oldest_ms.is_some_and(|ms| ms < 3000), "{report:?}");
    let ready: Value = two.admin.get("/health/ready").await.good();
    assert!(ready["heard"]["newest_ms"].as_u64().is_some_and(|ms| ms < 3000), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_one_replica_finds_out_to_be_left_alone_the_others_leave_alone() {
    let fleet = Fleet::new(3).await;
    let [one, others @ ..] = &fleet.replicas[..] else { panic!() };
    let targets = ["one/m@one", "two/m@two"];
    // A 429 that one replica got.
    let busy = json!({"faults": [{"share": 1.0, "kind": "status", "code": 429, "retry_after": 20}]});
    fleet.sims[0].behave(busy).await;
    let since = Instant::now();
    let got = fleet.ask_by(one, "a", "pm-it").await;
    assert!(got.header("x-pointsman-target").ends_with("@two"), "{got:?}");
    for replica in others {
        eventually("the block is known", async || replica.state(targets[0]).await == "rate_limited").await;
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(fleet.served_by("a").await, ["two", "two", "two"]);
    assert_eq!(seen(&fleet.sims[0]).await[0], 1);

    // A breaker that one replica opened.
    fleet.sims[1].behave(json!({"faults": [{"share": 1.0, "kind": "status", "code": 500}]})).await;
    for _ in 0..3 {
        fleet.ask_by(one, "a", "pm-it").await;
    }
    for replica in others {
        eventually("the breaker is known", async || replica.state(targets[1]).await == "open").await;
    }
    // Whoever starts now knows of both as well.
    sleep(Duration::from_millis(1200)).await;
    let new = fleet.another("r3", &folder()).await;
    assert_eq!(new.state(targets[0]).await, "rate_limited");
}

/// A target that does not come back: each time that its time out is over one request of the
/// whole fleet finds out.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_of_the_whole_fleet_is_the_probe() {
    let fleet = Fleet::new(3).await;
    fleet.sims[0].behave(json!({"faults": [{"share": 1.0, "kind": "status", "code": 500, "delay_ms": 100}]})).await;
    for _ in 0..3 {
        fleet.ask_by(&fleet.replicas[0], "a", "pm-it").await;
    }
    // Time outs of 1, 1.6, 2.6, 4.1 and then 6 seconds. On a machine that stands still for longer than
    // their ends differ, several find it due in the same moment; then once more.
    let mut counted = Vec::new();
    for most in [4, 2, 2] {
        let before = seen(&fleet.sims[0]).await[0];
        let since = Instant::now();
        let traffic = fleet.replicas.iter().map(async |replica| {
            while since.elapsed() < Duration::from_secs(7) {
                assert_eq!(fleet.ask_by(replica, "a", "pm-it").await.status, 200);
                sleep(Duration::from_millis(5)).await;
            }
        });
        join_all(traffic).await;
        let probes = seen(&fleet.sims[0]).await[0] - before;
        if (1..=most).contains(&probes) {
            return;
        }
        counted.push(probes);
    }
    panic!("{counted:?} probes");
}

/// Twenty minutes lie between their clocks.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_as_old_as_it_is_whatever_the_clocks_say() {
    let mut fleet = Fleet::new(0).await;
    for (name, skew) in [("slow", -600), ("fast", 600)] {
        let config = ahead(sharing(configured(&fleet.sims, "priority"), &fleet.url, name), skew);
        fleet.replicas.push(Replica::of(Gateway::start_in(&folder(), &config).await, name));
    }
    let busy = json!({"faults": [{"share": 1.0, "kind": "status", "code": 429, "retry_after": 20}]});
    fleet.sims[0].behave(busy).await;
    fleet.ask_by(&fleet.replicas[0], "a", "pm-it").await;
    eventually("the block is known", async || fleet.replicas[1].state("one/m@one").await == "rate_limited").await;
    let left = fleet.replicas[1].gateway.target("one/m@one").await["back_in_ms"].as_u64().unwrap_or_default();
    assert!((15_000..=20_000).contains(&left), "{left} ms");

    fleet.chats("a", 10).await;
    fleet.all_know_all().await;
    sleep(Duration::from_millis(1200)).await;
    let config = ahead(sharing(configured(&fleet.sims, "priority"), &fleet.url, "late"), 300);
    fleet.replicas.push(Replica::of(Gateway::start_in(&folder(), &config).await, "late"));
    assert_eq!(fleet.replicas[2].state("one/m@one").await, "rate_limited");
    fleet.all_know_all().await;
    for replica in &fleet.replicas {
        eventually("both others are heard, just now", async || {
            let heard = replica.fleet_report().await.heard;
            heard.others == 2 && heard.oldest_ms.is_some_and(|ms| ms < 3000)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_outages_of_redis_traffic_goes_on_and_the_sums_are_right_afterwards() {
    let mut fleet = Fleet::new(2).await;
    fleet.chats("a", 10).await;
    fleet.redis.pause();
    fleet.chats("a", 20).await;
    sleep(Duration::from_secs(6)).await;
    fleet.chats("a", 20).await;
    fleet.redis.resume();
    fleet.all_know_all().await;

    for data in [Data::Kept, Data::Lost] {
        fleet.redis.kill();
        fleet.chats("a", 20).await;
        sleep(Duration::from_secs(6)).await;
        fleet.chats("a", 10).await;
        fleet.redis.restart(data).await;
        fleet.all_know_all().await;
    }
    for replica in &fleet.replicas {
        let report = replica.fleet_report().await;
        assert_eq!((report.slices_dropped, report.heard.others), (0, 1), "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_knows_what_all_have_learned() {
    let mut fleet = Fleet::new(2).await;
    fleet.sims[0].behave(json!({"ttft_ms": 150})).await;
    let fast = json!({"strategy": "lowest-latency", "targets": [{"model": "one/m"}, {"model": "two/m"}]});
    fleet.replicas[0].admin.change("aliases", "a", &fast).await;
    fleet.chats("a", 15).await;
    fleet.all_know_all().await;
    // What is believed is told every ten seconds.
    sleep(Duration::from_secs(11)).await;

    // One that is killed and comes again, and one that is new; and one that ends in order with
    // something that it has not told.
    let dir = fleet.replicas.remove(1).gateway.killed().await;
    let again = fleet.another("r1", &dir).await;
    let new = fleet.another("r2", &folder()).await;
    fleet.replicas.extend([again, new]);
    fleet.all_know_all().await;
    fleet.chats("a", 3).await;
    let mut first = fleet.replicas.remove(0).gateway;
    first.signal(Signal::Terminate);
    first.ended().await;
    let late = fleet.another("r3", &folder()).await;
    fleet.replicas.push(late);
    fleet.all_know_all().await;
    for replica in &fleet.replicas {
        let explained: DecisionReport = replica.admin.post(EXPLAIN_PATH, &json!({"alias": "a"})).await.good();
        let samples: Vec<Option<u64>> = explained.candidates.iter().map(|candidate| candidate.samples).collect();
        assert!(samples.iter().all(|samples| *samples >= Some(3)), "{}: {explained:?}", replica.name);
    }
}
