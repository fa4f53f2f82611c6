//! Tens of thousands of requests at four replicas, while Redis goes and comes back with
//! everything, with what it had before, and with nothing: what all have used together is
//! exactly what the providers have seen. `IT_REQUESTS=100000` asks for longer.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use pointsman::api::change::ChangeReport;
use pointsman::api::usage::{UsageNumbers, UsageReport};

use super::Fleet;
use crate::support::admin::If;
use crate::support::eventually;
use crate::support::redis::Data;

/// Where nothing else is said. More would see the same outages again.
const REQUESTS: u64 = 30_000;
/// One of each kind at least.
const OUTAGES: u64 = 4;
/// At once.
const CALLERS: usize = 32;
/// Between one's answer and its next question, so that it takes about as long as the outages and
/// leaves others of the processor.
const BREATH: Duration = Duration::from_millis(12);

#[tokio::test(flavor = "multi_thread")]
async fn what_all_have_used_is_exact_after_outages() {
    let said = std::env::var("IT_REQUESTS").ok();
    let requests = said.map_or(REQUESTS, |text| text.parse().expect("IT_REQUESTS is a number"));
    let mut fleet = Fleet::new(4).await;
    let aliases = ["a", "b"];
    let targets =
        serde_json::json!({"strategy": "random-shuffle", "targets": [{"model": "one/m"}, {"model": "two/m"}]});
    fleet.replicas[0].admin.put("aliases", "b", &targets, If::Absent).await.good::<ChangeReport>();
    let Fleet { redis, replicas, client, sims, .. } = &mut fleet;
    let asked = |i: u64| {
        let at = usize::try_from(i).expect("few");
        let (replica, alias) = (&replicas[at % replicas.len()], aliases[at / 4 % 2]);
        let client = &*client;
        async move {
            tokio::time::sleep(BREATH).await;
            super::ask(client, replica, alias, "pm-it").await.status
        }
    };
    let (done, is_done) = tokio::sync::watch::channel(false);
    // A machine that is fast goes on until there was every kind of outage.
    let outages = std::sync::atomic::AtomicU64::new(0);
    let load = async {
        let goes_on = |i: &u64| std::future::ready(*i < requests || outages.load(Relaxed) < OUTAGES);
        let statuses = stream::iter(0..).take_while(goes_on).map(asked).buffer_unordered(CALLERS);
        let fold = async |(asked, served): (u64, u64), status| (asked + 1, served + u64::from(status == 200));
        let counts = statuses.fold((0, 0), fold).await;
        done.send_replace(true);
        counts
    };
    let weather = async {
        let pause = || tokio::time::sleep(Duration::from_secs(2));
        while !*is_done.borrow() {
            let snapshot = redis.snapshot();
            pause().await;
            match outages.load(Relaxed) % OUTAGES {
                0 => redis.restart(Data::Older(&snapshot)).await,
                1 => redis.restart(Data::Kept).await,
                2 => redis.restart(Data::Lost).await,
                _ => {
                    redis.pause();
                    pause().await;
                    redis.resume();
                }
            }
            outages.fetch_add(1, Relaxed);
            pause().await;
        }
    };
    let ((asked, served), ()) = tokio::join!(load, weather);
    assert_eq!(served, asked);
    println!("{asked} requests through {outages:?} outages");

    let mut seen = [0, 0];
    for sim in sims.iter() {
        let stats = sim.stats().await;
        seen[0] += stats["outcomes"]["ok"].as_u64().expect("a number");
        seen[1] += stats["tokens_sent"].as_u64().expect("a number");
    }
    let sums = |total: &UsageNumbers| [total.requests, total.attempts, total.output_tokens];
    let expected = [served, seen[0], seen[1]];
    let known = async |what: &str| {
        for replica in replicas.iter() {
            eventually(what, async || {
                let told = replica.admin.get("/admin/v1/usage?by=day").await;
                told.status == 200 && sums(&told.good::<UsageReport>().total) == expected
            })
            .await;
        }
    };
    known("the sums are those of the providers").await;
    // Another outage neither adds nor takes anything.
    redis.restart(Data::Lost).await;
    known("the sums are told again").await;
    // And so are those of the last quarter of an hour, at every replica.
    fleet.all_know_all().await;
}
