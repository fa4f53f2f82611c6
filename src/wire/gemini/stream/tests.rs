use serde_json::{Value, json};

use super::*;

fn frame(chunk: &Value) -> Vec<u8> {
    format!("data: {chunk}\r\n\r\n").into_bytes()
}

fn chunk(parts: Value) -> Value {
    json!({
        "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
        "modelVersion": "gemini-x", "responseId": "r-1_Z"
    })
}

fn last(parts: Value, reason: &str) -> Value {
    let mut chunk = chunk(parts);
    chunk["candidates"][0]["finishReason"] = json!(reason);
    chunk["usageMetadata"] = json!({"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 10});
    chunk
}

fn run(chunks: &[Value]) -> Result<Vec<Event>, Malformed> {
    let mut decoder = StreamDecoder::new();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.decode(&frame(chunk), &mut out)?;
    }
    decoder.end(&mut out)?;
    assert!(decoder.done());
    Ok(out)
}

fn start() -> Event {
    Event::Start { id: "r-1_Z".into(), model: "gemini-x".into() }
}

fn usage() -> Event {
    Event::Usage(TokenUsage { input: 8, output: 2, ..TokenUsage::default() })
}

fn seal(data: &str) -> Seal {
    Seal { origin: SealOrigin::Gemini, data: data.into() }
}

#[test]
fn text_comes_in_pieces_and_ends_with_usage() {
    let got = run(&[chunk(json!([{"text": "He"}])), last(json!([{"text": "llo"}]), "STOP")]).unwrap();
    let expected = [start(), Event::Text("He".into()), Event::Text("llo".into()), usage(), Event::Finish(Finish::Stop)];
    assert_eq!(got, expected);
}

#[test]
fn thoughts_are_reasoning_and_signatures_seal_it() {
    let got = run(&[
        chunk(json!([{"text": "hm", "thought": true}])),
        chunk(json!([{"text": "a", "thoughtSignature": "s1"}])),
        last(json!([{"text": "", "thoughtSignature": "s2"}]), "STOP"),
    ])
    .unwrap();
    let expected = [
        start(),
        Event::Reasoning("hm".into()),
        Event::ReasoningSeal(seal("s1")),
        Event::Text("a".into()),
        Event::ReasoningSeal(seal("s2")),
        usage(),
        Event::Finish(Finish::Stop),
    ];
    assert_eq!(got, expected);
}

#[test]
fn calls_without_ids_get_ids_of_their_own() {
    let got = run(&[
        chunk(json!([{"functionCall": {"name": "f", "args": {"a": "x y"}}, "thoughtSignature": "s"}])),
        last(json!([{"functionCall": {"id": "given", "name": "g"}}, {"functionCall": {"name": "h"}}]), "STOP"),
    ])
    .unwrap();
    let expected = [
        start(),
        Event::ToolCall { index: 0, id: "call_r1Z_0".into(), name: "f".into(), seal: Some(seal("s")) },
        Event::ToolArguments { index: 0, json: r#"{"a":"x y"}"#.into() },
        Event::ToolCall { index: 1, id: "given".into(), name: "g".into(), seal: None },
        Event::ToolArguments { index: 1, json: "{}".into() },
        Event::ToolCall { index: 2, id: "call_r1Z_2".into(), name: "h".into(), seal: None },
        Event::ToolArguments { index: 2, json: "{}".into() },
        usage(),
        Event::Finish(Finish::ToolCalls),
    ];
    assert_eq!(got, expected);
}

#[test]
fn ids_differ_between_answers_that_have_none() {
    let id = |args: Value| {
        let mut body = last(json!([{"functionCall": {"name": "f", "args": args}}]), "STOP");
        body["responseId"] = json!(null);
        match &run(&[body]).unwrap()[1] {
            Event::ToolCall { id, .. } => id.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(id(json!({"a": 1})), id(json!({"a": 2})));
}

#[test]
fn each_reason_has_its_finish() {
    for (reason, expected) in [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("RECITATION", Finish::ContentFilter),
        ("SPII", Finish::ContentFilter),
        ("OTHER", Finish::ContentFilter),
        ("SOMETHING_NEW", Finish::ContentFilter),
    ] {
        let got = run(&[last(json!([{"text": "a"}]), reason)]).unwrap();
        assert_eq!(got.last(), Some(&Event::Finish(expected)), "{reason}");
    }
    for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"] {
        assert!(run(&[last(json!([{"text": "a"}]), reason)]).is_err(), "{reason}");
    }
}

#[test]
fn an_end_without_content_is_only_fair_at_the_limit() {
    for reason in ["STOP", "OTHER", "MALFORMED_FUNCTION_CALL"] {
        assert!(run(&[last(json!([{"text": "", "thoughtSignature": "s"}]), reason)]).is_err(), "{reason}");
    }
    let got = run(&[last(json!([]), "MAX_TOKENS")]).unwrap();
    assert_eq!(got, [start(), usage(), Event::Finish(Finish::Length)]);
    let got = run(&[last(json!(null), "SAFETY")]).unwrap();
    let Some(Event::Error(error)) = got.last() else { panic!("{got:?}") };
    assert_eq!((error.hint, error.code.as_deref()), (Some(ErrorHint::ContentPolicy), Some("SAFETY")));
}

#[test]
fn a_blocked_prompt_is_a_matter_of_policy() {
    let got = run(&[json!({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 8}
    })])
    .unwrap();
    let [Event::Error(error)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!((error.hint, error.code.as_deref()), (Some(ErrorHint::ContentPolicy), Some("PROHIBITED_CONTENT")));
}

#[test]
fn bytes_that_end_without_a_reason_are_a_broken_stream() {
    assert!(run(&[chunk(json!([{"text": "a"}]))]).is_err());
    assert!(run(&[]).is_err());
    let mut unspecified = chunk(json!([{"text": "a"}]));
    unspecified["candidates"][0]["finishReason"] = json!("FINISH_REASON_UNSPECIFIED");
    assert!(run(&[unspecified]).is_err());
}

#[test]
fn usage_is_cumulative_and_thoughts_are_output() {
    let mut first = chunk(json!([{"text": "a"}]));
    first["usageMetadata"] = json!({"promptTokenCount": 10, "thoughtsTokenCount": 5});
    let mut second = last(json!([{"text": "b"}]), "STOP");
    second["usageMetadata"] = json!({
        "promptTokenCount": 10, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 3,
        "candidatesTokenCount": 2, "thoughtsTokenCount": 5
    });
    let got = run(&[first, second]).unwrap();
    let counted: Vec<&Event> = got.iter().filter(|event| matches!(event, Event::Usage(_))).collect();
    let expected = TokenUsage { input: 13, cached_input: 4, cache_write: 0, output: 7, reasoning: 5 };
    assert_eq!(
        counted,
        [
            &Event::Usage(TokenUsage { input: 10, output: 5, reasoning: 5, ..TokenUsage::default() }),
            &Event::Usage(expected)
        ]
    );
}

#[test]
fn errors_come_as_events_or_as_bare_lines() {
    let error = r#"{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}"#;
    let pretty = format!("{:#}\n", serde_json::from_str::<Value>(error).unwrap());
    for frame in [format!("data: {error}\n\n"), format!("[{error}]\n\n"), pretty] {
        let mut decoder = StreamDecoder::new();
        let mut out = Vec::new();
        decoder.decode(frame.as_bytes(), &mut out).unwrap();
        decoder.decode(b"data: garbage\n\n", &mut out).unwrap();
        let [Event::Error(error)] = out.as_slice() else { panic!("{out:?}") };
        assert_eq!((error.message.as_str(), error.hint), ("busy", Some(ErrorHint::ServerError)));
        assert!(decoder.done());
        assert_eq!(decoder.end(&mut out), Ok(()));
    }
}

#[test]
fn an_error_after_the_end_takes_nothing_back() {
    let got = run(&[last(json!([{"text": "a"}]), "STOP"), json!({"error": {"code": 500}})]).unwrap();
    assert_eq!(got.last(), Some(&Event::Finish(Finish::Stop)));
}

#[test]
fn what_is_not_known_is_skipped() {
    let got = run(&[
        json!({}),
        chunk(json!([{"executableCode": {"code": "1"}}, {"inlineData": {"mimeType": "image/png", "data": ""}}, {}])),
        json!({"candidates": [{"index": 1, "content": {"parts": [{"text": "another"}]}}]}),
        json!({"candidates": null, "usageMetadata": {"promptTokenCount": "many"}}),
        last(json!([{"text": "a", "new": 1}]), "STOP"),
    ])
    .unwrap();
    let text: Vec<&Event> = got.iter().filter(|event| event.commits()).collect();
    assert_eq!(text, [&Event::Text("a".into())]);
    let mut decoder = StreamDecoder::new();
    let mut out = Vec::new();
    for frame in [": ping\n\n", "event: x\n\n", "data:\n\n", "data: [DONE]\n\n", "\n"] {
        decoder.decode(frame.as_bytes(), &mut out).unwrap();
    }
    assert_eq!(out, []);
}

#[test]
fn what_would_be_misread_is_malformed() {
    for body in ["garbage", "[1]", "7", "\"x\"", r#"{"candidates": 1}"#, r#"{"candidates": [{"content": "x"}]}"#] {
        let mut decoder = StreamDecoder::new();
        let frame = format!("data: {body}\n\n");
        assert!(decoder.decode(frame.as_bytes(), &mut Vec::new()).is_err(), "{body}");
    }
    assert!(run(&[last(json!([{"functionCall": {"args": {}}}]), "STOP")]).is_err());
    assert!(run(&[last(json!([{"text": "a"}]), "STOP"), chunk(json!([{"text": "b"}]))]).is_err());
}
