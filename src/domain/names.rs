//! Which model does a person mean? Exact ids first, then the spellings people use.
//!
//! Every answer is a handful of hash lookups: an id is stored under the spellings it may
//! be shortened to, and a name is tried as written, *folded* (lower case, with a hyphen
//! for every dot and underscore), and with its own `-preview` or date taken off. Only a
//! name that nobody has is compared with all ids, to suggest the nearest.

use std::collections::HashMap;

use super::nearest::nearest;

/// Model ids and every spelling that leads to them.
///
/// A name is looked up in this order, and the first step that knows it decides:
///
/// 1. the exact id;
/// 2. the id but for case, and a dot, a hyphen or an underscore for one another;
/// 3. an id that the name becomes when `-preview`, a date or a version such as `-001` is
///    added to its end;
/// 4. an id that the name becomes when those (but no date of four digits) are taken off;
/// 5. steps 1 to 4 with the part of the id after its first slash.
#[derive(Clone, Debug, Default)]
pub struct NameIndex {
    ids: Vec<Box<str>>,
    exact: HashMap<Box<str>, u32>,
    whole: Spellings,
    bare: Spellings,
}

/// Why a name leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameError {
    /// No model of that name; the nearest ones, best first, at most three.
    Unknown {
        /// Candidates to suggest.
        nearest: Vec<String>,
    },
    /// Several models answer to that spelling.
    Ambiguous {
        /// All of them, sorted.
        candidates: Vec<String>,
    },
}

impl NameIndex {
    /// Indexes ids, which differ from one another; the position of each is what
    /// [`resolve`](Self::resolve) returns.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for (id, position) in ids.into_iter().zip(0..) {
            index.ids.push(id.into());
            index.exact.insert(id.into(), position);
            index.whole.insert(id, position);
            if let Some((_, bare)) = id.split_once('/') {
                index.bare.insert(bare, position);
            }
        }
        index
    }

    /// Position of the id that `name` means.
    ///
    /// # Errors
    /// If no id, or more than one, answers to the name.
    pub fn resolve(&self, name: &str) -> Result<usize, NameError> {
        let unknown = || NameError::Unknown { nearest: nearest(name, self.ids.iter().map(|id| &**id)) };
        self.lookup(name).unwrap_or_else(|| Err(unknown()))
    }

    /// As [`resolve`](Self::resolve), but `None` and no search where nothing answers.
    pub fn lookup(&self, name: &str) -> Option<Result<usize, NameError>> {
        if let Some(&position) = self.exact.get(name) {
            return Some(Ok(position as usize));
        }
        let folded = fold(name);
        let found = self.whole.find(&folded).or_else(|| self.bare.find(&folded))?;
        Some(match found {
            [position] => Ok(*position as usize),
            several => self.choose_exact_bare(several, name),
        })
    }

    /// Among several ids of one folded spelling, the one whose bare name is written
    /// exactly like this wins; otherwise nobody does.
    fn choose_exact_bare(&self, several: &[u32], name: &str) -> Result<usize, NameError> {
        let id = |position: &u32| &*self.ids[*position as usize];
        let mut exact = several.iter().filter(|i| id(i).split_once('/').is_some_and(|(_, bare)| bare == name));
        if let (Some(position), None) = (exact.next(), exact.next()) {
            return Ok(*position as usize);
        }
        let mut candidates: Vec<String> = several.iter().map(|i| id(i).to_owned()).collect();
        candidates.sort_unstable();
        Err(NameError::Ambiguous { candidates })
    }
}

/// Positions of ids by the spellings that lead to them.
#[derive(Clone, Debug, Default)]
struct Spellings {
    /// By the folded id.
    folded: HashMap<Box<str>, Vec<u32>>,
    /// By the folded id without one or more of its decorations.
    shortened: HashMap<Box<str>, Vec<u32>>,
}

impl Spellings {
    fn insert(&mut self, id: &str, position: u32) {
        let folded = fold(id);
        let mut rest = folded.as_str();
        while let Some((shorter, _)) = split_decoration(rest) {
            self.shortened.entry(shorter.into()).or_default().push(position);
            rest = shorter;
        }
        self.folded.entry(folded.into()).or_default().push(position);
    }

