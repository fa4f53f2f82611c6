//! Which pieces of a conversation does the encoder read? Training and serving read the same.
//!
//! `[CLS] prompt [SEP]`, or with a context `[CLS] system [SEP] earlier answer [SEP] prompt
//! [SEP]`. A prompt that is too long keeps its two ends, with a `…` where it was cut.

use crate::classifier::wordpiece::{Pieces, WordPiece};
use crate::domain::conversation::{Conversation, Passage};

/// The most pieces of what the application says.
const SYSTEM: usize = 24;
/// The most pieces of what the user said before.
const EARLIER: usize = 12;
/// The most pieces of the answer to that.
const ANSWER: usize = 8;
/// Of a prompt that is too long, this share of its pieces are of its beginning.
const HEAD: (usize, usize) = (3, 5);

/// The pieces of a conversation, at most `limit`.
pub fn pieces(words: &WordPiece, conversation: &Conversation, limit: usize) -> Vec<u32> {
    let mut room = Pieces::default();
    let mut all = vec![words.class];
    let mut context = [&conversation.system, &conversation.earlier, &conversation.answer].into_iter();
    if context.any(|passage| !passage.is_empty()) {
        begin(words, &conversation.system, SYSTEM, &mut room, &mut all);
        all.push(words.separator);
        begin(words, &conversation.earlier, EARLIER, &mut room, &mut all);
        begin(words, &conversation.answer, ANSWER, &mut room, &mut all);
        all.push(words.separator);
    }
    let most = limit.saturating_sub(all.len() + 1);
    let Passage { head, tail } = &conversation.prompt;
    room.clear();
    if words.push(head, most, &mut room) && words.push(tail, most, &mut room) {
        all.extend_from_slice(&room.ids);
    } else {
        let cut = most * HEAD.0 / HEAD.1;
        all.extend_from_slice(&room.ids[..cut.min(room.ids.len())]);
        room.clear();
        words.push("…", 1, &mut room);
        all.extend_from_slice(&room.ids);
        words.last([head, tail], most.saturating_sub(cut + 1), &mut room);
        all.extend_from_slice(&room.ids);
    }
    all.push(words.separator);
    all.truncate(limit);
    all
}

fn begin(words: &WordPiece, passage: &Passage, most: usize, room: &mut Pieces, into: &mut Vec<u32>) {
    room.clear();
    words.push(&passage.head, most, room);
    into.extend_from_slice(&room.ids);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classifier::tests_support::wordpiece;

    fn read(conversation: &Conversation, limit: usize) -> String {
        let vocabulary: Vec<&str> = include_str!("../../../models/category/vocab.txt").lines().collect();
        let pieces = pieces(wordpiece(), conversation, limit);
        pieces.iter().map(|piece| vocabulary[*piece as usize]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn context_comes_first_and_the_prompt_keeps_both_ends() {
        let mut conversation = Conversation::prompt("fix my code");
        assert_eq!(read(&conversation, 96), "[CLS] fix my code [SEP]");
        conversation.system = Passage::new("be good");
        conversation.answer = Passage::new("hello");
        assert_eq!(read(&conversation, 96), "[CLS] be good [SEP] hello [SEP] fix my code [SEP]");
        let long = Conversation::prompt(&format!("translate this {} into german", "word ".repeat(4000)));
        assert_eq!(read(&long, 12), "[CLS] translate this word word word word … word into german [SEP]");
    }

    proptest! {
        /// Whatever is said: no panic, no more pieces than agreed.
        #[test]
        fn pieces_stay_within_bounds(texts in prop::array::uniform4(".{0,300}"), times in 1usize..80, limit in 3usize..128) {
            let [system, earlier, answer, prompt] = texts.map(|text| Passage::new(&text.repeat(times)));
            let conversation = Conversation { system, earlier, answer, prompt };
            prop_assert!(pieces(wordpiece(), &conversation, limit).len() <= limit);
        }
    }
}
