//! HTTP/2 frames written by hand: floods, bombs, and streams that nobody reads.

use std::time::Duration;

use super::{Attacked, Raw, chat};
use crate::support::bystander::Bystander;
use crate::support::eventually;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Header fields as literals that no table remembers (RFC 7541, section 6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127);
        [&[text.len() as u8][..], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn head_of_chat() -> Vec<u8> {
    fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1/chat/completions"),
        (":authority", "x"),
        ("authorization", "Bearer pm-it"),
    ])
}

/// The frames of a chat.
fn ask(stream: u32, alias: &str) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &head_of_chat());
    [head, frame(DATA, END_STREAM, stream, chat(alias, true).as_bytes())].concat()
}

/// A connection that has begun; `settings` is the payload of the client's.
async fn begun(attacked: &Attacked, settings: &[u8]) -> Raw {
    let mut raw = attacked.connect().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let begin = [&preface[..], &frame(SETTINGS, 0, 0, settings), &frame(SETTINGS, ACK, 0, &[])].concat();
    raw.send(begin).await.unwrap();
    raw
}

/// Sends again and again until the connection is closed; whether it was, before `most` times.
async fn flood(raw: &mut Raw, most: usize, mut piece: impl FnMut(usize) -> Vec<u8>) -> bool {
    for i in 0..most {
        let sent = tokio::time::timeout(Duration::from_secs(20), raw.send(piece(i))).await;
        if sent.expect("somebody reads, or closes").is_err() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_reset_at_speed_end_the_connection() {
    let attacked = Attacked::new("").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    // As in CVE-2023-44487. At once, which the HTTP/2 library itself ends.
    let mut raw = begun(&attacked, &[]).await;
    let pair = |i: usize| {
        let stream = i as u32 * 2 + 1;
        [ask(stream, "hanging"), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    };
    assert!(flood(&mut raw, 10_000, pair).await, "ten thousand streams were reset at once");
    // And slowly enough for each to have reached its provider before it is reset.
    let mut raw = begun(&attacked, &[]).await;
    let mut closed = false;
    for burst in 0..20u32 {
        let streams = (0..40).map(|i| (burst * 40 + i) * 2 + 1);
        let open: Vec<u8> = streams.clone().flat_map(|stream| ask(stream, "hanging")).collect();
        let reset: Vec<u8> = streams.flat_map(|stream| frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())).collect();
        closed = raw.send(open).await.is_err();
        if closed {
            break;
        }
        eventually("they are under way, or cut off", async || {
            closed = raw.send(frame(PING, 0, 0, b"12345678")).await.is_err();
            closed || attacked.hanging.stats().await["in_flight"] == 40
        })
        .await;
        let _ = raw.send(reset).await;
        eventually("they are not", async || attacked.hanging.stats().await["in_flight"] == 0).await;
    }
    assert!(closed, "eight hundred streams were opened and reset");
    assert_eq!((attacked.ended("malformed").await, attacked.ended("resets").await), (1, 1));
    eventually("nothing is left of them", async || {
        attacked.hanging.stats().await["in_flight"] == 0
            && attacked.gateway.target("hanging/m@hanging").await["in_flight"] == 0
    })
    .await;
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_reset_do_not_fill_the_log() {
    let attacked = Attacked::new("").await;
    let pairs = |i: usize| {
        let streams = (i * 50..(i + 1) * 50).map(|i| i as u32 * 2 + 1);
        streams.flat_map(|id| [ask(id, "a"), frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()).collect()
    };
    let before = attacked.gateway.log().lines().count();
    for _ in 0..50 {
        let mut raw = begun(&attacked, &[]).await;
        assert!(flood(&mut raw, 10_000, pairs).await, "it is cut off");
    }
    let lines = attacked.gateway.log().lines().count() - before;
    assert!(lines < 10, "{lines} lines for fifty connections");
    assert_eq!(attacked.ended("malformed").await, 50, "they are counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_an_end_and_bombs_of_headers_are_refused() {
    let attacked = Attacked::new("").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let before = attacked.gateway.own_kib();

    let mut raw = begun(&attacked, &[]).await;
    raw.send(frame(HEADERS, 0, 1, &head_of_chat())).await.unwrap();
    let piece = fields(&[("x-a", &"b".repeat(100))]).repeat(100);
    assert!(flood(&mut raw, 10_000, |_| frame(CONTINUATION, 0, 1, &piece)).await, "a gigabyte of one head");
    let mut raw = begun(&attacked, &[]).await;
    raw.send(frame(HEADERS, 0, 1, &head_of_chat())).await.unwrap();
    assert!(flood(&mut raw, 1_000_000, |_| frame(CONTINUATION, 0, 1, &[]).repeat(100)).await, "empty ones");

    // One field is put into the table, and then named 16,000 times in each head.
    let mut raw = begun(&attacked, &[]).await;
    let value = "b".repeat(126);
    let entry = [&[0x40, 3][..], b"x-a", &[126], value.as_bytes()].concat();
    let bomb = |i: usize| {
        let block = [head_of_chat(), if i == 0 { entry.clone() } else { Vec::new() }, vec![0xbe; 16_000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, i as u32 * 2 + 1, &block)
    };
    flood(&mut raw, 200, bomb).await;
    drop(raw);
    let grown = attacked.gateway.own_kib().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_whose_answers_nobody_reads_are_not_answered_for_ever() {
    let attacked = Attacked::new("write_timeout = \"500ms\"").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let before = attacked.gateway.own_kib();
    for piece in [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, &[])] {
        let piece = piece.repeat(1000);
        let mut raw = begun(&attacked, &[]).await;
        assert!(flood(&mut raw, 1_000_000, |_| piece.clone()).await);
    }
    assert_eq!(attacked.ended("stalled").await, 2);
    let grown = attacked.gateway.own_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB");
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_window_is_given_up_and_its_neighbour_is_not() {
    let attacked = Attacked::new("write_timeout = \"500ms\", head_timeout = \"60s\"").await;
    // A first window of 2000 bytes, and no other.
    let window = [&4u16.to_be_bytes()[..], &2000u32.to_be_bytes()].concat();
    let mut raw = begun(&attacked, &window).await;
    raw.send([ask(1, "endless"), ask(3, "hanging")].concat()).await.unwrap();
    eventually("both providers are asked", async || attacked.hanging.stats().await["in_flight"] == 1).await;
    eventually("the one that nobody reads is released", async || {
        let target = attacked.gateway.target("endless/m@endless").await;
        target["failures"]["client_gone"] == 1 && attacked.endless.stats().await["in_flight"] == 0
    })
    .await;
    assert_eq!(attacked.ended("unread").await, 1);
    assert_eq!(attacked.hanging.stats().await["in_flight"], 1, "its neighbour still waits for its provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_frames_do_not_keep_a_body_alive() {
    let attacked = Attacked::new("body_timeout = \"700ms\"").await;
    let mut raw = begun(&attacked, &[]).await;
    raw.send(frame(HEADERS, END_HEADERS, 1, &head_of_chat())).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut answered = false;
    while !answered {
        assert!(begun.elapsed() < Duration::from_secs(20), "the body is waited for");
        let _ = raw.send(frame(DATA, 0, 1, &[])).await;
        let read = tokio::time::timeout(Duration::from_millis(20), raw.first()).await;
        answered = read.is_ok_and(|told| told.contains("request_timeout"));
    }
    assert_eq!(attacked.reached().await, 0);
}
