//! Which answers need not be written twice? With a fixed text and without validation, the answer
//! depends on so little that it is kept ready, frame by frame.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;

use super::playback::Frame;

/// Answers kept; when there are more, all are dropped.
const ANSWERS_MAX: usize = 256;

/// What a kept answer depends on.
#[derive(PartialEq, Eq, Hash, Clone)]
pub(super) struct Key {
    /// The kind of path.
    pub path: &'static str,
    pub model: String,
    pub stream: bool,
    /// [`super::answer::Ask::flag`].
    pub flag: bool,
    /// Prompt tokens by the length of the whole body.
    pub prompt_tokens: u64,
}

/// An answer ready to be sent.
#[derive(Clone)]
pub(super) enum Ready {
    Whole(Bytes, u64),
    Stream(Arc<[Frame]>),
}

/// The kept answers.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Key, Ready>>);

impl Cache {
    pub fn get(&self, key: &Key) -> Option<Ready> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub fn put(&self, key: Key, ready: Ready) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(key, ready);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The few fields of a body that a kept answer depends on.
#[derive(Deserialize, Default)]
pub(super) struct Glance<'a> {
    #[serde(borrow, default)]
    pub model: Option<Cow<'a, str>>,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
}

/// OpenAI's `stream_options`.
#[derive(Deserialize, Default)]
pub(super) struct StreamOptions {
    #[serde(default)]
    pub include_usage: Option<bool>,
}
