//! Reads a whole answer of `generateContent`: the events of a stream of one, put together.

use super::stream::StreamDecoder;
use crate::domain::usage::TokenUsage;
use crate::wire::chat::{ChatResponse, Finish, Part, ReasoningPart, ToolCall};
use crate::wire::error::{ErrorHint, Malformed, ProviderError};
use crate::wire::event::Event;

/// Reads a whole answer.
///
/// # Errors
/// If it is not of the protocol, is empty, or holds an error. What a content policy refused is
/// an answer with status 200 as well: ask [`blocked`] first.
pub fn decode_response(body: &[u8]) -> Result<ChatResponse, Malformed> {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    decoder.read(body.trim_ascii(), &mut events)?;
    decoder.end(&mut events)?;
    let mut answer = ChatResponse {
        id: String::new(),
        model: String::new(),
        parts: Vec::new(),
        finish: Finish::Stop,
        usage: TokenUsage::default(),
    };
    for event in events {
        add(&mut answer, event)?;
    }
    Ok(answer)
}

/// Whether a 200 is in truth a refusal of the content: the prompt was blocked, or the answer
/// was before any of it came. The error's hint is [`ErrorHint::ContentPolicy`].
pub fn blocked(body: &[u8]) -> Option<ProviderError> {
    let mut events = Vec::new();
    StreamDecoder::new().read(body.trim_ascii(), &mut events).ok()?;
    events.into_iter().find_map(|event| match event {
        Event::Error(error) if error.hint == Some(ErrorHint::ContentPolicy) => Some(error),
        _ => None,
    })
}

fn add(answer: &mut ChatResponse, event: Event) -> Result<(), Malformed> {
    let parts = &mut answer.parts;
    match event {
        Event::Start { id, model } => (answer.id, answer.model) = (id, model),
        Event::Text(text) => match parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(&text),
            _ => parts.push(Part::Text(text)),
        },
        Event::Refusal(text) => parts.push(Part::Refusal(text)),
        Event::Reasoning(text) => match parts.last_mut() {
            Some(Part::Reasoning(last)) if last.seal.is_none() => last.text.push_str(&text),
            _ => parts.push(Part::Reasoning(ReasoningPart { text, seal: None })),
        },
        Event::ReasoningSeal(seal) => match parts.last_mut() {
            Some(Part::Reasoning(last)) if last.seal.is_none() => last.seal = Some(seal),
            _ => parts.push(Part::Reasoning(ReasoningPart { text: String::new(), seal: Some(seal) })),
        },
        Event::ToolCall { id, name, seal, .. } => {
            parts.push(Part::ToolCall(ToolCall { id, name, arguments: String::new(), seal }));
        }
        // The decoder sends a call's arguments right after the call.
        Event::ToolArguments { json, .. } => {
            if let Some(Part::ToolCall(call)) = parts.last_mut() {
                call.arguments.push_str(&json);
            }
        }
        Event::Usage(usage) => answer.usage = usage,
        Event::Finish(finish) => answer.finish = finish,
        Event::Error(error) => return Err(Malformed(format!("an error with status 200: {}", error.message))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::chat::{Seal, SealOrigin};

    fn body(parts: Value, reason: &str) -> Vec<u8> {
        let body = json!({
            "candidates": [{
                "content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0,
                "safetyRatings": [], "avgLogprobs": -0.1
            }],
            "usageMetadata": {
                "promptTokenCount": 20, "cachedContentTokenCount": 12, "candidatesTokenCount": 3,
                "thoughtsTokenCount": 4, "totalTokenCount": 27,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}]
            },
            "modelVersion": "gemini-3-pro", "responseId": "abc"
        });
        format!("{body:#}\n").into_bytes()
    }

    fn seal(data: &str) -> Option<Seal> {
        Some(Seal { origin: SealOrigin::Gemini, data: data.into() })
    }

    #[test]
    fn an_answer_is_read_whole() {
        let parts = json!([
            {"text": "let me ", "thought": true}, {"text": "see", "thought": true},
            {"text": "It is", "thoughtSignature": "s1"}, {"text": " this."},
            {"functionCall": {"name": "f", "args": {"deep": {"x": [1, "a b"]}}}, "thoughtSignature": "s2"},
            {"functionCall": {"id": "7", "name": "g", "args": {}}}
        ]);
        let answer = decode_response(&body(parts, "STOP")).unwrap();
        assert_eq!(
            answer,
            ChatResponse {
                id: "abc".into(),
                model: "gemini-3-pro".into(),
                parts: vec![
                    Part::Reasoning(ReasoningPart { text: "let me see".into(), seal: seal("s1") }),
                    Part::Text("It is this.".into()),
                    Part::ToolCall(ToolCall {
                        id: "call_abc_0".into(),
                        name: "f".into(),
                        arguments: r#"{"deep":{"x":[1,"a b"]}}"#.into(),
                        seal: seal("s2"),
                    }),
                    Part::ToolCall(ToolCall { id: "7".into(), name: "g".into(), arguments: "{}".into(), seal: None }),
                ],
                finish: Finish::ToolCalls,
                usage: TokenUsage { input: 20, cached_input: 12, cache_write: 0, output: 7, reasoning: 4 },
            }
        );
    }

    #[test]
    fn a_signature_without_a_thought_still_travels() {
        let answer = decode_response(&body(json!([{"text": "a"}, {"text": "", "thoughtSignature": "s"}]), "STOP"));
        assert_eq!(
            answer.unwrap().parts,
            [Part::Text("a".into()), Part::Reasoning(ReasoningPart { text: String::new(), seal: seal("s") })]
        );
    }

    #[test]
    fn a_refusal_of_the_prompt_can_be_told_from_garbage() {
        let refused = br#"{"promptFeedback": {"blockReason": "SAFETY"}}"#;
        assert_eq!(blocked(refused).unwrap().code.as_deref(), Some("SAFETY"));
        assert!(decode_response(refused).is_err());
        assert!(blocked(&body(json!([]), "SAFETY")).is_some());
        assert_eq!(blocked(&body(json!([{"text": "a"}]), "SAFETY")), None);
        assert_eq!(blocked(br#"{"error": {"status": "INTERNAL"}}"#), None);
        assert_eq!(blocked(b"garbage"), None);
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for body in ["", "{}", "[]", "null", "{\"candidates\": []}", r#"{"error": {"message": "no"}}"#, "<html>"] {
            assert!(decode_response(body.as_bytes()).is_err(), "{body}");
        }
        assert!(decode_response(&body(json!([]), "STOP")).is_err());
        assert!(decode_response(&body(json!([{"text": "a"}]), "FINISH_REASON_UNSPECIFIED")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_response(&bytes);
            blocked(&bytes);
        }
    }
}
