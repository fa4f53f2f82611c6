//! Which pieces of the vocabulary is a text made of? Greedy, longest piece first, as BERT's
//! WordPiece does it, from either end of a text and no further than asked.
//!
//! It agrees with the reference except that `[SEP]` and its like in a text are only text.

use super::normal;

/// A word of more characters than this is not looked up.
const LONGEST_WORD: usize = 100;
/// How a vocabulary marks a piece that goes on with a word.
const GOES_ON: &str = "##";

/// A vocabulary.
#[derive(Clone, Debug)]
pub struct WordPiece {
    /// All pieces, one after the other.
    text: String,
    /// Where each piece ends in `text`; it begins where the one before ends.
    ends: Vec<u32>,
    /// Open addressing over a power of two: the piece's hash and its id, or [`FREE`].
    slots: Vec<(u32, u32)>,
    longest: usize,
    /// What stands for a word that cannot be spelled: `[UNK]`.
    pub unknown: u32,
    /// What stands before everything: `[CLS]`.
    pub class: u32,
    /// What separates: `[SEP]`.
    pub separator: u32,
}

const FREE: u32 = u32::MAX;
const BEGINS: u64 = 0xcbf2_9ce4_8422_2325;
const CONTINUES: u64 = 0x6c62_272e_07bb_0142;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

fn tag(hash: u64) -> u32 {
    // The high half depends on every byte.
    (hash >> 32) as u32 ^ hash as u32
}

/// The pieces of a text, with the words they come from.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// The pieces' positions in the vocabulary.
    pub ids: Vec<u32>,
    /// The words, in order.
    pub words: Vec<Word>,
    /// The words' normalised text, one after the other.
    pub text: String,
    buffer: String,
    hashes: Vec<(u32, u32)>,
}

/// A word within [`Pieces`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word {
    /// Where its pieces begin in [`Pieces::ids`].
    pub piece: usize,
    /// Where its text begins in [`Pieces::text`].
    pub text: usize,
}

impl Pieces {
    /// Forgets all, keeps the room.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.words.clear();
        self.text.clear();
    }

    /// The text of a word, by its position.
    pub fn word(&self, at: usize) -> &str {
        let end = self.words.get(at + 1).map_or(self.text.len(), |next| next.text);
        self.words.get(at).map_or("", |word| &self.text[word.text..end])
    }

    /// Keeps only the last pieces; of a word that is cut through, its later pieces stay.
    fn keep_last(&mut self, limit: usize) {
        let excess = self.ids.len().saturating_sub(limit);
        if excess == 0 {
            return;
        }
        self.ids.drain(..excess);
        let cut = self.words.partition_point(|word| word.piece <= excess).saturating_sub(1);
        self.words.drain(..cut);
        for word in &mut self.words {
            word.piece = word.piece.saturating_sub(excess);
        }
    }
}

