use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn chat(dialect: Dialect, body: Value) -> Option<Conversation> {
    of_chat(dialect, body.to_string().as_bytes(), Turns::Last)
}

fn text(passage: &Passage) -> String {
    format!("{}{}", passage.head, passage.tail)
}

/// System, earlier, answer, prompt.
fn parts(conversation: &Conversation) -> [String; 4] {
    [&conversation.system, &conversation.earlier, &conversation.answer, &conversation.prompt].map(text)
}

#[test]
fn every_dialect_tells_the_same_conversation() {
    let turns = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "first"}]},
        {"role": "user", "content": "second"},
    ]);
    let with_system = |system: Value| {
        let mut list = vec![system];
        list.extend(turns.as_array().unwrap().iter().cloned());
        list
    };
    for (dialect, body) in [
        (Dialect::ChatCompletions, json!({"messages": with_system(json!({"role": "system", "content": "be brief"}))})),
        (Dialect::Messages, json!({"system": [{"type": "text", "text": "be brief"}], "messages": turns})),
        (Dialect::Responses, json!({"instructions": "be brief", "input": turns})),
        (Dialect::Responses, json!({"input": with_system(json!({"role": "developer", "content": "be brief"}))})),
    ] {
        let conversation = chat(dialect, body).unwrap();
        assert_eq!(parts(&conversation), ["be brief", "hello", "hi", "first\nsecond"], "{dialect:?}");
    }
    assert_eq!(parts(&chat(Dialect::Responses, json!({"input": "hello"})).unwrap()), ["", "", "", "hello"]);
}

#[test]
fn what_tools_say_changes_nothing() {
    let asked = json!({"role": "user", "content": "what is in the file?"});
    let before = chat(Dialect::Messages, json!({"messages": [asked]}));
    let messages = json!([
        asked,
        {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "1", "name": "read", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "fn main() {}"}]},
    ]);
    assert_eq!(chat(Dialect::Messages, json!({"messages": messages})), before);
    let messages = json!([
        asked,
        {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "read", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "fn main() {}"},
    ]);
    assert_eq!(chat(Dialect::ChatCompletions, json!({"messages": messages})), before);
    let input = json!([
        asked,
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "1", "name": "read", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "fn main() {}"},
    ]);
    assert_eq!(chat(Dialect::Responses, json!({"input": input})), before);
}

#[test]
fn what_is_no_text_leaves_a_word() {
    for (dialect, body) in [
        (
            Dialect::ChatCompletions,
            json!({"messages": [{"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f"}},
            ]}]}),
        ),
        (
            Dialect::Responses,
            json!({"input": [{"role": "user", "content": [
                {"type": "input_text", "text": "what is this?"},
                {"type": "input_image", "image_url": "https://x"},
                {"type": "input_audio"},
                {"type": "input_file", "file_id": "f"},
            ]}]}),
        ),
    ] {
        let conversation = chat(dialect, body).unwrap();
        assert_eq!(text(&conversation.prompt), "what is this?\n[image]\n[audio]\n[file]", "{dialect:?}");
    }
}

#[test]
fn who_says_nothing_has_no_conversation() {
    for body in [
        json!({}),
        json!({"messages": []}),
        json!({"messages": [{"role": "system", "content": "be brief"}]}),
        json!({"messages": [{"role": "user", "content": " \n"}]}),
        json!({"messages": [{"role": "user", "content": 3}, 4, null, {"role": 5}]}),
        json!({"messages": {"role": "user"}}),
    ] {
        assert_eq!(chat(Dialect::ChatCompletions, body.clone()), None, "{body}");
    }
    assert_eq!(of_chat(Dialect::Messages, b"not JSON", Turns::Last), None);
}

