//! Is each fault of a simulated provider what it says, seen byte by byte from a plain socket?
//! And does the control API do what its page promises?

use std::io::ErrorKind;
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::sim::Sim;
use crate::support::{PATIENCE, eventually, http};

const PROTOCOLS: [Protocol; 3] = [Protocol::OpenAi, Protocol::Anthropic, Protocol::Gemini];

/// How long a silence is before it counts as one.
const SILENCE: Duration = Duration::from_millis(300);

/// What came over one connection.
struct Heard {
    text: String,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Nothing more came, with the connection open.
    Silence,
    /// The other side closed.
    Closed,
    /// The other side reset.
    Reset,
    /// More came than anyone would read.
    TooMuch,
}

fn request(protocol: Protocol, stream: bool) -> (String, Value) {
    let messages = json!([{"role": "user", "content": "count to 9"}]);
    match protocol {
        Protocol::OpenAi => {
            ("/v1/chat/completions".to_owned(), json!({"model": "m", "stream": stream, "messages": messages}))
        }
        Protocol::Anthropic => {
            let body = json!({"model": "m", "stream": stream, "max_tokens": 99, "messages": messages});
            ("/v1/messages".to_owned(), body)
        }
        Protocol::Gemini => {
            let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let contents = json!([{"role": "user", "parts": [{"text": "count to 9"}]}]);
            (format!("/v1beta/models/m:{verb}"), json!({ "contents": contents }))
        }
    }
}

/// Asks over a connection of its own and listens until it ends or falls silent.
async fn hear(sim: &Sim, stream: bool) -> Heard {
    let (path, body) = request(sim.protocol(), stream);
    let body = body.to_string();
    let address = sim.origin().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(&address).await.expect("a connection");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nanthropic-version: 2023-06-01\r\ncontent-type: \
         application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).await.expect("the request goes out");
    let mut heard = Vec::new();
    let end = loop {
        match timeout(SILENCE, socket.read_buf(&mut heard)).await {
            Err(_) => break End::Silence,
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(_)) if heard.len() > 4 << 20 => break End::TooMuch,
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Ok(Err(error)) => panic!("{error}"),
        }
    };
    Heard { text: String::from_utf8(heard).expect("text"), end }
}

/// The same fault at each protocol, streamed or not.
async fn at_each(fault: Value, streams: &[bool], expect: impl Fn(Protocol, bool, &Heard)) {
    for protocol in PROTOCOLS {
        let sim = Sim::start("faulty", protocol, json!({ "faults": [fault.clone()] })).await;
        for stream in streams {
            let heard = hear(&sim, *stream).await;
            expect(protocol, *stream, &heard);
        }
        let stats = sim.stats().await;
        assert_eq!(stats["in_flight"], 0, "{fault} {stats}");
        assert_eq!(stats["outcomes"].as_object().map(serde_json::Map::len), Some(1), "{fault} {stats}");
    }
}

impl Heard {
    fn status(&self) -> &str {
        self.text.split(' ').nth(1).unwrap_or_default()
    }

    fn says(&self, what: &str) -> bool {
        self.text.contains(what)
    }

    /// Whether the body came to its proper end.
    fn whole(&self) -> bool {
        self.end == End::Closed && (self.text.ends_with("\r\n0\r\n\r\n") || self.says("content-length: "))
    }
}

/// How a token of the answer looks in a stream: `"4 "` within its own event.
fn token(n: u32) -> String {
    format!("\"{n} \"")
}