impl WordPiece {
    /// Reads a vocabulary: a piece per line.
    ///
    /// # Errors
    /// If it lacks one of `[UNK]`, `[CLS]` and `[SEP]`; says which.
    pub fn new(vocabulary: &str) -> Result<Self, String> {
        let pieces: Vec<&str> = vocabulary.lines().collect();
        let special = |name: &str| {
            let found = pieces.iter().position(|piece| *piece == name);
            found.map(|id| id as u32).ok_or_else(|| format!("the piece {name} is missing"))
        };
        let mut this = Self {
            text: String::with_capacity(vocabulary.len()),
            ends: Vec::with_capacity(pieces.len()),
            slots: vec![(0, FREE); (pieces.len() * 4).next_power_of_two()],
            longest: 0,
            unknown: special("[UNK]")?,
            class: special("[CLS]")?,
            separator: special("[SEP]")?,
        };
        for (id, piece) in pieces.iter().enumerate() {
            let rest = piece.strip_prefix(GOES_ON).filter(|rest| !rest.is_empty());
            let seed = if rest.is_some() { CONTINUES } else { BEGINS };
            let spelled = rest.unwrap_or(piece);
            this.text.push_str(spelled);
            this.ends.push(this.text.len() as u32);
            this.longest = this.longest.max(spelled.len());
            let tag = tag(spelled.bytes().fold(seed, step));
            let mut at = tag as usize & (this.slots.len() - 1);
            while this.slots[at].1 != FREE {
                at = (at + 1) & (this.slots.len() - 1);
            }
            // The first bit of the tag tells apart what begins a word from what goes on with it.
            this.slots[at] = (marked(tag, rest.is_some()), id as u32);
        }
        Ok(this)
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn spelled(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        &self.text.as_bytes()[start..self.ends[id] as usize]
    }

    fn find(&self, spelled: &[u8], tag: u32, continues: bool) -> Option<u32> {
        let mut at = tag as usize & (self.slots.len() - 1);
        let wanted = marked(tag, continues);
        loop {
            let (found, id) = self.slots[at];
            if id == FREE {
                return None;
            }
            if found == wanted && self.spelled(id) == spelled {
                return Some(id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds the pieces of the beginning of a text, until there are `limit` in all. Says whether
    /// that was all of the text.
    pub fn push(&self, text: &str, limit: usize, into: &mut Pieces) -> bool {
        if into.ids.len() >= limit {
            return text.is_empty();
        }
        let mut buffer = std::mem::take(&mut into.buffer);
        let whole = normal::words(text, &mut buffer, |word| {
            into.words.push(Word { piece: into.ids.len(), text: into.text.len() });
            into.text.push_str(word);
            self.spell(word, &mut into.ids, &mut into.hashes);
            into.ids.len() < limit
        });
        into.buffer = buffer;
        let cut = into.ids.len() > limit;
        into.ids.truncate(limit);
        whole && !cut
    }

    /// Replaces `into` with the last `limit` pieces of two texts that follow each other. A word
    /// that goes across both counts as two.
    pub fn last(&self, texts: [&str; 2], limit: usize, into: &mut Pieces) {
        let mut starts = texts.map(str::len);
        let mut found = 0;
        for (text, start) in texts.iter().zip(&mut starts).rev() {
            for (at, stretch) in normal::stretches_from_end(text) {
                if found >= limit {
                    break;
                }
                into.clear();
                self.push(stretch, usize::MAX, into);
                found += into.ids.len();
                *start = at;
            }
        }
        into.clear();
        for (text, start) in texts.iter().zip(starts) {
            self.push(&text[start..], usize::MAX, into);
        }
        into.keep_last(limit);
    }

    /// Adds the pieces of one normalised word. `hashes` is only room to work in.
    fn spell(&self, word: &str, into: &mut Vec<u32>, hashes: &mut Vec<(u32, u32)>) {
        let first = into.len();
        if word.len() > LONGEST_WORD && word.chars().nth(LONGEST_WORD).is_some() {
            into.push(self.unknown);
            return;
        }
        let bytes = word.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            hashes.clear();
            let mut hash = if start == 0 { BEGINS } else { CONTINUES };
            for (at, byte) in bytes.iter().enumerate().skip(start).take(self.longest) {
                hash = step(hash, *byte);
                if word.is_char_boundary(at + 1) {
                    hashes.push((at as u32 + 1, tag(hash)));
                }
            }
            let longest = hashes.iter().rev().find_map(|(end, tag)| {
                let end = *end as usize;
                self.find(&bytes[start..end], *tag, start > 0).map(|id| (end, id))
            });
            let Some((end, id)) = longest else {
                into.truncate(first);
                into.push(self.unknown);
                return;
            };
            into.push(id);
            start = end;
        }
    }
}

fn marked(tag: u32, continues: bool) -> u32 {
    tag & !1 | u32::from(continues)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    const VOCABULARY: &str = include_str!("../../models/category/vocab.txt");
    /// What the reference (`tokenizers`, without its added tokens) makes of many texts.
    const GOLDEN: &str = include_str!("../../tests/category/wordpiece.jsonl");

    #[derive(Deserialize)]
    struct Golden {
        text: String,
        pieces: Vec<u32>,
    }

    fn vocabulary() -> &'static WordPiece {
        static VOCABULARY_READ: std::sync::OnceLock<WordPiece> = std::sync::OnceLock::new();
        VOCABULARY_READ.get_or_init(|| WordPiece::new(VOCABULARY).unwrap())
    }

    #[test]
    fn it_agrees_with_the_reference() {
        let mut pieces = Pieces::default();
        for (line, golden) in GOLDEN.lines().enumerate() {
            let golden: Golden = serde_json::from_str(golden).unwrap();
            pieces.clear();
            assert!(vocabulary().push(&golden.text, usize::MAX, &mut pieces));
            assert_eq!(pieces.ids, golden.pieces, "line {}: {:?}", line + 1, golden.text);
        }
    }

    #[test]
    fn every_piece_of_the_vocabulary_is_found() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.len(), 30_522);
        let (mut ids, mut room) = (Vec::new(), Vec::new());
        for (id, piece) in VOCABULARY.lines().enumerate().filter(|(_, piece)| !piece.starts_with(GOES_ON)) {
            ids.clear();
            vocabulary.spell(piece, &mut ids, &mut room);
            assert_eq!(ids, [id as u32], "{piece}");
        }
    }

    #[test]
    fn a_vocabulary_needs_its_special_pieces() {
        assert_eq!(WordPiece::new("[UNK]\n[CLS]\n").unwrap_err(), "the piece [SEP] is missing");
    }

    proptest! {
        /// The beginning and the end of a text are those of the pieces of the whole text.
        #[test]
        fn ends_are_those_of_the_whole(text in "[ a-cé語,A\u{301}\n]{0,60}|\\PC{0,40}", cut in 0usize..60, limit in 0usize..20) {
            let (mut whole, mut part) = (Pieces::default(), Pieces::default());
            let vocabulary = vocabulary();
            vocabulary.push(&text, usize::MAX, &mut whole);
            let all = vocabulary.push(&text, limit, &mut part);
            let expected = &whole.ids[..limit.min(whole.ids.len())];
            prop_assert_eq!(&part.ids[..], expected);
            prop_assert!(!all || whole.ids.len() <= limit);
            vocabulary.last(["", &text], limit, &mut part);
            prop_assert_eq!(&part.ids[..], &whole.ids[whole.ids.len().saturating_sub(limit)..]);
            // Words and pieces belong together in either.
            for (at, word) in part.words.iter().enumerate() {
                let end = part.words.get(at + 1).map_or(part.ids.len(), |next| next.piece);
                prop_assert!(word.piece < end && !part.word(at).is_empty());
            }
            let cut = text.floor_char_boundary(cut);
            vocabulary.last([&text[..cut], &text[cut..]], limit, &mut part);
            prop_assert!(part.ids.len() <= limit);
        }
    }
}
