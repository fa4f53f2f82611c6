//! The shape of answers and of their pieces in a stream, read with tolerance: what
//! compatible servers leave out, set to `null` or write in their own way.

use std::hash::Hasher;
use std::sync::LazyLock;

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::error::read_error;
use super::usage::{GroqIn, UsageIn};
use crate::domain::usage::TokenUsage;
use crate::wire::chat::Finish;
use crate::wire::error::{Malformed, ProviderError};
use crate::wire::peek::clip;

/// A whole answer, or one chunk of a stream.
#[derive(Deserialize)]
pub(super) struct AnswerIn {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) choices: Option<Vec<ChoiceIn>>,
    pub(super) usage: Option<UsageIn>,
    pub(super) x_groq: Option<GroqIn>,
}

#[derive(Deserialize)]
pub(super) struct ChoiceIn {
    pub(super) index: Option<u64>,
    delta: Option<MessageIn>,
    message: Option<MessageIn>,
    pub(super) finish_reason: Option<String>,
    /// vLLM: the stop sequence that came, or the id of a token.
    pub(super) stop_reason: Option<Value>,
}

impl ChoiceIn {
    /// The piece or the whole; some servers send a whole message in a stream.
    pub(super) fn take_message(&mut self) -> Option<MessageIn> {
        self.delta.take().or_else(|| self.message.take())
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct MessageIn {
    content: Option<ContentIn>,
    refusal: Option<String>,
    /// DeepSeek's and vLLM's name.
    reasoning_content: Option<String>,
    /// OpenRouter's, Groq's and later vLLM's name. Some servers send both.
    reasoning: Option<Value>,
    pub(super) tool_calls: Option<Vec<CallIn>>,
    /// The old form of a tool call.
    pub(super) function_call: Option<FunctionIn>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContentIn {
    Text(String),
    Parts(Vec<PartIn>),
}

/// A part of content in Mistral's form. Parts of other types have no text.
#[derive(Deserialize)]
struct PartIn {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<ContentIn>,
}

#[derive(Deserialize)]
pub(super) struct CallIn {
    pub(super) index: Option<u64>,
    id: Option<String>,
    pub(super) function: Option<FunctionIn>,
    pub(super) extra_content: Option<Value>,
}

impl CallIn {
    /// The id; `None` also where it is empty or, as Mistral had it, the word "null".
    pub(super) fn take_id(&mut self) -> Option<String> {
        self.id.take().filter(|id| !id.is_empty() && id != "null")
    }
}

#[derive(Deserialize, Default)]
pub(super) struct FunctionIn {
    pub(super) name: Option<String>,
    arguments: Option<Value>,
}

impl FunctionIn {
    /// JSON text, also where a server sends the object itself.
    pub(super) fn arguments(&mut self) -> String {
        match self.arguments.take() {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        }
    }
}

/// Reasoning, text and refusal of a message; each empty where there is none.
#[derive(Default)]
pub(super) struct Words {
    pub(super) reasoning: String,
    pub(super) text: String,
    pub(super) refusal: String,
}

impl MessageIn {
    pub(super) fn take_words(&mut self) -> Words {
        let reasoning = self.reasoning_content.take().filter(|text| !text.is_empty());
        let mut words = Words {
            reasoning: reasoning.or_else(|| Some(self.reasoning.as_ref()?.as_str()?.to_owned())).unwrap_or_default(),
            text: String::new(),
            refusal: self.refusal.take().unwrap_or_default(),
        };
        match self.content.take() {
            None => {}
            Some(ContentIn::Text(text)) => words.text = text,
            Some(ContentIn::Parts(parts)) => {
                for part in parts {
                    words.text.push_str(&part.text.unwrap_or_default());
                    part.thinking.into_iter().for_each(|thinking| thinking.append_to(&mut words.reasoning));
                }
            }
        }
        words
    }
}

impl ContentIn {
    fn append_to(self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(&text),
            Self::Parts(parts) => {
                parts.iter().filter_map(|part| part.text.as_deref()).for_each(|text| out.push_str(text))
            }
        }
    }
}

impl AnswerIn {
    /// Usage wherever it is; `None` where nothing was counted.
    pub(super) fn usage(&self) -> Option<TokenUsage> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        self.usage.or(groq).map(UsageIn::read).filter(|usage| !usage.is_empty())
    }
}

/// What a body with status 200, or the data of one event, turns out to be.
pub(super) enum Read {
    Answer(Box<AnswerIn>),
    Error(ProviderError),
}

/// Reads JSON of either kind.
///
/// # Errors
/// If it is neither an answer nor an error.
pub(super) fn read(data: &[u8]) -> Result<Read, Malformed> {
    if let Some(error) = read_embedded_error(data) {
        return Ok(Read::Error(error));
    }
    let answer = serde_json::from_slice(data);
    answer.map(|answer| Read::Answer(Box::new(answer))).map_err(|error| not_an_answer(data, &error))
}

/// An error object where an answer was due: `{"error": …}`, or vLLM's older
/// `{"object": "error", …}`.
pub(super) fn read_embedded_error(data: &[u8]) -> Option<ProviderError> {
    static ERROR: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\"error\""));
    ERROR.find(data)?;
    let value: Value = serde_json::from_slice(data).ok()?;
    let has_error = value.get("error").is_some_and(|error| !error.is_null());
    let is_error = value.get("object").and_then(Value::as_str) == Some("error");
    (has_error || is_error).then(|| read_error(None, &value))
}

