//! What the stream encoder writes, as a client's reader gets it.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::echo::echo;
use super::*;
use crate::wire::chat::SealOrigin;
use crate::wire::error::ErrorKind;
use crate::wire::sse;

fn encoder() -> StreamEncoder {
    let meta = ReplyMeta { id: "abc".into(), created: 7, model: "alias".into(), stream_usage: false };
    StreamEncoder::new(meta, echo(br#"{"temperature":0.5}"#))
}

/// The JSON of each frame; checks what holds of every stream.
fn frames(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let frames: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|frame| {
            let event = sse::parse(frame.as_bytes());
            let json: Value = serde_json::from_slice(event.data()).unwrap();
            assert_eq!(json["type"], event.name.as_ref());
            json
        })
        .collect();
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_number"], json!(i));
    }
    frames
}

fn streamed(events: &[Event]) -> Vec<Value> {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    encoder.end(&mut out);
    frames(&out)
}

/// Types without `response.`, and where they belong.
fn story(frames: &[Value]) -> String {
    let mut story = String::new();
    for frame in frames {
        let kind = frame["type"].as_str().unwrap_or_default().trim_start_matches("response.");
        let _ = write!(story, "{kind}");
        for name in ["output_index", "content_index", "summary_index"] {
            if let Some(index) = frame[name].as_u64() {
                let _ = write!(story, " {index}");
            }
        }
        for name in ["delta", "text", "refusal", "arguments"] {
            if let Some(text) = frame[name].as_str() {
                let _ = write!(story, " {text}");
            }
        }
        story.push('\n');
    }
    story
}

fn start() -> Event {
    Event::Start { id: "up".into(), model: "m-1".into() }
}

fn call(index: u32, id: &str, seal: Option<Seal>) -> Event {
    Event::ToolCall { index, id: id.into(), name: "f".into(), seal }
}

fn arguments(index: u32, json: &str) -> Event {
    Event::ToolArguments { index, json: json.into() }
}

#[test]
fn text_opens_and_closes_in_pairs() {
    let usage = TokenUsage { input: 3, output: 2, ..TokenUsage::default() };
    let frames = streamed(&[
        start(),
        Event::Text("a".into()),
        Event::Text(String::new()),
        Event::Text("b".into()),
        Event::Finish(Finish::Stop),
        Event::Usage(usage),
    ]);
    assert_eq!(
        story(&frames),
        "created\nin_progress\noutput_item.added 0\ncontent_part.added 0 0\noutput_text.delta 0 0 a\n\
         output_text.delta 0 0 b\noutput_text.done 0 0 ab\ncontent_part.done 0 0\noutput_item.done 0\ncompleted\n"
    );
    assert_eq!(frames[0]["response"]["status"], "in_progress");
    assert_eq!(frames[0]["response"]["temperature"], json!(0.5));
    assert_eq!(frames[2]["item"]["status"], "in_progress");
    let response = &frames[9]["response"];
    assert_eq!((&response["id"], &response["model"]), (&json!("resp_abc"), &json!("m-1")));
    assert_eq!(response["output"][0], frames[8]["item"]);
    assert_eq!(response["output"][0]["content"][0]["text"], "ab");
    assert_eq!(response["usage"]["total_tokens"], json!(5));
}

#[test]
fn reasoning_ends_with_its_seal_or_with_what_follows() {
    let seal = Seal { origin: SealOrigin::AnthropicSignature, data: "s".into() };
    let frames = streamed(&[
        start(),
        Event::Reasoning("h".into()),
        Event::Reasoning("m".into()),
        Event::ReasoningSeal(seal),
        Event::ReasoningSeal(Seal { origin: SealOrigin::AnthropicRedacted, data: "r".into() }),
        Event::Reasoning("again".into()),
        Event::Text("a".into()),
        Event::Finish(Finish::Stop),
    ]);
    assert_eq!(
        story(&frames[2..16]),
        "output_item.added 0\nreasoning_summary_part.added 0 0\nreasoning_summary_text.delta 0 0 h\n\
         reasoning_summary_text.delta 0 0 m\nreasoning_summary_text.done 0 0 hm\nreasoning_summary_part.done 0 0\n\
         output_item.done 0\noutput_item.added 1\noutput_item.done 1\noutput_item.added 2\n\
         reasoning_summary_part.added 2 0\nreasoning_summary_text.delta 2 0 again\n\
         reasoning_summary_text.done 2 0 again\nreasoning_summary_part.done 2 0\n"
    );
    let output = &frames[frames.len() - 1]["response"]["output"];
    assert_eq!(output[0]["encrypted_content"], "pmseal.anthropic.s");
    assert_eq!(output[1]["encrypted_content"], "pmseal.redacted.r");
    assert_eq!((&output[2]["encrypted_content"], &output[3]["type"]), (&Value::Null, &json!("message")));
}

