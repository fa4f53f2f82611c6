//! Who else is there, and who is not any more.

use std::time::Duration;

use pointsman::fleet::Keys;
use pointsman::fleet::replicas::{LIVES, Replica, Replicas};

use super::*;
use crate::support::redis::{Data, Redis};

/// A replica in this process.
struct Process {
    replicas: Replicas,
    stop: CancellationToken,
    _link: Running,
}

async fn process(redis: &Redis, name: &str) -> Process {
    let mut link = running(&redis.shared());
    let this = Replica::this(Some(name), "127.0.0.1:1", Clock::new().now());
    let replicas = Replicas::new(link.clone(), Keys::new("pointsman"), this);
    let stop = CancellationToken::new();
    link.tasks.spawn(replicas.clone().run(stop.clone()));
    Process { replicas, stop, _link: link }
}

async fn know(all: &[&Process], names: &[&str]) {
    eventually(&format!("everybody knows of {names:?}"), async || {
        all.iter().all(|process| {
            let mut known: Vec<String> = process.replicas.living().iter().map(|replica| replica.name.clone()).collect();
            known.sort();
            known == names
        })
    })
    .await;
}

#[tokio::test]
async fn they_come_and_go() {
    let mut redis = Redis::start().await;
    let [one, two] = [process(&redis, "one").await, process(&redis, "two").await];
    know(&[&one, &two], &["one", "two"]).await;
    let three = process(&redis, "three").await;
    know(&[&one, &two, &three], &["one", "three", "two"]).await;
    assert_eq!(one.replicas.living()[0].name, "one", "one's own comes first");

    two.replicas.serves(9, 7);
    eventually("the others hear of it", async || {
        one.replicas.living().iter().any(|replica| replica.name == "two" && replica.revision == 7)
    })
    .await;

    // In order: at once. Without a word: when its time is over.
    let begun = Instant::now();
    three.stop.cancel();
    know(&[&one, &two], &["one", "two"]).await;
    let left = begun.elapsed();
    let begun = Instant::now();
    drop(two);
    know(&[&one], &["one"]).await;
    let gone = begun.elapsed();
    println!("one that left was missed after {left:?}, one that died after {gone:?}");
    assert!(left < Duration::from_secs(2) + BUSY, "{left:?}");
    assert!(gone > LIVES - Duration::from_secs(1) - BUSY && gone < LIVES + Duration::from_secs(2) + BUSY, "{gone:?}");

    // Redis forgets everything, and they are there again.
    let four = process(&redis, "four").await;
    know(&[&one, &four], &["four", "one"]).await;
    redis.restart(Data::Lost).await;
    eventually("both are written down again", async || {
        redis.try_ask::<u64>(&["HLEN", &Keys::new("pointsman").replicas()]).await.is_ok_and(|count| count == 2)
    })
    .await;
    know(&[&one, &four], &["four", "one"]).await;
    drop(three);
}

#[tokio::test]
async fn the_names_of_processes_that_have_none_differ() {
    let of = || Replica::this(None, "", Clock::new().now());
    let [one, two] = [of(), of()];
    assert!(one.id != two.id && one.name != two.name, "{one:?} {two:?}");
}
