//! How does a tree come of a text? From the parser's events, which carry places.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::entries::{Entries, to_merge};
use super::tag::{collection_tag, scalar_value};
use super::{Entry, Node, Value, YamlError, wrong};
use crate::config::Place;

/// Longer texts are no configurations.
const LONGEST_TEXT: usize = 4 << 20;
/// Values that one text may hold, with all that its aliases bring.
const MOST_NODES: usize = 200_000;
/// Lists and maps within one another.
const DEEPEST: usize = 64;
const START: Place = Place { line: 1, column: 1 };

/// Reads one document, whose top level is a map.
///
/// # Errors
/// If it is no YAML, not one document, no map, or larger than any configuration.
pub(in crate::import) fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() > LONGEST_TEXT {
        return Err(wrong(START, format!("the text is longer than {} MiB", LONGEST_TEXT >> 20)));
    }
    let mut builder =
        Builder { parser: Parser::new_from_str(text), finished: HashMap::new(), lent: HashSet::new(), nodes: 0 };
    let mut root = builder.document()?;
    if !matches!(root.value, Value::Map(_)) {
        return Err(wrong(root.place, "the top level is no map; expected keys such as model_list"));
    }
    number(&mut root, &builder.lent, &mut 0);
    Ok(root)
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn scan_error(error: &ScanError) -> YamlError {
    wrong(place(error.marker()), error.info())
}

/// Paths, numbers and what is lent, in the order of the tree.
fn number(node: &mut Node, lent: &HashSet<usize>, next: &mut usize) {
    node.id = *next;
    node.lent = node.anchor.is_some_and(|anchor| lent.contains(&anchor));
    *next += 1;
    let path = node.path.clone();
    match &mut node.value {
        Value::List(nodes) => {
            for (i, node) in nodes.iter_mut().enumerate() {
                node.path = format!("{path}[{i}]");
                number(node, lent, next);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                entry.node.path = child(&path, &entry.key);
                number(&mut entry.node, lent, next);
            }
        }
        _ => {}
    }
}

/// The path of a value below a key; a key that would be read as several is quoted.
fn child(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || c.is_control() || "[].\"".contains(c));
    let key = if plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What stands at each anchor, and how many nodes that is.
    finished: HashMap<usize, (Node, usize)>,
    /// The anchors that an alias has named.
    lent: HashSet<usize>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Node, YamlError> {
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Err(wrong(START, "the file is empty")),
                (event, span) => break self.node(event, &span, 0)?,
            }
        };
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentEnd | Event::Nothing, _) => {}
                (_, span) => return Err(wrong(place(&span.start), "a second document begins; expected only one")),
            }
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, YamlError> {
        let at = place(&span.start);
        if depth > DEEPEST {
            return Err(wrong(at, format!("is nested more than {DEEPEST} levels deep")));
        }
        let before = self.nodes;
        self.charge(1, at)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar_value(&text, style, tag.as_deref(), at)?, anchor),
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", at)?;
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", at)?;
                (Value::Map(self.map(depth)?), anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            _ => return Err(wrong(at, "a value is missing")),
        };
        let anchor = (anchor != 0).then_some(anchor);
        let node = Node { value, place: at, path: String::new(), id: 0, lent: false, anchor };
        if let Some(anchor) = anchor {
            let size = self.nodes - before;
            self.charge(size, at)?;
            self.finished.insert(anchor, (without_anchors(node.clone()), size));
        }
        Ok(node)
    }

    fn charge(&mut self, nodes: usize, at: Place) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(wrong(at, format!("more than {MOST_NODES} values, with those that aliases bring")));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Place, depth: usize) -> Result<Node, YamlError> {
        let Some((node, size)) = self.finished.get(&anchor) else {
            return Err(wrong(at, "the alias stands within its own anchor"));
        };
        let (size, levels) = (*size, levels(node));
        if depth + levels > DEEPEST {
            return Err(wrong(at, format!("the alias brings what is nested more than {DEEPEST} levels deep")));
        }
        let node = node.clone();
        self.charge(size, at)?;
        self.lent.insert(anchor);
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(nodes);
            }
            nodes.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, YamlError> {
        let mut own = Entries::default();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let at = place(&span.start);
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = match self.node(event, &span, depth + 1)? {
                Node { value: Value::List(_) | Value::Map(_), .. } => {
                    return Err(wrong(at, "a key is a list or a map; expected a name"));
                }
                Node { value: Value::Null, .. } => "null".to_owned(),
                node => node.name().unwrap_or_default(),
            };
            let (event, span) = self.next()?;
            let mut node = self.node(event, &span, depth + 1)?;
            // A list or a map that begins in the next line stands where its key does.
            if matches!(node.value, Value::List(_) | Value::Map(_)) && node.place.line != at.line {
                node.place = at;
            }
            if merges {
                merged.extend(to_merge(node)?);
            } else {
                own.put(key, at, node);
            }
        }
        // What is said in the map itself wins over what is merged, and what is merged first
        // over what comes after it.
        for entry in merged {
            own.put_if_new(entry);
        }
        Ok(own.list)
    }
}

fn without_anchors(mut node: Node) -> Node {
    node.anchor = None;
    match &mut node.value {
        Value::List(nodes) => {
            for node in nodes {
                *node = without_anchors(std::mem::replace(node, nothing()));
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                entry.node = without_anchors(std::mem::replace(&mut entry.node, nothing()));
            }
        }
        _ => {}
    }
    node
}