#[test]
fn calls_may_interleave() {
    let frames = streamed(&[
        start(),
        Event::Text("so".into()),
        call(0, "c0", Some(Seal { origin: SealOrigin::Gemini, data: "g".into() })),
        arguments(0, "{\"a\":"),
        call(1, "c1", None),
        arguments(1, "{}"),
        arguments(0, "1}"),
        Event::Finish(Finish::ToolCalls),
    ]);
    let output = &frames[frames.len() - 1]["response"]["output"];
    assert_eq!(output[0]["status"], "completed");
    assert_eq!(output[1]["encrypted_content"], "pmseal.gemini.g");
    let call = |id: &str, n: usize, arguments: &str| {
        json!({"type": "function_call", "id": format!("fc_abc_{n}"), "status": "completed",
        "call_id": id, "name": "f", "arguments": arguments})
    };
    assert_eq!((&output[2], &output[3]), (&call("c0", 2, "{\"a\":1}"), &call("c1", 3, "{}")));
    assert!(story(&frames).ends_with(
        "function_call_arguments.delta 2 1}\nfunction_call_arguments.done 2 {\"a\":1}\noutput_item.done 2\n\
         function_call_arguments.done 3 {}\noutput_item.done 3\ncompleted\n"
    ));
}

#[test]
fn a_refusal_after_text_is_another_part_of_the_message() {
    let frames =
        streamed(&[start(), Event::Text("a".into()), Event::Refusal("no".into()), Event::Finish(Finish::Refusal)]);
    assert_eq!(
        story(&frames[4..]),
        "output_text.delta 0 0 a\noutput_text.done 0 0 a\ncontent_part.done 0 0\ncontent_part.added 0 1\n\
         refusal.delta 0 1 no\nrefusal.done 0 1 no\ncontent_part.done 0 1\noutput_item.done 0\ncompleted\n"
    );
}

#[test]
fn a_cut_answer_is_incomplete() {
    let frames = streamed(&[start(), Event::Text("a".into()), Event::Finish(Finish::Length)]);
    let last = &frames[frames.len() - 1];
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.incomplete"), &json!("incomplete")));
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    let frames = streamed(&[start(), Event::Finish(Finish::Refusal)]);
    assert_eq!(frames[2]["response"]["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn an_error_ends_the_stream_for_every_sort_of_reader() {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    encoder.encode(&start(), &mut out);
    encoder.encode(&Event::Text("a".into()), &mut out);
    encoder.encode(&call(0, "c", None), &mut out);
    let error = ErrorBody {
        status: 502,
        kind: ErrorKind::BadGateway,
        message: "broke".into(),
        code: Some("broken_stream"),
        param: None,
    };
    encoder.error(&error, &mut out);
    encoder.end(&mut out);
    encoder.error(&error, &mut out);
    let frames = frames(&out);
    let [.., raised, failed] = frames.as_slice() else { panic!("too short") };
    assert_eq!(
        raised,
        &json!({"type": "error", "sequence_number": frames.len() - 2, "code": "broken_stream", "message": "broke", "param": null,
            "error": {"message": "broke", "type": "server_error", "param": null, "code": "broken_stream"}})
    );
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"], json!({"code": "server_error", "message": "broke"}));
    assert_eq!(failed["response"]["output"][1]["status"], "incomplete");
}

#[test]
fn usage_only_grows() {
    let usage = |input, output| Event::Usage(TokenUsage { input, output, ..TokenUsage::default() });
    let frames = streamed(&[start(), usage(9, 1), usage(0, 5), Event::Finish(Finish::Stop)]);
    assert_eq!(frames[2]["response"]["usage"]["total_tokens"], json!(14));
}

fn any_event() -> impl Strategy<Value = Event> {
    let seal = prop::option::of("[a-z]{1,3}".prop_map(|data| Seal { origin: SealOrigin::Gemini, data }));
    prop_oneof![
        "[a-c]{0,2}".prop_map(Event::Text),
        "[a-c]{0,2}".prop_map(Event::Refusal),
        "[a-c]{0,2}".prop_map(Event::Reasoning),
        "[a-c]{1,2}".prop_map(|data| Event::ReasoningSeal(Seal { origin: SealOrigin::AnthropicSignature, data })),
        (0u32..3, seal).prop_map(|(index, seal)| call(index, &format!("c{index}"), seal)),
        (0u32..3, "[{}0-9]{0,2}").prop_map(|(index, json)| arguments(index, &json)),
    ]
}

proptest! {
    /// Every item is opened once, closed once, and what its deltas say is what the end says.
    #[test]
    fn whatever_comes_the_end_is_the_sum_of_the_deltas(events in prop::collection::vec(any_event(), 0..20)) {
        let frames = streamed(&events);
        let output = frames[frames.len() - 1]["response"]["output"].as_array().unwrap().clone();
        let of = |kind: &str| frames.iter().filter(|f| f["type"] == kind).cloned().collect::<Vec<_>>();
        let (added, done) = (of("response.output_item.added"), of("response.output_item.done"));
        prop_assert_eq!(added.len(), output.len());
        prop_assert_eq!(done.len(), output.len());
        for (i, item) in output.iter().enumerate() {
            prop_assert_eq!(&added[i]["output_index"], &json!(i));
            prop_assert_eq!(&added[i]["item"]["id"], &item["id"]);
            prop_assert!(done.iter().any(|d| d["output_index"] == json!(i) && &d["item"] == item));
            let deltas: String = frames.iter()
                .filter(|f| f["output_index"] == json!(i))
                .filter_map(|f| f["delta"].as_str())
                .collect();
            let list = |field: &str, texts: [&str; 2]| item[field].as_array().into_iter().flatten()
                .flat_map(|part| texts.map(|name| part[name].as_str().unwrap_or_default().to_owned()))
                .collect::<String>();
            let said = list("content", ["text", "refusal"]) + &list("summary", ["text", ""])
                + item["arguments"].as_str().unwrap_or_default();
            prop_assert_eq!(said, deltas);
        }
    }
}