#[tokio::test]
async fn without_a_fault_the_answer_is_whole() {
    for protocol in PROTOCOLS {
        let sim = Sim::start("fine", protocol, json!({})).await;
        let streamed = hear(&sim, true).await;
        assert!(streamed.whole() && (1..9).all(|n| streamed.says(&token(n))), "{}", streamed.text);
        assert!(streamed.says("content-type: text/event-stream"), "{}", streamed.text);
        let at_once = hear(&sim, false).await;
        assert!(at_once.whole() && at_once.says("\"1 2 3 4 5 6 7 8 9\""), "{}", at_once.text);
        let stats = sim.stats().await;
        assert_eq!((&stats["outcomes"]["ok"], &stats["tokens_sent"]), (&json!(2), &json!(18)), "{stats}");
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_hang_is_silence() {
    at_each(json!({"kind": "reset"}), &[false, true], |_, _, heard| {
        assert_eq!((heard.text.as_str(), &heard.end), ("", &End::Reset));
    })
    .await;
    for (kind, begins) in [("hang", ""), ("hang_after_headers", "HTTP/1.1 200")] {
        for protocol in PROTOCOLS {
            let sim = Sim::start("faulty", protocol, json!({ "faults": [{"kind": kind}] })).await;
            for stream in [false, true] {
                let heard = hear(&sim, stream).await;
                assert_eq!(heard.end, End::Silence, "{kind}");
                assert!(
                    heard.text.starts_with(begins) && heard.says("\r\n\r\n") != begins.is_empty(),
                    "{}",
                    heard.text
                );
            }
            // The client's leaving is noticed, and counted beside the fault.
            eventually("both calls are over", async || sim.stats().await["in_flight"] == 0).await;
            let stats = sim.stats().await;
            assert_eq!((&stats["cancelled"], &stats["outcomes"][kind]), (&json!(2), &json!(2)), "{stats}");
        }
    }
}

#[tokio::test]
async fn a_cut_comes_after_its_tokens_with_half_an_event_if_wanted() {
    for half in [false, true] {
        let fault = json!({"kind": "cut", "after_tokens": 3, "half_event": half});
        at_each(fault, &[true], |protocol, _, heard| {
            let text = &heard.text;
            assert!(heard.end == End::Closed && !heard.whole(), "{text}");
            assert!((1..=3).all(|n| heard.says(&token(n))) && !heard.says(&token(5)), "{protocol:?} {text}");
            assert!(half || !heard.says(&token(4)), "{protocol:?} {text}");
            // What came last is either a whole event or the beginning of one.
            assert_eq!(text.trim_end_matches("\r\n").ends_with("\n\n"), !half, "{protocol:?} {text}");
        })
        .await;
    }
    at_each(json!({"kind": "truncated_body"}), &[false, true], |_, _, heard| {
        assert!(heard.end == End::Closed && heard.says("content-length: "), "{}", heard.text);
        let (head, body) = heard.text.split_once("\r\n\r\n").expect("a head");
        let promised: usize =
            head.split_once("content-length: ").expect("a length").1.split("\r\n").next().unwrap().parse().unwrap();
        assert!(body.len() < promised, "{} of {promised}", body.len());
    })
    .await;
}

#[tokio::test]
async fn errors_within_a_success_come_where_they_should() {
    let error = |protocol| match protocol {
        Protocol::OpenAi => "data: {\"error\":{",
        Protocol::Anthropic => "event: error\ndata: {\"type\":\"error\"",
        Protocol::Gemini => "data: {\"error\":{\"code\":503",
    };
    for (fault, tokens) in [
        (json!({"kind": "error_event"}), 0),
        (json!({"kind": "role_then_error"}), 0),
        (json!({"kind": "error_after", "after_tokens": 2}), 2),
    ] {
        let with_head = fault["kind"] != "error_event";
        at_each(fault, &[true], |protocol, _, heard| {
            assert!(heard.status() == "200" && heard.whole() && heard.says(error(protocol)), "{}", heard.text);
            assert!((1..=tokens).all(|n| heard.says(&token(n))) && !heard.says(&token(tokens + 1)), "{}", heard.text);
            assert_eq!(heard.says("assistant") || heard.says("\"role\":\"model\""), with_head, "{}", heard.text);
        })
        .await;
    }
    at_each(json!({"kind": "error_event"}), &[false], |_, _, heard| {
        assert!(heard.status() == "200" && heard.says("\"error\":{"), "{}", heard.text);
    })
    .await;
}

#[tokio::test]
async fn nonsense_is_nonsense_with_a_good_status() {
    at_each(json!({"kind": "empty"}), &[false, true], |_, _, heard| {
        assert!(heard.status() == "200" && heard.text.ends_with("\r\n\r\n"), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "empty_answer"}), &[false, true], |_, _, heard| {
        assert!(heard.status() == "200" && heard.whole() && !heard.says("1 2 3") && !heard.says(&token(1)));
        assert!(!heard.says("error"), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "garbage"}), &[false, true], |_, _, heard| {
        assert!(heard.status() == "200" && heard.says("text/html") && heard.says("<html>"), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "wrong_content_type"}), &[false, true], |_, stream, heard| {
        assert!(heard.says("text/plain") && heard.says(&if stream { token(3) } else { "1 2 3".into() }));
    })
    .await;
    at_each(json!({"kind": "not_sse"}), &[true], |_, _, heard| {
        assert!(heard.says("application/json") && heard.says("1 2 3") && !heard.says("data: "), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "invalid_json"}), &[false, true], |_, stream, heard| {
        assert!(heard.status() == "200" && heard.whole(), "{}", heard.text);
        let body = heard.text.split_once("\r\n\r\n").expect("a head").1;
        let broken = if stream {
            body.lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .any(|data| serde_json::from_str::<Value>(data).is_err())
        } else {
            serde_json::from_str::<Value>(body).is_err()
        };
        assert!(broken, "{body}");
    })
    .await;
}

#[tokio::test]
async fn too_much_is_too_much() {
    let sim = Sim::start("faulty", Protocol::OpenAi, json!({"faults": [{"kind": "endless"}]})).await;
    for stream in [false, true] {
        assert_eq!(hear(&sim, stream).await.end, End::TooMuch);
    }
    let fault = json!({"kind": "gigantic_event", "bytes": 1 << 20});
    at_each(fault, &[false, true], |_, _, heard| {
        assert!(heard.text.len() > 1 << 20 && heard.whole());
    })
    .await;
}

#[tokio::test]
async fn refusals_have_the_status_that_was_ordered_and_the_waiting_time_the_provider_would_tell() {
    let fault = json!({"kind": "status", "code": 429, "retry_after": 7});
    at_each(fault, &[false, true], |protocol, _, heard| {
        let wait = if protocol == Protocol::Gemini { "\"retryDelay\":\"7s\"" } else { "retry-after: 7\r\n" };
        assert!(heard.status() == "429" && heard.says(wait), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "status", "code": 503, "body": "html"}), &[false], |_, _, heard| {
        assert!(heard.status() == "503" && heard.says("text/html") && heard.says("Bad Gateway"), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "refuse_context"}), &[true], |protocol, _, heard| {
        let words = match protocol {
            Protocol::OpenAi => "context_length_exceeded",
            Protocol::Anthropic => "prompt is too long",
            Protocol::Gemini => "exceeds the maximum number of tokens",
        };
        assert!(heard.status() == "400" && heard.says(words), "{}", heard.text);
    })
    .await;
    at_each(json!({"kind": "content_policy"}), &[false, true], |protocol, _, heard| {
        let (status, words) = match protocol {
            Protocol::OpenAi => ("400", "content_policy_violation"),
            Protocol::Anthropic => ("400", "content filtering policy"),
            Protocol::Gemini => ("200", "\"blockReason\":\"PROHIBITED_CONTENT\""),
        };
        assert!(heard.status() == status && heard.says(words), "{}", heard.text);
    })
    .await;
}

#[tokio::test]
async fn limits_are_told_in_the_providers_own_headers() {
    let limits = json!({"requests_per_minute": 1, "tokens_per_minute": 1_000_000});
    for (protocol, headers) in [
        (Protocol::OpenAi, ["x-ratelimit-limit-requests: 1", "x-ratelimit-remaining-tokens: ", "retry-after: "]),
        (
            Protocol::Anthropic,
            ["anthropic-ratelimit-requests-limit: 1", "anthropic-ratelimit-tokens-reset: 2", "retry-after: "],
        ),
        (Protocol::Gemini, ["", "", "RetryInfo"]),
    ] {
        let sim = Sim::start("limited", protocol, limits.clone()).await;
        let first = hear(&sim, false).await;
        assert!(first.status() == "200" && headers[..2].iter().all(|header| first.says(header)), "{}", first.text);
        let second = hear(&sim, false).await;
        assert!(second.status() == "429" && headers.iter().all(|header| second.says(header)), "{}", second.text);
    }
}

#[tokio::test]
async fn control_changes_behaviour_and_shows_what_came_in() {
    let sim = Sim::start("north", Protocol::OpenAi, json!({"output_tokens": 5})).await;
    let control = format!("{}/_sim", sim.origin());
    let patch = |patch: Value| http().patch(format!("{control}/behaviour")).body(patch.to_string()).send();
    let patched = patch(json!({"answer": "changed"})).await.unwrap();
    let behaviour: Value = serde_json::from_slice(&patched.bytes().await.unwrap()).unwrap();
    assert_eq!((&behaviour["answer"], &behaviour["output_tokens"]), (&json!("changed"), &json!(5.0)));
    assert!(hear(&sim, false).await.says("\"changed\""));
    for wrong in [json!({"nonsense": 1}), json!({"servers": 0}), json!({"faults": [{"kind": "hang", "share": 2}]})] {
        let refused = patch(wrong.clone()).await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    assert!(hear(&sim, false).await.says("\"changed\""), "a refused change changes nothing");
    let seen = &sim.requests().await[1];
    assert_eq!((&seen["method"], &seen["uri"]), (&json!("POST"), &json!("/v1/chat/completions")));
    assert!(seen["body"].as_str().unwrap().contains("count to 9"), "{seen}");
    http().post(format!("{control}/reset")).send().await.unwrap();
    assert_eq!(sim.stats().await["requests"], json!({}));
    assert!(hear(&sim, false).await.says("1 2 3"));
}

#[tokio::test]
async fn calls_wait_for_a_server_and_the_queue_has_an_end() {
    let sim = Sim::start("busy", Protocol::Anthropic, json!({"servers": 1, "max_queue": 1, "ttft_ms": 60})).await;
    let (first, second, third) = tokio::join!(hear(&sim, false), hear(&sim, false), hear(&sim, false));
    let mut statuses = [first.status(), second.status(), third.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, ["200", "200", "529"]);
}

#[tokio::test]
async fn http_2_is_spoken_without_asking() {
    let sim = Sim::start("two", Protocol::OpenAi, json!({"token_ms": 1})).await;
    // The TLS provider that every client of this process wants.
    drop(http());
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let (path, body) = request(Protocol::OpenAi, true);
    let calls = (0..20).map(|_| {
        let call = client.post(format!("{}{path}", sim.origin())).body(body.to_string()).send();
        async { timeout(PATIENCE, async { call.await.unwrap().text().await.unwrap() }).await.unwrap() }
    });
    for text in futures_util::future::join_all(calls).await {
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    assert_eq!(sim.requests().await[0]["version"], "HTTP/2.0");
    assert_eq!(sim.stats().await["peak_in_flight"].as_u64().unwrap().clamp(2, 20), sim.stats().await["peak_in_flight"]);
}
