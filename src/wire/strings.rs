//! Which strings does a JSON text have, keys and values alike? Looked for without reading its
//! structure.

use memchr::memchr;

use super::turn::Pieces;

/// Whether one of these words is a string of the text by itself (`"image_url"`), as a key or as a
/// value. Text that merely talks about it does not count. The text is JSON.
pub fn has_any_token(text: &[u8], words: &[&str]) -> bool {
    Strings::new(text).any(|token| words.iter().any(|word| word.as_bytes() == token))
}

/// The strings of a JSON text, keys and values, as they are written.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    text: &'a [u8],
    at: usize,
    pieces: Pieces,
}

impl<'a> Strings<'a> {
    /// Those of this text, which is JSON.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, pieces: Pieces::default() }
    }

    /// Whether the latest was a name.
    pub fn was_name(&self) -> bool {
        self.text[self.at..].trim_ascii_start().first() == Some(&b':')
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.pieces.one();
        let text = self.text;
        let start = self.at + memchr(b'"', &text[self.at..])? + 1;
        let end = start + closing_quote(&text[start..])?;
        self.at = end + 1;
        Some(&text[start..end])
    }
}

/// How far it is to the end of a string of JSON: to a quote with an even number of backslashes before
/// it. Only quotes are searched for, since the lines of a prompt end in `\n` far more often.
fn closing_quote(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'"', &rest[at..])?;
        let backslashes = rest[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes.is_multiple_of(2) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::turn::in_turns;

    #[test]
    fn tokens_in_quoted_text_do_not_count() {
        let has = |text: &str| has_any_token(text.as_bytes(), &["role", "image_url"]);
        assert!(has(r#"{"type":"image_url"}"#) && has(r#"{"role":1}"#));
        for text in [
            r#"{"content":"say \"image_url\" twice"}"#,
            r#"{"content":"the image_url field, its role"}"#,
            r#"{"a\\\"role":1}"#,
            r#"{"r\u006fle":"\\"}"#,
            r#"["role"#,
            "",
        ] {
            assert!(!has(text), "{text}");
        }
        assert!(has(r#"["ends with a backslash \\","role"]"#));
    }

    #[test]
    fn others_have_turns_while_a_long_text_is_looked_through() {
        let text = r#""a","#.repeat(100_000);
        assert_eq!(in_turns(|| has_any_token(text.as_bytes(), &["b"])), (false, 100_000 / 32 / 256));
    }

    proptest! {
        #[test]
        fn every_string_is_found_as_it_is_written(texts in vec(r#"[a"\\\n\u{1}é]{0,40}"#, 0..6)) {
            let quoted: Vec<String> = texts.iter().map(|text| serde_json::to_string(text).unwrap()).collect();
            let text = format!("[{}]", quoted.join(" , "));
            let found: Vec<String> =
                Strings::new(text.as_bytes()).map(|raw| format!("\"{}\"", str::from_utf8(raw).unwrap())).collect();
            prop_assert_eq!(found, quoted);
        }
    }
}
