//! Where do the values of a JSON text end, and is it JSON at all? Nothing is built, and strings,
//! which are nearly all of a long body, are passed over many bytes at a time.
//!
//! It takes what `serde_json` takes (RFC 8259) and refuses what that refuses: what is let
//! through here is read by somebody else.

use std::fmt;

use memchr::memchr2;

use super::turn::step;

/// The text is not JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The byte at which that was seen.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

/// So many values and escapes, each some nanoseconds, are a step of long work.
const STEP: u32 = 64;

/// Reads a text from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    steps: u32,
    escapes: u32,
}

/// A string as it is written, and whether it has escapes in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted<'a> {
    /// Between its quotes.
    pub raw: &'a str,
    /// Some of it means something else.
    pub escaped: bool,
}

impl<'a> Scanner<'a> {
    /// At the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, steps: 0, escapes: 0 }
    }

    /// Called for each thing that is looked at by itself.
    fn step(&mut self) {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(STEP) {
            step();
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn broken<T>(&self, expected: &'static str) -> Result<T, Broken> {
        Err(Broken { at: self.at, expected })
    }

    /// The next byte that is no space.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Passes over this byte, if it is the next one that is no space.
    pub fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Passes over this byte.
    ///
    /// # Errors
    /// If something else is there.
    pub fn want(&mut self, byte: u8, what: &'static str) -> Result<(), Broken> {
        if self.take(byte) { Ok(()) } else { self.broken(what) }
    }

    /// A string.
    ///
    /// # Errors
    /// If there is none.
    pub fn string(&mut self) -> Result<Quoted<'a>, Broken> {
        self.want(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let Some(length) = plain(&self.bytes()[self.at..]) else {
                self.at = self.text.len();
                return self.broken("the end of a string");
            };
            self.at += length;
            match self.bytes()[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(Quoted { raw: &self.text[start..self.at - 1], escaped });
                }
                b'\\' => {
                    self.at += 1;
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.broken("no control character within a string"),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<(), Broken> {
        self.step();
        self.escapes = self.escapes.wrapping_add(1);
        let rest = &self.bytes()[self.at..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') if rest.len() > 4 && rest[1..5].iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return self.broken("an escape"),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Broken> {
        self.at += usize::from(self.bytes().get(self.at) == Some(&b'-'));
        if self.bytes().get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes().get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes().get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let count = self.bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.broken("a digit") } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Broken> {
        if !self.bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.broken("a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// A name and its colon.
    ///
    /// # Errors
    /// If there is none.
    pub fn name(&mut self) -> Result<Quoted<'a>, Broken> {
        let name = self.string()?;
        self.want(b':', "a colon")?;
        Ok(name)
    }

    /// Passes over a value, whatever it holds, and returns it as it is written.
    ///
    /// # Errors
    /// If there is none.
    pub fn value(&mut self) -> Result<&'a str, Broken> {
        let first = self.peek();
        let start = self.at;
        // What it is within: `true` for an object. Not calls of itself: a body may be deep.
        let mut within: smallvec::SmallVec<[bool; 64]> = smallvec::SmallVec::new();
        let mut next = first;
        loop {
            self.step();
            match next {
                Some(b'"') => drop(self.string()?),
                Some(b'{') => {
                    self.at += 1;
                    if !self.take(b'}') {
                        within.push(true);
                        self.name()?;
                        next = self.peek();
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.take(b']') {
                        within.push(false);
                        next = self.peek();
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => return self.broken("a value"),
            }
            loop {
                let Some(object) = within.last() else { return Ok(&self.text[start..self.at]) };
                match (self.peek(), object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.name()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        within.pop();
                    }
                    _ => return self.broken("a comma or the end"),
                }
            }
            next = self.peek();
        }
    }

    /// Passes over an object. `field` takes each value, and is told its name as it is written; a
    /// name with escapes in it is refused.
    ///
    /// # Errors
    /// If there is none, or `field` has one.
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Result<(), Broken>) -> Result<(), Broken> {
        self.want(b'{', "an object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            if name.escaped {
                return self.broken("a name without escapes");
            }
            field(self, name.raw)?;
            if !self.take(b',') {
                return self.want(b'}', "the end of the object");
            }
        }
    }

    /// Passes over an array; `element` takes each value.
    ///
    /// # Errors
    /// If there is none, or `element` has one.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        self.want(b'[', "an array")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.take(b',') {
                return self.want(b']', "the end of the array");
            }
        }
    }

    /// How many values it has passed over, each within another as well.
    pub fn values(&self) -> u32 {
        self.steps.wrapping_sub(self.escapes)
    }

    /// Whether nothing but space is left.
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}

/// How many bytes there are before the next one that means something within a string: a quote, a
/// backslash or a control character.
///
/// Eight at a time, by the arithmetic of "Hacker's Delight" (H. S. Warren, 6-1): most strings are
/// short, and to call for many bytes at a time takes a while. Of a long one the rest is looked for
/// that way.
fn plain(rest: &[u8]) -> Option<usize> {
    const SHORT: usize = 64;
    let mut at = 0;
    while at < SHORT
        && let Some(word) = rest[at..].first_chunk()
    {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = &rest[at..];
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    if rest.len() < 8 {
        return rest.iter().position(is_special).map(|found| at + found);
    }
    let found = memchr2(b'"', b'\\', rest);
    let before = &rest[..found.unwrap_or(rest.len())];
    // The least byte, which compilers find sixteen bytes at a time, tells of all of them.
    if before.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
        return before.iter().position(is_special).map(|found| at + found);
    }
    found.map(|found| at + found)
}

/// The highest bit of the first byte that is a quote, a backslash or a control character; higher
/// bits may be wrong.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word & HIGH;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    is(b'"') | is(b'\\') | below(word, b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value().is_ok() && scanner.at_end()
    }

    fn is_json(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn others_have_turns_wherever_a_body_is_long_to_look_at() {
        for (text, values, escapes) in
            [("[[[[]]]]", 4, 0), ("[1,2,[],{}]", 5, 0), (r#"{"a":{"b":[0]}}"#, 4, 0), (r#""\n\n\u00e9""#, 1, 3)]
        {
            let mut scanner = Scanner::new(text);
            scanner.value().unwrap();
            assert_eq!((scanner.values(), scanner.steps), (values, values + escapes), "{text}");
        }
    }

    #[test]
    fn it_takes_what_the_library_takes_and_nothing_else() {
        for text in [
            "{}",
            "[]",
            "[[]]",
            "{\"a\":{}}",
            " [ 1 , 2 ] ",
            "-0.5e+10",
            "1E5",
            "0",
            "-0",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "tru",
            "true",
            "false",
            "null",
            "nul",
            "\"a\\u00e9\\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"a\u{1}\"",
            "\"a\tb\"",
            "\"\u{7f}é日本\"",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "[1 2]",
            "[",
            "{",
            "\"",
            "\"abc\\",
            "]",
            "",
            " ",
            "1 2",
            "{}{}",
            "[{]}",
            "\u{a0}1",
            "\"0123456789abcdef0123456789\\\"\"",
            "{\"a\\\"\":[true,{\"b\":null}]}",
            "[\"\",\"\"]",
            "NaN",
            "\u{feff}1",
        ] {
            assert_eq!(accepts(text), is_json(text), "{text}");
        }
    }

    #[test]
    fn a_value_is_returned_as_it_is_written() {
        let mut scanner = Scanner::new(" [1, {\"a\" : \"]\\\"\"}]  ,2");
        assert_eq!(scanner.value().unwrap(), "[1, {\"a\" : \"]\\\"\"}]");
        assert!(scanner.take(b',') && scanner.value() == Ok("2") && scanner.at_end());
    }

    #[test]
    fn depth_takes_no_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(accepts(&deep) && !accepts(&deep[1..]));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_for_the_same_as_by_the_library(text in "[\\[\\]{}\":,0-9eE.+\\-truefalsn\\\\u \n\u{1}é]{0,40}") {
            prop_assert_eq!(accepts(&text), is_json(&text));
        }

        #[test]
        fn any_json_with_one_byte_changed_is_too(
            values in prop::collection::vec("[ -~é\n]{0,30}", 0..6), at in any::<prop::sample::Index>(), byte in 0u8..128,
        ) {
            let mut text = serde_json::json!({"a": values, "b": [1.5, null, {"c": values.len()}]}).to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(text) = String::from_utf8(text) {
                prop_assert_eq!(accepts(&text), is_json(&text));
            }
        }
    }
}