fn nothing() -> Node {
    Node { value: Value::Null, place: START, path: String::new(), id: 0, lent: false, anchor: None }
}

fn levels(node: &Node) -> usize {
    node.children().map(|child| levels(child) + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Node {
        parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    fn leaves(node: &Node, into: &mut Vec<String>) {
        if node.is_leaf() {
            into.push(format!("{}:{} {}", node.place.line, node.place.column, node.path));
        }
        node.children().for_each(|child| leaves(child, into));
    }

    fn leaves_of(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        leaves(&read(text), &mut list);
        list
    }

    #[test]
    fn every_value_has_its_place_and_path() {
        assert_eq!(
            leaves_of("ä: [1, {b: 2}]\n\"c d\":\n  - x: y\n    e.f: {}\n"),
            ["1:5 ä[0]", "1:12 ä[1].b", "3:8 \"c d\"[0].x", "4:10 \"c d\"[0].\"e.f\""]
        );
    }

    #[test]
    fn an_alias_is_written_out_with_the_place_of_its_anchor() {
        let text = "base: &b\n  k: v\nuses:\n  - *b\n  - *b\n";
        assert_eq!(leaves_of(text), ["2:6 base.k", "2:6 uses[0].k", "2:6 uses[1].k"]);
        let tree = read(text);
        assert!(tree.get("base").unwrap().lends());
        assert!(!tree.get("uses").unwrap().lends());
        let mut ids: Vec<usize> = tree.get("uses").unwrap().elements().iter().map(|node| node.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 2, "copies are told apart");
    }

    #[test]
    fn merged_keys_give_way_to_those_written_out() {
        let tree = read("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n");
        let values: Vec<_> =
            tree.get("c").unwrap().entries().iter().map(|e| (e.key.as_str(), e.node.integer())).collect();
        assert_eq!(values, [("x", Some(3)), ("y", Some(1)), ("z", Some(2))]);
        assert_eq!(read("'<<': 1\n").entries()[0].key, "<<", "in quotes it is a key like others");
        assert_eq!(refused("c:\n  <<: 1\n"), "2:7: only a map, or a list of maps, can be merged by <<");
    }

    #[test]
    fn of_equal_keys_the_last_wins_and_the_others_are_remembered() {
        let tree = read("a: 1\nb: 2\na: 3\na: 4\n");
        assert_eq!(tree.get("a").unwrap().integer(), Some(4));
        let lines: Vec<usize> = tree.entries()[0].repeated.iter().map(|place| place.line).collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(refused(""), "1:1: the file is empty");
        assert_eq!(refused("- 1\n"), "1:1: the top level is no map; expected keys such as model_list");
        assert_eq!(refused("a: 1\n---\nb: 2\n"), "2:1: a second document begins; expected only one");
        assert_eq!(refused("a: !ENV X\n"), "1:9: the tag !ENV has no meaning here".replace("1:9", "1:4"));
        assert_eq!(refused("a: &x [*x]\n"), "1:8: the alias stands within its own anchor");
        assert_eq!(refused("? [1]\n: 2\n"), "1:3: a key is a list or a map; expected a name");
        assert!(refused("a: *nobody\n").starts_with("1:4: "), "{}", refused("a: *nobody\n"));
        assert!(refused("a: [1,\nb: }\n").starts_with("2:"), "{}", refused("a: [1,\nb: }\n"));
        assert!(refused("a:\n\tb: 1\n").starts_with("2:"), "{}", refused("a:\n\tb: 1\n"));
    }

    #[test]
    fn tags_of_yaml_itself_are_understood() {
        let tree = read("a: !!str 5\nb: !!int '5'\nc: !!map {}\nd: ! 5\n");
        let values: Vec<&Value> = tree.entries().iter().map(|entry| &entry.node.value).collect();
        assert_eq!(values[0], &Value::Text("5".into()));
        assert_eq!(values[1], &Value::Integer(5));
        assert_eq!(values[3], &Value::Text("5".into()));
        assert_eq!(refused("a: !!int x\n"), "1:4: is no !!int");
    }

    #[test]
    fn aliases_of_aliases_cannot_fill_the_memory() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let before = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{before}]\n"));
        }
        assert!(refused(&text).contains("more than 200000 values"), "{}", refused(&text));
    }

    #[test]
    fn depth_is_bounded_whether_written_or_brought_by_aliases() {
        let deep = |levels: usize| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
        read(&deep(60));
        assert!(refused(&deep(100)).contains("levels deep"));
        assert!(parse(&deep(100_000)).is_err());
        assert!(parse(&format!("a: {}", "{b: ".repeat(100_000))).is_err());
        assert!(parse(&format!("a: {}", "- ".repeat(100_000))).is_err());
        let mut text = "a0: &a0 [x]\n".to_owned();
        for i in 1..100 {
            text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
        }
        assert!(refused(&text).contains("levels deep"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,300}") {
            let _ = parse(&text);
        }

        #[test]
        fn anything_like_yaml_is_answered(text in "([a-c]{1,2}: |- |[*&]a ?|<<: |\n| {1,4}|[\\[\\]{},'\"|>#?:!%@`~-]|!!str |--- ?|\\.\\.\\.|\t|\r|\u{0}|ü|1|\\\\x[0-9]){0,60}") {
            let _ = parse(&text);
        }
    }
}
