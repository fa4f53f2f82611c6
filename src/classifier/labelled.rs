//! How are prompts with labels written down? As JSON lines, for training, for evaluation and
//! for whoever wants to try a prompt.
//!
//! A text may be a chat: lines that begin with `[system] `, `[user] ` or `[assistant] ` begin
//! a message of that role. Any other text is a single prompt.

use serde::Deserialize;
use thiserror::Error;

use crate::domain::conversation::{Conversation, Passage};

/// Who says a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The application.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

const MARKS: [(&str, Role); 3] =
    [("[system] ", Role::System), ("[user] ", Role::User), ("[assistant] ", Role::Assistant)];

/// The conversation that a text is: a chat, or a single prompt.
pub fn conversation(text: &str) -> Conversation {
    if role(text).is_none() {
        return Conversation::prompt(text);
    }
    let mut messages: Vec<(Role, String)> = Vec::new();
    for line in text.split('\n') {
        match (role(line), messages.last_mut()) {
            (Some((role, rest)), _) => messages.push((role, rest.to_owned())),
            (None, Some((_, said))) => {
                said.push('\n');
                said.push_str(line);
            }
            (None, None) => {}
        }
    }
    from_messages(messages.iter().map(|(role, text)| (*role, text.as_str())))
}

fn role(line: &str) -> Option<(Role, &str)> {
    MARKS.iter().find_map(|(mark, role)| line.strip_prefix(mark).map(|rest| (*role, rest)))
}

/// The conversation that messages are. What the user says without an answer in between is one
/// prompt; of what went before, only the last exchange counts.
pub fn from_messages<'a>(messages: impl IntoIterator<Item = (Role, &'a str)>) -> Conversation {
    let mut conversation = Conversation::default();
    let mut answered = false;
    for (role, text) in messages {
        match role {
            Role::System => append(&mut conversation.system, text),
            Role::Assistant => {
                if answered {
                    append(&mut conversation.answer, text);
                } else {
                    conversation.earlier = std::mem::take(&mut conversation.prompt);
                    conversation.answer = Passage::new(text);
                }
                answered = true;
            }
            Role::User => {
                append(&mut conversation.prompt, text);
                answered = false;
            }
        }
    }
    if answered {
        // The model has the last word: what the user said before it is still what was asked.
        conversation.prompt = std::mem::take(&mut conversation.earlier);
        conversation.answer = Passage::default();
    }
    conversation
}

fn append(passage: &mut Passage, text: &str) {
    if !passage.is_empty() {
        passage.push("\n");
    }
    passage.push(text);
}

/// A line: a text or messages, and what is known of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is to be judged.
    pub conversation: Conversation,
    /// What it is, as the line says.
    pub category: Option<String>,
    /// The language, as the line says.
    pub lang: Option<String>,
    /// Where it comes from, as the line says.
    pub source: Option<String>,
    /// Which part of the data it belongs to, as the line says.
    pub split: Option<String>,
}

/// Why a line is none.
#[derive(Debug, Error)]
pub enum RowError {
    /// It is no JSON object of the known fields.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It holds neither `text` nor `messages`, or both.
    #[error("there should be either `text` or `messages`")]
    Text,
}

#[derive(Deserialize)]
struct Raw {
    text: Option<String>,
    messages: Option<Vec<RawMessage>>,
    category: Option<String>,
    lang: Option<String>,
    source: Option<String>,
    split: Option<String>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: String,
    #[serde(default)]
    content: Content,
}

/// What a message says: a text, or parts of which those of text count.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    #[default]
    Nothing,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

impl Row {
    /// Reads a line of JSON: an object with `text`, or with `messages` as chat completions have
    /// them, and perhaps `category`, `lang`, `source` and `split`.
    ///
    /// # Errors
    /// If the line is nothing of that kind.
    pub fn parse(line: &str) -> Result<Self, RowError> {
        let raw: Raw = serde_json::from_str(line)?;
        let conversation = match (raw.text, raw.messages) {
            (Some(text), None) => conversation(&text),
            (None, Some(messages)) => said(&messages),
            _ => return Err(RowError::Text),
        };
        Ok(Self { conversation, category: raw.category, lang: raw.lang, source: raw.source, split: raw.split })
    }
}

fn said(messages: &[RawMessage]) -> Conversation {
    let texts: Vec<(Role, String)> = messages
        .iter()
        .filter_map(|message| {
            let role = match message.role.as_str() {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                // What tools say is nobody's prompt.
                _ => return None,
            };
            Some((role, message.content.text()))
        })
        .collect();
    from_messages(texts.iter().map(|(role, text)| (*role, text.as_str())))
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
                texts.join("\n")
            }
            Self::Nothing => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_marks_is_one_prompt() {
        assert_eq!(conversation("Say [user] hi\n[user] x"), Conversation::prompt("Say [user] hi\n[user] x"));
    }

    #[test]
    fn a_chat_ends_in_its_prompt() {
        let chat = conversation(
            "[system] Be brief.\n[user] old\n[assistant] gone\n[user] first\nline two\n[assistant] answer\n[user] now\n[user] this",
        );
        assert_eq!(chat.system.head, "Be brief.");
        assert_eq!(chat.earlier.head, "first\nline two");
        assert_eq!(chat.answer.head, "answer");
        assert_eq!(chat.prompt.head, "now\nthis");
    }

    #[test]
    fn without_a_new_prompt_the_last_one_counts() {
        let chat = conversation("[user] ask\n[assistant] one\n[assistant] two");
        assert_eq!(chat, Conversation::prompt("ask"));
    }

    #[test]
    fn rows_hold_a_text_or_messages() {
        let row = Row::parse(r#"{"text":"[user] hi","category":"conversation","lang":"en","licence":"x"}"#).unwrap();
        assert_eq!(row.conversation, Conversation::prompt("hi"));
        assert_eq!((row.category.as_deref(), row.lang.as_deref()), (Some("conversation"), Some("en")));
        let row = Row::parse(
            r#"{"messages":[{"role":"developer","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]},
                {"role":"assistant","content":null},{"role":"tool","content":"t"},{"role":"user","content":"c"}]}"#,
        )
        .unwrap();
        assert_eq!(row.conversation.system.head, "s");
        assert_eq!(row.conversation.earlier.head, "a\nb");
        assert_eq!(row.conversation.prompt.head, "c");
        for bad in ["", "[]", "{}", r#"{"text":"a","messages":[]}"#, r#"{"text":1}"#, r#"{"messages":[{}]}"#] {
            assert!(Row::parse(bad).is_err(), "{bad}");
        }
    }
}
