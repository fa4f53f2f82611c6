//! What must be known of an answer that passes through: when it commits, when it ends,
//! what it used.
//!
//! Each dialect's `native` file has an `Inspector` with
//! `inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed>` for streams, and
//! `inspect_answer(body: &[u8]) -> Result<Seen, Malformed>` for whole answers. Until the
//! first content a frame is read in full; afterwards only as much as its end needs.

use super::chat::Finish;
use super::error::ProviderError;
use super::peek::clip;
use super::scan::{Broken, Scanner};
use crate::domain::usage::TokenUsage;

/// What one frame of a passing stream means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Nothing that a caller waits for: comments, pings, role-only chunks, empty pieces.
    Noise,
    /// Real content; the first one commits the attempt.
    Content,
    /// A chunk that holds usage and nothing else: kept from callers that did not ask for it.
    UsageOnly,
    /// The dialect's own end of the stream.
    End,
    /// The provider reports an error inside the stream.
    Error(ProviderError),
}

/// What an answer has told of itself so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Tokens as reported; empty where nothing was reported.
    pub usage: TokenUsage,
    /// Why it ended, once that was said.
    pub finish: Option<Finish>,
    /// Pieces of content so far: where usage is never reported, about one token each.
    pub pieces: u64,
}

/// A model's name is cut after so many characters.
const LONGEST_NAME: usize = 200;

/// The model that an answer says it is from, or the beginning of a streamed one: at its top, or in
/// the `message` or `response` that an event brings. What follows it is not read.
pub fn named_model(json: &[u8]) -> Option<String> {
    let mut scanner = Scanner::new(std::str::from_utf8(json).ok()?);
    let mut found = None;
    // It ends where the name was found, or at what is no JSON, which is for others to say.
    let _ = find_model(&mut scanner, true, &mut found);
    found.and_then(told_model)
}

/// A model's name as it is told of an answer: none that is empty, and no more than the beginning of a long one.
pub fn told_model(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| clip(name, LONGEST_NAME))
}

/// Looks into what an event brings only where that is `at_the_top`: a provider may nest as deep as it likes.
fn find_model<'a>(scanner: &mut Scanner<'a>, at_the_top: bool, found: &mut Option<&'a str>) -> Result<(), Broken> {
    scanner.object(|scanner, field| match (field, scanner.peek()) {
        ("model", Some(b'"')) => {
            *found = Some(scanner.string()?.raw);
            Err(Broken { at: 0, expected: "nothing more" })
        }
        ("message" | "response", Some(b'{')) if at_the_top => find_model(scanner, false, found),
        _ => scanner.value().map(drop),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_where_each_dialect_names_it() {
        for (json, named) in [
            (r#"{"id":"x","model":"gpt-5.5","choices":[{"message":{"model":"no"}}]}"#, Some("gpt-5.5")),
            (r#"{"type":"message_start","message":{"id":"x","content":[],"model":"opus"}}"#, Some("opus")),
            (r#"{"type":"response.created","response":{"id":"x","model":"o9"}}"#, Some("o9")),
            (r#"{"model":"cut off","choices":[{"#, Some("cut off")),
            (r#"{"model":null,"message":"no","choices":[]}"#, None),
            (r#"{"model":""}"#, None),
            (r#"{"message":{"message":{"model":"too deep"}}}"#, None),
            ("[1]", None),
            ("", None),
        ] {
            assert_eq!(named_model(json.as_bytes()).as_deref(), named, "{json}");
        }
        assert_eq!(named_model(&[b'"', 0xff]), None);
        assert_eq!(told_model(&"m".repeat(1_000_000)).map(|name| name.chars().count()), Some(LONGEST_NAME + 1));
        assert_eq!(named_model(r#"{"message":"#.repeat(1_000_000).as_bytes()), None);
    }
}
