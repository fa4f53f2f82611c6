//! Which metrics, and which labels and values of them, does an expression of PromQL name?
//!
//! Enough of the language for our own expressions: selectors with their matchers, and the
//! lists of labels behind `by`, `on` and the like. Prometheus itself judges the rest.

use std::collections::BTreeSet;

/// Words before a list of labels.
const LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that stand alone.
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "Inf", "NaN"];
/// Words that may have a list of labels between themselves and their arguments.
const AGGREGATIONS: &[&str] = &["sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "stddev", "group"];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Each selector's metric and its matchers.
    pub selectors: Vec<(String, Vec<Matcher>)>,
    /// Labels by which is grouped or joined.
    pub grouped: BTreeSet<String>,
    /// Labels that `label_replace` makes.
    pub made: BTreeSet<String>,
}

/// What a selector wants of a label.
#[derive(Debug, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub operator: String,
    /// The text between the quotes, as it stands there.
    pub value: String,
}

impl Matcher {
    fn read(tokens: &[String]) -> Self {
        let [label, operator @ .., value] = tokens else { panic!("{tokens:?} is no matcher") };
        Self { label: label.clone(), operator: operator.concat(), value: value.trim_matches('"').to_owned() }
    }
}

/// Reads an expression.
///
/// # Panics
/// If it is not of the kind described above.
pub fn named(expression: &str) -> Named {
    let tokens = tokens(expression);
    let mut named = Named::default();
    let mut at = 0;
    while at < tokens.len() {
        let next = |n: usize| tokens.get(at + n).map_or("", String::as_str);
        let token = next(0);
        if LISTS.contains(&token) {
            let (labels, end) = list(&tokens, at + 1, ")");
            named.grouped.extend(labels.into_iter().filter(|label| label != ","));
            at = end;
        } else if token == "label_replace" {
            named.made.insert(first_text(&tokens[at + 1..]).trim_matches('"').to_owned());
            at += 1;
        } else if is_word(token) && !WORDS.contains(&token) && !AGGREGATIONS.contains(&token) && next(1) != "(" {
            let mut matchers = Vec::new();
            let metric = token.to_owned();
            at += 1;
            if tokens.get(at).is_some_and(|token| token == "{") {
                let (inside, end) = list(&tokens, at, "}");
                let parts = inside.split(|token| token == ",").filter(|part| !part.is_empty());
                matchers = parts.map(Matcher::read).collect();
                at = end;
            }
            named.selectors.push((metric, matchers));
        } else {
            at += 1;
        }
    }
    named
}

/// The first text among the arguments that begin here, not within one of them.
fn first_text(tokens: &[String]) -> &str {
    let mut depth = 0;
    let at_top = |token: &&String| {
        match token.as_str() {
            "(" | "{" => depth += 1,
            ")" | "}" => depth -= 1,
            _ => {}
        }
        depth == 1 && token.starts_with('"')
    };
    tokens.iter().find(at_top).expect("a text")
}

/// The tokens of a list that begins here, and where it ends.
fn list(tokens: &[String], at: usize, end: &str) -> (Vec<String>, usize) {
    let length = tokens[at..].iter().position(|token| token == end).expect("the list ends");
    (tokens[at + 1..at + length].to_vec(), at + length + 1)
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Words, texts with their quotes, and single signs; ranges, numbers and blanks are left out.
fn tokens(expression: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_alphabetic() || first == '_' {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)).unwrap_or(rest.len())
        } else if first == '"' {
            rest[1..].find('"').expect("a text ends") + 2
        } else if first == '[' {
            rest = &rest[rest.find(']').expect("a range ends") + 1..];
            continue;
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            continue;
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.extend((!token.trim().is_empty()).then(|| token.to_owned()));
        rest = after;
    }
    tokens
}

#[test]
fn metrics_and_labels_of_an_expression_are_found() {
    let said = named(
        r#"sum by (alias, le) (label_replace(rate(x_bucket{le="2.5",a=~"b{c}"}[5m] offset 1h), "alias", "$1", "model", "(.+)"))
        / on (alias) group_left () (2 * (1 - one:two:three)) or vector(0) unless y{} > bool 1e3"#,
    );
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let matcher = |[label, operator, value]: [&str; 3]| Matcher {
        label: label.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
    };
    let of_x = [["le", "=", "2.5"], ["a", "=~", "b{c}"]].map(matcher).into();
    let selectors = [("x_bucket", of_x), ("one:two:three", Vec::new()), ("y", Vec::new())];
    assert_eq!(said.selectors, selectors.map(|(name, matchers)| (name.to_owned(), matchers)));
    assert_eq!((said.grouped, said.made), (set(&["alias", "le"]), set(&["alias"])));
}
