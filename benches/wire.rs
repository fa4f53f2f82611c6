//! What do the protocols cost? Reading the few fields of a body, changing the model's
//! name, translating a request, and passing a stream on, with the allocations each makes.
//! `cargo bench --bench wire`.

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use pointsman::domain::provider::{OpenAiQuirks, OutputLimitField, Protocol};
use pointsman::wire::meta::{EncodeFor, ReplyMeta};
use pointsman::wire::relay::Relay;
use pointsman::wire::sse::Framer;
use pointsman::wire::{Dialect, anthropic, openai, splice};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Bytes of a request.
const BODIES: [usize; 2] = [512, 100_000];
/// Pieces of content in a stream.
const TOKENS: usize = 1000;
const MAX_EVENT: usize = 1 << 20;

fn main() {
    divan::main();
}

/// The fields that routing needs.
#[divan::bench(args = BODIES)]
fn peek(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = chat(bytes);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| openai::request::peek(&body));
}

/// Another model's name in an otherwise untouched body.
#[divan::bench(args = BODIES)]
fn replace_model(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = chat(bytes);
    let Ok(span) = splice::model_span(&body) else { panic!("the body has a model") };
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| splice::replace_model(&body, &span, "mock-large-2026-01-01"));
}

/// A request from OpenAI's dialect to Anthropic's protocol.
#[divan::bench(args = BODIES)]
fn translate_request(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = chat(bytes);
    let quirks =
        OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxCompletionTokens };
    let to = EncodeFor { model: "mock", max_output_tokens: Some(4096), quirks, drop_unsupported: false };
    bencher.counter(BytesCount::new(bytes)).bench_local(|| match openai::request::decode_request(&body) {
        Ok(chat) => anthropic::request::encode_request(&chat, &to),
        Err(bad) => panic!("{bad}"),
    });
}

/// Finding where events end, for each event.
#[divan::bench]
fn frame_events(bencher: Bencher<'_, '_>) {
    let events = openai_stream();
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        let mut framer = Framer::new(MAX_EVENT);
        for event in &events {
            framer.push(event.clone());
            while let Ok(Some(frame)) = framer.next_frame() {
                divan::black_box(frame);
            }
        }
    });
}

/// A whole stream that passes through, for each event.
#[divan::bench]
fn relay_native(bencher: Bencher<'_, '_>) {
    let events = openai_stream();
    bencher
        .counter(ItemsCount::new(events.len()))
        .bench_local(|| through(Relay::native(Dialect::ChatCompletions, MAX_EVENT, true), &events));
}

/// A whole stream from Anthropic's protocol to OpenAI's dialect, for each event.
#[divan::bench]
fn relay_translated(bencher: Bencher<'_, '_>) {
    let events = anthropic_stream();
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        let meta = ReplyMeta {
            id: "0123456789abcdef".into(),
            created: 1_700_000_000,
            model: "mock".into(),
            stream_usage: false,
        };
        through(Relay::translated(Protocol::Anthropic, Dialect::ChatCompletions, meta, None, MAX_EVENT), &events);
    });
}

fn through(mut relay: Relay, events: &[Bytes]) {
    for event in events {
        if let Err(failure) = relay.push(event.clone()) {
            panic!("{failure:?}");
        }
        divan::black_box(relay.take_out());
    }
    assert!(relay.ended());
}

fn chat(bytes: usize) -> Bytes {
    let chat = |text: &str| {
        json!({
            "model": "prod-chat",
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": text},
            ],
            "max_tokens": 64,
            "temperature": 0.7,
        })
        .to_string()
    };
    let words = "The \"quick\" brown fox jumps\nover the lazy dog. ".repeat(bytes / 48);
    chat(&words).into()
}

fn openai_stream() -> Vec<Bytes> {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({
            "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "mock",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    events.extend((0..TOKENS).map(|_| chunk(json!({"content": " token"}), Value::Null)));
    events.push(chunk(json!({}), json!("stop")));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn anthropic_stream() -> Vec<Bytes> {
    let event =
        |event: Value| Bytes::from(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()));
    let mut events = vec![
        event(json!({"type": "message_start", "message": {
            "id": "msg_bench", "type": "message", "role": "assistant", "model": "mock", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 100, "output_tokens": 1}
        }})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
    ];
    let token = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " token"}});
    events.extend((0..TOKENS).map(|_| event(token.clone())));
    events.extend([
        event(json!({"type": "content_block_stop", "index": 0})),
        event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 1000}})),
        event(json!({"type": "message_stop"})),
    ]);
    events
}
