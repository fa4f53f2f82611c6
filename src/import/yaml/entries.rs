//! What does a map say when keys stand twice, or are merged into it?

use std::collections::HashMap;

use super::{Entry, Node, Value, YamlError, wrong};
use crate::config::Place;

/// Entries in the order of the text, each key once.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) list: Vec<Entry>,
    position: HashMap<String, (usize, Place)>,
}

impl Entries {
    /// The last of several equal keys wins.
    pub(super) fn put(&mut self, key: String, at: Place, node: Node) {
        match self.position.get_mut(&key) {
            Some((position, before)) => {
                let entry = &mut self.list[*position];
                entry.repeated.push(*before);
                entry.node = node;
                *before = at;
            }
            None => {
                self.position.insert(key.clone(), (self.list.len(), at));
                self.list.push(Entry { key, node, repeated: Vec::new() });
            }
        }
    }

    /// Adds an entry unless there is one of its key.
    pub(super) fn put_if_new(&mut self, entry: Entry) {
        if !self.position.contains_key(&entry.key) {
            self.position.insert(entry.key.clone(), (self.list.len(), entry.node.place));
            self.list.push(entry);
        }
    }
}

/// The entries that `<<` brings: those of a map, or of each map of a list.
pub(super) fn to_merge(node: Node) -> Result<Vec<Entry>, YamlError> {
    let place = node.place;
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(nodes) if nodes.iter().all(|node| matches!(node.value, Value::Map(_))) => Ok(nodes
            .into_iter()
            .flat_map(|node| if let Value::Map(entries) = node.value { entries } else { Vec::new() })
            .collect()),
        _ => Err(wrong(place, "only a map, or a list of maps, can be merged by <<")),
    }
}
