//! The few fields of an answer, or of a piece of one, that say what it holds.

use std::borrow::Cow;

use serde::Deserialize;

use crate::domain::usage::TokenUsage;
use crate::wire::openai::fields::given;
use crate::wire::openai::usage::{GroqIn, UsageIn};
use crate::wire::peek::Raw;
use crate::wire::scan::{Broken, Scanner};

/// What is read of an answer.
#[derive(Default, Deserialize)]
pub(super) struct Glance<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<UsageIn>,
    #[serde(default)]
    x_groq: Option<GroqIn>,
}

/// What is read of one of its choices.
#[derive(Default, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default, borrow)]
    delta: Option<Message<'a>>,
    #[serde(default, borrow)]
    message: Option<Message<'a>>,
    /// Of a text completion.
    #[serde(default, borrow)]
    text: Option<Raw<'a>>,
    #[serde(default, borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

/// Everything that is content when there is something in it.
#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    content: Option<Raw<'a>>,
    #[serde(default, borrow)]
    refusal: Option<Raw<'a>>,
    #[serde(default, borrow)]
    reasoning_content: Option<Raw<'a>>,
    #[serde(default, borrow)]
    reasoning: Option<Raw<'a>>,
    #[serde(default, borrow)]
    reasoning_details: Option<Raw<'a>>,
    #[serde(default, borrow)]
    tool_calls: Option<Raw<'a>>,
    #[serde(default, borrow)]
    function_call: Option<Raw<'a>>,
    #[serde(default, borrow)]
    audio: Option<Raw<'a>>,
    #[serde(default, borrow)]
    images: Option<Raw<'a>>,
}

impl<'a> Glance<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// If it is not of the dialect.
    pub(super) fn read(data: &'a [u8]) -> Result<Self, serde_json::Error> {
        let scanned = simdutf8::basic::from_utf8(data).ok().and_then(|text| Self::scan(text).ok());
        // The library says best what is wrong, and has the last word on all that is unusual.
        scanned.map_or_else(|| serde_json::from_slice(data), Ok)
    }

    fn scan(text: &'a str) -> Result<Self, Broken> {
        let mut glance = Self::default();
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, name| match name {
            "choices" => {
                let mut choices = Vec::with_capacity(1);
                scanner.array(|scanner| {
                    choices.push(Choice::scan(scanner)?);
                    Ok(())
                })?;
                once(&mut glance.choices, Some(choices))
            }
            "usage" => once(&mut glance.usage, small(scanner)?),
            "x_groq" => once(&mut glance.x_groq, small(scanner)?),
            _ => scanner.value().map(drop),
        })?;
        if scanner.at_end() { Ok(glance) } else { Err(UNUSUAL) }
    }

    /// The choices; most often there is one.
    pub(super) fn choices(&self) -> &[Choice<'a>] {
        self.choices.as_deref().unwrap_or_default()
    }

    /// What was used, if it says so.
    pub(super) fn usage(&self) -> Option<TokenUsage> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        self.usage.or(groq).map(UsageIn::read).filter(|usage| !usage.is_empty())
    }
}

impl<'a> Choice<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Broken> {
        let mut choice = Self::default();
        scanner.object(|scanner, name| match name {
            "delta" => once(&mut choice.delta, Some(Message::scan(scanner)?)),
            "message" => once(&mut choice.message, Some(Message::scan(scanner)?)),
            "text" => once(&mut choice.text, raw(scanner)?),
            "finish_reason" if scanner.peek() == Some(b'"') => {
                let reason = scanner.string()?;
                if reason.escaped {
                    return Err(UNUSUAL);
                }
                once(&mut choice.finish_reason, Some(Cow::Borrowed(reason.raw)))
            }
            "finish_reason" => {
                if raw(scanner)?.is_none() {
                    Ok(())
                } else {
                    Err(UNUSUAL)
                }
            }
            _ => scanner.value().map(drop),
        })?;
        Ok(choice)
    }

    /// Why it ended, if it did.
    pub(super) fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }

    fn message(&self) -> Option<&Message<'a>> {
        self.delta.as_ref().or(self.message.as_ref())
    }

    /// Bytes of JSON that are content; 0 if there is none.
    pub(super) fn content_bytes(&self) -> usize {
        let message = self.message().map(|m| {
            [
                m.content,
                m.refusal,
                m.reasoning_content,
                m.reasoning,
                m.reasoning_details,
                m.tool_calls,
                m.function_call,
                m.audio,
                m.images,
            ]
        });
        let fields = message.into_iter().flatten().chain([self.text]);
        fields.filter(|raw| given(*raw)).flatten().map(|raw| raw.get().len()).sum()
    }

    /// Whether it calls tools.
    pub(super) fn has_calls(&self) -> bool {
        self.message().is_some_and(|message| given(message.tool_calls) || given(message.function_call))
    }

    /// Whether it says that it refuses.
    pub(super) fn refused(&self) -> bool {
        self.message().is_some_and(|message| given(message.refusal))
    }
}

