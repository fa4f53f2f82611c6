//! What others tell: heard in order, and a gap is told.

use std::time::Duration;

use pointsman::fleet::{Signal, Subscription, cmd};

use super::*;
use crate::support::redis::{Data, Redis, Setup, shared};
use crate::support::redis_sets::RedisCluster;
use crate::support::toxic::{Mood, Toxic};

fn message(channel: &str, payload: &str) -> Signal {
    Signal::Message { channel: channel.to_owned(), payload: payload.into() }
}

async fn heard(subscription: &mut Subscription) -> Signal {
    let patience = crate::support::PATIENCE;
    tokio::time::timeout(patience, subscription.next()).await.expect("something is heard")
}

async fn tell(link: &Link, channel: &str, payload: &str) -> u64 {
    link.call(cmd("PUBLISH").arg(channel).arg(payload)).await.unwrap()
}

#[tokio::test]
async fn messages_are_heard_in_order() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    let mut subscription = link.subscribe(["news".to_owned(), "more".to_owned()]);
    assert_eq!(heard(&mut subscription).await, Signal::Listening);
    for i in 0..1000 {
        assert_eq!(tell(&link, if i % 2 == 0 { "news" } else { "more" }, &i.to_string()).await, 1);
    }
    for i in 0..1000 {
        // Whoever stops waiting loses nothing.
        let _ = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
        let channel = if i % 2 == 0 { "news" } else { "more" };
        assert_eq!(heard(&mut subscription).await, message(channel, &i.to_string()));
    }
    let waited = tokio::time::timeout(Duration::from_millis(1500), subscription.next()).await;
    assert!(waited.is_err(), "nothing more is told: {waited:?}");
    tell(&link, "news", "last").await;
    assert_eq!(heard(&mut subscription).await, message("news", "last"));
}

#[tokio::test]
async fn a_restart_is_survived_and_the_gap_is_told() {
    let mut redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    let mut subscription = link.subscribe(["news".to_owned()]);
    assert_eq!(heard(&mut subscription).await, Signal::Listening);
    for i in 0..3 {
        tell(&link, "news", "one").await;
        assert_eq!(heard(&mut subscription).await, message("news", "one"));
        redis.restart(if i == 1 { Data::Lost } else { Data::Kept }).await;
        assert_eq!(heard(&mut subscription).await, Signal::Listening);
        is_up(&link).await;
        assert_eq!(tell(&link, "news", "two").await, 1);
        assert_eq!(heard(&mut subscription).await, message("news", "two"));
    }
}

#[tokio::test]
async fn a_black_hole_is_noticed() {
    let redis = Redis::start().await;
    let toxic = Toxic::before(redis.port()).await;
    let link = up(&shared(&toxic.url())).await;
    let mut subscription = link.subscribe(["news".to_owned()]);
    assert_eq!(heard(&mut subscription).await, Signal::Listening);
    toxic.be(Mood::Swallowing).await;
    let waited = tokio::time::timeout(Duration::from_secs(2), subscription.next()).await;
    assert!(waited.is_err(), "there is nothing to hear: {waited:?}");
    toxic.be(Mood::Well).await;
    let since = Instant::now();
    assert_eq!(heard(&mut subscription).await, Signal::Listening);
    println!("after a black hole it listens again after {:?}", since.elapsed());
    is_up(&link).await;
    tell(&link, "news", "one").await;
    assert_eq!(heard(&mut subscription).await, message("news", "one"));
}

#[tokio::test]
async fn in_a_cluster_it_hears_what_is_told_at_any_node() {
    let mut cluster = RedisCluster::start(1, Setup::default()).await;
    let link = up(&shared(&cluster.url_of_all())).await;
    let mut subscription = link.subscribe(["news".to_owned()]);
    assert_eq!(heard(&mut subscription).await, Signal::Listening);
    for node in &cluster.nodes {
        let _: u64 = node.ask(&["PUBLISH", "news", "one"]).await;
        assert_eq!(heard(&mut subscription).await, message("news", "one"));
    }
    let home = cluster.owner("{pointsman}").await;
    cluster.nodes[home].kill();
    assert_eq!(heard(&mut subscription).await, Signal::Listening);
    for node in cluster.nodes.iter().filter(|node| node.lives()) {
        let _: u64 = node.ask(&["PUBLISH", "news", "two"]).await;
        assert_eq!(heard(&mut subscription).await, message("news", "two"));
    }
}
