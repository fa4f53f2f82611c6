//! What does a configuration look like before it is understood? A tree of values, each
//! with its place, whatever language it was written in.

use serde_json::{Map, Number, Value as Json};
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Option<Place>,
}

/// What a configuration language can say.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    /// Only JSON has it.
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    /// A TOML date or time, for which no field has a use.
    Date(String),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// One field of a table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) place: Option<Place>,
    pub(super) node: Node,
}

impl Value {
    /// The kind of value, as a person would say it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Date(_) => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Node {
    /// Reads a value from an environment variable's text.
    pub(super) fn from_variable(text: &str) -> Self {
        let value = text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer);
        Self { value, place: None }
    }

    /// What came as JSON; nothing of it has a place.
    pub(super) fn from_json(json: &Json) -> Self {
        let value = match json {
            // No field takes a null, and none is one: it is a kind that nobody reads.
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Value::Integer(value),
                None if number.is_f64() => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
                // No file could hold it. Readers of numbers refuse NaN, as they refuse what is no
                // number at all.
                None => Value::Float(f64::NAN),
            },
            Json::String(text) => Value::String(text.clone()),
            Json::Array(elements) => Value::Array(elements.iter().map(Self::from_json).collect()),
            Json::Object(fields) => Value::Table(
                fields
                    .iter()
                    .map(|(key, value)| Entry { key: key.clone(), place: None, node: Self::from_json(value) })
                    .collect(),
            ),
        };
        Self { value, place: None }
    }

    /// As JSON; `None` where JSON cannot say it, which no field asks for.
    pub(super) fn to_json(&self) -> Option<Json> {
        Some(match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Integer(value) => Json::from(*value),
            Value::Float(value) => Json::Number(Number::from_f64(*value)?),
            Value::String(text) => Json::String(text.clone()),
            Value::Date(text) => Json::String(text.clone()),
            Value::Array(nodes) => Json::Array(nodes.iter().map(Self::to_json).collect::<Option<_>>()?),
            Value::Table(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| Some((entry.key.clone(), entry.node.to_json()?)))
                    .collect::<Option<Map<_, _>>>()?,
            ),
        })
    }

    /// Reads TOML, and goes on behind mistakes as far as that is possible.
    pub(super) fn from_toml(text: &str) -> (Self, Vec<Problem>) {
        let lines = Lines::new(text);
        if let Some(at) = too_deep(text) {
            let problem = Problem::new("", Some(lines.place(at)), "is nested too deeply");
            return (Self { value: Value::Table(Vec::new()), place: None }, vec![problem]);
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut problems: Vec<Problem> = errors
            .iter()
            .map(|error| {
                let place = error.span().map(|span| lines.place(span.start));
                Problem::new("", place, error.message().trim_end().to_owned())
            })
            .collect();
        problems.sort_by_key(|problem| problem.place);
        problems.dedup();
        let value = Value::Table(entries(document.into_inner(), &lines, &mut problems));
        (Self { value, place: Some(Place { line: 1, column: 1 }) }, problems)
    }
}

/// Deeper dotted keys than this are no configuration; trees are walked by recursion.
const DEEPEST_KEY: usize = 400;

/// Where a line begins that is dotted more often than any key of ours.
fn too_deep(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let key = line.split('=').next().unwrap_or_default();
        if key.bytes().filter(|byte| *byte == b'.').count() > DEEPEST_KEY {
            return Some(at);
        }
        at += line.len();
    }
    None
}

fn entries(table: DeTable<'_>, lines: &Lines<'_>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    table
        .into_iter()
        .map(|(key, value)| {
            let place = Some(lines.place(key.span().start));
            let span = value.span();
            let node = node(value.into_inner(), Some(lines.place(span.start)), lines, problems);
            Entry { key: key.into_inner().into_owned(), place, node }
        })
        .collect()
}

fn node(value: DeValue<'_>, place: Option<Place>, lines: &Lines<'_>, problems: &mut Vec<Problem>) -> Node {
    let value = match value {
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) => Value::Integer(value),
            Err(_) => {
                problems.push(Problem::new("", place, format!("the number {value} is too large")));
                Value::Integer(0)
            }
        },
        // Readers of numbers refuse NaN, as they should refuse what is no number at all.
        DeValue::Float(value) => Value::Float(value.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::String(value) => Value::String(value.into_owned()),
        DeValue::Datetime(value) => Value::Date(value.to_string()),
        DeValue::Array(array) => Value::Array(
            array
                .into_iter()
                .map(|element| {
                    let place = Some(lines.place(element.span().start));
                    node(element.into_inner(), place, lines, problems)
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, lines, problems)),
    };
    Node { value, place }
}

/// Turns byte offsets into places.
struct Lines<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Place { line, column }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(problems: &[Problem]) -> Vec<(usize, usize)> {
        problems.iter().filter_map(|problem| problem.place).map(|place| (place.line, place.column)).collect()
    }

    #[test]
    fn places_count_characters_from_one() {
        let (node, problems) = Node::from_toml("\"ä\" = 1\nb = \"ü\" # x\n");
        assert!(problems.is_empty());
        let Value::Table(entries) = node.value else { panic!() };
        assert_eq!(entries[0].node.place, Some(Place { line: 1, column: 7 }));
        assert_eq!(entries[1].place, Some(Place { line: 2, column: 1 }));
    }

    #[test]
    fn several_mistakes_of_syntax_are_found_at_once() {
        let (_, problems) = Node::from_toml("a = \nb = [1, 2\n\n[c\nd = 1\nd = 2\n");
        assert!(problems.len() >= 2, "{problems:?}");
        assert_eq!(places(&problems)[0].0, 1);
    }

    #[test]
    fn a_number_that_does_not_fit_is_a_problem() {
        let (_, problems) = Node::from_toml("a = 99999999999999999999");
        assert_eq!(problems[0].to_string(), "1:5: the number 99999999999999999999 is too large");
    }

    #[test]
    fn absurd_nesting_is_refused_without_recursion() {
        for text in [
            format!("[{}]", vec!["a"; 200_000].join(".")),
            format!("{} = 1", vec!["a"; 200_000].join(".")),
            format!("a = {}", "[".repeat(200_000)),
            format!("a = {}", "{ a = ".repeat(200_000)),
            format!("a = {{ {} = 1 }}", vec!["a"; 200_000].join(".")),
        ] {
            let (_, problems) = Node::from_toml(&text);
            assert!(!problems.is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,400}") {
            let _ = Node::from_toml(&text);
        }

        #[test]
        fn anything_like_toml_is_read(text in "([a-c]{0,3}|[\\[\\]{}=.,\"'#\n 0-9_-]|\\[\\[|\\]\\]|true|1979-05-27){0,60}") {
            let _ = Node::from_toml(&text);
        }
    }
}
