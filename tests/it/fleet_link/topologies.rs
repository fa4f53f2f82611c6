//! One server with and without passwords, users, TLS and a socket; a cluster; sentinels.

use std::collections::BTreeSet;
use std::time::Duration;

use pointsman::config::SharedConfig;
use pointsman::fleet::{Keys, LinkError, cmd, pipe, script, slot_of};

use super::*;
use crate::support::redis::{Certificates, Data, Redis, Setup, TESTER, ask_at, shared};
use crate::support::redis_sets::{MASTER, RedisCluster, Watched};

/// What every topology can do.
async fn serves(link: &Link) {
    let keys = Keys::new("pointsman");
    let (key, other) = (keys.head(), keys.slices("r1"));
    set(link, &key, "1").await.unwrap();
    // Keys of several slots, something ignored, and an error that stands for all.
    let mut pipeline = pipe();
    pipeline.cmd("INCR").arg(&key).cmd("SET").arg(&other).arg("x").ignore().cmd("GET").arg(&other);
    let (revision, text): (u64, String) = link.pipe(&pipeline).await.unwrap();
    assert_eq!((revision, text.as_str()), (2, "x"));
    pipeline.cmd("INCR").arg(&other);
    let refused = link.pipe::<(u64, String, u64)>(&pipeline).await.unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(why) if why.contains("not an integer")), "{refused}");

    let mut transaction = pipe();
    transaction.atomic().cmd("SET").arg(&key).arg(7).ignore().cmd("INCR").arg(&key);
    assert_eq!(link.pipe::<(u64,)>(&transaction).await.unwrap(), (8,));

    let lease = keys.lease("something");
    let second = Duration::from_secs(1);
    assert!(script::take_lease(link, &lease, "one", second).await.unwrap());
    assert!(script::take_lease(link, &lease, "one", second).await.unwrap(), "it is renewed");
    assert!(!script::take_lease(link, &lease, "two", second).await.unwrap());
    assert!(!script::release_lease(link, &lease, "two").await.unwrap());
    assert!(script::release_lease(link, &lease, "one").await.unwrap());
    assert!(script::take_lease(link, &lease, "two", Duration::from_millis(50)).await.unwrap());
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert!(script::take_lease(link, &lease, "one", second).await.unwrap(), "it has ended by itself");

    // This process may be kept waiting in between.
    let (before, server, after) = (Clock::new().now().0, link.server_time().unwrap(), Clock::new().now().0);
    let error = 1 + server.error.as_millis() as u64;
    assert!((before - error..=after + error).contains(&server.now.0), "{before} {server:?} {after}");
}

#[tokio::test]
async fn one_server() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    serves(&link).await;
    assert_eq!(link.address(), redis.url());
    let figures = link.figures();
    assert_eq!((figures.connections, figures.unanswered, figures.refused), (1, 0, 0));
    assert!(figures.bytes_in > 100 && figures.bytes_out > 500 && figures.round_trip > Duration::ZERO, "{figures:?}");
    let database: Option<String> = redis.try_ask(&["GET", &Keys::new("pointsman").head()]).await.unwrap();
    assert_eq!(database.as_deref(), Some("8"));
}

#[tokio::test]
async fn a_server_that_has_no_room_says_so() {
    let redis = Redis::with(Setup::args("--maxclients 1")).await;
    let first = up(&redis.shared()).await;
    let second = running(&redis.shared());
    eventually("it says so", async || is_down(&second).await.contains("max number of clients")).await;
    drop(first);
    is_up(&second).await;
}

#[tokio::test]
async fn another_database() {
    let redis = Redis::start().await;
    let link = up(&shared(&format!("{}/3", redis.url()))).await;
    set(&link, "a", "b").await.unwrap();
    assert_eq!(redis.ask::<String>(&["INFO", "keyspace"]).await.matches("db3:").count(), 1);
}

#[tokio::test]
async fn a_socket() {
    let redis = Redis::start().await;
    serves(&*up(&shared(&redis.socket_url())).await).await;
}

