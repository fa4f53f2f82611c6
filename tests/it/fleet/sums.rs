//! A hundred thousand requests at four replicas, while Redis goes and comes back with
//! everything, with what it had before, and with nothing: what all have used together is
//! exactly what the providers have seen.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use pointsman::api::change::ChangeReport;
use pointsman::api::usage::{UsageNumbers, UsageReport};

use super::Fleet;
use crate::support::admin::If;
use crate::support::eventually;
use crate::support::redis::Data;

const REQUESTS: u64 = 100_000;
/// At once.
const CALLERS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn what_all_have_used_is_exact_after_outages() {
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
        async move { super::ask(client, replica, alias, "pm-it").await.status }
    };
    let (done, is_done) = tokio::sync::watch::channel(false);
    let load = async {
        let statuses = stream::iter(0..REQUESTS).map(asked).buffer_unordered(CALLERS);
        let served = statuses.filter(|status| std::future::ready(*status == 200)).count().await;
        done.send_replace(true);
        served as u64
    };
    let weather = async {
        let pause = || tokio::time::sleep(Duration::from_secs(2));
        let mut outages = 0;
        while !*is_done.borrow() {
            let snapshot = redis.snapshot();
            pause().await;
            match outages % 4 {
                0 => redis.restart(Data::Older(&snapshot)).await,
                1 => redis.restart(Data::Kept).await,
                2 => redis.restart(Data::Lost).await,
                _ => {
                    redis.pause();
                    pause().await;
                    redis.resume();
                }
            }
            outages += 1;
            pause().await;
        }
        outages
    };
    let (served, outages) = tokio::join!(load, weather);
    assert_eq!(served, REQUESTS);
    assert!(outages >= 4, "only {outages} outages");

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