/// Says what is wrong without the words of a model or a page.
pub(super) fn not_an_answer(data: &[u8], error: &serde_json::Error) -> Malformed {
    let what = match data.trim_ascii_start().first() {
        None => "an empty answer".to_owned(),
        Some(b'{') => format!("not a chat completion: {}", clip(&error.to_string(), 200)),
        Some(b'<') => "a page instead of JSON".to_owned(),
        Some(_) => "not JSON".to_owned(),
    };
    Malformed(what)
}

/// An error that came with status 200, as an answer's fault.
pub(super) fn error_in_answer(error: &ProviderError) -> Malformed {
    // Not its message, which may name our account.
    Malformed(match &error.code {
        Some(code) => format!("status 200 with an error: {code}"),
        None => "status 200 with an error".to_owned(),
    })
}

/// Why generation ended, as far as the reason alone tells; `None` where it is missing or
/// empty, which some servers write while the answer is still coming.
pub(super) fn read_finish(reason: Option<&str>) -> Option<Finish> {
    Some(match reason? {
        "" | "null" => return None,
        "length" | "max_tokens" | "model_length" | "MAX_TOKENS" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => Finish::ToolCalls,
        "content_filter" | "safety" | "SAFETY" | "sensitive" | "RECITATION" => Finish::ContentFilter,
        // `stop`, `eos`, `end_turn` and whatever else a server calls it.
        _ => Finish::Stop,
    })
}

/// Corrects the reason by what the answer holds: some servers say `stop` with tool calls
/// present, and OpenAI's own says it with a refusal.
pub(super) fn settle_finish(finish: Finish, has_calls: bool, refused: bool, stop_sequence: Option<String>) -> Finish {
    match finish {
        Finish::Stop | Finish::ToolCalls if has_calls => Finish::ToolCalls,
        Finish::Stop | Finish::ToolCalls if refused => Finish::Refusal,
        Finish::Stop if stop_sequence.is_some() => Finish::StopSequence(stop_sequence),
        Finish::ToolCalls => Finish::Stop,
        other => other,
    }
}

/// What the ids of tool calls begin with that came without one, each followed by its
/// index: unlike those of other answers, by the answer's id or failing that by its bytes.
pub(super) fn call_id_stem(answer_id: &str, answer: &[u8]) -> String {
    let own: String = answer_id.chars().filter(char::is_ascii_alphanumeric).collect();
    // The end is the part that differs; ids all begin with the same prefix.
    match own.len() {
        0 => {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(answer);
            format!("call_{:x}", hasher.finish())
        }
        length => format!("call_{}", &own[length.saturating_sub(24)..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_in_every_spelling() {
        for (reason, expected) in [
            (None, None),
            (Some(""), None),
            (Some("stop"), Some(Finish::Stop)),
            (Some("eos"), Some(Finish::Stop)),
            (Some("length"), Some(Finish::Length)),
            (Some("function_call"), Some(Finish::ToolCalls)),
            (Some("content_filter"), Some(Finish::ContentFilter)),
        ] {
            assert_eq!(read_finish(reason), expected, "{reason:?}");
        }
    }

    #[test]
    fn the_reason_follows_what_the_answer_holds() {
        assert_eq!(settle_finish(Finish::Stop, true, false, None), Finish::ToolCalls);
        assert_eq!(settle_finish(Finish::ToolCalls, false, false, None), Finish::Stop);
        assert_eq!(settle_finish(Finish::Stop, false, true, None), Finish::Refusal);
        assert_eq!(settle_finish(Finish::Length, true, false, None), Finish::Length);
        let stop = Finish::StopSequence(Some("END".into()));
        assert_eq!(settle_finish(Finish::Stop, false, false, Some("END".into())), stop);
    }

    #[test]
    fn words_in_every_place() {
        let words = |message: Value| {
            let words = serde_json::from_value::<MessageIn>(message).unwrap().take_words();
            (words.reasoning, words.text, words.refusal)
        };
        let of = |reasoning: &str, text: &str, refusal: &str| (reasoning.into(), text.into(), refusal.into());
        assert_eq!(words(json!({"content": null, "refusal": null, "reasoning": null})), of("", "", ""));
        assert_eq!(words(json!({"content": "a", "reasoning_content": "b", "reasoning": "b"})), of("b", "a", ""));
        assert_eq!(words(json!({"reasoning": "b", "reasoning_content": ""})), of("b", "", ""));
        assert_eq!(words(json!({"reasoning": {"odd": 1}, "refusal": "no"})), of("", "", "no"));
        let parts = json!([
            {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]},
            {"type": "text", "text": "a"},
            {"type": "reference", "reference_ids": [1]},
        ]);
        assert_eq!(words(json!({"content": parts})), of("b", "a", ""));
    }

    #[test]
    fn made_up_ids_differ_between_answers() {
        assert_eq!(call_id_stem("chatcmpl-abc", b""), "call_chatcmplabc");
        assert_ne!(call_id_stem("", b"a"), call_id_stem("", b"b"));
    }

    #[test]
    fn errors_are_told_from_answers() {
        let is_error = |body: &str| matches!(read(body.as_bytes()), Ok(Read::Error(_)));
        assert!(is_error(r#"{"error":{"message":"x"}}"#));
        assert!(is_error(r#"{"object":"error","message":"x"}"#));
        assert!(!is_error(r#"{"error":null,"choices":[]}"#));
        assert!(!is_error(r#"{"choices":[{"delta":{"content":"error"}}]}"#));
        assert!(read(b"<html>").is_err() && read(b"").is_err() && read(b"[1]").is_err());
    }
}