#[tokio::test]
async fn a_password_and_a_wrong_one() {
    let setup = Setup { password: Some("right".to_owned()), ..Setup::default() };
    let redis = Redis::with(setup).await;
    serves(&*up(&redis.shared()).await).await;
    for (url, said) in [
        (redis.url().replace("right", "hunter2"), "WRONGPASS"),
        (redis.url().replace(":right@", ""), "NOAUTH"),
        (redis.url().replace(":right@", "nobody:hunter2@"), "WRONGPASS"),
    ] {
        let link = running(&shared(&url));
        eventually("it says that the password is wrong", async || is_down(&link).await.contains(said)).await;
        let refused = set(&link, "a", "b").await.unwrap_err();
        assert!(matches!(&refused, LinkError::Down(why) if why.contains(said)), "{refused}");
        assert!(!format!("{:?} {refused}", &*link).contains("hunter2"), "the password is told");
    }
}

#[tokio::test]
async fn a_user_that_may_only_do_what_it_needs() {
    let users = vec!["app on >secret ~{pointsman* &{pointsman* +@all -@admin -@dangerous".to_owned()];
    let redis = Redis::with(Setup { users, ..Setup::default() }).await;
    let link = up(&shared(&redis.url().replace("redis://", "redis://app:secret@"))).await;
    serves(&link).await;
    let denied = set(&link, "somebody-elses", "b").await.unwrap_err();
    assert!(matches!(&denied, LinkError::Denied(_)), "{denied}");
    assert!(!denied.may_pass() && !denied.may_have_happened());
    assert!(link.is_up());
}

#[tokio::test]
async fn tls() {
    let certificates = Certificates::made();
    let ca_file = Some(certificates.ca_file());
    let setup = Setup { password: Some("right".to_owned()), tls: Some(certificates), ..Setup::default() };
    let redis = Redis::with(setup).await;
    let config = SharedConfig { ca_file, ..shared(&redis.tls_url(":right")) };
    let link = up(&config).await;
    serves(&link).await;
    let mut heard = link.subscribe(["news".to_owned()]);
    assert_eq!(heard.next().await, pointsman::fleet::Signal::Listening);

    let others = Certificates::made();
    let stranger = SharedConfig { ca_file: Some(others.ca_file()), ..config };
    let link = running(&stranger);
    eventually("it is told why", async || is_down(&link).await.contains("invalid peer certificate")).await;
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_told_at_once() {
    let config = shared("rediss://localhost:1");
    let missing = SharedConfig { ca_file: Some("/nowhere/ca.pem".into()), ..config.clone() };
    let why = Link::new(&missing, Clock::new()).unwrap_err().to_string();
    assert!(why.starts_with("store.ca_file: /nowhere/ca.pem cannot be read:"), "{why}");
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ca.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let why = Link::new(&SharedConfig { ca_file: Some(empty), ..config }, Clock::new()).unwrap_err().to_string();
    assert!(why.ends_with("it has no certificate in PEM"), "{why}");
}

#[tokio::test]
async fn a_cluster() {
    let cluster = RedisCluster::start(0, Setup::default()).await;
    let link = up(&shared(&cluster.url())).await;
    serves(&link).await;
    // Every node has some of these, and one pipeline reaches all of them.
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let mut pipeline = pipe();
    for (i, key) in keys.iter().enumerate() {
        pipeline.cmd("SET").arg(key).arg(i).ignore().cmd("GET").arg(key);
    }
    let values: Vec<usize> = link.pipe(&pipeline).await.unwrap();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
    let thirds: BTreeSet<u16> = keys.iter().map(|key| slot_of(key.as_bytes()) / 5462).collect();
    assert_eq!(thirds.len(), 3);

    let crossing = cmd("MSET").arg("a").arg(1).arg("b").arg(2).to_owned();
    let refused = link.call::<()>(&crossing).await.unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(why) if why.contains("CROSSSLOT")), "{refused}");
}

