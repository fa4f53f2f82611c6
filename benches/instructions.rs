//! How many instructions do the parts of a request take? `cargo bench --bench instructions`.
//!
//! Unlike time, the count is the same on a busy machine and on a quiet one, so a change shows
//! that costs a hundredth. It runs itself under valgrind's callgrind, each part some times and
//! many times more; the difference, divided, is what one takes. A processor that knows AVX-512
//! or SHA-256 needs fewer than valgrind's, which does not.
//!
//! `cargo bench --bench proxy -- --instructions` counts a whole request.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use pointsman::classifier::Classifier;
use pointsman::clock::Clock;
use pointsman::config;
use pointsman::domain::category::{BuiltIn, CategoryKind, CategoryScheme, CategorySpec, Tier};
use pointsman::domain::conversation::Conversation;
use pointsman::domain::feature::FeatureSet;
use pointsman::domain::ids::{CategoryName, EndpointIdx, Revision};
use pointsman::domain::provider::{OpenAiQuirks, OutputLimitField, Protocol};
use pointsman::domain::spent::Spent;
use pointsman::domain::time::UnixMillis;
use pointsman::domain::usage::TokenUsage;
use pointsman::live::{Draft, KeyRing, Live};
use pointsman::routing::facts::Fit;
use pointsman::routing::{Narrowing, Query, RequestFacts, rank};
use pointsman::stats::{Ask, End};
use pointsman::wire::meta::{EncodeFor, ReplyMeta};
use pointsman::wire::relay::Relay;
use pointsman::wire::{Dialect, anthropic, openai};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// What is counted: its name, and what one time of it is.
type Part = (&'static str, fn(u32));

const PARTS: [Part; 10] = [
    ("decision, lowest-latency over 8 targets, with the reading of them", decision),
    ("recording of a stream: begin, first token, end", recording),
    ("peek at 0.5 KB", |times| peek(512, times)),
    ("peek at 100 KB", |times| peek(100_000, times)),
    ("a look at an answer of 1 KB", answer),
    ("translation of a request of 0.5 KB to Anthropic's protocol", translation),
    ("an event of a stream that passes through", |times| stream(false, times)),
    ("an event of a stream translated from Anthropic's protocol", |times| stream(true, times)),
    ("classification of 25 words", |times| classification(25, times)),
    ("classification of 1,000 words", |times| classification(1000, times)),
];

/// Times that each part is run: what differs between both is a hundred times the part.
const TIMES: [u32; 2] = [20, 120];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it starts.
    if args.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let [flag, part, times] = args.as_slice()
        && flag == "--part"
    {
        let (_, run) = PARTS[part.parse::<usize>()?];
        run(times.parse()?);
        return Ok(());
    }
    println!("| | instructions |\n|---|---:|");
    for (at, (name, _)) in PARTS.iter().enumerate() {
        let [few, many] = [counted(at, TIMES[0])?, counted(at, TIMES[1])?];
        println!("| {name} | {:.0} |", (many - few) / f64::from(TIMES[1] - TIMES[0]));
    }
    Ok(())
}

/// The instructions of a process that runs a part so many times.
fn counted(part: usize, times: u32) -> anyhow::Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?);
    command.args(["--part", &part.to_string(), &times.to_string()]).stdout(Stdio::null());
    let output = command.output().map_err(|error| anyhow::anyhow!("valgrind cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected : ")).and_then(|(_, n)| n.trim().parse().ok());
    collected.ok_or_else(|| anyhow::anyhow!("valgrind counted nothing: {said}"))
}

