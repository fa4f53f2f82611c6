//! Whole Chat Completions answers, in both directions.

use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Read, call_id_stem, error_in_answer, read, read_finish, settle_finish};
use super::request::{extra_content, gemini_seal};
use super::usage::UsageOut;
use crate::wire::chat::{ChatResponse, Finish, Part, ReasoningPart, ToolCall};
use crate::wire::error::Malformed;
use crate::wire::meta::ReplyMeta;

/// Reads a provider's answer.
///
/// # Errors
/// If it is not of the protocol, holds an error, or is empty: no content although the
/// model is said to have stopped by itself without having generated a token.
pub fn decode_response(body: &[u8]) -> Result<ChatResponse, Malformed> {
    let answer = match read(body)? {
        Read::Answer(answer) => *answer,
        Read::Error(error) => return Err(error_in_answer(&error)),
    };
    let usage = answer.usage().unwrap_or_default();
    let id = answer.id.unwrap_or_default();
    let choice = answer.choices.unwrap_or_default().into_iter().min_by_key(|choice| choice.index.unwrap_or(0));
    let mut choice = choice.ok_or_else(|| Malformed("an answer without choices".to_owned()))?;
    if choice.finish_reason.as_deref() == Some("error") {
        return Err(Malformed("generation ended with an error".to_owned()));
    }
    let mut message = choice.take_message().ok_or_else(|| Malformed("a choice without a message".to_owned()))?;

    let words = message.take_words();
    let refused = !words.refusal.is_empty();
    let mut parts = Vec::new();
    if !words.reasoning.is_empty() {
        parts.push(Part::Reasoning(ReasoningPart { text: words.reasoning, seal: None }));
    }
    if !words.text.is_empty() {
        parts.push(Part::Text(words.text));
    }
    if refused {
        parts.push(Part::Refusal(words.refusal));
    }
    let mut has_calls = false;
    let legacy = message.function_call.take().map(|function| (None, None, function));
    let calls = message.tool_calls.take().unwrap_or_default().into_iter();
    let calls =
        calls.map(|mut call| (call.take_id(), call.extra_content, call.function.unwrap_or_default())).chain(legacy);
    for (index, (call_id, extra, mut function)) in calls.enumerate() {
        let name = function.name.take().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Malformed("a tool call without a name".to_owned()))?;
        let made_up = || format!("{}_{index}", call_id_stem(&id, body));
        parts.push(Part::ToolCall(ToolCall {
            id: call_id.unwrap_or_else(made_up),
            name,
            arguments: function.arguments(),
            seal: extra.as_ref().and_then(gemini_seal),
        }));
        has_calls = true;
    }

    let finish = read_finish(choice.finish_reason.as_deref());
    let cut = matches!(finish, Some(Finish::Length | Finish::ContentFilter));
    let generated = finish.is_some() && usage.output > 0;
    if parts.is_empty() && !cut && !generated {
        return Err(Malformed("empty answer".to_owned()));
    }
    let stop_sequence = choice.stop_reason.as_ref().and_then(Value::as_str).map(str::to_owned);
    let finish = settle_finish(finish.unwrap_or(Finish::Stop), has_calls, refused, stop_sequence);
    Ok(ChatResponse { id, model: answer.model.unwrap_or_default(), parts, finish, usage })
}

#[derive(Serialize)]
struct AnswerOut<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [ChoiceOut<'a>; 1],
    usage: UsageOut,
}

#[derive(Serialize)]
struct ChoiceOut<'a> {
    index: u32,
    message: MessageOut<'a>,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct MessageOut<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut<'a>>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Value>,
}

/// Writes an answer for a client.
pub fn encode_response(answer: &ChatResponse, meta: &ReplyMeta) -> Vec<u8> {
    let mut message =
        MessageOut { role: "assistant", content: None, refusal: None, reasoning_content: None, tool_calls: Vec::new() };
    for part in &answer.parts {
        match part {
            Part::Text(text) => message.content.get_or_insert_default().push_str(text),
            Part::Refusal(text) => message.refusal.get_or_insert_default().push_str(text),
            Part::Reasoning(part) if !part.text.is_empty() => {
                message.reasoning_content.get_or_insert_default().push_str(&part.text);
            }
            Part::ToolCall(call) => message.tool_calls.push(CallOut {
                id: &call.id,
                r#type: "function",
                function: json!({"name": call.name, "arguments": call.arguments}),
                extra_content: call.seal.as_ref().and_then(extra_content),
            }),
            Part::Reasoning(_) | Part::Image(_) | Part::Document { .. } | Part::ToolResult(_) => {}
        }
    }
    let out = AnswerOut {
        id: format!("chatcmpl-{}", meta.id),
        object: "chat.completion",
        created: meta.created,
        model: if answer.model.is_empty() { &meta.model } else { &answer.model },
        choices: [ChoiceOut {
            index: 0,
            finish_reason: finish_word(&answer.finish, message.refusal.is_some()),
            message,
            logprobs: (),
        }],
        usage: UsageOut::from(&answer.usage),
    };
    // Unwrap safety: no map keys but strings, and writing to memory does not fail.
    serde_json::to_vec(&out).expect("an answer can be written")
}

