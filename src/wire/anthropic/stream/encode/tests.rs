use super::*;
use crate::wire::anthropic::stream::StreamDecoder;
use crate::wire::error::ErrorKind;
use bytes::Bytes;
use proptest::prelude::*;

fn meta() -> ReplyMeta {
    ReplyMeta { id: "1".into(), created: 0, model: "alias".into(), stream_usage: false }
}

fn written(events: &[Event]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(meta());
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    encoder.end(&mut out);
    out
}

fn frames(bytes: &[u8]) -> Vec<Bytes> {
    let mut framer = crate::wire::sse::Framer::new(1 << 20);
    framer.push(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
}

fn data(bytes: &[u8]) -> Vec<Value> {
    let parse = |frame: &Bytes| {
        let event = crate::wire::sse::parse(frame);
        let data: Value = serde_json::from_slice(event.data()).unwrap();
        assert_eq!(data["type"], event.name.as_ref());
        data
    };
    frames(bytes).iter().map(parse).collect()
}

/// The events that our own decoder reads, without start and counts.
fn read_back(bytes: &[u8]) -> Vec<Event> {
    let mut decoder = StreamDecoder::new();
    let mut out = Vec::new();
    for frame in frames(bytes) {
        decoder.decode(&frame, &mut out).unwrap();
    }
    decoder.end(&mut out).unwrap();
    out.retain(|event| !matches!(event, Event::Start { .. } | Event::Usage(_)));
    out
}

fn call(index: u32) -> Event {
    Event::ToolCall { index, id: format!("t{index}"), name: "f".into(), seal: None }
}

fn args(index: u32, json: &str) -> Event {
    Event::ToolArguments { index, json: json.into() }
}

#[test]
fn a_stream_in_order() {
    let seal = Seal { origin: SealOrigin::AnthropicSignature, data: "s".into() };
    let events = [
        Event::Start { id: "x".into(), model: "gpt".into() },
        Event::Reasoning("hm".into()),
        Event::ReasoningSeal(seal),
        Event::Text("so".into()),
        call(0),
        args(0, "{\"a\":"),
        args(0, "1}"),
        Event::Finish(Finish::ToolCalls),
        Event::Usage(TokenUsage { input: 9, output: 3, ..TokenUsage::default() }),
    ];
    let bytes = written(&events);
    let kinds: Vec<String> =
        data(&bytes).iter().map(|d| d["type"].as_str().unwrap().replace("content_block_", "")).collect();
    assert_eq!(
        kinds,
        [
            "message_start",
            "start",
            "delta",
            "delta",
            "stop",
            "start",
            "delta",
            "stop",
            "start",
            "delta",
            "delta",
            "stop",
            "message_delta",
            "message_stop"
        ]
    );
    let data = data(&bytes);
    assert_eq!(data[0]["message"]["id"], "msg_1");
    assert_eq!(data[0]["message"]["model"], "gpt");
    let last = &data[12];
    assert_eq!((&last["delta"]["stop_reason"], &last["usage"]["input_tokens"]), (&json!("tool_use"), &json!(9)));
    assert_eq!(read_back(&bytes), events[1..8]);
}

#[test]
fn an_empty_answer_is_a_whole_stream() {
    let kinds: Vec<_> = data(&written(&[])).iter().map(|d| d["type"].clone()).collect();
    assert_eq!(kinds, ["message_start", "message_delta", "message_stop"]);
}

#[test]
fn interleaved_calls_come_out_one_after_the_other() {
    let bytes = written(&[
        call(0),
        call(1),
        args(1, "{\"b\""),
        args(0, "{\"a\":\"}\""),
        Event::Text("and".into()),
        args(1, ":2}"),
        args(0, "}"),
        call(2),
        Event::Finish(Finish::Stop),
    ]);
    assert_eq!(
        read_back(&bytes),
        [
            call(0),
            args(0, "{\"a\":\"}\""),
            args(0, "}"),
            call(1),
            args(1, "{\"b\""),
            args(1, ":2}"),
            Event::Text("and".into()),
            call(2),
            args(2, "{}"),
            Event::Finish(Finish::ToolCalls),
        ]
    );
}

#[test]
fn thinking_nobody_sealed_and_state_of_calls_are_marked() {
    let seal = Seal { origin: SealOrigin::Gemini, data: "g".into() };
    let with_seal = Event::ToolCall { index: 0, id: "t".into(), name: "f".into(), seal: Some(seal) };
    let data = data(&written(&[Event::Reasoning("hm".into()), with_seal]));
    assert_eq!(data[3]["delta"], json!({"type": "signature_delta", "signature": "pmseal.none."}));
    assert_eq!(data[5]["content_block"], json!({"type": "redacted_thinking", "data": "pmseal.gemini.g"}));
    assert_eq!(data[7]["content_block"]["type"], "tool_use");
}

#[test]
fn an_error_is_the_end() {
    let error = ErrorBody { status: 503, kind: ErrorKind::Overloaded, message: "m".into(), code: None, param: None };
    let mut encoder = StreamEncoder::new(meta());
    let mut out = Vec::new();
    encoder.encode(&Event::Text("a".into()), &mut out);
    encoder.error(&error, &mut out);
    encoder.encode(&Event::Text("b".into()), &mut out);
    encoder.end(&mut out);
    let data = data(&out);
    assert_eq!(data.last().unwrap()["error"], json!({"type": "overloaded_error", "message": "m"}));
}

fn any_event() -> impl Strategy<Value = Event> {
    let seal = prop_oneof![Just(SealOrigin::Gemini), Just(SealOrigin::AnthropicRedacted)];
    prop_oneof![
        "[a-z]{0,2}".prop_map(Event::Text),
        "[a-z]{0,2}".prop_map(Event::Reasoning),
        seal.prop_map(|origin| Event::ReasoningSeal(Seal { origin, data: "d".into() })),
        (0..3u32).prop_map(call),
        (0..3u32, "[{}\"a\\\\]{0,3}").prop_map(|(index, json)| Event::ToolArguments { index, json }),
    ]
}

proptest! {
    #[test]
    fn blocks_open_and_close_in_pairs_whatever_comes(events in prop::collection::vec(any_event(), 0..30)) {
        let (mut open, mut next) = (None, 0);
        for data in data(&written(&events)) {
            match data["type"].as_str().unwrap() {
                "content_block_start" => {
                    prop_assert_eq!(open, None);
                    prop_assert_eq!(&data["index"], next);
                    open = Some(next);
                    next += 1;
                }
                "content_block_delta" => prop_assert_eq!(data["index"].as_i64(), open),
                "content_block_stop" => prop_assert_eq!(data["index"].as_i64(), open.take()),
                _ => prop_assert_eq!(open, None),
            }
        }
    }
}
