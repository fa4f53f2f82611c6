//! What does a request ask for? The text that tells it, out of each dialect's body: the last
//! words of the user in their context, both ends of each within bounds.
//!
//! Only what the user and the model said in words is taken. Results of tools are not the
//! user's words: a turn that brings nothing else leaves the prompt what it was, so that every
//! step of an agent's run is about the prompt that began it. What is no text leaves a word in
//! its place, such as `[image]`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Dialect;
use super::list::List;
use super::peek::{Raw, TopLevel};
use super::turn::step;
use crate::domain::conversation::{Conversation, Passage};

/// Which of the user's words are its prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turns {
    /// The last ones.
    Last,
    /// The first ones, which every later turn repeats.
    First,
}

/// The conversation of a chat. `None` where the user has said nothing, or the body cannot be
/// read.
pub fn of_chat(dialect: Dialect, body: &[u8], turns: Turns) -> Option<Conversation> {
    let top = TopLevel::parse(body).ok()?;
    let (system, messages) = match dialect {
        Dialect::ChatCompletions => (None, top.get("messages")?),
        Dialect::Messages => (top.get("system"), top.get("messages")?),
        Dialect::Responses => (top.get("instructions"), top.get("input")?),
    };
    let mut conversation = of_messages(messages, turns)?;
    if let Some(system) = system {
        let mut whole = Passage::default();
        say(system, &mut whole);
        put(&conversation.system, &mut whole);
        conversation.system = whole;
    }
    Some(conversation)
}

/// The conversation of a text completion: its prompt, or all of them. `None` where there is
/// no text.
pub fn of_completion(body: &[u8]) -> Option<Conversation> {
    let top = TopLevel::parse(body).ok()?;
    let mut prompt = Passage::default();
    say(top.get("prompt")?, &mut prompt);
    (!blank(&prompt)).then(|| Conversation { prompt, ..Conversation::default() })
}

/// The conversation of a list of messages in any dialect, or of one text. `None` where the
/// user has said nothing.
pub fn of_messages<'a>(messages: impl Into<Raw<'a>>, which: Turns) -> Option<Conversation> {
    let messages = messages.into();
    let Ok(list) = serde_json::from_str::<List<&RawValue>>(messages.get()) else {
        let mut prompt = Passage::default();
        say(messages, &mut prompt);
        return (!blank(&prompt)).then(|| Conversation { prompt, ..Conversation::default() });
    };
    let mut turns: Vec<Turn<'_>> = list.into_iter().filter_map(Turn::read).collect();
    if which == Turns::First {
        let first = turns.iter().position(|turn| turn.by == Speaker::User && turn.says_something())?;
        let answered = turns[first..].iter().position(|turn| turn.by == Speaker::Model);
        // What was said before the user said anything is no answer, and there is nothing earlier.
        turns.truncate(answered.map_or(turns.len(), |at| first + at));
        turns.retain(|turn| turn.by != Speaker::Model);
    }
    let last_of =
        |turns: &[Turn<'_>], speaker| turns.iter().rposition(|turn| turn.by == speaker && turn.says_something());
    // Whatever the model was given or did since belongs to the same prompt.
    let end = last_of(&turns, Speaker::User)?;
    let begin = turns[..end].iter().rposition(|turn| turn.by == Speaker::Model).map_or(0, |at| at + 1);
    let answer = last_of(&turns[..begin], Speaker::Model);
    let earlier = last_of(&turns[..answer.unwrap_or(begin)], Speaker::User);
    let all = |turns: &[Turn<'_>], speaker| {
        let mut passage = Passage::default();
        turns.iter().filter(|turn| turn.by == speaker).for_each(|turn| turn.say(&mut passage));
        passage
    };
    let one = |at: Option<usize>| {
        let mut passage = Passage::default();
        at.and_then(|at| turns.get(at)).into_iter().for_each(|turn| turn.say(&mut passage));
        passage
    };
    Some(Conversation {
        system: all(&turns, Speaker::System),
        earlier: one(earlier),
        answer: one(answer),
        prompt: all(&turns[begin..=end], Speaker::User),
    })
}

/// Who says something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    /// The application, to the model.
    System,
    User,
    Model,
}

/// A message, or what a dialect has in its place.
struct Turn<'a> {
    by: Speaker,
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

impl<'a> Turn<'a> {
    /// `None` where nobody of the three says it: results of tools, and what is unknown.
    fn read(raw: &'a RawValue) -> Option<Self> {
        step();
        let message: Message<'a> = serde_json::from_str(raw.get()).ok()?;
        let by = match message.role.as_deref() {
            Some("system" | "developer") => Speaker::System,
            Some("user") => Speaker::User,
            Some("assistant" | "model") => Speaker::Model,
            Some(_) => return None,
            // The Responses API has items beside messages, among them what the model called.
            None if message.r#type.as_deref().is_some_and(|kind| !kind.ends_with("_output")) => Speaker::Model,
            None => return None,
        };
        Some(Self { by, content: message.content.filter(|raw| raw.get() != "null") })
    }

    fn says_something(&self) -> bool {
        let mut passage = Passage::default();
        self.say(&mut passage);
        !blank(&passage)
    }

    fn say(&self, passage: &mut Passage) {
        if let Some(content) = self.content {
            say(content, passage);
        }
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

/// Adds a content's words: a text, or a list of texts and parts.
fn say<'a>(content: impl Into<Raw<'a>>, passage: &mut Passage) {
    let content = content.into();
    match content.get().as_bytes().first() {
        Some(b'"') => {
            if let Ok(text) = serde_json::from_str::<Text<'_>>(content.get()) {
                line(&text.0, passage);
            }
        }
        Some(b'[') => {
            for part in serde_json::from_str::<List<&RawValue>>(content.get()).unwrap_or_default() {
                match part.get().as_bytes().first() {
                    Some(b'"') => say(part, passage),
                    Some(b'{') => say_part(part, passage),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn say_part(part: &RawValue, passage: &mut Passage) {
    step();
    let Ok(part) = serde_json::from_str::<Part<'_>>(part.get()) else { return };
    let word = match part.r#type.as_deref() {
        Some("text" | "input_text" | "output_text") | None => part.text.as_deref().unwrap_or_default(),
        Some("image" | "image_url" | "input_image") => "[image]",
        Some("input_audio" | "audio") => "[audio]",
        Some("document" | "file" | "input_file") => "[file]",
        Some("video" | "video_url" | "input_video") => "[video]",
        // Calls of tools and their results, thoughts, what is unknown.
        Some(_) => "",
    };
    line(word, passage);
}

/// A text, borrowed unless it has escapes in it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Adds a text on a line of its own.
fn line(text: &str, passage: &mut Passage) {
    if !text.is_empty() {
        if !passage.is_empty() {
            passage.push("\n");
        }
        passage.push(text);
    }
}

fn put(other: &Passage, passage: &mut Passage) {
    line(&other.head, passage);
    passage.push(&other.tail);
}

fn blank(passage: &Passage) -> bool {
    passage.head.trim().is_empty() && passage.tail.trim().is_empty()
}

#[cfg(test)]
mod tests;