fn fleet() -> Live {
    let (mut text, mut list) = (String::new(), String::new());
    for at in 0..8 {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n\
             [[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n"
        );
        let _ = write!(list, "{{ model = \"p{at}/m\" }}, ");
    }
    let _ = write!(text, "[[aliases]]\nname = \"bench\"\nstrategy = \"lowest-latency\"\ntargets = [{list}]\n");
    let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let config = config::parse(&text, &|_| None, &files).unwrap_or_else(|problems| panic!("{problems}"));
    let draft = Draft {
        revision: Revision(1),
        catalog: config.catalog,
        projects: config.projects,
        keys: KeyRing::default(),
        limits: config.server.limits,
        open: true,
    };
    Live::new(draft, &|_| Spent::default(), Clock::new(), None).unwrap_or_else(|error| panic!("{error}"))
}

const START: u64 = 1_000_000_000_000;

fn record(live: &Live, at: u64) {
    let now = UnixMillis(START + at * 100);
    let ask = Ask { prompt_tokens: 1000, output_tokens: 100, stream: true, ..Ask::default() };
    // Fits: there are eight.
    let view = live.view();
    let endpoint = view.endpoint(EndpointIdx((at % 8) as u32));
    if let Ok(mut ticket) = endpoint.change(now, |stats| stats.begin(&ask, now)) {
        endpoint.change(now, |stats| stats.first_token(&mut ticket, Duration::from_millis(200 + at % 8 * 20), now));
        let usage = TokenUsage { input: 1000, output: 100, ..TokenUsage::default() };
        let end = End { usage, pieces: 100, elapsed: Duration::from_secs(1), ..End::default() };
        endpoint.change(now, |stats| stats.end(ticket, &end, now, 0.5));
    }
}

fn recording(times: u32) {
    let live = fleet();
    (0..u64::from(times)).for_each(|at| record(&live, at));
}

fn decision(times: u32) {
    let live = fleet();
    (0..400).for_each(|at| record(&live, at));
    let (view, now) = (live.view(), UnixMillis(START + 40_000));
    let idx = view.catalog.alias_by_name["bench"];
    let able = Some(FeatureSet::EMPTY);
    let fit = Fit { openai: able, openai_responses: able, anthropic: able, gemini: able };
    let facts = RequestFacts { fit, prompt_tokens: 1000, stream: true, ..RequestFacts::default() };
    let (narrowing, alias) = (Narrowing::default(), view.catalog.alias(idx));
    for seed in 0..u64::from(times) {
        let snapshot = view.snapshot(idx, &facts, &view.operator(), now);
        let query = Query { catalog: &view.catalog, alias, facts: &facts, narrowing: &narrowing, now };
        black_box(rank(&query, &snapshot, &mut StdRng::seed_from_u64(seed)));
    }
}

fn chat(bytes: usize) -> Bytes {
    let words = "The \"quick\" brown fox jumps\nover the lazy dog. ".repeat(bytes / 48);
    let messages =
        json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": words}]);
    json!({"model": "prod-chat", "messages": messages, "max_tokens": 64, "temperature": 0.7}).to_string().into()
}

fn peek(bytes: usize, times: u32) {
    let body = chat(bytes);
    (0..times).for_each(|_| drop(black_box(openai::request::peek(&body))));
}

fn answer(times: u32) {
    let message = json!({"role": "assistant", "content": "x".repeat(700)});
    let body = json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": "mock",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    });
    let body = body.to_string();
    (0..times).for_each(|_| drop(black_box(openai::inspect_answer(body.as_bytes()))));
}

fn translation(times: u32) {
    let body = chat(512);
    let quirks =
        OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxCompletionTokens };
    let to = EncodeFor { model: "mock", max_output_tokens: Some(4096), quirks, drop_unsupported: false };
    for _ in 0..times {
        let Ok(chat) = openai::request::decode_request(&body) else { panic!("a good request") };
        drop(black_box(anthropic::request::encode_request(&chat, &to)));
    }
}

fn stream(translated: bool, times: u32) {
    let openai = |delta: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null});
        format!("data: {}\n\n", json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "choices": [choice]}))
    };
    let anthropic = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    let meta =
        ReplyMeta { id: "0123456789abcdef".into(), created: 1_700_000_000, model: "mock".into(), stream_usage: false };
    let (mut relay, first, token) = if translated {
        let delta =
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " token"}});
        let message = json!({"id": "msg_bench", "role": "assistant", "model": "mock", "usage": {"input_tokens": 9}});
        let first = anthropic(json!({"type": "message_start", "message": message}))
            + &anthropic(
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            );
        let relay = Relay::translated(Protocol::Anthropic, Dialect::ChatCompletions, meta, None, 1 << 20);
        (relay, first, anthropic(delta))
    } else {
        (
            Relay::native(Dialect::ChatCompletions, 1 << 20, true),
            openai(json!({"role": "assistant"})),
            openai(json!({"content": " token"})),
        )
    };
    let token = Bytes::from(token);
    let mut push = |chunk: Bytes| {
        if let Err(failure) = relay.push(chunk) {
            panic!("{failure:?}");
        }
        black_box(relay.take_out());
    };
    push(first.into());
    (0..times).for_each(|_| push(token.clone()));
}

fn classification(words: usize, times: u32) {
    let Ok(classifier) = Classifier::shipped() else { panic!("the weights are those of the manifest") };
    let spec = |category: BuiltIn| CategorySpec {
        name: CategoryName::new(category.as_str()),
        kind: CategoryKind::BuiltIn(category),
        threshold: None,
        margin: None,
    };
    let categories = BuiltIn::ALL.into_iter().map(spec).collect();
    let sorter = classifier.sorter(&CategoryScheme { categories, tier: Tier::Cascade, budget: Duration::ZERO });
    let text = "please explain to me how the function below works and what it costs to call it".split(' ').cycle();
    let prompt = Conversation::prompt(&text.take(words).collect::<Vec<_>>().join(" "));
    (0..times).for_each(|_| drop(black_box(sorter.fast(&prompt))));
}