impl<'a> Message<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Broken> {
        let mut message = Self::default();
        scanner.object(|scanner, name| {
            let field = match name {
                "content" => &mut message.content,
                "refusal" => &mut message.refusal,
                "reasoning_content" => &mut message.reasoning_content,
                "reasoning" => &mut message.reasoning,
                "reasoning_details" => &mut message.reasoning_details,
                "tool_calls" => &mut message.tool_calls,
                "function_call" => &mut message.function_call,
                "audio" => &mut message.audio,
                "images" => &mut message.images,
                _ => return scanner.value().map(drop),
            };
            once(field, raw(scanner)?)
        })?;
        Ok(message)
    }
}

/// Something that is left to the library.
const UNUSUAL: Broken = Broken { at: 0, expected: "what is usual" };

/// A value as it is written; nothing where it is `null`.
fn raw<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Raw<'a>>, Broken> {
    Ok(Some(scanner.value()?).filter(|text| *text != "null").map(Raw::new))
}

/// A value that is small enough for the library to build.
fn small<'a, T: Deserialize<'a>>(scanner: &mut Scanner<'a>) -> Result<Option<T>, Broken> {
    serde_json::from_str(scanner.value()?).map_err(|_| UNUSUAL)
}

/// Puts a value down, unless the field has been there before: that is left to the library.
fn once<T>(field: &mut Option<T>, value: Option<T>) -> Result<(), Broken> {
    if field.is_some() {
        return Err(UNUSUAL);
    }
    *field = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What matters of it.
    fn told(glance: &Glance<'_>) -> String {
        let of = |choice: &Choice<'_>| {
            let reason = choice.finish_reason().map(str::to_owned);
            format!("{reason:?} {} {} {}", choice.content_bytes(), choice.has_calls(), choice.refused())
        };
        let choices: Vec<String> = glance.choices().iter().map(of).collect();
        format!("{:?} {choices:?}", glance.usage())
    }

    /// Both ways to read it say the same; whether the quick one did read it.
    fn agree(text: &str) -> bool {
        let scanned = Glance::scan(text);
        let library: Result<Glance<'_>, _> = serde_json::from_str(text);
        match (&scanned, &library) {
            (Ok(scanned), Ok(library)) => assert_eq!(told(scanned), told(library), "{text}"),
            // A field that is `null` and comes again is of no harm.
            (Ok(_), Err(error)) => assert!(error.to_string().starts_with("duplicate field"), "{text}: {error}"),
            (Err(_), _) => {}
        }
        scanned.is_ok()
    }

    #[test]
    fn what_is_usual_is_read_the_quick_way() {
        for text in [
            r#"{"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":"hi \" there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}"#,
            r#"{"choices":[{"delta":{"content":null,"tool_calls":[{"id":"a"}]},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"length"},{"text":"x","finish_reason":"stop"}]}"#,
            r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":1}}}"#,
            r#" { "choices" : [ { "delta" : { "refusal" : "no" } } ] } "#,
        ] {
            assert!(agree(text), "{text}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_library() {
        for text in [
            r#"{"choices":null}"#,
            r#"{"choices":[{"delta":null}]}"#,
            r#"{"choices":[{"finish_reason":"st\u006fp"}]}"#,
            r#"{"choices":[{"finish_reason":7}]}"#,
            r#"{"choices":[{"text":"a","text":"b"}]}"#,
            r#"{"choices":[],"usage":7}"#,
            r#"{"ch\u006fices":[]}"#,
            r#"{"choices":[]} x"#,
            "[]",
            "",
        ] {
            assert!(!agree(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_say_the_same(
            fields in prop::collection::vec((0_usize..14, 0_usize..10), 0..6),
            inner in prop::collection::vec((0_usize..14, 0_usize..10), 0..5),
            cut in 0_usize..400,
        ) {
            const NAMES: [&str; 14] = [
                "choices", "usage", "x_groq", "delta", "message", "text", "finish_reason", "content", "refusal",
                "tool_calls", "reasoning", "other", "\\u0061", "images",
            ];
            const VALUES: [&str; 10] =
                ["null", "\"\"", "\"stop\"", "7", "[]", "{}", "[{}]", "{\"prompt_tokens\":1}", "\"\\u0061\"", "[[1,{}],2]"];
            let object = |fields: &[(usize, usize)]| {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("\"{}\":{}", NAMES[*name], VALUES[*value])).collect();
                format!("{{{}}}", fields.join(","))
            };
            let message = object(&inner);
            let choice = format!("{{\"message\":{message},\"finish_reason\":\"stop\"}}");
            for text in [
                object(&fields),
                format!("{{\"choices\":[{}]}}", object(&fields)),
                format!("{{\"choices\":[{choice},{}],\"usage\":{message}}}", object(&fields)),
            ] {
                agree(&text);
                agree(&text[..cut.min(text.len())]);
            }
        }
    }
}