#[test]
fn a_completion_is_about_its_prompts() {
    let of = |prompt: Value| of_completion(json!({"model": "m", "prompt": prompt}).to_string().as_bytes());
    assert_eq!(text(&of(json!("once upon")).unwrap().prompt), "once upon");
    assert_eq!(text(&of(json!(["one", "two"])).unwrap().prompt), "one\ntwo");
    for nothing in [json!([1, 2, 3]), json!([[1, 2]]), json!(""), json!(null)] {
        assert_eq!(of(nothing), None);
    }
}

fn within_bounds(conversation: &Conversation) -> bool {
    let Conversation { system, earlier, answer, prompt } = conversation;
    [system, earlier, answer, prompt].iter().all(|of| of.head.len() <= Passage::END && of.tail.len() <= Passage::END)
}

fn value() -> impl Strategy<Value = Value> {
    let words = [
        "user",
        "assistant",
        "system",
        "tool",
        "text",
        "input_text",
        "image_url",
        "tool_result",
        "function_call_output",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a\\\\\"é語]{4000,9000}".prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let field = prop::sample::select(vec!["role", "content", "type", "text", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((field, inner), 0..4).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_body_is_answered_within_bounds(messages in value(), system in value()) {
        for dialect in [Dialect::ChatCompletions, Dialect::Messages, Dialect::Responses] {
            let body = json!({"messages": messages, "input": messages, "system": system, "instructions": system});
            let first = of_chat(dialect, body.to_string().as_bytes(), Turns::First);
            let last = chat(dialect, body);
            prop_assert_eq!(first.is_some(), last.is_some());
            for conversation in [first, last].into_iter().flatten() {
                prop_assert!(within_bounds(&conversation));
                prop_assert!(!blank(&conversation.prompt));
            }
        }
        if let Some(conversation) = of_completion(json!({"prompt": messages}).to_string().as_bytes()) {
            prop_assert!(within_bounds(&conversation));
        }
    }

    /// What came long before does not matter, and neither does what the model did since.
    #[test]
    fn the_last_words_count(
        before in prop::collection::vec(("user|assistant", "[a-z]{1,20}"), 0..6),
        prompt in "[a-z]{1,20}",
        calls in 0usize..4,
    ) {
        let mut messages: Vec<Value> = before.iter().map(|(role, said)| json!({"role": role, "content": said})).collect();
        messages.push(json!({"role": "assistant", "content": "answer"}));
        messages.push(json!({"role": "user", "content": prompt}));
        for _ in 0..calls {
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": []}));
            messages.push(json!({"role": "tool", "content": "result"}));
        }
        let conversation = chat(Dialect::ChatCompletions, json!({"messages": messages})).unwrap();
        prop_assert_eq!(text(&conversation.prompt), prompt);
        prop_assert_eq!(text(&conversation.answer), "answer");
        let earlier = before.iter().rfind(|(role, _)| role == "user").map(|(_, said)| said.clone());
        prop_assert_eq!(text(&conversation.earlier), earlier.unwrap_or_default());
    }

    #[test]
    fn the_first_words_stay_what_they_are(
        first in prop::collection::vec("[a-z]{1,20}", 1..4),
        later in prop::collection::vec(("user|assistant", "[a-z]{1,20}"), 0..6),
    ) {
        let mut messages = vec![json!({"role": "system", "content": "be brief"})];
        messages.extend(first.iter().map(|said| json!({"role": "user", "content": said})));
        let of = |messages: &[Value]| {
            of_chat(Dialect::ChatCompletions, json!({"messages": messages}).to_string().as_bytes(), Turns::First).unwrap()
        };
        let before = of(&messages);
        prop_assert_eq!(parts(&before), ["be brief".to_owned(), String::new(), String::new(), first.join("\n")]);
        messages.push(json!({"role": "assistant", "content": "answer"}));
        messages.extend(later.iter().map(|(role, said)| json!({"role": role, "content": said})));
        prop_assert_eq!(of(&messages), before);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = of_chat(Dialect::ChatCompletions, &bytes, Turns::First);
        let _ = of_completion(&bytes);
    }
}
