//! Chat answers that pass through: when they commit, when they end, what they used.

use memchr::memmem;

use super::answer::{AnswerIn, finish, reported};
use super::usage::raise;
use crate::wire::chat::Finish;
use crate::wire::error::Malformed;
use crate::wire::native::{Seen, Signal};
use crate::wire::sse;

/// Watches a passing stream of chat chunks.
#[derive(Debug, Default)]
pub struct Inspector {
    seen: Seen,
    content: bool,
    calls: bool,
    done: bool,
}

impl Inspector {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the answer has told so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the stream may end here.
    pub fn ended(&self) -> bool {
        self.done || self.seen.finish.is_some()
    }

    /// Looks at one frame.
    ///
    /// # Errors
    /// If it is not of the dialect.
    pub fn inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed> {
        // Content that follows content is by far the most there is, and is told by what it
        // does not have.
        if self.content && !has_news(frame) {
            self.seen.pieces += 1;
            return Ok(Signal::Content);
        }
        let event = sse::parse(frame);
        let data = event.data().trim_ascii();
        if data.is_empty() {
            return Ok(Signal::Noise);
        }
        if data == b"[DONE]" {
            self.done = true;
            return Ok(Signal::End);
        }
        let chunk: AnswerIn<'_> =
            serde_json::from_slice(data).map_err(|error| Malformed(format!("not a chunk of a chat: {error}")))?;
        if let Some(error) = reported(chunk.error.as_ref()) {
            return Ok(Signal::Error(error));
        }
        let usage = chunk.usage.or_else(|| chunk.x_groq.and_then(|groq| groq.usage));
        if let Some(usage) = usage {
            raise(&mut self.seen.usage, &usage.read());
        }
        let choices = chunk.choices.unwrap_or_default();
        if choices.is_empty() && usage.is_some() {
            return Ok(Signal::UsageOnly);
        }
        let mut content = false;
        for choice in &choices {
            if let Some(delta) = &choice.delta {
                content |= delta.has_content();
                self.calls |= delta.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
            }
            content |= choice.text.as_ref().is_some_and(|text| !text.is_empty());
            if let Some(finish) = finish(choice.finish_reason.as_deref(), self.calls) {
                self.seen.finish = Some(finish);
            }
        }
        self.content |= content;
        self.seen.pieces += u64::from(content);
        Ok(if content { Signal::Content } else { Signal::Noise })
    }
}

/// Whether a frame may hold more than a piece of content: an end, a reason, usage, an
/// error, or nothing at all.
fn has_news(frame: &[u8]) -> bool {
    let without_null = |word: &str| {
        memmem::find_iter(frame, word).any(|at| !frame[at + word.len()..].trim_ascii_start().starts_with(b"null"))
    };
    !frame.starts_with(b"data: {")
        || without_null("\"usage\":")
        || without_null("\"finish_reason\":")
        || memmem::find(frame, b"\"error\"").is_some()
        || memmem::find(frame, b"\"x_groq\"").is_some()
        || memmem::find(frame, b"\"tool_calls\"").is_some()
}

/// Looks at a whole answer.
///
/// # Errors
/// If it is an error, empty, or not of the dialect.
pub fn inspect_answer(body: &[u8]) -> Result<Seen, Malformed> {
    let answer: AnswerIn<'_> =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("not a chat completion: {error}")))?;
    if let Some(error) = reported(answer.error.as_ref()) {
        return Err(Malformed(format!("an error with status 200: {}", error.message)));
    }
    let mut seen = Seen { usage: answer.usage.map(|usage| usage.read()).unwrap_or_default(), ..Seen::default() };
    let choices = answer.choices.filter(|choices| !choices.is_empty());
    for choice in choices.ok_or_else(|| Malformed("an answer without choices".into()))? {
        let message = choice.delta.unwrap_or_default();
        let calls = message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
        let text = choice.text.is_some_and(|text| !text.is_empty());
        seen.pieces += u64::from(message.has_content() || text);
        seen.finish = finish(choice.finish_reason.as_deref(), calls).or(seen.finish);
    }
    let cut = matches!(seen.finish, Some(Finish::Length | Finish::ContentFilter));
    if seen.pieces == 0 && !cut && (seen.finish.is_none() || seen.usage.output == 0) {
        return Err(Malformed("the answer is empty".into()));
    }
    Ok(seen)
}
