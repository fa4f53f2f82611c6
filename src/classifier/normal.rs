//! Which words is a text made of, as an uncased BERT sees it? Control characters are dropped,
//! accents stripped, letters made small; white space separates, and each punctuation mark and
//! each Chinese character is a word of its own.

use std::sync::OnceLock;

use unicode_categories::UnicodeCategories;
use unicode_normalization::char::decompose_canonical;

/// What becomes of a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// It stays as it is, as part of a word.
    Plain,
    /// It has to be looked at: capital letters, letters with accents.
    Folded,
    /// It vanishes, and what stands around it belongs together.
    Removed,
    /// It ends a word.
    Space,
    /// It is a word of its own.
    Alone,
}

/// The classes of the characters below U+10000. Looking through the tables of Unicode takes too
/// long for every character of a prompt.
struct Classes(Box<[Class]>);

impl Classes {
    fn get() -> &'static Self {
        static CLASSES: OnceLock<Classes> = OnceLock::new();
        CLASSES.get_or_init(|| {
            let class = |code| char::from_u32(code).map_or(Class::Removed, class_of);
            Self((0..0x1_0000).map(class).collect())
        })
    }

    fn of(&self, c: char) -> Class {
        self.0.get(c as usize).copied().unwrap_or_else(|| class_of(c))
    }
}

fn class_of(c: char) -> Class {
    match c {
        ' ' | '\t' | '\n' | '\r' => Class::Space,
        '\0' | '\u{fffd}' => Class::Removed,
        _ if c.is_other() => Class::Removed,
        _ if c.is_whitespace() => Class::Space,
        _ if is_chinese(c) => Class::Alone,
        _ => {
            let (mut length, mut plain, mut marks) = (0, true, true);
            decompose_canonical(c, |part| {
                length += 1;
                marks &= part.is_mark_nonspacing();
                plain &= part == c && !part.is_mark_nonspacing() && part.to_lowercase().eq([part]);
            });
            match (plain && length == 1, is_punctuation(c)) {
                _ if marks => Class::Removed,
                (true, true) => Class::Alone,
                (true, false) => Class::Plain,
                (false, _) => Class::Folded,
            }
        }
    }
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.is_punctuation()
}

/// Han characters, as BERT draws the line: neither kana nor hangul.
fn is_chinese(c: char) -> bool {
    matches!(
        c,
        '\u{4e00}'..='\u{9fff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b73f}'
            | '\u{2b740}'..='\u{2b81f}'
            | '\u{2b920}'..='\u{2ceaf}'
            | '\u{f900}'..='\u{faff}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}

/// Hands over the words of a text one after the other, until `word` wants no more. Says whether
/// the text came to its end. `buffer` is only room to work in.
pub(super) fn words(text: &str, buffer: &mut String, mut word: impl FnMut(&str) -> bool) -> bool {
    let classes = Classes::get();
    let mut more = true;
    buffer.clear();
    for c in text.chars() {
        match classes.of(c) {
            Class::Plain => buffer.push(c),
            Class::Removed => {}
            Class::Space => more = flush(buffer, &mut word),
            Class::Alone => {
                more = flush(buffer, &mut word);
                decompose_canonical(c, |part| buffer.push(part));
                more = more && flush(buffer, &mut word);
            }
            Class::Folded if c.is_ascii_uppercase() => buffer.push(c.to_ascii_lowercase()),
            Class::Folded => decompose_canonical(c, |part| match part {
                _ if !more => {}
                _ if classes.of(part) == Class::Plain => buffer.push(part),
                _ if classes.of(part) == Class::Removed => {}
                _ if part.is_whitespace() => more = flush(buffer, &mut word),
                _ if is_punctuation(part) => {
                    more = flush(buffer, &mut word);
                    buffer.push(part);
                    more = more && flush(buffer, &mut word);
                }
                _ => buffer.extend(part.to_lowercase()),
            }),
        }
        if !more {
            return false;
        }
    }
    flush(buffer, &mut word)
}

fn flush(buffer: &mut String, word: &mut impl FnMut(&str) -> bool) -> bool {
    let more = buffer.is_empty() || word(buffer);
    buffer.clear();
    more
}

/// The stretches of a text, last first, that share no word with their neighbours; each with
/// where it begins.
pub(super) fn stretches_from_end(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let classes = Classes::get();
    let mut end = text.len();
    std::iter::from_fn(move || {
        let mut rest = text[..end].char_indices().rev();
        let (mut start, last) = rest.next()?;
        if !matches!(classes.of(last), Class::Space | Class::Alone) {
            for (at, c) in rest {
                if matches!(classes.of(c), Class::Space | Class::Alone) {
                    break;
                }
                start = at;
            }
        }
        let stretch = &text[start..end];
        end = start;
        Some((start, stretch))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut words_of = Vec::new();
        words(text, &mut String::new(), |word| {
            words_of.push(word.to_owned());
            true
        });
        words_of
    }

    #[test]
    fn words_are_small_bare_and_apart() {
        assert_eq!(all("Héllo,  WÖRLD!\u{200b}x\u{7}y"), ["hello", ",", "world", "!", "xy"]);
        assert_eq!(all("日本go"), ["日", "本", "go"]);
        assert_eq!(all("a\u{b}b \u{85}\u{2028}c"), ["ab", "c"]);
        assert_eq!(all("x ≠ y"), ["x", "=", "y"]);
        assert_eq!(all(" \n"), [""; 0]);
    }

    #[test]
    fn who_wants_no_more_gets_no_more() {
        for stop in 1..5 {
            let mut seen = 0;
            let whole = words("a;é—c d", &mut String::new(), |_| {
                seen += 1;
                seen < stop
            });
            assert!(!whole && seen == stop, "{stop}");
        }
    }

    proptest::proptest! {
        /// Cut into stretches, a text has the words that it has as a whole.
        #[test]
        fn stretches_share_no_word(text in "\\PC{0,40}|[ a,é\u{301}語\n=\u{338}\u{37e}]{0,40}") {
            let mut stretches: Vec<_> = stretches_from_end(&text).collect();
            stretches.reverse();
            proptest::prop_assert_eq!(stretches.iter().map(|(_, text)| *text).collect::<String>(), text.as_str());
            let apart: Vec<_> = stretches.iter().flat_map(|(_, text)| all(text)).collect();
            proptest::prop_assert_eq!(apart, all(&text));
        }
    }
}
