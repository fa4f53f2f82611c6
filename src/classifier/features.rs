//! What of a conversation does the fast classifier see? The rows of its table, segment by
//! segment, and the surface of the prompt. Training and serving see the same: this is the only
//! place that makes features.
//!
//! A table has a row for each piece of the vocabulary; after them come the rows that hashed
//! things share: pairs of neighbouring pieces, and runs of characters within a word.

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::surface::{SURFACE, surface};
use super::wordpiece::{Pieces, WordPiece};
use crate::domain::conversation::{Conversation, Passage};

/// How many parts a conversation is cut into.
pub const SEGMENTS: usize = 6;
/// The first pieces of the prompt.
pub const HEAD: usize = 0;
/// Those after them, where the prompt is long.
pub const MIDDLE: usize = 1;
/// The last pieces of the prompt.
pub const TAIL: usize = 2;
/// The first pieces of what the application says.
pub const SYSTEM: usize = 3;
/// The first pieces of the exchange before the prompt.
pub const CONTEXT: usize = 4;
/// The very first pieces of the prompt, where most instructions stand.
pub const FIRST: usize = 5;

/// What is hashed, so that a pair and a run of characters differ.
const PAIR: u32 = 1;
const RUN: u32 = 2;
const UNKNOWN: u32 = 3;
/// Stand for the beginning and the end of a passage among pieces.
const BEGIN: u32 = u32::MAX;
const END: u32 = u32::MAX - 1;
/// Sets the hash of a word without a piece apart from the positions of pieces.
const NO_PIECE: u32 = 1 << 31;
/// Of a word of more characters, the others make no runs.
const LONGEST: usize = 64;

/// The numbers that weights were trained with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Pieces of the prompt's very beginning.
    pub first: usize,
    /// Pieces of the prompt's head.
    pub head: usize,
    /// Pieces of its middle.
    pub middle: usize,
    /// Pieces of its tail.
    pub tail: usize,
    /// Pieces of the system prompt.
    pub system: usize,
    /// Pieces of the user's words before the prompt.
    pub earlier: usize,
    /// Pieces of the answer to them.
    pub answer: usize,
    /// Characters of the shortest run, with the marks of a word's ends.
    pub shortest_run: usize,
    /// Characters of the longest run.
    pub longest_run: usize,
    /// The most runs of the head and of the tail, for each piece that they may have. The other
    /// segments have none.
    pub runs_per_piece: usize,
    /// Rows that hashed things share.
    pub buckets: u32,
    /// Numbers in a row.
    pub width: usize,
    /// Numbers in the hidden layer.
    pub hidden: usize,
}

/// What the fast classifier sees of a conversation. Made once and used again and again, it
/// allocates nothing after a while.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// The rows of each segment, in no particular order.
    pub segments: [Vec<u32>; SEGMENTS],
    /// The surface of the prompt.
    pub surface: [f32; SURFACE],
    /// The pieces of the prompt's head, middle and tail, each once.
    pub pieces: Vec<u32>,
    room: Room,
}

#[derive(Clone, Debug, Default)]
struct Room {
    pieces: Pieces,
    keys: Vec<u32>,
    characters: Vec<u32>,
}

