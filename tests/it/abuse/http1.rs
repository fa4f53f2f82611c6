//! Heads: those that could be read in two ways, those that never end, and those that never begin.

use std::time::Duration;

use super::{Attacked, MOMENT, chat, chunked, head, statuses, whole};
use crate::support::bystander::Bystander;

/// What stands behind a request that could be read in two ways. Whoever takes it for a request
/// of its own answers twice.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_could_be_read_in_two_ways_are_the_last_of_their_connection() {
    let attacked = Attacked::new("").await;
    let path = "/v1/chat/completions";
    let body = chat("a", false);
    let (length, chunks) = (body.len(), chunked(&body));
    let with = |headers: &str, body: &str| format!("{}{headers}\r\n\r\n{body}", head(path));
    let spoilt = |what: &str, by: &str| with(&format!("content-length: {length}"), &body).replacen(what, by, 1);
    let chunk = |size: &str| with("transfer-encoding: chunked", &format!("{size}\r\n{body}\r\n0\r\n\r\n"));
    // `None`: it may be served, as long as nothing that follows is.
    let cases: Vec<(&str, String, Option<u16>)> = vec![
        ("a length, then chunks", with("content-length: 4\r\ntransfer-encoding: chunked", &chunks), None),
        ("chunks, then a length", with("transfer-encoding: chunked\r\ncontent-length: 4", &chunks), None),
        ("chunks alone", with("transfer-encoding: chunked", &chunks), None),
        ("two lengths", with(&format!("content-length: {length}\r\ncontent-length: 4"), &body), Some(400)),
        ("two lengths in one", with(&format!("content-length: {length}, 4"), &body), Some(400)),
        ("a signed length", with(&format!("content-length: +{length}"), &body), Some(400)),
        ("a negative length", with("content-length: -1", &body), Some(400)),
        ("a length of letters", with("content-length: 0x10", &body), Some(400)),
        ("a length beyond all", with("content-length: 99999999999999999999999", &body), Some(400)),
        ("an unknown coding", with("transfer-encoding: xchunked", &chunks), Some(400)),
        ("chunks not last", with("transfer-encoding: chunked, identity", &chunks), Some(400)),
        ("identity", with("transfer-encoding: identity", &chunks), Some(400)),
        ("two codings", with("transfer-encoding: chunked\r\ntransfer-encoding: identity", &chunks), Some(400)),
        ("a coding in HTTP/1.0", with("transfer-encoding: chunked", &chunks).replacen("1.1", "1.0", 1), Some(400)),
        ("a space before the colon", with("transfer-encoding : chunked", &chunks), Some(400)),
        ("a folded line", with("transfer-encoding:\r\n chunked", &chunks), Some(400)),
        ("a line that begins with a space", spoilt("content-type", " content-type"), Some(400)),
        ("a NUL in a value", spoilt("Bearer", "Bea\0rer"), Some(400)),
        ("a CR in a value", spoilt("application/json", "application\rjson"), Some(400)),
        ("a name with a space", spoilt("content-type", "content type"), Some(400)),
        ("a line without a colon", spoilt("host: x", "host"), Some(400)),
        ("no version", spoilt(" HTTP/1.1", ""), Some(400)),
        ("a version of its own", spoilt("HTTP/1.1", "HTTP/1.9"), Some(400)),
        ("two versions", spoilt("HTTP/1.1", "HTTP/1.1 HTTP/1.1"), Some(400)),
        ("a chunk of a negative size", chunk("-1"), Some(400)),
        ("a chunk size of another base", chunk(&format!("0x{length:x}")), Some(400)),
        ("a chunk size beyond all", chunk("fffffffffffffffffffff"), Some(400)),
        ("a chunk without a size", chunk(""), Some(400)),
        (
            "a chunk size that ends in a bare LF",
            with("transfer-encoding: chunked", &chunks.replacen("\r\n", "\n", 1)),
            Some(400),
        ),
        ("a chunk longer than its size", chunk("2"), Some(400)),
        ("endless chunk extensions", chunk(&format!("{length:x};{}", "x".repeat(64 * 1024))), Some(400)),
        (
            "endless trailers",
            with(
                "transfer-encoding: chunked",
                &format!("{length:x}\r\n{body}\r\n0\r\n{}\r\n", "a: b\r\n".repeat(20_000)),
            ),
            None,
        ),
    ];
    for (name, request, expected) in cases {
        let mut raw = attacked.connect().await;
        // It may be closed before all of it is sent.
        let _ = raw.send(format!("{request}{SMUGGLED}")).await;
        let told = raw.told().await;
        let statuses = statuses(&told);
        assert!(statuses.len() <= 1, "{name}: what follows was answered: {told}");
        if let Some(expected) = expected {
            assert_eq!(statuses, [expected], "{name}: {told}");
        }
    }
    // A bare LF ends a line, as RFC 9112 allows, and means the same then.
    let mut raw = attacked.connect().await;
    raw.send(whole("a", false).replace("\r\n", "\n")).await.unwrap();
    assert_eq!(statuses(&raw.first().await), [200]);
    // And the well-behaved may go on.
    let mut raw = attacked.connect().await;
    for _ in 0..2 {
        raw.send(whole("a", false)).await.unwrap();
        assert_eq!(statuses(&raw.first().await), [200]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_refused_at_its_limit() {
    let attacked = Attacked::new("").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let before = attacked.gateway.own_kib();
    for endless in ["x-a: b\r\n".to_owned(), "x".repeat(100)] {
        let mut raw = attacked.connect().await;
        raw.send(head("/v1/chat/completions")).await.unwrap();
        let mut sent = 0;
        while sent < 8 << 20 && raw.send(endless.repeat(100)).await.is_ok() {
            sent += endless.len() * 100;
        }
        assert!(sent < 8 << 20, "all of it was read");
    }
    // One that is said in one go is told why.
    let mut raw = attacked.connect().await;
    let _ = raw.send(format!("{}x-long: {}\r\n\r\n", head("/v1/models"), "x".repeat(80 * 1024))).await;
    assert_eq!(statuses(&raw.told().await), [431]);
    let grown = attacked.gateway.own_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_come_to_the_point_is_cut_off_in_time() {
    let attacked = Attacked::new("head_timeout = \"700ms\"").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let http2 = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let beginnings: [&[u8]; 6] = [b"", b"P", b"PRI * HTTP/2.0\r\n", &http2[..24], &http2, b"POST /v1/chat/comp"];
    let mut silent = Vec::new();
    for _ in 0..50 {
        for beginning in beginnings {
            let mut raw = attacked.connect().await;
            raw.send(beginning).await.unwrap();
            silent.push(raw);
        }
    }
    // And one whose head comes byte by byte, never late.
    let mut slow = attacked.connect().await;
    let since = tokio::time::Instant::now();
    let mut dripping = head("/v1/chat/completions").into_bytes().into_iter().cycle();
    while slow.send([dripping.next().unwrap()]).await.is_ok() {
        assert!(since.elapsed() < Duration::from_secs(20), "a slow head is waited for");
        tokio::time::sleep(MOMENT).await;
    }
    for mut raw in silent {
        raw.rest().await;
    }
    assert_eq!(attacked.ended("slow_head").await + attacked.ended("idle").await, 301);
    assert!(bystander.was_served().await.served > 5);
}
