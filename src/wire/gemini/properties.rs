//! What holds of the decoder whatever a provider sends: valid streams, damaged ones, and
//! bytes cut anywhere.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{StreamDecoder, blocked, decode_response, encode_request};
use crate::domain::provider::{OpenAiQuirks, OutputLimitField};
use crate::wire::chat::{ChatRequest, ChatResponse, Message, Part, Role};
use crate::wire::error::Malformed;
use crate::wire::event::Event;
use crate::wire::meta::EncodeFor;
use crate::wire::sse::Framer;

/// A part as the API sends it.
fn part() -> impl Strategy<Value = Value> {
    let signature = prop::option::of("[A-Za-z0-9+/]{1,12}=?");
    let body = prop_oneof![
        4 => ".{0,8}".prop_map(|text| json!({"text": text})),
        2 => ".{0,8}".prop_map(|text| json!({"text": text, "thought": true})),
        2 => ("[a-z]{1,4}", "\\PC{0,6}", prop::option::of("[a-z0-9]{1,6}")).prop_map(|(name, value, id)| {
            json!({"functionCall": {"id": id, "name": name, "args": {"x": [1, value]}}})
        }),
        1 => Just(json!({"executableCode": {"language": "PYTHON", "code": "1"}})),
    ];
    (body, signature).prop_map(|(mut body, signature)| {
        if let Some(signature) = signature {
            body["thoughtSignature"] = json!(signature);
        }
        body
    })
}

/// The events of a stream that ends as it should.
fn stream() -> impl Strategy<Value = Vec<Value>> {
    let chunk = (prop::collection::vec(part(), 0..3), 0u64..50).prop_map(|(parts, tokens)| {
        json!({
            "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": tokens, "thoughtsTokenCount": 2},
            "modelVersion": "gemini-x", "responseId": "abc"
        })
    });
    prop::collection::vec(chunk, 1..6).prop_map(|mut chunks| {
        if let Some(last) = chunks.last_mut() {
            last["candidates"][0]["finishReason"] = json!("MAX_TOKENS");
        }
        chunks
    })
}

fn bytes_of(chunks: &[Value]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| format!("data: {chunk}\r\n\r\n").into_bytes()).collect()
}

/// Everything that comes out of a stream, and how it ended.
fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Result<(), Malformed>) {
    let mut framer = Framer::new(1 << 20);
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = framer.next_frame().unwrap() {
            if let Err(error) = decoder.decode(&frame, &mut events) {
                return (events, Err(error));
            }
        }
    }
    let ended = decoder.decode(&framer.take_rest(), &mut events).and_then(|()| decoder.end(&mut events));
    (events, ended)
}

/// Fails where the events are not in the order that [`Event`] promises.
fn check_order(events: &[Event], ended: &Result<(), Malformed>) -> Result<(), TestCaseError> {
    let (mut started, mut finished, mut failed, mut calls) = (false, false, false, 0);
    for event in events {
        prop_assert!(!failed, "nothing follows an error: {events:?}");
        prop_assert!(!finished || matches!(event, Event::Usage(_)), "{events:?}");
        match event {
            Event::Start { .. } => prop_assert!(!std::mem::replace(&mut started, true)),
            Event::Usage(_) => {}
            Event::Error(_) => failed = true,
            Event::Finish(_) => finished = true,
            Event::ToolCall { index, id, name, .. } => {
                prop_assert!(started && *index == calls && !id.is_empty() && !name.is_empty(), "{events:?}");
                calls += 1;
            }
            Event::ToolArguments { index, json } => {
                prop_assert_eq!(*index + 1, calls);
                prop_assert!(serde_json::from_str::<Value>(json).is_ok());
            }
            Event::Text(text) | Event::Refusal(text) | Event::Reasoning(text) => {
                prop_assert!(started && !text.is_empty(), "{events:?}");
            }
            Event::ReasoningSeal(seal) => prop_assert!(started && !seal.data.is_empty(), "{events:?}"),
        }
    }
    prop_assert!(ended.is_err() || finished || failed, "an end is told or refused: {events:?}");
    Ok(())
}

/// Replaces one value somewhere in a tree, or removes it.
fn damage(value: &mut Value, path: &[Index], with: &Option<Value>) {
    let Some((here, deeper)) = path.split_first() else {
        *value = with.clone().unwrap_or(Value::Null);
        return;
    };
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            let at = here.index(elements.len());
            damage(&mut elements[at], deeper, with);
        }
        Value::Object(fields) if !fields.is_empty() => {
            let name = fields.keys().nth(here.index(fields.len())).cloned().unwrap_or_default();
            if with.is_none() && deeper.is_empty() {
                fields.remove(&name);
            } else if let Some(field) = fields.get_mut(&name) {
                damage(field, deeper, with);
            }
        }
        _ => *value = with.clone().unwrap_or(Value::Null),
    }
}

