//! After content has been sent: one honest error in the caller's own protocol, and everything is
//! given back.

use std::time::Duration;

use pointsman::domain::provider::Protocol;

use super::{Drip, Endless, Read, Reset, STREAM, Scripted, Send, Step, Wait, chunk, event, nothing_is_left, send};
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;

fn ways() -> Vec<(&'static str, Vec<Step>)> {
    let fine = event("fine");
    let then = |rest: &[u8]| Send([rest, b"\n\n"].concat());
    // Long enough for what came before to be on its way to the client.
    let pause = || Drip(b":::\n\n".to_vec());
    let begun = send(format!("{STREAM}\r\n{fine}{fine}"));
    let chunked = |rest: &str| send(format!("{STREAM}transfer-encoding: chunked\r\n\r\n{}{rest}", chunk(&fine)));
    vec![
        ("closed", vec![Read, begun.clone()]),
        ("reset", vec![Read, begun.clone(), pause(), Reset]),
        ("closed within an event", vec![Read, begun.clone(), send("data: {\"id\"")]),
        ("closed within a chunk", vec![Read, chunked("ff\r\ndata: ")]),
        ("closed without the last chunk", vec![Read, chunked("")]),
        ("a chunk size of letters", vec![Read, chunked("xyz\r\n")]),
        ("no JSON", vec![Read, begun.clone(), pause(), then(b"data: {nonsense"), Wait]),
        (
            "no UTF-8",
            vec![Read, begun.clone(), pause(), then(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}"), Wait],
        ),
        ("another shape", vec![Read, begun.clone(), pause(), then(b"data: [[[[]]]]"), Wait]),
        ("an event without an end", vec![Read, begun.clone(), send("data: {\"id\": \""), Endless(b"x".to_vec())]),
        ("silence", vec![Read, begun.clone(), Wait]),
        ("no end", vec![Read, begun.clone(), Endless(fine.clone().into_bytes())]),
        ("nothing but comments", vec![Read, begun, Endless(b": ping\n\n".to_vec())]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_wrong_ends_in_one_honest_error_and_nothing_is_left() {
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    let mut cases = Vec::new();
    for (i, (what, steps)) in ways().into_iter().enumerate() {
        let (name, provider) = (format!("bad{i}"), Scripted::start(steps).await);
        let limits = "stream_idle_timeout = \"500ms\"\ntotal_timeout = \"1500ms\"\ndeadline = \"1s\"\nfirst_token_timeout = \"1s\"";
        config = config.provider(&name, Protocol::OpenAi, &provider.base_url(), "").model(&name, "").alias(
            &format!("a-{name}"),
            &[&name],
            limits,
        );
        cases.push((name, what, provider));
    }
    let gateway = Gateway::start(&config).await;
    let descriptors = gateway.descriptors();
    let before = gateway.own_kib();
    for (name, what, _) in &cases {
        let alias = format!("a-{name}");
        let asked = Asked { alias: &alias, stream: true, ..Asked::default() };
        let got = tokio::time::timeout(Duration::from_secs(20), ask(&gateway, &asked)).await;
        let got = got.unwrap_or_else(|_| panic!("{what}: it never ends"));
        let error = got.error.as_deref().unwrap_or_default();
        assert!(
            got.status == 200 && !got.complete && got.text.starts_with("fine"),
            "{what}: {:.500}",
            format!("{got:?}")
        );
        assert!(error.contains("broke") && error.contains(name.as_str()), "{what}: {error}");
        let target = gateway.target(&format!("{name}/m@{name}")).await;
        assert_eq!(target["failures"]["broken_stream"], 1, "{what}: {target}");
    }
    nothing_is_left(&gateway, descriptors).await;
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
}
