//! Everything that Redis and the network can be: what a caller waits at most, how soon the
//! link says that it is down, and how soon that it is up again.

use std::time::Duration;

use pointsman::config::SharedConfig;
use pointsman::fleet::replicas::{Replica, Replicas};
use pointsman::fleet::{Keys, LinkError, script};

use super::*;
use crate::support::redis::{Data, Redis, Setup, shared};
use crate::support::toxic::{Mood, Toxic};

/// A server, a network that can be spoilt, and a link through it.
async fn behind_a_network() -> (Redis, Toxic, Running) {
    let redis = Redis::start().await;
    let toxic = Toxic::before(redis.port()).await;
    let link = up(&shared(&toxic.url())).await;
    (redis, toxic, link)
}

#[tokio::test]
async fn nobody_listens() {
    let (_redis, toxic, link) = behind_a_network().await;
    let callers = callers(&link, 50);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let since = Instant::now();
    toxic.be(Mood::Refusing).await;
    until(&link, false).await;
    let down = since.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    toxic.be(Mood::Well).await;
    let back = until(&link, true).await;
    println!("refused: down after {down:?}, up again after {back:?}");
    assert!(down < BUSY && back < Duration::from_secs(2) + BUSY, "{down:?} {back:?}");
    let tally = callers.stop(BUSY, "refused").await;
    assert!(tally.count("down") > 1000 && tally.count("ok") > 100, "{tally:?}");
}

#[tokio::test]
async fn a_black_hole() {
    let (_redis, toxic, link) = behind_a_network().await;
    let callers = callers(&link, 50);
    tokio::time::sleep(Duration::from_millis(200)).await;
    toxic.be(Mood::Swallowing).await;
    let down = until(&link, false).await;
    assert!(is_down(&link).await.contains("mute"));
    // While it lasts, nobody waits for it, and it is noticed that a connection alone is worth
    // nothing.
    let before = toxic.accepted();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let attempts = toxic.accepted() - before;
    assert!((1..=5).contains(&attempts), "one alone tries, and ever less often: {attempts}");
    assert!(!link.is_up());
    let begun = Instant::now();
    assert!(matches!(set(&link, "a", "b").await, Err(LinkError::Down(_))));
    assert!(begun.elapsed() < Duration::from_millis(50));
    toxic.be(Mood::Well).await;
    let back = until(&link, true).await;
    println!("black hole: down after {down:?}, up again after {back:?}");
    assert!(down < LIMIT + BUSY && back < Duration::from_secs(3) + BUSY, "{down:?} {back:?}");
    let tally = callers.stop(LIMIT, "a black hole").await;
    // Each caller waited once.
    assert_eq!(tally.count("timeout") + tally.count("lost"), 50, "{tally:?}");
}

#[tokio::test]
async fn a_black_hole_is_noticed_without_any_calls() {
    let (_redis, toxic, link) = behind_a_network().await;
    toxic.be(Mood::Swallowing).await;
    let down = until(&link, false).await;
    println!("black hole without calls: down after {down:?}");
    assert!(down < 2 * LIMIT + BUSY);
}

#[tokio::test]
async fn answers_that_take_half_a_second() {
    let (_redis, toxic, link) = behind_a_network().await;
    let callers = callers(&link, 50);
    tokio::time::sleep(Duration::from_millis(200)).await;
    toxic.be(Mood::Delaying(LIMIT)).await;
    let down = until(&link, false).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!link.is_up());
    toxic.be(Mood::Well).await;
    let back = until(&link, true).await;
    println!("slow: down after {down:?}, up again after {back:?}");
    assert!(down < Duration::from_secs(2) + BUSY && back < Duration::from_secs(3) + BUSY, "{down:?} {back:?}");
    callers.stop(LIMIT, "500 ms for each answer").await;
}

#[tokio::test]
async fn answers_that_take_longer_than_a_hurried_call_can_wait() {
    let (_redis, toxic, link) = behind_a_network().await;
    let hurried = link.within(Duration::from_millis(50));
    set(&hurried, "a", "b").await.unwrap();
    toxic.be(Mood::Delaying(Duration::from_millis(200))).await;
    let patient = callers(&link, 5);
    let callers = callers(&hurried, 20);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(link.is_up(), "it is slow, and answers");
    let begun = Instant::now();
    let refused = set(&hurried, "a", "b").await.unwrap_err();
    assert!(matches!(refused, LinkError::Slow { .. }), "{refused}");
    assert!(begun.elapsed() < Duration::from_millis(20) + BUSY);
    toxic.be(Mood::Well).await;
    eventually("hurried calls go through again", async || set(&hurried, "a", "b").await.is_ok()).await;
    let tally = callers.stop(Duration::from_millis(50), "50 ms, where an answer takes 200").await;
    // Nearly all are refused without waiting.
    assert!(tally.count("slow") > 20 * tally.count("timeout"), "{tally:?}");
    let tally = patient.stop(LIMIT, "500 ms, where an answer takes 200").await;
    assert_eq!(tally.count("ok"), tally.ended.values().sum::<u64>(), "{tally:?}");
}

