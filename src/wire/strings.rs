//! Which strings does a JSON text have, keys and values alike? Looked for without reading its
//! structure.

use super::scan::plain;

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
}

impl<'a> Strings<'a> {
    /// Those of this text, which is JSON.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Whether the latest was a name.
    pub fn was_name(&self) -> bool {
        self.text[self.at..].trim_ascii_start().first() == Some(&b':')
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.text;
        let start = self.at + memchr::memchr(b'"', &text[self.at..])? + 1;
        let mut end = start;
        // To the quote that ends it, past what has a backslash before it.
        loop {
            // Control characters were looked for when it was found to be JSON.
            end += plain::<false>(&text[end..])?;
            match text[end] {
                b'"' => break,
                b'\\' => end = (end + 2).min(text.len()),
                // There is none within the strings of JSON.
                _ => end += 1,
            }
        }
        self.at = end + 1;
        Some(&text[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
