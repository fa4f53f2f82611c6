//! How is a value of the right kind taken from the tree? Readers that report what is
//! wrong and return `None`, so that their caller goes on with a default and one mistake
//! gives one problem.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::Kind;
use super::node::{Entry, Node, Value};
use super::problem::{Problem, Report, one_of};
use super::units;
use crate::domain::nearest::nearest;

/// A value and its path.
#[derive(Clone)]
pub(super) struct Item<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

impl<'n> Item<'n> {
    /// A problem with this value.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.path.clone(), self.node.place, message)
    }

    fn wrong_kind<T>(&self, expected: &str, report: &Report) -> Option<T> {
        report.problem(self.problem(format!("is {}", self.node.value.kind())).expected(expected));
        None
    }

    pub(super) fn boolean(&self, report: &Report) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.wrong_kind("true or false", report),
        }
    }

    /// A string that says something.
    pub(super) fn text(&self, report: &Report) -> Option<&'n str> {
        match &self.node.value {
            Value::String(text) if text.trim().is_empty() => {
                report.problem(self.problem("is empty"));
                None
            }
            Value::String(text) => Some(text),
            _ => self.wrong_kind("a string", report),
        }
    }

    pub(super) fn integer(&self, range: RangeInclusive<u64>, report: &Report) -> Option<u64> {
        let (low, high) = (range.start(), range.end());
        let expected = if *high == u64::MAX { format!("at least {low}") } else { format!("{low} to {high}") };
        match self.node.value {
            Value::Integer(value) => {
                let fitting = u64::try_from(value).ok().filter(|value| range.contains(value));
                if fitting.is_none() {
                    report.problem(self.problem(format!("{value} is out of range")).expected(expected));
                }
                fitting
            }
            _ => self.wrong_kind(&format!("an integer, {expected}"), report),
        }
    }

    /// As [`integer`](Self::integer), for counts that fit in 32 bits.
    pub(super) fn count(&self, range: RangeInclusive<u32>, report: &Report) -> Option<u32> {
        let value = self.integer(u64::from(*range.start())..=u64::from(*range.end()), report)?;
        u32::try_from(value).ok()
    }

    /// A number from 0 to a million, with which sums and products stay exact enough.
    pub(super) fn amount(&self, report: &Report) -> Option<f64> {
        self.number(0.0..=1e6, report)
    }

    /// A number, which NaN is not.
    pub(super) fn number(&self, range: RangeInclusive<f64>, report: &Report) -> Option<f64> {
        let value = match self.node.value {
            Value::Integer(value) => value as f64,
            Value::Float(value) => value,
            _ => return self.wrong_kind("a number", report),
        };
        if range.contains(&value) {
            return Some(value);
        }
        let expected = format!("{} to {}", range.start(), range.end());
        report.problem(self.problem(format!("{value} is out of range")).expected(expected));
        None
    }

    pub(super) fn duration(&self, range: RangeInclusive<Duration>, report: &Report) -> Option<Duration> {
        let form = "a number of seconds or a time such as \"30s\", \"500ms\" or \"2m\"";
        let read = match &self.node.value {
            Value::Integer(seconds) => units::from_seconds(*seconds as f64),
            Value::Float(seconds) => units::from_seconds(*seconds),
            Value::String(text) => match units::duration(text) {
                Some(duration) => Some(duration),
                None => {
                    report.problem(self.problem(format!("{text:?} is not a length of time")).expected(form));
                    return None;
                }
            },
            _ => return self.wrong_kind(form, report),
        };
        let fitting = read.filter(|duration| range.contains(duration));
        if fitting.is_none() {
            let (low, high) = (units::show_duration(*range.start()), units::show_duration(*range.end()));
            report.problem(self.problem("is out of range").expected(format!("{low} to {high}")));
        }
        fitting
    }

    /// A number of bytes.
    pub(super) fn size(&self, range: RangeInclusive<u64>, report: &Report) -> Option<usize> {
        let form = "a number of bytes or a size such as \"32MiB\" or \"1MB\"";
        let read = match &self.node.value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            Value::String(text) => match units::size(text) {
                Some(bytes) => Some(bytes),
                None => {
                    report.problem(self.problem(format!("{text:?} is not a size")).expected(form));
                    return None;
                }
            },
            _ => return self.wrong_kind(form, report),
        };
        let fitting = read.filter(|bytes| range.contains(bytes)).and_then(|bytes| usize::try_from(bytes).ok());
        if fitting.is_none() {
            let (low, high) = (units::show_size(*range.start()), units::show_size(*range.end()));
            report.problem(self.problem("is out of range").expected(format!("{low} to {high}")));
        }
        fitting
    }

    /// One of a few words.
    pub(super) fn word<T>(&self, words: impl IntoIterator<Item = (&'static str, T)>, report: &Report) -> Option<T> {
        let text = self.text(report)?;
        let mut names = Vec::new();
        for (name, value) in words {
            if name == text {
                return Some(value);
            }
            names.push(name);
        }
        let suggestions = nearest(text, names.iter().copied());
        report.problem(self.problem(format!("{text:?} is unknown")).expected(one_of(&names)).suggest(suggestions));
        None
    }

    pub(super) fn list(&self, report: &Report) -> Option<Vec<Item<'n>>> {
        let Value::Array(nodes) = &self.node.value else { return self.wrong_kind("a list", report) };
        Some(nodes.iter().enumerate().map(|(i, node)| Item { node, path: format!("{}[{i}]", self.path) }).collect())
    }

    /// A list of strings, those of them that are strings.
    pub(super) fn texts(&self, report: &Report) -> Vec<(Item<'n>, &'n str)> {
        let items = self.list(report).unwrap_or_default();
        items.into_iter().filter_map(|item| item.text(report).map(|text| (item, text))).collect()
    }

    /// A table of whatever fields.
    pub(super) fn open(&self, report: &Report) -> Option<&'n [Entry]> {
        match &self.node.value {
            Value::Table(entries) => Some(entries),
            _ => self.wrong_kind("a table", report),
        }
    }

    /// A table with these fields; others are reported.
    pub(super) fn table(&self, fields: &'static [&'static str], report: &Report) -> Option<Table<'n>> {
        let entries = self.open(report)?;
        for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
            let suggestions = nearest(&entry.key, fields.iter().copied());
            let problem =
                Problem::new(child(&self.path, &entry.key), entry.place, format!("unknown field {:?}", entry.key));
            report.problem(match suggestions.as_slice() {
                [] => problem.expected(one_of(fields)),
                _ => problem.suggest(suggestions),
            });
        }
        Some(Table { item: self.clone(), entries, fields })
    }
}