#[tokio::test]
async fn connections_that_are_cut() {
    let (_redis, toxic, link) = behind_a_network().await;
    let callers = callers(&link, 50);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        toxic.cut();
        until(&link, false).await;
        let back = until(&link, true).await;
        println!("cut: up again after {back:?}");
        assert!(back < Duration::from_secs(2) + BUSY);
    }
    let tally = callers.stop(LIMIT, "cut connections").await;
    assert!(tally.count("ok") > 100);

    // In the middle of an answer.
    let long = "x".repeat(100_000);
    set(&link, "long", &long).await.unwrap();
    toxic.cut_after(50_000);
    let lost = get(&link, "long").await.unwrap_err();
    assert!(matches!(lost, LinkError::Lost(_)) && lost.may_have_happened(), "{lost}");
    is_up(&link).await;
    assert_eq!(get(&link, "long").await.unwrap(), Some(long));
}

#[tokio::test]
async fn only_one_client_is_cut_off() {
    let redis = Redis::start().await;
    let [one, two] = [Toxic::before(redis.port()).await, Toxic::before(redis.port()).await];
    let [cut_off, other] = [up(&shared(&one.url())).await, up(&shared(&two.url())).await];
    let callers = callers(&other, 10);
    one.be(Mood::Swallowing).await;
    until(&cut_off, false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = callers.stop(LIMIT, "the other client").await;
    assert_eq!(tally.count("ok"), tally.ended.values().sum::<u64>(), "{tally:?}");
}

#[tokio::test]
async fn a_process_that_stands_still() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    let callers = callers(&link, 50);
    redis.pause();
    let down = until(&link, false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    redis.resume();
    let back = until(&link, true).await;
    println!("paused: down after {down:?}, up again after {back:?}");
    assert!(down < 2 * LIMIT + BUSY && back < Duration::from_secs(3) + BUSY, "{down:?} {back:?}");
    callers.stop(LIMIT, "a process that stands still").await;
}

#[tokio::test]
async fn a_short_stand_still_costs_no_connection() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    for _ in 0..5 {
        redis.pause();
        tokio::time::sleep(Duration::from_millis(150)).await;
        redis.resume();
        set(&link, "a", "b").await.unwrap();
    }
    assert_eq!(link.figures().connections, 1);
}

#[tokio::test]
async fn killed_and_started_again() {
    let mut redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    set(&link, "a", "old").await.unwrap();
    let snapshot = redis.snapshot();
    set(&link, "a", "new").await.unwrap();
    let callers = callers(&link, 20);
    for (data, left) in [(Data::Kept, Some("new")), (Data::Older(&snapshot), Some("old")), (Data::Lost, None)] {
        redis.kill();
        until(&link, false).await;
        redis.restart(data).await;
        let back = until(&link, true).await;
        println!("killed, {data:?}: up again after {back:?}");
        assert!(back < Duration::from_secs(2) + BUSY);
        assert_eq!(get(&link, "a").await.unwrap().as_deref(), left);
    }
    callers.stop(LIMIT, "killed").await;
    // Scripts are gone with the data.
    assert!(script::take_lease(&link, "lease", "me", LIMIT).await.unwrap());
}

#[tokio::test]
async fn it_is_not_there_yet_when_we_start() {
    let mut redis = Redis::start().await;
    redis.kill();
    let link = running(&redis.shared());
    assert!(matches!(set(&link, "a", "b").await, Err(LinkError::Down(_))));
    eventually("it says why", async || is_down(&link).await.contains("refused")).await;
    assert_eq!(link.server_time(), None);
    redis.restart(Data::Lost).await;
    is_up(&link).await;
    set(&link, "a", "b").await.unwrap();
}

