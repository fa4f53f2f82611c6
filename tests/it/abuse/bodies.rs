//! Bodies that are too long, too slow, too deep or too many; answers that nobody reads.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Attacked, MOMENT, Raw, chat, head, statuses, whole};
use crate::support::bystander::Bystander;
use crate::support::eventually;

const PATH: &str = "/v1/chat/completions";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_100_mb_is_refused_in_words_that_arrive() {
    let attacked = Attacked::new("max_body_bytes = \"1MiB\"").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let before = attacked.gateway.own_kib();
    let megabyte = vec![b' '; 1 << 20];
    let chunk = [format!("{:x}\r\n", megabyte.len()).as_bytes(), &megabyte, b"\r\n"].concat();
    let ways = [
        ("content-length: 104857600", "pm-it", &megabyte, 413),
        ("transfer-encoding: chunked", "pm-it", &chunk, 413),
        ("content-length: 104857600", "pm-other", &megabyte, 401),
    ];
    for (length, key, piece, expected) in ways {
        // The first is read to its end and thrown away; nobody waits for the end of the other.
        for pieces in [8, 100] {
            let length = length.replace("104857600", &(pieces << 20).to_string());
            let mut raw = attacked.connect().await;
            raw.send(format!("{}{length}\r\n\r\n", head(PATH).replace("pm-it", key))).await.unwrap();
            // Like many a client, this one says all that it has to say before it listens.
            let mut sent = 0;
            while sent < pieces && raw.send(piece).await.is_ok() {
                sent += 1;
            }
            assert!(sent == pieces || pieces == 100, "{length} {key}: reset after {sent} MiB");
            assert_eq!(statuses(&raw.told().await), [expected], "{length} {key}");
        }
    }
    let grown = attacked.gateway.own_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB");
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_send_in_vain_is_read_no_faster_than_one_may_send_it() {
    const ATTACKERS: usize = 16;
    const SECONDS: u64 = 3;
    let attacked = Attacked::new("max_body_bytes = \"1MiB\"").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let sent = Arc::new(AtomicU64::new(0));
    let mut attackers = JoinSet::new();
    for _ in 0..ATTACKERS {
        let (address, sent) = (attacked.address(), Arc::clone(&sent));
        attackers.spawn(async move {
            let piece = vec![b' '; 256 * 1024];
            loop {
                let Ok(mut raw) = Raw::try_to(address, Ipv4Addr::LOCALHOST).await else { continue };
                let begun = raw.send(format!("{}content-length: 1073741824\r\n\r\n", head(PATH))).await;
                while begun.is_ok() && raw.send(&piece).await.is_ok() {
                    sent.fetch_add(piece.len() as u64, Relaxed);
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    attackers.shutdown().await;
    let mib = sent.load(Relaxed) >> 20;
    println!("{mib} MiB in {SECONDS} s");
    // 256 MiB a second, and what waits between two sockets when the time is over or a
    // connection ends.
    assert!(mib < 256 * SECONDS + 8 * ATTACKERS as u64 * SECONDS, "{mib} MiB");
    bystander.was_served().await;
}

/// Sends the head of a chat and pieces of its body until it is cut off; what it is told.
async fn drip(mut raw: Raw, pieces: usize, pause: Duration) -> String {
    raw.send(format!("{}content-length: 100000\r\n\r\n", head(PATH))).await.unwrap();
    for _ in 0..pieces {
        if raw.send("{").await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    raw.told().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_has_its_time_and_one_that_falls_silent_has_less() {
    // Each has one limit that could end it, and the other is a minute away.
    for (limits, pieces) in [("body_timeout = \"600ms\"", 10_000), ("body_idle_timeout = \"300ms\"", 2)] {
        let attacked = Attacked::new(limits).await;
        let bystander = Bystander::of(&attacked.gateway).await;
        let mut dripping = tokio::task::JoinSet::new();
        for _ in 0..20 {
            dripping.spawn(drip(attacked.connect().await, pieces, MOMENT));
        }
        for told in dripping.join_all().await {
            assert_eq!(statuses(&told), [408], "{limits}: {told}");
        }
        bystander.was_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bodies_together_have_only_so_much_room_and_small_ones_need_none() {
    let attacked = Attacked::new("max_held_bytes = \"1MiB\"").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let large = format!("{{\"x\": \"{}\", ", "x".repeat(800 * 1024));
    let rest = &chat("a", false)[1..];
    let head = format!("{}content-length: {}\r\n\r\n", head(PATH), large.len() + rest.len());
    let mut first = attacked.connect().await;
    first.send(format!("{head}{large}")).await.unwrap();
    // A second that is read before it would take the room.
    eventually("the first has its room", async || attacked.metric("pointsman_body_bytes").await > 700 * 1024).await;
    let mut refused = String::new();
    eventually("there is no room for a second", async || {
        let mut second = attacked.connect().await;
        // It may be closed before all of it is sent.
        let _ = second.send(format!("{head}{large}{rest}")).await;
        refused = second.first().await;
        statuses(&refused) == [503]
    })
    .await;
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    // Whoever was there first is served, and then there is room again.
    first.send(rest).await.unwrap();
    assert_eq!(statuses(&first.first().await), [200]);
    let mut third = attacked.connect().await;
    third.send(format!("{head}{large}{rest}")).await.unwrap();
    assert_eq!(statuses(&third.first().await), [200]);
    // Whoever leaves gives its room back.
    let mut leaves = attacked.connect().await;
    leaves.send(format!("{head}{large}")).await.unwrap();
    drop(leaves);
    eventually("there is room again", async || {
        let mut fourth = attacked.connect().await;
        fourth.send(format!("{head}{large}{rest}")).await.unwrap();
        statuses(&fourth.first().await) == [200]
    })
    .await;
    assert!(bystander.was_served().await.served > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_any_depth_is_read_or_refused() {
    let attacked = Attacked::new("").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    for depth in [100, 10_000, 200_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let object = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let open = "[".repeat(depth);
        let within = |field: &str, value: &str| format!("{{\"{field}\": {value}, {}", &chat("a", false)[1..]);
        let bodies = [
            deep.clone(),
            open.clone(),
            within("unheard_of", &deep),
            within("unheard_of", &object),
            within("unheard_of", &open),
            chat("a", false).replace("\"hello\"", &deep),
            chat("a", false).replace("\"hello\"", &object),
            within("tools", &object),
            within("stream_options", &object),
        ];
        for (i, body) in bodies.iter().enumerate() {
            for path in [PATH, "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/completions"] {
                let mut raw = attacked.connect().await;
                raw.send(format!("{}content-length: {}\r\n\r\n", head(path), body.len())).await.unwrap();
                raw.send(body).await.unwrap();
                let told = raw.first().await;
                let status = statuses(&told);
                assert!(matches!(status[..], [200 | 400]), "{path} body {i} of depth {depth}: {told}");
            }
        }
    }
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_a_great_many_fields_are_refused_at_once() {
    let attacked = Attacked::new("").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    // To look for each among those before it would take minutes.
    let fields: String = (0..300_000).map(|i| format!("\"f{i}\":1,")).collect();
    for path in [PATH, "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/moderations"] {
        let body = format!("{{{fields}{}", &chat("a", false)[1..]);
        let mut raw = attacked.connect().await;
        raw.send(format!("{}content-length: {}\r\n\r\n{body}", head(path), body.len())).await.unwrap();
        let told = raw.first().await;
        assert!(statuses(&told) == [400] && told.contains("1024 fields"), "{path}: {told}");
    }
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_cut_off_and_its_provider_released() {
    let attacked = Attacked::new("write_timeout = \"500ms\"").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut raw = attacked.connect().await;
        raw.send(whole("endless", true)).await.unwrap();
        assert!(raw.first().await.starts_with("HTTP/1.1 200"));
        deaf.push(raw);
    }
    eventually("the provider is released", async || {
        let target = attacked.gateway.target("endless/m@endless").await;
        target["failures"]["client_gone"] == 8 && attacked.endless.stats().await["in_flight"] == 0
    })
    .await;
    assert_eq!(attacked.ended("stalled").await, 8);
    bystander.was_served().await;
}
