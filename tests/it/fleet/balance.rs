//! Four replicas over real connections, each with a quarter of the requests, beside one with all
//! of them: a target that becomes slow is left and used again as soon, and nobody runs to the
//! same target together.

use std::time::Duration;

use super::{configured, sharing};
use crate::support::gateway::{Gateway, folder};
use crate::support::redis::Redis;
use crate::support::traffic::{Served, Traffic, assert_all_served, seconds, sim, speed};

/// Requests a second.
const RATE: f64 = 24.0;

/// What so many replicas make of it.
async fn served_by(replicas: usize) -> Vec<Served> {
    let redis = Redis::start().await;
    let sims = vec![
        sim("fast", speed(50.0, 1.0)).await,
        sim("steady", speed(120.0, 1.0)).await,
        sim("third", speed(150.0, 1.0)).await,
    ];
    let mut gateways = Vec::new();
    for i in 0..replicas {
        let config = configured(&sims, "lowest-latency");
        gateways.push(Gateway::start_in(&folder(), &sharing(config, &redis.url(), &format!("r{i}"))).await);
    }
    let mut traffic = Traffic::to_all(gateways).await;
    for slower in [1.0, 8.0, 1.0] {
        sims[0].behave(speed(50.0, slower)).await;
        traffic.run(RATE, seconds(5.0)).await;
    }
    let all = traffic.all().await;
    assert_all_served(&all);
    all
}

fn mean(all: &[Served]) -> Duration {
    all.iter().map(|served| served.took).sum::<Duration>() / u32::try_from(all.len()).expect("few")
}

/// The most requests that were under way at one target.
fn peak(all: &[Served]) -> usize {
    let under_way = |now: &Served| {
        let at_once = |other: &&Served| other.by() == now.by() && other.at <= now.at && other.at + other.took > now.at;
        all.iter().filter(at_once).count()
    };
    all.iter().map(under_way).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_replicas_fare_as_one_would() {
    let (one, four) = (served_by(1).await, served_by(4).await);
    let ratio = mean(&four).as_secs_f64() / mean(&one).as_secs_f64();
    let peaks = [peak(&one), peak(&four)];
    println!(
        "mean {:?} with one replica, {:?} with four: {ratio:.2}; most under way {peaks:?}",
        mean(&one),
        mean(&four)
    );
    assert!(ratio < 1.4, "{ratio}");
    assert!(peaks[1] <= 2 * peaks[0], "{peaks:?}");
}
