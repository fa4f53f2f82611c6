//! Where do made-up words come from? A small fixed vocabulary, drawn by a hash of the seed and
//! of what was asked, so that the same question always gets the same answer, whatever runs
//! beside it.

const VOCABULARY: [&str; 64] = [
    "signal",
    "track",
    "station",
    "train",
    "lever",
    "switch",
    "platform",
    "yard",
    "freight",
    "express",
    "tunnel",
    "bridge",
    "whistle",
    "lantern",
    "engine",
    "carriage",
    "timetable",
    "crossing",
    "junction",
    "siding",
    "points",
    "guard",
    "driver",
    "brake",
    "steam",
    "coal",
    "rail",
    "sleeper",
    "ballast",
    "gauge",
    "gradient",
    "curve",
    "arrives",
    "departs",
    "waits",
    "rolls",
    "turns",
    "stops",
    "slows",
    "passes",
    "carries",
    "couples",
    "early",
    "late",
    "north",
    "south",
    "east",
    "west",
    "quiet",
    "bright",
    "heavy",
    "light",
    "steady",
    "swift",
    "narrow",
    "broad",
    "and",
    "then",
    "before",
    "after",
    "over",
    "under",
    "beyond",
    "toward",
];

/// FNV-1a over several byte strings, with a separator between them.
pub(super) fn hash(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    mix(state)
}

/// The finaliser of splitmix64: every bit of the input reaches every bit of the output.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `index`-th word of the sequence that belongs to `seed`.
pub(super) fn word(seed: u64, index: u64) -> &'static str {
    // The modulus keeps the index within the array.
    VOCABULARY[(mix(seed ^ index.wrapping_mul(0x2545_f491_4f6c_dd1d)) % VOCABULARY.len() as u64) as usize]
}

/// `count` tokens, each a word with the space after it.
pub(super) fn words(seed: u64, count: u64) -> Vec<String> {
    (0..count)
        .map(|index| {
            let word = word(seed, index);
            if index + 1 == count { format!("{word}.") } else { format!("{word} ") }
        })
        .collect()
}

/// Cuts text into tokens that join to exactly that text: each ends with its white space.
pub(super) fn tokens(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_owned).collect()
}

/// Cuts text without white space to speak of (JSON, say) into pieces of about a dozen bytes.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for letter in text.chars() {
        piece.push(letter);
        if piece.len() >= 12 {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The rule by which prompts are counted: four bytes are a token, rounded up.
pub(super) fn prompt_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

/// An id in the style of the providers: the prefix and 24 letters and digits.
pub(super) fn id(prefix: &str, number: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = String::with_capacity(prefix.len() + 24);
    id.push_str(prefix);
    for half in 0..2_u64 {
        let mut rest = mix(number.wrapping_mul(2).wrapping_add(half));
        for _ in 0..12 {
            id.push(char::from(LETTERS[(rest % 62) as usize]));
            rest /= 62;
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_pieces_join_to_the_text() {
        for text in ["", "a", " lead and trail ", "zwei\nZeilen\tünd mehr", "{\"a\":[1,2,3],\"ключ\":\"значение\"}"]
        {
            assert_eq!(tokens(text).concat(), text);
            assert_eq!(pieces(text).concat(), text);
        }
    }

    #[test]
    fn the_same_seed_says_the_same_words() {
        assert_eq!(words(3, 9), words(3, 9));
        assert_ne!(words(3, 9), words(4, 9));
        assert_eq!(words(3, 9).len(), 9);
    }

    #[test]
    fn ids_differ() {
        assert_ne!(id("x-", 1), id("x-", 2));
        assert_eq!(id("x-", 1).len(), 26);
    }
}
