//! What does a prompt look like from afar, before a word of it is read? Its length, kinds of
//! characters, marks of code, lines and questions.

use crate::domain::conversation::{Conversation, Passage};

/// How many numbers describe the surface. Trained weights depend on it, and on each number.
pub const SURFACE: usize = 32;

/// How many bytes of either end are looked at.
const END: usize = 2048;
/// Lengths, in bytes, that divide the short from the long.
const LENGTHS: [usize; 4] = [20, 80, 400, 2000];

#[derive(Default)]
struct Counts {
    characters: u32,
    letters: u32,
    capitals: u32,
    digits: u32,
    spaces: u32,
    punctuation: u32,
    not_ascii: u32,
    not_latin: u32,
    code: u32,
    mathematics: u32,
    quotes: u32,
    questions: u32,
    lines: u32,
    indented: u32,
    listed: u32,
    colons_before_lines: u32,
    bars: u32,
    /// A number, a sign of arithmetic and a number.
    sums: u32,
}

impl Counts {
    fn take(&mut self, text: &str) {
        let mut before = '\n';
        // The last two characters that are no spaces.
        let mut written = ['\n'; 2];
        for c in text.chars() {
            self.characters += 1;
            match c {
                'a'..='z' => self.letters += 1,
                'A'..='Z' => {
                    self.letters += 1;
                    self.capitals += 1;
                }
                '0'..='9' => {
                    self.digits += 1;
                    let [number, sign] = written;
                    self.sums += u32::from(number.is_ascii_digit() && is_arithmetic(sign));
                }
                '\n' => {
                    self.lines += 1;
                    self.spaces += 1;
                    self.colons_before_lines += u32::from(before == ':');
                }
                ' ' | '\t' | '\r' => {
                    self.spaces += 1;
                    self.indented += u32::from(before == '\n');
                }
                _ if c.is_ascii() => {
                    self.punctuation += 1;
                    self.code +=
                        u32::from(matches!(c, '{' | '}' | '(' | ')' | '[' | ']' | ';' | '=' | '<' | '>' | '_'));
                    self.mathematics += u32::from(matches!(c, '+' | '-' | '*' | '/' | '^' | '=' | '\\' | '$' | '%'));
                    self.bars += u32::from(c == '|');
                    self.quotes += u32::from(c == '"');
                    self.questions += u32::from(c == '?');
                    self.listed += u32::from(before == '\n' && matches!(c, '-' | '*' | '#'));
                }
                _ => {
                    self.not_ascii += 1;
                    self.quotes += u32::from(matches!(c, '“' | '”' | '„' | '«' | '»' | '「' | '」'));
                    self.questions += u32::from(is_question(c));
                    if c.is_alphabetic() {
                        self.letters += 1;
                        self.not_latin += u32::from(c > '\u{24f}');
                    }
                }
            }
            before = c;
            if c != ' ' {
                written = [written[1], c];
            }
        }
    }
}

fn is_arithmetic(c: char) -> bool {
    matches!(c, '+' | '-' | '*' | '/' | '^' | '=' | '×' | '÷')
}

fn is_question(c: char) -> bool {
    matches!(c, '?' | '？' | '؟' | ';' | '։' | '፧' | '⁇')
}

/// Both ends of a passage, each bounded.
fn ends(passage: &Passage) -> [&str; 2] {
    let head = &passage.head[..passage.head.floor_char_boundary(END)];
    let rest = if passage.tail.is_empty() { &passage.head[head.len()..] } else { &passage.tail[..] };
    [head, &rest[rest.ceil_char_boundary(rest.len().saturating_sub(END))..]]
}

fn flag(it: bool) -> f32 {
    f32::from(u8::from(it))
}

/// Describes a conversation's surface; every number is about within [0, 1].
pub fn surface(conversation: &Conversation) -> [f32; SURFACE] {
    let prompt = &conversation.prompt;
    let ends = ends(prompt);
    let mut counts = Counts::default();
    ends.iter().for_each(|end| counts.take(end));
    let bytes = prompt.head.len() + prompt.tail.len();
    let share = |count: u32| count as f32 / counts.characters.max(1) as f32;
    let of_letters = |count: u32| count as f32 / counts.letters.max(1) as f32;
    let of_lines = |count: u32| count as f32 / (counts.lines + 1) as f32;
    let last = if ends[1].trim_end().is_empty() { ends[0] } else { ends[1] }.trim_end().chars().next_back();
    let first = ends[0].trim_start().chars().next();
    let bucket = LENGTHS.iter().take_while(|length| bytes > **length).count();
    let within = |mark: &str| flag(ends.iter().any(|end| end.contains(mark)));
    [
        (bytes as f32).ln_1p() / 9.0,
        flag(bucket == 0),
        flag(bucket == 1),
        flag(bucket == 2),
        flag(bucket == 3),
        flag(bucket == 4),
        share(counts.letters),
        share(counts.digits),
        share(counts.spaces),
        share(counts.punctuation),
        share(counts.not_ascii),
        of_letters(counts.not_latin),
        of_letters(counts.capitals),
        (10.0 * share(counts.code)).min(1.0),
        (10.0 * share(counts.mathematics)).min(1.0),
        (20.0 * share(counts.quotes)).min(1.0),
        (counts.lines as f32).ln_1p() / 8.0,
        of_lines(counts.indented).min(1.0),
        of_lines(counts.listed).min(1.0),
        flag(counts.colons_before_lines > 0),
        flag(counts.questions > 0),
        flag(last.is_some_and(is_question)),
        flag(last == Some(':')),
        flag(first.is_some_and(|c| !c.is_alphabetic())),
        within("```"),
        within("://"),
        flag(!conversation.system.is_empty()),
        flag(!conversation.answer.is_empty()),
        (conversation.answer.head.len() as f32).ln_1p() / 9.0,
        flag(counts.bars > 4),
        flag(counts.sums > 0),
        flag(first.is_some_and(char::is_lowercase)),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn code_and_questions_look_different() {
        let code = surface(&Conversation::prompt("fn main() {\n    println!(\"hi\");\n}"));
        let question = surface(&Conversation::prompt("Why is the sky blue?"));
        assert!(code[13] > question[13] && code[17] > 0.0);
        assert_eq!((question[20], question[21], code[21]), (1.0, 1.0, 0.0));
    }

    proptest! {
        #[test]
        fn numbers_stay_small(text in "\\PC{0,200}|[\n: -?{\"]{0,100}", long in any::<bool>()) {
            let text = if long { text.repeat(300) } else { text };
            for number in surface(&Conversation::prompt(&text)) {
                prop_assert!((0.0..=1.2).contains(&number), "{number}");
            }
        }
    }
}