impl Features {
    /// Whether there is nothing to go by.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// Makes features.
#[derive(Clone, Debug)]
pub struct Featuriser {
    shape: Shape,
}

/// A part of [`Pieces`].
#[derive(Clone, Copy)]
struct Part {
    from: usize,
    to: usize,
    /// The most runs of characters.
    runs: usize,
    begins: bool,
    ends: bool,
}

impl Featuriser {
    /// Makes features of this shape.
    pub fn new(shape: Shape) -> Self {
        Self { shape }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many numbers the layers after the table take in.
    pub fn inputs(&self) -> usize {
        SEGMENTS * self.shape.width + SURFACE
    }

    /// Looks at a conversation.
    pub fn look(&self, wordpiece: &WordPiece, conversation: &Conversation, into: &mut Features) {
        into.segments.iter_mut().for_each(Vec::clear);
        into.pieces.clear();
        into.surface = surface(conversation);
        let mut room = std::mem::take(&mut into.room);
        self.prompt(wordpiece, &conversation.prompt, into, &mut room);
        let contexts = [
            (SYSTEM, &conversation.system, self.shape.system),
            (CONTEXT, &conversation.earlier, self.shape.earlier),
            (CONTEXT, &conversation.answer, self.shape.answer),
        ];
        for (segment, passage, limit) in contexts {
            room.pieces.clear();
            wordpiece.push(&passage.head, limit, &mut room.pieces);
            let to = room.pieces.ids.len();
            let part = Part { from: 0, to, runs: 0, begins: true, ends: false };
            self.rows(wordpiece, &mut room, part, &mut into.segments[segment]);
        }
        into.room = room;
    }

    fn prompt(&self, wordpiece: &WordPiece, prompt: &Passage, into: &mut Features, room: &mut Room) {
        let Shape { first, head, middle, tail, runs_per_piece, .. } = self.shape;
        let most = head + middle + tail;
        room.pieces.clear();
        let whole = wordpiece.push(&prompt.head, most, &mut room.pieces)
            && wordpiece.push(&prompt.tail, most, &mut room.pieces);
        let count = room.pieces.ids.len();
        into.pieces.extend_from_slice(&room.pieces.ids[..if whole { count } else { head + middle }.min(count)]);
        let part = Part { from: 0, to: first.min(count), runs: 0, begins: true, ends: false };
        self.rows(wordpiece, room, part, &mut into.segments[FIRST]);
        let runs = head * runs_per_piece;
        let part = Part { from: 0, to: head.min(count), runs, begins: true, ends: whole && count <= head };
        self.rows(wordpiece, room, part, &mut into.segments[HEAD]);
        // The tail of what was read whole is there already, and what is neither is the middle.
        let before_tail = if whole { count.saturating_sub(tail) } else { head + middle };
        let part = Part { from: part.to, to: before_tail.min(head + middle), runs: 0, begins: false, ends: false };
        self.rows(wordpiece, room, part, &mut into.segments[MIDDLE]);
        let runs = tail * runs_per_piece;
        let part = if whole {
            Part { from: before_tail, to: count, runs, begins: before_tail == 0, ends: true }
        } else {
            wordpiece.last([&prompt.head, &prompt.tail], tail, &mut room.pieces);
            into.pieces.extend_from_slice(&room.pieces.ids);
            Part { from: 0, to: room.pieces.ids.len(), runs, begins: false, ends: true }
        };
        self.rows(wordpiece, room, part, &mut into.segments[TAIL]);
    }

    /// Adds the rows of a part: its pieces, pairs of them, and runs of characters.
    fn rows(&self, wordpiece: &WordPiece, room: &mut Room, part: Part, rows: &mut Vec<u32>) {
        if part.from >= part.to {
            return;
        }
        let Room { pieces, keys, characters } = room;
        let vocabulary = wordpiece.len() as u32;
        rows.extend_from_slice(&pieces.ids[part.from..part.to]);
        keys.clear();
        keys.extend(part.begins.then_some(BEGIN));
        keys.extend_from_slice(&pieces.ids[part.from..part.to]);
        let most = rows.len() + part.runs;
        let first = pieces.words.partition_point(|word| word.piece < part.from);
        for at in first..pieces.words.len() {
            let piece = pieces.words[at].piece;
            if piece >= part.to {
                break;
            }
            let unknown = pieces.ids[piece] == wordpiece.unknown;
            let word = pieces.word(at);
            if unknown {
                let hash = word.chars().fold(Hash::new(UNKNOWN), |hash, c| hash.with(c as u32));
                keys[piece - part.from + usize::from(part.begins)] = hash.value() | NO_PIECE;
            }
            self.runs(word, unknown, vocabulary, most, characters, rows);
        }
        keys.extend(part.ends.then_some(END));
        rows.extend(
            keys.windows(2)
                .map(|pair| vocabulary + Hash::new(PAIR).with(pair[0]).with(pair[1]).bucket(self.shape.buckets)),
        );
    }

    /// Adds the runs of characters of a word. A word of one character is its own piece, unless it
    /// has none.
    fn runs(&self, word: &str, unknown: bool, vocabulary: u32, most: usize, room: &mut Vec<u32>, rows: &mut Vec<u32>) {
        room.clear();
        room.push('<' as u32);
        room.extend(word.chars().take(LONGEST).map(|c| c as u32));
        room.push('>' as u32);
        if room.len() == 3 && !unknown {
            return;
        }
        let Shape { shortest_run, longest_run, buckets, .. } = self.shape;
        for start in 0..room.len() {
            if rows.len() >= most {
                return;
            }
            let mut hash = Hash::new(RUN);
            for (length, character) in room[start..].iter().take(longest_run).enumerate() {
                hash = hash.with(*character);
                if length + 1 >= shortest_run {
                    if rows.len() >= most {
                        return;
                    }
                    rows.push(vocabulary + hash.bucket(buckets));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classifier::tests_support::{shape, wordpiece};

    fn look(conversation: &Conversation) -> Features {
        let mut features = Features::default();
        Featuriser::new(shape()).look(wordpiece(), conversation, &mut features);
        features
    }

    fn pieces(features: &Features, segment: usize) -> Vec<&str> {
        let vocabulary: Vec<&str> = include_str!("../../models/category/vocab.txt").lines().collect();
        let rows = &features.segments[segment];
        rows.iter().filter_map(|row| vocabulary.get(*row as usize).copied()).collect()
    }

    #[test]
    fn a_short_prompt_is_its_own_head_and_tail() {
        let features = look(&Conversation::prompt("fix my code"));
        assert_eq!(pieces(&features, HEAD), ["fix", "my", "code"]);
        assert_eq!(features.segments[HEAD], features.segments[TAIL]);
        // 3 pieces, 4 pairs with the ends, and runs of <fix>, <my>, <code>.
        assert_eq!(features.segments[HEAD].len(), 3 + 4 + (3 + 2 + 1) + (2 + 1) + (4 + 3 + 2));
        assert!(features.segments[MIDDLE].is_empty());
        assert_eq!(features.pieces.len(), 3);
    }

    #[test]
    fn a_longer_prompt_is_cut_into_parts() {
        let letters = |from: u8, to: u8| (from..to).map(|c| char::from(c).to_string()).collect::<Vec<_>>();
        let text = letters(b'a', b'u').join(" ");
        let features = look(&Conversation::prompt(&text));
        assert_eq!(pieces(&features, HEAD), letters(b'a', b'i'));
        assert_eq!(pieces(&features, MIDDLE), letters(b'i', b'm'));
        assert_eq!(pieces(&features, TAIL), letters(b'm', b'u'));
        let text = format!("{text} {} v w x y z", "word ".repeat(5000));
        let features = look(&Conversation::prompt(&text));
        assert_eq!(pieces(&features, MIDDLE), letters(b'i', b'o'));
        assert_eq!(pieces(&features, TAIL), ["word", "word", "word", "v", "w", "x", "y", "z"]);
        assert_eq!(features.pieces.len(), 22);
    }

    #[test]
    fn context_has_segments_of_its_own() {
        let mut conversation = Conversation::prompt("and now");
        conversation.system = Passage::new("be a good help to all");
        conversation.earlier = Passage::new("hello");
        conversation.answer = Passage::new("good day to you");
        let features = look(&conversation);
        assert_eq!(pieces(&features, SYSTEM), ["be", "a", "good", "help"]);
        assert_eq!(pieces(&features, FIRST), ["and", "now"]);
        assert_eq!(pieces(&features, CONTEXT), ["hello", "good", "day", "to"]);
    }

    #[test]
    fn words_without_a_piece_still_differ() {
        let [one, other] = ["\u{1e900}", "\u{1e901}"].map(|text| look(&Conversation::prompt(text)));
        assert_eq!(pieces(&one, HEAD), ["[UNK]"]);
        assert!(one.segments[HEAD][1..].iter().all(|row| !other.segments[HEAD].contains(row)));
    }

    proptest! {
        /// Whatever the bytes: no panic, no row outside the table, no more of them than agreed.
        #[test]
        fn rows_stay_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400), times in 1usize..40) {
            let text = String::from_utf8_lossy(&bytes).repeat(times);
            let mut conversation = Conversation::prompt(&text);
            conversation.system = Passage::new(&text);
            let features = look(&conversation);
            let shape = shape();
            let limits = [shape.head, shape.middle, shape.tail, shape.system, shape.earlier + shape.answer, shape.first];
            for (segment, (rows, limit)) in features.segments.iter().zip(limits).enumerate() {
                let runs = if [HEAD, TAIL].contains(&segment) { limit * shape.runs_per_piece } else { 0 };
                prop_assert!(rows.len() <= 2 * limit + 1 + runs);
                prop_assert!(rows.iter().all(|row| (*row as usize) < wordpiece().len() + shape.buckets as usize));
            }
        }
    }
}