/// The API has no word for a refusal: with words of refusal it says `stop`, and an answer
/// that broke off without them looks like a filtered one.
pub(super) fn finish_word(finish: &Finish, refusal_given: bool) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal if refusal_given => "stop",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::TokenUsage;
    use crate::wire::chat::{Seal, SealOrigin};
    use proptest::prelude::*;

    fn decode(message: Value, reason: Value) -> Result<ChatResponse, Malformed> {
        let body =
            json!({"id": "r1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": reason}]});
        decode_response(body.to_string().as_bytes())
    }

    fn meta() -> ReplyMeta {
        ReplyMeta { id: "abc".into(), created: 7, model: "alias".into(), stream_usage: false }
    }

    fn call(id: &str, seal: Option<Seal>) -> Part {
        Part::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into(), seal })
    }

    #[test]
    fn an_answer_survives_both_ways() {
        let seal = Some(Seal { origin: SealOrigin::Gemini, data: "sig".into() });
        let answer = ChatResponse {
            id: "chatcmpl-abc".into(),
            model: "m".into(),
            parts: vec![
                Part::Reasoning(ReasoningPart { text: "hm".into(), seal: None }),
                Part::Text("hi".into()),
                call("1", seal),
                call("2", None),
            ],
            finish: Finish::ToolCalls,
            usage: TokenUsage { input: 10, cached_input: 4, cache_write: 2, output: 6, reasoning: 3 },
        };
        assert_eq!(decode_response(&encode_response(&answer, &meta())), Ok(answer));
    }

    #[test]
    fn clients_get_the_official_shape() {
        let answer = ChatResponse {
            id: String::new(),
            model: String::new(),
            parts: vec![Part::Text("a".into()), Part::Text("b".into())],
            finish: Finish::StopSequence(Some("x".into())),
            usage: TokenUsage { input: 1, output: 2, ..TokenUsage::default() },
        };
        let got: Value = serde_json::from_slice(&encode_response(&answer, &meta())).unwrap();
        let expected = json!({
            "id": "chatcmpl-abc", "object": "chat.completion", "created": 7, "model": "alias",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": "ab", "refusal": null},
                "logprobs": null, "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn calls_as_servers_vary_them() {
        let answer = decode(
            json!({"content": null, "tool_calls": [
                {"function": {"name": "f", "arguments": {"x": 1}}},
                {"id": "", "function": {"name": "g", "arguments": null}},
            ]}),
            json!("stop"),
        )
        .unwrap();
        let calls: Vec<(&str, &str)> = answer
            .parts
            .iter()
            .map(|part| match part {
                Part::ToolCall(call) => (call.id.as_str(), call.arguments.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(calls, [("call_r1_0", "{\"x\":1}"), ("call_r1_1", "")]);
        assert_eq!(answer.finish, Finish::ToolCalls);

        let legacy =
            decode(json!({"function_call": {"name": "f", "arguments": "{}"}}), json!("function_call")).unwrap();
        assert_eq!(legacy.parts, [call("call_r1_0", None)]);
        assert!(decode(json!({"tool_calls": [{"id": "1", "function": {}}]}), json!("stop")).is_err());
    }

    #[test]
    fn reasons_follow_the_content() {
        assert_eq!(decode(json!({"refusal": "no"}), json!("stop")).unwrap().finish, Finish::Refusal);
        assert_eq!(decode(json!({"content": "x"}), Value::Null).unwrap().finish, Finish::Stop);
        assert_eq!(decode(json!({"content": "x"}), json!("length")).unwrap().finish, Finish::Length);
        assert_eq!(finish_word(&Finish::Refusal, true), "stop");
        assert_eq!(finish_word(&Finish::Refusal, false), "content_filter");
    }

    #[test]
    fn an_empty_answer_is_a_failure_unless_it_says_why() {
        let empty = json!({"role": "assistant", "content": ""});
        assert_eq!(decode(empty.clone(), json!("stop")), Err(Malformed("empty answer".into())));
        assert!(decode(empty.clone(), Value::Null).is_err());
        assert!(decode(empty.clone(), json!("length")).is_ok());
        assert!(decode(empty.clone(), json!("content_filter")).is_ok());
        let counted = json!({
            "choices": [{"message": empty, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        });
        assert!(decode_response(counted.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn what_is_not_an_answer_is_malformed() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"choices":[]}"#,
            r#"{"choices":[{"finish_reason":"stop"}]}"#,
            r#"{"error":{"message":"x","code":"y"}}"#,
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
            r#"{"choices":[{"message":{"content":{"x":1}}}]}"#,
        ] {
            assert!(decode_response(body.as_bytes()).is_err(), "{body}");
        }
        let error = decode_response(br#"{"error":{"message":"org-secret","code":"y"}}"#).unwrap_err();
        assert_eq!(error.0, "status 200 with an error: y");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_response(&bytes);
        }
    }
}
