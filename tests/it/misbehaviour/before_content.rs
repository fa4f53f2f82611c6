//! Before the first content nothing of it reaches the caller: its class stands in
//! `x-pointsman-attempts`, and the next candidate serves.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use pointsman::domain::provider::Protocol;
use serde_json::json;

use super::{
    Drip, Endless, JSON, Read, Reset, STREAM, Scripted, Send, Step, Wait, answer, chunk, end, event, nothing_is_left,
    send,
};
use crate::support::bystander::Bystander;
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;

/// How it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Whole,
    Stream,
    Both,
}

use How::{Both, Stream, Whole};

/// A thousand times more when it is unpacked.
fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        packed.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    packed.finish().unwrap()
}

fn sized(head: &str, length: usize, body: &str) -> Step {
    send(format!("{head}content-length: {length}\r\n\r\n{body}"))
}

/// What providers do, and the classes that it may be. `ok` is served by the provider itself.
fn ways(elsewhere: &str) -> Vec<(&'static str, How, Vec<Step>, &'static [&'static str])> {
    let connect: &[&str] = &["connect"];
    let malformed: &[&str] = &["malformed"];
    let timeout: &[&str] = &["timeout"];
    let ok: &[&str] = &["ok"];
    let after = |head: &str, step: Step| vec![Read, send(format!("{head}content-length: 500\r\n\r\n")), step];
    let chunks = |body: String| vec![Read, send(format!("{JSON}transfer-encoding: chunked\r\n\r\n{body}"))];
    let events = |body: &str| vec![Read, send(format!("{STREAM}\r\n{body}"))];
    let status =
        |line: &str, rest: &str| vec![Read, send(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n{rest}\r\n"))];
    let gzip =
        [format!("{JSON}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb().len()).into_bytes(), bomb()]
            .concat();
    let invalid = [answer().as_bytes().split(|byte| *byte == b'f').next().unwrap(), b"\xff\xfe\"}}]}"].concat();
    let (length, whole) = (answer().len(), answer());
    vec![
        // Closed at every point of the exchange.
        ("closed at once", Both, vec![], connect),
        ("reset at once", Both, vec![Reset], connect),
        ("closed when it was asked", Both, vec![Read], connect),
        ("reset when it was asked", Both, vec![Read, Reset], connect),
        ("closed in the status line", Both, vec![Read, send("HTTP/1.1 20")], connect),
        ("reset in the status line", Both, vec![Read, send("HTTP/1.1 20"), Reset], connect),
        ("closed in the headers", Both, vec![Read, send(format!("{JSON}content-le"))], connect),
        ("closed after the headers", Both, after(JSON, send("")), malformed),
        ("reset after the headers", Both, after(JSON, Reset), malformed),
        ("closed within the body", Whole, after(JSON, send("{\"id\":")), malformed),
        ("reset within the body", Whole, vec![Read, sized(JSON, 500, "{\"id\":"), Reset], malformed),
        ("closed within a chunk", Whole, chunks(format!("ff\r\n{whole}")), malformed),
        ("closed after the content", Whole, chunks(chunk(&whole)), malformed),
        ("closed within the last chunk", Whole, chunks(format!("{}0\r\n", chunk(&whole))), malformed),
        ("a stream closed within an event", Stream, events("data: {\"id\":"), malformed),
        (
            "a stream reset before content",
            Stream,
            vec![Read, send(format!("{STREAM}\r\n: ping\n\n")), Reset],
            malformed,
        ),
        (
            "a stream without an end to its chunks",
            Stream,
            vec![
                Read,
                send(format!(
                    "{STREAM}transfer-encoding: chunked\r\n\r\n{}",
                    chunk(&format!("{}{}", event("fine"), end()))
                )),
            ],
            ok,
        ),
        // Lengths that lie.
        ("a length too short", Whole, vec![Read, sized(JSON, length - 9, &whole)], malformed),
        ("a length too long", Whole, vec![Read, sized(JSON, length + 9, &whole)], malformed),
        ("two lengths", Both, vec![Read, sized(&format!("{JSON}content-length: 3\r\n"), length, &whole)], connect),
        ("a length of letters", Both, vec![Read, send(format!("{JSON}content-length: abc\r\n\r\n{whole}"))], connect),
        ("a chunk size of letters", Whole, chunks(format!("xyz\r\n{whole}")), malformed),
        ("a length of none", Both, vec![Read, sized(JSON, 0, "")], malformed),
        // What is no HTTP, or not what was asked for.
        ("another protocol", Both, vec![send("SSH-2.0-OpenSSH_9.6\r\n"), Wait], connect),
        ("another version", Both, vec![Read, send("HTTP/9.9 200 OK\r\n\r\n")], connect),
        ("a status of four digits", Both, vec![Read, send("HTTP/1.1 2000 OK\r\n\r\n")], connect),
        ("a head with a NUL", Both, vec![Read, send(format!("{JSON}x-a: \0\r\n\r\n"))], connect),
        (
            "another protocol after all",
            Both,
            vec![Read, send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Wait],
            &["connect", "malformed"],
        ),
        ("no content", Both, status("204 No Content", ""), malformed),
        ("garbage", Both, vec![Read, sized(JSON, 9, "\u{1}\u{2}nonsense")], malformed),
        (
            "a page",
            Both,
            vec![Read, sized("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", 15, "<html>hi</html>")],
            malformed,
        ),
        ("a stream that was not asked for", Whole, events(&format!("{}{}", event("fine"), end())), malformed),
        ("an answer where a stream was asked for", Stream, vec![Read, sized(JSON, length, &whole)], malformed),
        (
            "bytes that are no UTF-8",
            Whole,
            vec![
                Read,
                Send([format!("{JSON}content-length: {}\r\n\r\n", invalid.len()).as_bytes(), &invalid].concat()),
            ],
            malformed,
        ),
        (
            "an event that is no UTF-8",
            Stream,
            vec![
                Read,
                Send(
                    [STREAM.as_bytes(), b"\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\"}}]}\n\n"]
                        .concat(),
                ),
                Wait,
            ],
            &["malformed", "timeout"],
        ),
        ("a packed answer that nobody asked for", Whole, vec![Read, Send(gzip)], malformed),
        // Redirects, of which none is followed.
        ("a redirect", Both, status("302 Found", &format!("location: {elsewhere}/chat/completions\r\n")), malformed),
        (
            "a redirect of the method, too",
            Both,
            status("307 Temporary Redirect", &format!("location: {elsewhere}/chat/completions\r\n")),
            malformed,
        ),
        ("a redirect within", Both, status("308 Permanent Redirect", "location: /elsewhere\r\n"), malformed),
        // Too much.
        ("headers without an end", Both, vec![Read, send(JSON), Endless(b"x-a: bbbbbbbb\r\n".to_vec())], connect),
        ("one header without an end", Both, vec![Read, send(format!("{JSON}x-a: ")), Endless(b"b".to_vec())], connect),
        ("a thousand headers", Both, vec![Read, send(format!("{JSON}{}\r\n", "x-a: b\r\n".repeat(1000)))], connect),
        (
            "an answer without an end",
            Whole,
            vec![Read, send(format!("{JSON}\r\n{{\"id\": \"")), Endless(b"x".to_vec())],
            malformed,
        ),
        (
            "comments without an end",
            Stream,
            vec![Read, send(format!("{STREAM}\r\n")), Endless(b": ping\n\n".to_vec())],
            &["malformed", "timeout"],
        ),
        (
            "an event without an end",
            Stream,
            vec![Read, send(format!("{STREAM}\r\ndata: {{\"id\": \"")), Endless(b"x".to_vec())],
            malformed,
        ),
        (
            "an error without an end",
            Both,
            vec![Read, send("HTTP/1.1 500 No\r\n\r\n"), Endless(b"x".to_vec())],
            &["server_error"],
        ),
        // Too slow.
        ("a head that drips", Both, vec![Read, Drip(JSON.as_bytes().repeat(9))], timeout),
        (
            "an answer that drips",
            Whole,
            vec![Read, send(format!("{JSON}content-length: 9000\r\n\r\n")), Drip(vec![b' '; 9000])],
            timeout,
        ),
        (
            "preliminary answers without an end",
            Both,
            vec![Read, Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())],
            &["timeout", "connect"],
        ),
        // What is unusual, and well.
        (
            "preliminary answers first",
            Whole,
            vec![
                Read,
                send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
                sized(JSON, length, &whole),
            ],
            ok,
        ),
        ("an answer before all was read", Whole, vec![sized(JSON, length, &whole), Wait], &["ok", "connect"]),
        ("no length at all", Whole, vec![Read, send(format!("{JSON}\r\n{whole}"))], ok),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_provider_does_before_content_the_next_one_serves() {
    let good = Sim::start("good", Protocol::OpenAi, json!({})).await;
    let elsewhere = Scripted::start(vec![Read]).await;
    let mut config =
        ConfigText::new("limits = { max_answer_bytes = \"1MiB\" }").sim(&good, "").key("it", "pm-it", None);
    let (mut cases, mut scripted) = (Vec::new(), Vec::new());
    for (what, how, steps, classes) in ways(&elsewhere.base_url()) {
        for stream in [false, true] {
            if how == if stream { Whole } else { Stream } {
                continue;
            }
            // Its own provider and alias for each case: what one teaches the breaker must not
            // decide another.
            let name = format!("bad{}", cases.len());
            let provider = Scripted::start(steps.clone()).await;
            config = config.provider(&name, Protocol::OpenAi, &provider.base_url(), "").model(&name, "").alias(
                &format!("a-{name}"),
                &[&name, "good"],
                "first_token_timeout = \"600ms\"\nanswer_timeout = \"600ms\"",
            );
            scripted.push(provider);
            cases.push((name, what, stream, classes));
        }
    }
    let gateway = Gateway::start(&config.alias("a", &["good"], "")).await;
    let gateway = std::sync::Arc::new(gateway);
    let bystander = Bystander::of(&gateway).await;
    let descriptors = gateway.descriptors();
    let before = gateway.own_kib();
    let mut wrong = Vec::new();
    for (name, what, stream, classes) in cases {
        let got = ask(&gateway, &Asked { alias: &format!("a-{name}"), stream, ..Asked::default() }).await;
        let attempts = got.header("x-pointsman-attempts").to_owned();
        let class = attempts.split(' ').nth(1).unwrap_or_default().trim_end_matches(',');
        let by = if class == "ok" { format!("{name}/m@{name}") } else { "good/m@good".to_owned() };
        if !(classes.contains(&class) && got.status == 200 && got.complete && got.header("x-pointsman-target") == by) {
            wrong.push(format!("{what} (stream: {stream}), expected {classes:?}: {attempts}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(elsewhere.asked(), 0, "a redirect was followed");
    bystander.was_served().await;
    nothing_is_left(&gateway, descriptors).await;
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
    for provider in &scripted {
        assert!(provider.asked() <= 2, "asked {} times", provider.asked());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_reached_or_trusted_is_passed_over() {
    let good = Sim::start("good", Protocol::OpenAi, json!({})).await;
    let plain = Scripted::start(vec![send("HTTP/1.1 400 Bad Request\r\n\r\n")]).await;
    let closes = Scripted::start(vec![]).await;
    let hello = Scripted::start(vec![send("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}"), Wait]).await;
    let selfmade = selfmade().await;
    let secure = |address: std::net::SocketAddr| format!("https://{address}/v1");
    let providers = [
        ("plain", secure(plain.address)),
        ("closes", secure(closes.address)),
        ("alert", secure(hello.address)),
        ("selfmade", secure(selfmade)),
        ("nowhere", "http://nowhere.invalid/v1".to_owned()),
        ("nobody", "http://127.0.0.1:1/v1".to_owned()),
    ];
    let mut config = ConfigText::new("").sim(&good, "").key("it", "pm-it", None);
    for (name, url) in &providers {
        config = config.provider(name, Protocol::OpenAi, url, "").model(name, "").alias(
            &format!("a-{name}"),
            &[name, "good"],
            "answer_timeout = \"5s\"",
        );
    }
    let gateway = Gateway::start(&config).await;
    let descriptors = gateway.descriptors();
    for (name, _) in &providers {
        let got = ask(&gateway, &Asked { alias: &format!("a-{name}"), ..Asked::default() }).await;
        let attempts = got.header("x-pointsman-attempts");
        // A resolver that is out of reach itself takes its time.
        let class = attempts.contains(" connect ") || (*name == "nowhere" && attempts.contains(" timeout "));
        assert!(got.status == 200 && class && attempts.contains("good/m@good ok"), "{name}: {attempts}: {got:?}");
    }
    nothing_is_left(&gateway, descriptors).await;
}

/// A TLS server with a certificate that nobody has signed.
async fn selfmade() -> std::net::SocketAddr {
    crate::support::http();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a server of a test")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The handshake is meant to fail.
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_makes_no_sense_keeps_nobody_out_for_ever() {
    let good = Sim::start("good", Protocol::OpenAi, json!({})).await;
    let mut config = ConfigText::new("").sim(&good, "").key("it", "pm-it", None);
    let waits = ["99999999999999999999", "-5", "1e99", "Thu, 01 Jan 2970 00:00:00 GMT", "\u{1}", "soon"];
    let mut scripted = Vec::new();
    for (i, wait) in waits.iter().enumerate() {
        let name = format!("bad{i}");
        let line = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n";
        let provider = Scripted::start(vec![Read, send(format!("{line}retry-after: {wait}\r\nx-ratelimit-reset-requests: {wait}\r\nx-ratelimit-remaining-requests: {wait}\r\n\r\n"))]).await;
        config = config.provider(&name, Protocol::OpenAi, &provider.base_url(), "").model(&name, "").alias(
            &format!("a-{name}"),
            &[&name, "good"],
            "",
        );
        scripted.push(provider);
    }
    let gateway = Gateway::start(&config).await;
    for (i, wait) in waits.iter().enumerate() {
        let name = format!("bad{i}");
        let got = ask(&gateway, &Asked { alias: &format!("a-{name}"), ..Asked::default() }).await;
        assert!(got.status == 200 && got.header("x-pointsman-target") == "good/m@good", "{wait:?}: {got:?}");
        let target = gateway.target(&format!("{name}/m@{name}")).await;
        let back = target["back_in_ms"].as_u64().unwrap_or_default();
        assert!(back <= 24 * 3_600_000, "{wait:?}: {target}");
    }
}