    fn find(&self, folded: &str) -> Option<&[u32]> {
        if let Some(found) = self.folded.get(folded).or_else(|| self.shortened.get(folded)) {
            return Some(found);
        }
        let mut rest = folded;
        while let Some((shorter, decoration)) = split_decoration(rest) {
            // "-2507" often tells two different models apart, so it is never ignored.
            if decoration == Decoration::FourDigits {
                return None;
            }
            if let Some(found) = self.folded.get(shorter) {
                return Some(found);
            }
            rest = shorter;
        }
        None
    }
}

/// One spelling for all that differ only in case and in dots, hyphens and underscores.
pub fn fold(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '.' | '_') { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// What the end of a model's name says beside the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decoration {
    /// `-preview`.
    Preview,
    /// `-2025-08-07`, `-20250807`, `-08-2025`, `-08-07`.
    Date,
    /// `-001`.
    Version,
    /// `-2507` (year and month) or `-0711` (month and day).
    FourDigits,
}

/// Splits one decoration off the end of a folded name.
fn split_decoration(folded: &str) -> Option<(&str, Decoration)> {
    let (rest, decoration) = if let Some(rest) = folded.strip_suffix("-preview") {
        (rest, Decoration::Preview)
    } else {
        SHAPES.iter().find_map(|shape| shape.split(folded))?
    };
    (!rest.is_empty() && !rest.ends_with('/')).then_some((rest, decoration))
}

/// The form of a date or version at the end of a name: `y`, `m`, `d` and `n` stand for
/// digits of the year, month, day and version, everything else for itself.
struct Shape {
    pattern: &'static str,
    decoration: Decoration,
}

/// Longest first, so that the tail of a date is not taken for a shorter one.
const SHAPES: [Shape; 7] = [
    Shape { pattern: "-yyyy-mm-dd", decoration: Decoration::Date },
    Shape { pattern: "-yyyymmdd", decoration: Decoration::Date },
    Shape { pattern: "-mm-yyyy", decoration: Decoration::Date },
    Shape { pattern: "-mm-dd", decoration: Decoration::Date },
    Shape { pattern: "-yymm", decoration: Decoration::FourDigits },
    Shape { pattern: "-mmdd", decoration: Decoration::FourDigits },
    Shape { pattern: "-0nn", decoration: Decoration::Version },
];