fn strange() -> impl Strategy<Value = Option<Value>> {
    prop::sample::select(vec![
        None,
        Some(Value::Null),
        Some(json!("")),
        Some(json!("STOP")),
        Some(json!("SAFETY")),
        Some(json!(0)),
        Some(json!(-1)),
        Some(json!(u64::MAX)),
        Some(json!(1e300)),
        Some(json!(true)),
        Some(json!([])),
        Some(json!({})),
        Some(json!([[{"text": "x"}]])),
        Some(json!({"error": {"code": 500}})),
    ])
}

fn texts(chunks: &[Value], thoughts: bool) -> impl Iterator<Item = &str> {
    chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/candidates/0/content/parts")?.as_array())
        .flatten()
        .filter(move |part| (part.get("thought") == Some(&json!(true))) == thoughts)
        .filter_map(|part| part.get("text")?.as_str())
}

proptest! {
    #[test]
    fn a_valid_stream_is_read_whole(chunks in stream()) {
        let body = bytes_of(&chunks);
        let (events, ended) = run(std::iter::once(body.as_slice()));
        prop_assert_eq!(&ended, &Ok(()));
        check_order(&events, &ended)?;
        let said: String = events.iter().filter_map(|e| if let Event::Text(t) = e { Some(t.as_str()) } else { None }).collect();
        prop_assert_eq!(said, texts(&chunks, false).collect::<String>());
        let thought: String = events.iter().filter_map(|e| if let Event::Reasoning(t) = e { Some(t.as_str()) } else { None }).collect();
        prop_assert_eq!(thought, texts(&chunks, true).collect::<String>());
        prop_assert!(matches!(events.last(), Some(Event::Finish(_))));
    }

    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(chunks in stream(), size in 1usize..60) {
        let body = bytes_of(&chunks);
        prop_assert_eq!(run(body.chunks(size)), run(std::iter::once(body.as_slice())));
    }

    #[test]
    fn a_stream_that_is_cut_is_broken(chunks in stream(), cut in any::<Index>()) {
        let body = bytes_of(&chunks);
        // The last event is whole once its last brace has come.
        let end = body.len() - b"}\r\n\r\n".len();
        let (events, ended) = run(std::iter::once(&body[..cut.index(end + 1)]));
        check_order(&events, &ended)?;
        prop_assert!(ended.is_err());
    }

    #[test]
    fn a_strange_value_never_breaks_the_order(
        chunks in stream(),
        which in any::<Index>(),
        path in prop::collection::vec(any::<Index>(), 0..7),
        with in strange(),
    ) {
        let mut chunks = chunks;
        let which = which.index(chunks.len());
        damage(&mut chunks[which], &path, &with);
        let body = bytes_of(&chunks);
        let (events, ended) = run(std::iter::once(body.as_slice()));
        check_order(&events, &ended)?;
        let whole = chunks[which].to_string();
        let _ = decode_response(whole.as_bytes());
        blocked(whole.as_bytes());
    }

    #[test]
    fn damaged_bytes_never_break_the_order(
        chunks in stream(),
        damages in prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let mut body = bytes_of(&chunks);
        for (at, byte, how) in damages {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.drain(at..(at + 1 + usize::from(byte % 16)).min(body.len()))),
            }
            if body.is_empty() {
                break;
            }
        }
        let (events, ended) = run(std::iter::once(body.as_slice()));
        check_order(&events, &ended)?;
    }

    #[test]
    fn signatures_find_their_way_back(chunks in stream()) {
        let parts: Vec<Value> =
            chunks.iter().filter_map(|chunk| chunk.pointer("/candidates/0/content/parts")?.as_array()).flatten().cloned().collect();
        // Signatures of parts that are skipped go with them.
        let is_kept = |part: &&Value| part.get("executableCode").is_none();
        let sent: Vec<&Value> = parts.iter().filter(is_kept).filter_map(|part| part.get("thoughtSignature")).collect();
        let body = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "MAX_TOKENS"}], "responseId": "abc"});
        let ChatResponse { parts, .. } = decode_response(body.to_string().as_bytes()).unwrap();
        let calls = parts.iter().filter(|part| matches!(part, Part::ToolCall(_))).count();
        let request = ChatRequest {
            messages: vec![Message { role: Role::Assistant, parts }],
            ..ChatRequest::default()
        };
        let quirks = OpenAiQuirks { responses_api: false, stream_usage: false, output_limit: OutputLimitField::MaxTokens };
        let to = EncodeFor { model: "gemini-2.5-pro", max_output_tokens: None, quirks, drop_unsupported: false };
        let again: Value = serde_json::from_slice(&encode_request(&request, &to).unwrap()).unwrap();
        let again: Vec<&Value> = again["contents"][0]["parts"].as_array().unwrap().iter().collect();
        let back: Vec<&Value> = again.iter().filter_map(|part| part.get("thoughtSignature")).collect();
        prop_assert_eq!(back, sent);
        prop_assert_eq!(again.iter().filter(|part| part.get("functionCall").is_some()).count(), calls);
    }
}
