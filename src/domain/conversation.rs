//! What of a conversation tells what its last prompt asks for, within bounds.

/// A text of any length, of which only both ends are kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Passage {
    /// The text, or its beginning.
    pub head: String,
    /// Its end; empty where `head` is all of it.
    pub tail: String,
}

impl Passage {
    /// The most bytes that each end keeps.
    pub const END: usize = 4096;

    /// Keeps both ends of a text.
    pub fn new(text: &str) -> Self {
        let mut passage = Self::default();
        passage.push(text);
        passage
    }

    /// Goes on with more text.
    pub fn push(&mut self, text: &str) {
        let room = if self.tail.is_empty() { Self::END.saturating_sub(self.head.len()) } else { 0 };
        let cut = text.floor_char_boundary(room);
        self.head.push_str(&text[..cut]);
        let rest = &text[cut..];
        let from = rest.ceil_char_boundary(rest.len().saturating_sub(Self::END));
        if from > 0 {
            // What was the end is followed by what is not kept.
            self.tail.clear();
        }
        self.tail.push_str(&rest[from..]);
        if self.tail.len() > Self::END {
            let from = self.tail.ceil_char_boundary(self.tail.len() - Self::END);
            self.tail.drain(..from);
        }
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }
}

/// What of a conversation tells what its last prompt asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conversation {
    /// What the application tells the model before anyone speaks.
    pub system: Passage,
    /// What the user said before the last prompt.
    pub earlier: Passage,
    /// What the model answered to that.
    pub answer: Passage,
    /// The last prompt: all that the user said since the model's last answer.
    pub prompt: Passage,
}

impl Conversation {
    /// A single prompt without a context.
    pub fn prompt(text: &str) -> Self {
        Self { prompt: Passage::new(text), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a text arrives, both of its ends are there, and never more than that.
        #[test]
        fn both_ends_are_kept(parts in prop::collection::vec("[aé語🎈]{0,2000}", 0..8)) {
            let mut passage = Passage::default();
            for part in &parts {
                passage.push(part);
            }
            let whole = parts.concat();
            prop_assert!(whole.starts_with(&passage.head) && whole.ends_with(&passage.tail));
            prop_assert!(passage.head.len() <= Passage::END && passage.tail.len() <= Passage::END);
            if whole.len() <= 2 * Passage::END - 8 {
                prop_assert_eq!(passage.head.len() + passage.tail.len(), whole.len());
            } else {
                prop_assert!(passage.head.len() > Passage::END - 4 && passage.tail.len() > Passage::END - 8);
            }
        }
    }
}