impl<'n> Item<'n> {
    /// An element of a list under the name it has in `field`, if it has one:
    /// `aliases.prod-chat` says more than `aliases[3]`.
    pub(super) fn named_by(mut self, list: &str, field: &str) -> Self {
        if let Value::Table(entries) = &self.node.value
            && let Some(entry) = entries.iter().find(|entry| entry.key == field)
            && let Value::String(name) = &entry.node.value
            && !name.trim().is_empty()
            && name.len() <= LONGEST_NAME
        {
            self.path = child(list, name);
        }
        self
    }

    /// A name that travels in headers, paths and logs as it is.
    pub(super) fn name(&self, also: &[char], report: &Report) -> Option<&'n str> {
        let text = self.text(report)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(&c);
        if text.len() <= LONGEST_NAME && text.chars().all(allowed) && !text.starts_with(['-', '.', '/']) {
            return Some(text);
        }
        let also: String = also.iter().collect();
        let expected =
            format!("at most {LONGEST_NAME} of the letters a to z, digits and {also}, not beginning with - . /");
        report.problem(self.problem(format!("{text:?} cannot be a name")).expected(expected));
        None
    }
}

/// The longest name of a provider, model, alias or key.
const LONGEST_NAME: usize = 200;

/// The fields of a table from which several readers take theirs; `N` is how many.
pub(super) const fn together<const N: usize>(parts: &[&[&'static str]]) -> [&'static str; N] {
    let mut all = [""; N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            all[at] = parts[part][i];
            (i, at) = (i + 1, at + 1);
        }
        part += 1;
    }
    assert!(at == N, "N is the sum of the lengths");
    all
}

/// A table whose fields are known.
pub(super) struct Table<'n> {
    pub(super) item: Item<'n>,
    entries: &'n [Entry],
    fields: &'static [&'static str],
}

impl<'n> Table<'n> {
    /// The field, if it is there.
    pub(super) fn get(&self, field: &'static str) -> Option<Item<'n>> {
        debug_assert!(self.fields.contains(&field), "{field} is not in the list of known fields");
        let entry = self.entries.iter().find(|entry| entry.key == field)?;
        Some(Item { node: &entry.node, path: child(&self.item.path, field) })
    }

    /// The field, whose absence is a problem.
    pub(super) fn require(&self, field: &'static str, report: &Report) -> Option<Item<'n>> {
        let item = self.get(field);
        if item.is_none() {
            report.problem(self.item.problem(format!("field {field:?} is missing")));
        }
        item
    }

    /// Reads the field by `read` if it is there.
    pub(super) fn read<T>(&self, field: &'static str, read: impl FnOnce(&Item<'n>) -> Option<T>) -> Option<T> {
        read(&self.get(field)?)
    }
}

/// The path of a document or key, by its kind (`alias`, `key`) and its name.
pub fn path_of(kind: &str, name: &str) -> String {
    child(Kind::from_name(kind).map_or("keys", Kind::list), name)
}

/// The path of a field; a key that would be read as several is quoted.
pub(super) fn child(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | ':' | '~'));
    let key = if plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
