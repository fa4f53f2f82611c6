use super::*;

const ROLE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const HELLO: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn native() -> Relay {
    Relay::native(Dialect::ChatCompletions, 1 << 16, true)
}

fn push(relay: &mut Relay, text: &str) -> Result<(), StreamFailure> {
    relay.push(Bytes::copy_from_slice(text.as_bytes()))
}

fn out(relay: &mut Relay) -> String {
    relay.take_out().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
}

fn broken() -> ErrorBody {
    ErrorBody {
        status: 502,
        kind: crate::wire::error::ErrorKind::BadGateway,
        message: "it broke".into(),
        code: Some("broken_stream"),
        param: None,
    }
}

#[test]
fn nothing_comes_out_before_content_has_come_in() {
    let mut relay = native();
    push(&mut relay, ": ping\n\n").unwrap();
    push(&mut relay, ROLE).unwrap();
    assert!(!relay.committed());
    assert_eq!(out(&mut relay), "");
    push(&mut relay, HELLO).unwrap();
    assert!(relay.committed());
    assert_eq!(out(&mut relay), format!(": ping\n\n{ROLE}{HELLO}"));
}

#[test]
fn a_passing_stream_keeps_its_bytes_and_loses_only_the_usage_we_asked_for() {
    for (hide, expected) in [(true, format!("{HELLO}{FINISH}{DONE}")), (false, format!("{HELLO}{FINISH}{USAGE}{DONE}"))]
    {
        let mut relay = Relay::native(Dialect::ChatCompletions, 1 << 16, hide);
        push(&mut relay, &format!("{HELLO}{FINISH}{USAGE}{DONE}")).unwrap();
        assert!(relay.ended());
        assert_eq!(out(&mut relay), expected);
        assert_eq!((relay.seen().usage.input, relay.seen().usage.output), (9, 2));
    }
}

#[test]
fn an_error_before_content_is_a_failure_and_nothing_comes_out() {
    let mut relay = native();
    let failure = push(&mut relay, &format!("{ROLE}data: {{\"error\":{{\"message\":\"no\",\"code\":\"x\"}}}}\n\n"));
    assert!(matches!(failure, Err(StreamFailure::Provider(_))), "{failure:?}");
    assert_eq!(out(&mut relay), "");
}

#[test]
fn half_an_event_never_comes_out_and_an_error_can_follow() {
    let mut relay = native();
    let (half, _) = HELLO.split_at(20);
    push(&mut relay, &format!("{HELLO}{half}")).unwrap();
    assert_eq!(out(&mut relay), HELLO);
    assert!(relay.eof().is_err());
    relay.fail(&broken());
    let last = out(&mut relay);
    assert!(last.starts_with("data: {\"error\":") && last.ends_with("\n\n") && last.contains("it broke"), "{last}");
}

#[test]
fn a_whole_answer_without_its_last_word_gets_it() {
    let mut relay = native();
    push(&mut relay, &format!("{HELLO}{}", FINISH.trim_end())).unwrap();
    relay.eof().unwrap();
    assert!(out(&mut relay).ends_with(DONE));
}

#[test]
fn an_answer_that_ends_without_content_is_empty() {
    let mut relay = native();
    assert!(push(&mut relay, &format!("{ROLE}{FINISH}{DONE}")).is_err());
    // Cut off before the first visible token is an answer nevertheless.
    let mut relay = native();
    push(&mut relay, &format!("{ROLE}{}{DONE}", FINISH.replace("stop", "length"))).unwrap();
    assert!(relay.committed() && out(&mut relay).ends_with(DONE));
}

#[test]
fn endless_noise_before_content_is_refused() {
    let mut relay = native();
    let noise = ": ping\n\n".repeat(10_000);
    let refused = (0..20).any(|_| push(&mut relay, &noise).is_err());
    assert!(refused);
}

#[test]
fn a_translated_stream_is_written_in_the_clients_dialect() {
    let anthropic = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let frame = |data: &str| {
        let name = data.split('"').nth(3).unwrap();
        format!("event: {name}\ndata: {data}\n\n")
    };
    let meta = ReplyMeta { id: "r".into(), created: 7, model: "m".into(), stream_usage: true };
    for dialect in [Dialect::ChatCompletions, Dialect::Messages, Dialect::Responses] {
        let mut relay = Relay::translated(Protocol::Anthropic, dialect, meta.clone(), None, 1 << 16);
        for data in &anthropic[..2] {
            push(&mut relay, &frame(data)).unwrap();
            assert_eq!(out(&mut relay), "", "{dialect:?}");
        }
        for data in &anthropic[2..] {
            push(&mut relay, &frame(data)).unwrap();
        }
        assert!(relay.ended());
        let text = out(&mut relay);
        let end = match dialect {
            Dialect::ChatCompletions => "data: [DONE]",
            Dialect::Messages => "event: message_stop",
            Dialect::Responses => "event: response.completed",
        };
        assert!(text.contains("Hi") && text.contains(end), "{text}");
        assert_eq!((relay.seen().usage.input, relay.seen().usage.output), (3, 5));
    }
}

#[test]
fn a_translated_stream_that_breaks_ends_in_the_clients_own_error() {
    let meta = ReplyMeta { id: "r".into(), created: 7, model: "m".into(), stream_usage: false };
    for (dialect, sign) in [
        (Dialect::ChatCompletions, "data: {\"error\":"),
        (Dialect::Messages, "event: error"),
        (Dialect::Responses, "event: "),
    ] {
        let mut relay = Relay::translated(Protocol::OpenAi, dialect, meta.clone(), None, 1 << 16);
        push(&mut relay, &format!("{ROLE}{HELLO}")).unwrap();
        out(&mut relay);
        assert!(relay.eof().is_err());
        relay.fail(&broken());
        let last = out(&mut relay);
        assert!(last.contains(sign) && last.contains("it broke"), "{dialect:?}: {last}");
    }
}

#[test]
fn a_passing_stream_that_is_no_utf_8_ends_before_those_bytes() {
    let mut relay = Relay::native(Dialect::ChatCompletions, 1 << 16, false);
    push(&mut relay, &format!("{ROLE}{HELLO}")).unwrap();
    let wrong = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n");
    assert!(matches!(relay.push(wrong), Err(StreamFailure::Malformed(_))));
    assert!(out(&mut relay).ends_with("\n\n"));
}