#[tokio::test]
async fn an_encrypted_cluster_with_a_password() {
    let certificates = Certificates::made();
    let ca_file = Some(certificates.ca_file());
    let setup = Setup { password: Some("right".to_owned()), tls: Some(certificates), ..Setup::default() };
    let cluster = RedisCluster::start(0, setup).await;
    let url = cluster.nodes[0].tls_url(":right").replace("rediss://", "rediss+cluster://");
    serves(&*up(&SharedConfig { ca_file, ..shared(&url) }).await).await;
}

#[tokio::test]
async fn a_slot_moves_to_another_node_of_a_cluster() {
    let cluster = RedisCluster::start(0, Setup::default()).await;
    let link = up(&shared(&cluster.url())).await;
    let (moving, key) = ("{tag}:moving", "{tag}:key");
    for key in [moving, key] {
        set(&link, key, "before").await.unwrap();
    }
    let from = cluster.owner(key).await;
    let to = (from + 1) % 3;
    let slot = slot_of(key.as_bytes()).to_string();
    let [from, to] = [&cluster.nodes[from], &cluster.nodes[to]];
    let [from_id, to_id]: [String; 2] = [from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await];
    let () = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    let () = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;

    // One key is there already, one still here, one is new.
    let port = to.port().to_string();
    let (user, password) = TESTER;
    let () = from.ask(&["MIGRATE", "127.0.0.1", &port, moving, "0", "5000", "AUTH2", user, password]).await;
    assert_eq!(get(&link, moving).await.unwrap().as_deref(), Some("before"));
    assert_eq!(get(&link, key).await.unwrap().as_deref(), Some("before"));
    set(&link, "{tag}:new", "during").await.unwrap();
    let mut pipeline = pipe();
    pipeline.cmd("GET").arg(moving).cmd("GET").arg(key).cmd("GET").arg("{tag}:new");
    let texts: Vec<String> = link.pipe(&pipeline).await.unwrap();
    assert_eq!(texts, ["before", "before", "during"]);
    let mut transaction = pipe();
    transaction.atomic().cmd("APPEND").arg("{tag}:new").arg("!").cmd("GET").arg("{tag}:new");
    assert_eq!(link.pipe::<(u64, String)>(&transaction).await.unwrap(), (7, "during!".to_owned()));

    let () = from.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000", "AUTH2", user, password]).await;
    for node in [to, from, &cluster.nodes[3 - from_to(&cluster, from) - from_to(&cluster, to)]] {
        let () = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    for key in [moving, key, "{tag}:new"] {
        set(&link, key, "after").await.unwrap();
    }
    let texts: Vec<String> = link.pipe(&pipeline).await.unwrap();
    assert_eq!(texts, ["after"; 3]);
}

fn from_to(cluster: &RedisCluster, node: &Redis) -> usize {
    cluster.nodes.iter().position(|other| other.port() == node.port()).unwrap()
}

#[tokio::test]
async fn a_node_of_a_cluster_is_killed_and_its_replica_takes_over() {
    let mut cluster = RedisCluster::start(1, Setup::default()).await;
    let link = up(&shared(&cluster.url_of_all())).await;
    let key = Keys::new("pointsman").head();
    set(&link, &key, "1").await.unwrap();
    let owner = cluster.owner(&key).await;
    // Otherwise it would be lost with its node.
    cluster.nodes[owner].is_copied().await;

    let callers = callers(&link, 20);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.nodes[owner].kill();
    let down = until(&link, false).await;
    let others = (0..50).map(|i| format!("other-{i}")).find(|key| {
        let third = |key: &str| slot_of(key.as_bytes()) / 5462;
        third(key) != third(&Keys::new("pointsman").head())
    });
    set(&link, &others.unwrap(), "x").await.expect("other nodes serve until the cluster notices");
    let back = until(&link, true).await;
    println!("a node of a cluster killed: down after {down:?}, up again after {back:?}");
    assert_eq!(get(&link, &key).await.unwrap().as_deref(), Some("1"));
    set(&link, &key, "2").await.unwrap();
    let tally = callers.stop(LIMIT, "a node of a cluster killed").await;
    assert!(tally.count("ok") > 100);
}

#[tokio::test]
async fn a_cluster_without_one_of_its_nodes_is_down_until_it_is_back() {
    let mut cluster = RedisCluster::start(0, Setup::default()).await;
    let link = up(&shared(&cluster.url_of_all())).await;
    let callers = callers(&link, 20);
    cluster.nodes[2].kill();
    eventually("the cluster says that it is down", async || is_down(&link).await.contains("the cluster is down")).await;
    cluster.nodes[2].restart(Data::Kept).await;
    let back = until(&link, true).await;
    println!("a node of a cluster is back: up after {back:?}");
    callers.stop(LIMIT, "a cluster without a node").await;
    serves(&link).await;
}

#[tokio::test]
async fn sentinels() {
    let setup = Setup { password: Some("right".to_owned()), ..Setup::default() };
    let mut watched = Watched::start(setup).await;
    let url = watched.url().replace("redis+sentinel://", "redis+sentinel://:right@");
    let link = up(&shared(&url)).await;
    serves(&link).await;
    watched.kill_sentinel();
    set(&link, "kept", "x").await.unwrap();
    watched.servers[0].is_copied().await;

    let callers = callers(&link, 20);
    tokio::time::sleep(Duration::from_millis(300)).await;
    watched.servers[0].kill();
    let down = until(&link, false).await;
    let back = until(&link, true).await;
    println!("the master killed: down after {down:?}, up again after {back:?}");
    assert_eq!(get(&link, "kept").await.unwrap().as_deref(), Some("x"));
    eventually("it takes writes", async || set(&link, "kept", "y").await.is_ok()).await;
    let tally = callers.stop(LIMIT, "a failover").await;
    assert!(tally.count("ok") > 100);
    serves(&link).await;
}

#[tokio::test]
async fn encrypted_sentinels() {
    let certificates = Certificates::made();
    let ca_file = Some(certificates.ca_file());
    let setup = Setup { password: Some("right".to_owned()), tls: Some(certificates), ..Setup::default() };
    let mut watched = Watched::start(setup).await;
    let url = watched.tls_url().replace("rediss+sentinel://", "rediss+sentinel://:right@");
    let link = up(&SharedConfig { ca_file, ..shared(&url) }).await;
    serves(&link).await;
    watched.servers[0].kill();
    until(&link, false).await;
    is_up(&link).await;
    serves(&link).await;
}

#[tokio::test]
async fn a_master_that_is_replaced_while_it_lives_is_left() {
    let watched = Watched::start(Setup::default()).await;
    let link = up(&shared(&watched.url())).await;
    set(&link, "kept", "x").await.unwrap();
    let callers = callers(&link, 20);
    let sentinel = watched.sentinel_port();
    let () = ask_at(sentinel, &["SENTINEL", "FAILOVER", MASTER]).await.unwrap();
    let since = Instant::now();
    eventually("another server is the master and is written to", async || {
        set(&link, "kept", "y").await.is_ok()
            && watched.servers[1].try_ask::<String>(&["GET", "kept"]).await.is_ok_and(|text| text == "y")
            && watched.servers[1].ask::<Vec<redis::Value>>(&["ROLE"]).await[0]
                == redis::Value::BulkString(b"master".into())
    })
    .await;
    println!("an ordered failover: the new master after {:?}", since.elapsed());
    callers.stop(LIMIT, "an ordered failover").await;
}

#[tokio::test]
async fn sentinels_that_know_no_such_master_say_so() {
    let watched = Watched::start(Setup::default()).await;
    let link = running(&shared(&watched.url().replace("the-master", "another")));
    eventually("it says so", async || is_down(&link).await.contains("knows no master \"another\"")).await;
}
