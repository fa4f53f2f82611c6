//! The items of an answer's `output`.

use serde::Serialize;

use crate::wire::chat::Seal;

/// How far an item got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ItemStatus {
    InProgress,
    Completed,
    /// Cut by the output limit or a filter.
    Incomplete,
}

/// One item of `output`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Message(Message),
    FunctionCall(FunctionCall),
    Reasoning(Reasoning),
}

/// What the model says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) status: ItemStatus,
    role: &'static str,
    pub(super) content: Vec<Content>,
}

/// A piece of a message.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    OutputText {
        text: String,
        /// Citations are made by hosted tools only.
        annotations: [(); 0],
        logprobs: [(); 0],
    },
    Refusal {
        refusal: String,
    },
}

/// The two kinds of content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentKind {
    Text,
    Refusal,
}

/// A call of a function tool.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct FunctionCall {
    pub(super) id: String,
    pub(super) status: ItemStatus,
    pub(super) call_id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// What the model thought, or the opaque state that stands for it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Reasoning {
    pub(super) id: String,
    pub(super) summary: Vec<Summary>,
    pub(super) encrypted_content: Option<String>,
}

/// A piece of shown reasoning.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Summary {
    r#type: &'static str,
    pub(super) text: String,
}

impl Message {
    /// A message without content, the `n`th item of the answer `answer`.
    pub(super) fn new(answer: &str, n: usize, status: ItemStatus) -> Self {
        Self { id: item_id("msg", answer, n), status, role: "assistant", content: Vec::new() }
    }

    /// Adds to the last piece of content, or begins one where that is of the other kind.
    pub(super) fn push(&mut self, kind: ContentKind, more: &str) {
        if self.content.last().is_none_or(|last| last.kind() != kind) {
            self.content.push(Content::empty(kind));
        }
        if let Some(last) = self.content.last_mut() {
            last.text_mut().push_str(more);
        }
    }
}

impl Content {
    /// Content of a kind, without text.
    pub(super) fn empty(kind: ContentKind) -> Self {
        match kind {
            ContentKind::Text => Self::OutputText { text: String::new(), annotations: [], logprobs: [] },
            ContentKind::Refusal => Self::Refusal { refusal: String::new() },
        }
    }

    /// Which of the two it is.
    pub(super) fn kind(&self) -> ContentKind {
        match self {
            Self::OutputText { .. } => ContentKind::Text,
            Self::Refusal { .. } => ContentKind::Refusal,
        }
    }

    fn text_mut(&mut self) -> &mut String {
        match self {
            Self::OutputText { text, .. } => text,
            Self::Refusal { refusal } => refusal,
        }
    }
}

impl FunctionCall {
    /// A call without arguments yet.
    pub(super) fn new(answer: &str, n: usize, status: ItemStatus, call_id: &str, name: &str) -> Self {
        Self {
            id: item_id("fc", answer, n),
            status,
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
        }
    }
}

impl Reasoning {
    /// Reasoning that shows nothing yet.
    pub(super) fn new(answer: &str, n: usize) -> Self {
        Self { id: item_id("rs", answer, n), summary: Vec::new(), encrypted_content: None }
    }

    /// Reasoning that only carries opaque state.
    pub(super) fn sealed(answer: &str, n: usize, seal: &Seal) -> Self {
        Self { encrypted_content: Some(seal.to_token()), ..Self::new(answer, n) }
    }

    /// Adds to the text.
    pub(super) fn push(&mut self, more: &str) {
        match self.summary.last_mut() {
            Some(summary) => summary.text.push_str(more),
            None => self.summary.push(Summary::new(more)),
        }
    }
}

impl Summary {
    /// A piece with this text.
    pub(super) fn new(text: &str) -> Self {
        Self { r#type: "summary_text", text: text.to_owned() }
    }
}

/// Unique within an answer, and across answers as far as their ids are.
fn item_id(prefix: &str, answer: &str, n: usize) -> String {
    format!("{prefix}_{answer}_{n}")
}