#[tokio::test]
async fn a_link_that_is_told_to_stop_is_down_for_good() {
    let redis = Redis::start().await;
    let stop = CancellationToken::new();
    let link = Link::new(&redis.shared(), Clock::new()).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(link.clone().run(stop.clone()));
    is_up(&link).await;
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(set(&link, "a", "b").await, Err(LinkError::Down("it was told to stop".into())));
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    for _ in 0..3 {
        assert!(script::take_lease(&link, "lease", "me", LIMIT).await.unwrap());
        let () = redis.ask(&["SCRIPT", "FLUSH"]).await;
    }
}

#[tokio::test]
async fn it_loads_its_data() {
    let mut redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    for i in 0..200 {
        set(&link, &format!("key-{i}"), &"x".repeat(2000)).await.unwrap();
    }
    let () = redis.ask(&["CONFIG", "SET", "rdbcompression", "no"]).await;
    let () = redis.ask(&["BGREWRITEAOF"]).await;
    eventually("it has written its data in one file", async || {
        redis.ask::<String>(&["INFO", "persistence"]).await.contains("aof_rewrite_in_progress:0")
    })
    .await;
    let callers = callers(&link, 20);
    redis.restart_with(Data::Kept, "--key-load-delay 10000 --loading-process-events-interval-bytes 1024").await;
    eventually("it says that it loads", async || is_down(&link).await.contains("loading")).await;
    is_up(&link).await;
    callers.stop(LIMIT, "loading").await;
    assert_eq!(get(&link, "key-7").await.unwrap().map(|text| text.len()), Some(2000));
}

#[tokio::test]
async fn it_has_become_a_replica() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    set(&link, "a", "b").await.unwrap();
    let () = redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    eventually("it takes no writes", async || set(&link, "a", "c").await == Err(LinkError::ReadOnly)).await;
    let scripted = script::take_lease(&link, "lease", "me", LIMIT).await;
    assert_eq!(scripted, Err(LinkError::ReadOnly));
    assert_eq!(get(&link, "a").await.unwrap().as_deref(), Some("b"), "it may be read");
    let () = redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    eventually("it takes writes again", async || set(&link, "a", "d").await.is_ok()).await;
}

#[tokio::test]
async fn it_has_used_up_its_memory() {
    let redis = Redis::with(Setup::args("--maxmemory 3mb --maxmemory-policy noeviction")).await;
    let link = up(&redis.shared()).await;
    for size in [100_000, 1000, 1] {
        let mut full = Ok(());
        for i in 0..10_000 {
            full = set(&link, &format!("key-{size}-{i}"), &"x".repeat(size)).await;
            if full.is_err() {
                break;
            }
        }
        assert_eq!(full, Err(LinkError::OutOfMemory));
    }
    assert_eq!(script::take_lease(&link, "lease", "me", LIMIT).await, Err(LinkError::OutOfMemory));
    assert!(get(&link, "key-100000-0").await.unwrap().is_some(), "it may be read");
    assert!(link.is_up());
    let () = redis.ask(&["FLUSHALL"]).await;
    assert!(script::take_lease(&link, "lease", "me", LIMIT).await.unwrap());
}

#[tokio::test]
async fn a_big_answer_on_its_way_is_no_reason_to_give_up() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    let field = "x".repeat(1 << 20);
    for i in 0..60 {
        let () = link.call(cmd("HSET").arg("big").arg(i).arg(&field)).await.unwrap();
    }
    let patient = link.within(Duration::from_secs(20));
    for _ in 0..3 {
        let all: Vec<(u32, String)> = patient.call(cmd("HGETALL").arg("big")).await.unwrap();
        assert_eq!(all.len(), 60);
    }
    assert_eq!(link.figures().connections, 1);
}

#[tokio::test]
async fn replicas_are_known_by_their_last_number_while_redis_is_away() {
    let (_redis, toxic, link) = behind_a_network().await;
    let keys = Keys::new("p");
    let of = |name| Replicas::new(link.clone(), keys.clone(), Replica::this(Some(name), "", Clock::new().now()));
    let [one, two] = [of("one"), of("two")];
    two.beat().await.unwrap();
    one.beat().await.unwrap();
    assert_eq!(one.count(), 2);
    toxic.be(Mood::Refusing).await;
    until(&link, false).await;
    assert!(one.beat().await.is_err());
    assert_eq!((one.count(), two.count()), (2, 1));
}

#[tokio::test]
async fn an_address_that_leads_nowhere_says_so() {
    let config = SharedConfig { ..shared("redis://no-such-host.invalid") };
    let link = running(&config);
    eventually("it says so", async || {
        let why = is_down(&link).await;
        why.contains("no-such-host.invalid:6379: ") && !why.contains("not connected yet")
    })
    .await;
}
