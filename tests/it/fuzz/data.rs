//! The data plane, asked with the tests' own requests in every dialect, spoilt a little: a caller
//! who makes a mistake is told so, and nothing else happens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pointsman::domain::provider::Protocol;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::Effort;
use super::generate::{spoil, spoil_bytes};
use super::question::{Answer, Line};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;

const KEY: &str = "pm-it";
/// One alias for each kind of provider.
const ALIASES: [&str; 4] = ["to-openai", "to-responses", "to-anthropic", "to-gemini"];

/// Healthy providers of every protocol.
async fn world() -> (Gateway, Vec<Sim>) {
    let mut config = ConfigText::new("").key("it", KEY, None).env("POINTSMAN_LOG", "error");
    let mut sims = Vec::new();
    for (alias, protocol) in
        ALIASES.into_iter().zip([Protocol::OpenAi, Protocol::OpenAi, Protocol::Anthropic, Protocol::Gemini])
    {
        let sim = Sim::start(&format!("sim-{alias}"), protocol, json!({"output_tokens": 3})).await;
        config = config.sim(&sim, if alias == "to-responses" { "responses_api = true" } else { "" });
        config = config.alias(alias, &[sim.name()], "");
        sims.push(sim);
    }
    (Gateway::start(&config).await, sims)
}

/// Paths and bodies that make sense.
fn bodies() -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("/v1/embeddings", json!({"model": "m", "input": ["a", "b"], "dimensions": 3})),
        ("/v1/embeddings", json!({"model": "m", "input": [[1, 2], [3]], "encoding_format": "base64"})),
        ("/v1/completions", json!({"model": "m", "prompt": "a", "max_tokens": 3, "stream": true, "stop": ["b"]})),
        ("/v1/moderations", json!({"model": "m", "input": "a"})),
        ("/v1/images/generations", json!({"model": "m", "prompt": "a", "n": 1})),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    for case in cases {
        for (file, paths) in [
            ("chat", &["/v1/chat/completions"][..]),
            ("messages", &["/v1/messages", "/v1/messages/count_tokens"]),
            ("responses", &["/v1/responses"]),
        ] {
            let Ok(text) = std::fs::read(case.join(file).with_extension("json")) else { continue };
            let body: Value = serde_json::from_slice(&text).expect("the golden files are JSON");
            all.extend(paths.iter().map(|path| (*path, body.clone())));
        }
    }
    all
}

/// One question, and what it says in words.
fn question(bodies: &[(&str, Value)], rng: &mut StdRng) -> (Request<Full<Bytes>>, String) {
    let (path, body) = bodies.choose(rng).expect("there are some");
    let mut body = body.clone();
    body["model"] = json!(ALIASES.choose(rng).expect("there are some"));
    if rng.random_range(0..3) == 0 {
        body["stream"] = json!(true);
    }
    for _ in 0..rng.random_range(0..3) {
        spoil(&mut body, rng);
    }
    let mut body = body.to_string().into_bytes();
    if rng.random_range(0..8) == 0 {
        spoil_bytes(&mut body, rng);
    }
    let mut request = Request::post(*path).header("content-type", "application/json");
    let mut told = format!("POST {path} ");
    if rng.random_range(0..12) > 0 {
        request = request.header("authorization", format!("Bearer {KEY}"));
    }
    let odd = [
        ("x-pointsman-only", "sim-to-openai,nobody"),
        ("x-pointsman-order", ",,,"),
        ("x-pointsman-max-attempts", "-1"),
        ("x-pointsman-timeout-ms", "99999999999999999999"),
        ("x-pointsman-category", "math"),
        ("anthropic-version", "\u{e9}"),
        ("anthropic-beta", "a,b"),
        ("traceparent", "00-zz-1-"),
        ("accept-encoding", "gzip"),
        ("expect", "200-maybe"),
    ];
    if rng.random_range(0..5) == 0
        && let Some((name, value)) = odd.choose(rng)
    {
        told = format!("{told}{name}: {value} ");
        request = request.header(*name, value.as_bytes());
    }
    told.push_str(&String::from_utf8_lossy(&body));
    (request.body(Full::new(body.into())).unwrap_or_else(|error| panic!("{error}: {told}")), told)
}

/// What is wrong with an answer, if anything is.
fn wrong(answer: &Answer) -> Result<(), String> {
    let (good, caller) = (answer.status.is_success(), answer.status.is_client_error());
    if !good && !caller {
        return Err("neither well nor the caller's fault".to_owned());
    }
    if answer.header("content-type").starts_with("text/event-stream") {
        let text = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
        return if text.ends_with("\n\n") { Ok(()) } else { Err("the last event is cut".to_owned()) };
    }
    // Of a binary answer, such as speech, nothing is known.
    if good && !answer.header("content-type").starts_with("application/json") {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("no JSON: {error}"))?;
    match body["error"]["message"].as_str() {
        Some(message) if caller && message.is_empty() => Err("an error without a word".to_owned()),
        None if caller => Err("an error that says nothing".to_owned()),
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_answered_by_a_fault_of_ours() {
    let (gateway, _sims) = world().await;
    let bodies = bodies();
    let effort = Effort::of(1500);
    let mut line = Line::to(&gateway.url(""));
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    let mut closed = 0;
    for case in 0..effort.cases {
        let (request, told) = question(&bodies, &mut effort.rng(case));
        let told = format!("FUZZ_SEED={} case {case}: {told:.2000}", effort.seed);
        let answer = line.ask(request).await.unwrap_or_else(|error| panic!("{error}\n{told}\n{}", gateway.log()));
        let checked = wrong(&answer);
        assert!(checked.is_ok(), "{}\n{told}\n{}", checked.unwrap_err(), answer.shown());
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
        closed += usize::from(answer.header("connection") == "close");
    }
    println!("answers by status: {statuses:?}");
    assert!(line.made <= 1 + closed, "the connection was closed {} times without a word", line.made - 1 - closed);
    assert!(statuses[&200] * 5 > effort.cases && statuses[&400] * 20 > effort.cases, "{statuses:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    // Nobody's mistakes have kept others from being served.
    for (at, alias) in ALIASES.into_iter().enumerate() {
        let body = json!({"model": alias, "messages": [{"role": "user", "content": "hello"}]}).to_string();
        let request = Request::post("/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json").body(Full::new(body.into()));
        let answer = line.ask(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status, 200, "{at} {alias}: {}", answer.shown());
    }
}
