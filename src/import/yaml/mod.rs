//! What does a YAML file say, and where? A tree of values, each with its place and its path.
//!
//! Words and numbers are understood as PyYAML does, with which the configurations that are
//! imported were read so far: `yes` is true, `010` is eight, and the last of several equal
//! keys wins. Aliases and merge keys (`<<`) are written out, so that every value has a path
//! of its own; how much may come of that, and how deep it may go, is bounded.

mod entries;
mod parse;
mod scalar;
mod tag;

use std::fmt;

pub(super) use self::parse::parse;
use crate::config::Place;

/// Why a text is no YAML that can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct YamlError {
    /// Where it goes wrong.
    pub place: Place,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.line, self.place.column, self.message)
    }
}

impl std::error::Error for YamlError {}

fn wrong(place: Place, message: impl Into<String>) -> YamlError {
    YamlError { place, message: message.into() }
}

/// A value, where it stands and what leads to it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Where it is written; for what an alias brings, that is at its anchor.
    pub(super) place: Place,
    /// As in `model_list[0].litellm_params.model`.
    pub(super) path: String,
    /// Different for every node of a tree; children follow their parents.
    pub(super) id: usize,
    /// Whether an alias elsewhere brings this value there too.
    pub(super) lent: bool,
    anchor: Option<usize>,
}

/// What YAML can say, as far as configurations need it.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map, and its value.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) node: Node,
    /// Where the same key stood before, in vain.
    pub(super) repeated: Vec<Place>,
}

impl Node {
    /// The entries of a map, none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list, none of anything else.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// The value below a key of a map. One without a value counts as not given.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries().iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    /// A text, as it is.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What names something: a text, or a number or word that was not put into quotes.
    pub(super) fn name(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A finite number. PyYAML takes `1e-6` for a text, so texts are looked into.
    pub(super) fn number(&self) -> Option<f64> {
        let number = match &self.value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// A whole number, however it is written.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(number) => Some(number),
            // Below 2⁵³ the cast is exact.
            _ => {
                self.number().filter(|number| number.fract() == 0.0 && number.abs() < 9e15).map(|number| number as i64)
            }
        }
    }

    /// A whole number above zero.
    pub(super) fn count(&self) -> Option<u64> {
        self.integer().and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
    }

    /// True or false, in quotes or not.
    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(flag) => Some(*flag),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// Whether nothing is below it.
    pub(super) fn is_leaf(&self) -> bool {
        self.entries().is_empty() && self.elements().is_empty()
    }

    /// The values right below it.
    pub(super) fn children(&self) -> impl Iterator<Item = &Node> {
        self.entries().iter().map(|entry| &entry.node).chain(self.elements())
    }

    /// Whether this, or something below it, is used elsewhere through an alias.
    pub(super) fn lends(&self) -> bool {
        self.lent || self.children().any(Node::lends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn numbers_and_words_are_read_in_quotes_too() {
        let tree = read("a: 1e-6\nb: '5'\nc: 5.0\nd: \"True\"\ne: .inf\nf: 0\n");
        let at = |key: &str| tree.get(key).unwrap();
        assert_eq!(at("a").number(), Some(1e-6));
        assert_eq!((at("b").count(), at("c").count(), at("f").count()), (Some(5), Some(5), None));
        assert_eq!(at("d").boolean(), Some(true));
        assert_eq!(at("e").number(), None);
    }

    #[test]
    fn what_has_no_value_is_not_given() {
        let tree = read("a:\nb: ''\n");
        assert_eq!(tree.get("a"), None);
        assert_eq!(tree.get("b").and_then(Node::name), None);
    }
}