impl Shape {
    fn split<'a>(&self, name: &'a str) -> Option<(&'a str, Decoration)> {
        let (rest, tail) = name.split_at_checked(name.len().checked_sub(self.pattern.len())?)?;
        let (mut year, mut month, mut day) = (None, None, None);
        let digit_of =
            |number: &mut Option<u32>, digit: u8| *number = Some(number.unwrap_or(0) * 10 + u32::from(digit));
        for (form, byte) in self.pattern.bytes().zip(tail.bytes()) {
            let digit = byte.is_ascii_digit().then(|| byte - b'0');
            match form {
                b'y' => digit_of(&mut year, digit?),
                b'm' => digit_of(&mut month, digit?),
                b'd' => digit_of(&mut day, digit?),
                b'n' => _ = digit?,
                _ if form == byte => {}
                _ => return None,
            }
        }
        // The models that this is about appeared from 2020 on; "-8192" is not a date.
        let plausible = year.is_none_or(|y| (2020..2100).contains(&y) || (20..40).contains(&y))
            && month.is_none_or(|m| (1..=12).contains(&m))
            && day.is_none_or(|d| (1..=31).contains(&d));
        plausible.then_some((rest, self.decoration))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: [&str; 15] = [
        "anthropic/claude-opus-4-8",
        "anthropic/claude-3-5-sonnet-20240620",
        "anthropic/claude-3-5-sonnet-20241022",
        "google/gemini-3-pro-preview",
        "google/gemini-2.0-flash",
        "google/gemini-embedding-001",
        "openai/gpt-5",
        "openai/gpt-5.5",
        "openrouter/openai/gpt-5.5",
        "openai/gpt-oss-120b",
        "cerebras/gpt-oss-120b",
        "alibaba/qwen3-235b-a22b",
        "together/Qwen/Qwen3.6-Plus",
        "openrouter/qwen/qwen3.6-plus",
        "cohere/command-a-03-2025",
    ];

    fn resolve(name: &str) -> Result<&'static str, NameError> {
        NameIndex::new(IDS).resolve(name).map(|position| IDS[position])
    }

    fn candidates(name: &str) -> Vec<String> {
        match resolve(name) {
            Err(NameError::Ambiguous { candidates }) => candidates,
            other => panic!("{name} is not ambiguous: {other:?}"),
        }
    }

    #[test]
    fn people_write_a_dot_or_a_hyphen() {
        assert_eq!(resolve("anthropic/claude-opus-4.8"), Ok("anthropic/claude-opus-4-8"));
        assert_eq!(resolve("openai/GPT-5-5"), Ok("openai/gpt-5.5"));
    }

    #[test]
    fn people_leave_out_preview_dates_and_versions() {
        assert_eq!(resolve("google/gemini-3-pro"), Ok("google/gemini-3-pro-preview"));
        assert_eq!(resolve("google/gemini-embedding"), Ok("google/gemini-embedding-001"));
        assert_eq!(resolve("cohere/command-a"), Ok("cohere/command-a-03-2025"));
    }

    #[test]
    fn people_add_preview_dates_and_versions() {
        assert_eq!(resolve("openai/gpt-5-2025-08-07"), Ok("openai/gpt-5"));
        assert_eq!(resolve("openai/gpt-5-20250807"), Ok("openai/gpt-5"));
        assert_eq!(resolve("google/gemini-2.0-flash-001"), Ok("google/gemini-2.0-flash"));
        assert_eq!(resolve("google/gemini-2.0-flash-preview-05-20"), Ok("google/gemini-2.0-flash"));
        assert_eq!(resolve("openai/gpt-5.5-preview-2026-01-01"), Ok("openai/gpt-5.5"));
    }

    #[test]
    fn another_date_is_another_model() {
        assert!(matches!(resolve("anthropic/claude-3-5-sonnet-20250101"), Err(NameError::Unknown { .. })));
    }

    #[test]
    fn a_date_of_four_digits_is_never_ignored() {
        assert!(matches!(resolve("alibaba/qwen3-235b-a22b-2507"), Err(NameError::Unknown { .. })));
    }

    #[test]
    fn several_dates_are_ambiguous() {
        assert_eq!(
            candidates("anthropic/claude-3.5-sonnet"),
            ["anthropic/claude-3-5-sonnet-20240620", "anthropic/claude-3-5-sonnet-20241022"]
        );
    }

    #[test]
    fn a_bare_name_means_the_vendors_own_model() {
        assert_eq!(resolve("gpt-5.5"), Ok("openai/gpt-5.5"));
        assert_eq!(resolve("claude-opus-4.8"), Ok("anthropic/claude-opus-4-8"));
        assert_eq!(resolve("gemini-3-pro"), Ok("google/gemini-3-pro-preview"));
    }

    #[test]
    fn a_bare_name_that_two_providers_have_is_ambiguous() {
        assert_eq!(candidates("gpt-oss-120b"), ["cerebras/gpt-oss-120b", "openai/gpt-oss-120b"]);
    }

    #[test]
    fn a_bare_name_written_exactly_wins_over_other_spellings() {
        assert_eq!(resolve("Qwen/Qwen3.6-Plus"), Ok("together/Qwen/Qwen3.6-Plus"));
        assert_eq!(resolve("qwen/qwen3.6-plus"), Ok("openrouter/qwen/qwen3.6-plus"));
        assert_eq!(candidates("Qwen/qwen3-6-plus").len(), 2);
    }

    #[test]
    fn an_unknown_name_gets_suggestions() {
        let Err(NameError::Unknown { nearest }) = resolve("openai/gpt-5.6") else { panic!() };
        assert_eq!(nearest.first().map(String::as_str), Some("openai/gpt-5.5"));
    }

    #[test]
    fn only_plausible_dates_are_dates() {
        assert_eq!(split_decoration("llama3-70b-8192"), None);
        assert_eq!(split_decoration("x-2025-13-01"), None);
        assert_eq!(split_decoration("x-2025-12-31"), Some(("x", Decoration::Date)));
        assert_eq!(split_decoration("x-0711"), Some(("x", Decoration::FourDigits)));
        assert_eq!(split_decoration("-preview"), None);
        assert_eq!(split_decoration("openai/-001"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(name in ".*") {
            let _ = resolve(&name);
        }

        #[test]
        fn an_exact_id_always_wins(ids in prop::collection::hash_set("[a-c]/[a-b][-._][0-9]{1,2}(-preview|-2025-08-07|-001)?", 1..20)) {
            let index = NameIndex::new(ids.iter().map(String::as_str));
            for (position, id) in ids.iter().enumerate() {
                prop_assert_eq!(index.resolve(id), Ok(position));
            }
        }
    }
}
