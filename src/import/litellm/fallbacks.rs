//! Who serves when a group fails? The chain of groups that LiteLLM would walk.

use std::collections::{HashMap, HashSet};

use super::entry::Reader;
use super::findings::Findings;
use super::groups::Book;
use super::settings::Settings;
use crate::import::yaml::Node;

/// More groups than this are never reached by one request.
const LONGEST: usize = 50;

/// Which groups follow which, by names.
#[derive(Default)]
pub(super) struct Fallbacks {
    any: HashMap<String, Vec<usize>>,
    /// For names that have no rule of their own.
    default: Vec<usize>,
    context: HashMap<String, Vec<usize>>,
    policy: HashMap<String, Vec<usize>>,
    deepest: usize,
}

/// The groups that serve one name, in their order.
pub(super) struct Chain {
    pub(super) groups: Vec<usize>,
    /// A refused request goes on too.
    pub(super) on_any_error: bool,
    /// Content that a provider refuses goes on.
    pub(super) on_content_policy: bool,
}

/// What a rule is for, in words.
struct Kind {
    exact: bool,
    becomes: &'static str,
}

const ANY: Kind = Kind { exact: true, becomes: "its targets are the next rank of the alias" };
const DEFAULT: Kind =
    Kind { exact: true, becomes: "its targets are the last ranks of every alias without fallbacks of its own" };
const CONTEXT: Kind = Kind {
    exact: false,
    becomes: "its targets are the last ranks of the alias: they serve prompts that do not fit the others, \
              but also when all others fail",
};
const POLICY: Kind = Kind {
    exact: false,
    becomes: "its targets are the last ranks of the alias, with fallback.content_policy: they serve what others \
              refuse, but also when all others fail",
};

impl Fallbacks {
    /// Reads all rules, and judges them.
    pub(super) fn read<'y>(settings: &Settings<'y>, book: &mut Book<'y>, reader: Reader<'_, 'y>) -> Self {
        let aliases = alias_names(settings);
        let mut names = Names { book, reader, aliases: &aliases };
        let mut fallbacks = Self { deepest: settings.max_fallbacks, ..Self::default() };
        fallbacks.any = names.rules(settings.fallbacks, &ANY);
        if let Some(of_all) = fallbacks.any.remove("*") {
            fallbacks.default = of_all;
        }
        fallbacks.default.extend(names.targets(settings.default_fallbacks, &DEFAULT));
        fallbacks.context = names.rules(settings.context_fallbacks, &CONTEXT);
        fallbacks.policy = names.rules(settings.policy_fallbacks, &POLICY);
        fallbacks
    }

    /// What serves a name that callers use for a group: its own, and then what rules about
    /// the name, or else about the group, lead to.
    pub(super) fn chain(&self, name: &str, group: usize, book: &Book<'_>) -> Chain {
        let mut seen = HashSet::from([group]);
        let mut groups = vec![group];
        let key = if self.any.contains_key(name) { name } else { book.groups[group].name.as_str() };
        self.walk(key, 0, book, &mut seen, &mut groups);
        let on_any_error = groups.len() > 1;
        let own = book.groups[group].name.as_str();
        let mut on_content_policy = on_any_error;
        for (rules, policy) in [(&self.context, false), (&self.policy, true)] {
            for next in rules.get(name).or_else(|| rules.get(own)).into_iter().flatten() {
                on_content_policy |= policy;
                if seen.insert(*next) {
                    groups.push(*next);
                }
            }
        }
        groups.truncate(LONGEST);
        Chain { groups, on_any_error, on_content_policy }
    }

    /// Fallbacks of fallbacks come before the next fallback, and nobody is asked twice.
    fn walk(&self, name: &str, depth: usize, book: &Book<'_>, seen: &mut HashSet<usize>, groups: &mut Vec<usize>) {
        if depth >= self.deepest {
            return;
        }
        for next in self.any.get(name).unwrap_or(&self.default) {
            if groups.len() < LONGEST && seen.insert(*next) {
                groups.push(*next);
                self.walk(&book.groups[*next].name, depth + 1, book, seen, groups);
            }
        }
    }
}

/// The other names of groups, and the groups.
pub(super) fn alias_names(settings: &Settings<'_>) -> HashMap<String, String> {
    let entries = settings.group_aliases.map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.key.clone(), aliased_group(&entry.node)?))).collect()
}

/// The group that another name is for; the longer form says whether it is listed.
pub(super) fn aliased_group(node: &Node) -> Option<String> {
    node.get("model").unwrap_or(node).name()
}

/// Looks names up.
struct Names<'b, 'r, 'y> {
    book: &'b mut Book<'y>,
    reader: Reader<'r, 'y>,
    aliases: &'b HashMap<String, String>,
}

impl<'y> Names<'_, '_, 'y> {
    fn group(&mut self, name: &str) -> Option<usize> {
        let found = self.book.find(name, self.reader);
        found.or_else(|| self.aliases.get(name).cloned().and_then(|group| self.book.find(&group, self.reader)))
    }

    /// A list of maps, or a map, from a name to those that follow.
    fn rules(&mut self, node: Option<&'y Node>, kind: &Kind) -> HashMap<String, Vec<usize>> {
        let mut rules: HashMap<String, Vec<usize>> = HashMap::new();
        let Some(node) = node else { return rules };
        let entries = node.entries().iter().chain(node.elements().iter().flat_map(Node::entries));
        for entry in entries {
            let known =
                entry.key == "*" || self.aliases.contains_key(&entry.key) || self.book.public(&entry.key).is_some();
            if known {
                let targets = self.targets(Some(&entry.node), kind);
                rules.entry(entry.key.clone()).or_default().extend(targets);
            } else {
                self.findings().not_possible(
                    &entry.node,
                    format!("no alias is called {:?}", entry.key),
                    "an alias of that name with all of them as targets, if callers use the name",
                );
            }
        }
        rules
    }

    fn targets(&mut self, node: Option<&'y Node>, kind: &Kind) -> Vec<usize> {
        let Some(node) = node else { return Vec::new() };
        let nodes: Vec<&Node> = if node.elements().is_empty() { vec![node] } else { node.elements().iter().collect() };
        nodes.into_iter().filter_map(|node| self.target(node, kind)).collect()
    }

    /// One that follows: a name, or a map with a name and changes to the request.
    fn target(&mut self, node: &Node, kind: &Kind) -> Option<usize> {
        let named = node.get("model").unwrap_or(node);
        let name = named.name();
        let found = name.as_deref().and_then(|name| self.group(name));
        match (found, name) {
            (Some(_), _) if kind.exact => self.findings().exact(named, kind.becomes),
            (Some(_), _) => self.findings().approximated(named, kind.becomes),
            (None, Some(name)) => self.findings().not_possible(
                named,
                format!("nothing that is left in the new configuration answers to {name:?}"),
                "another target in its place",
            ),
            (None, None) => return None,
        }
        for entry in node.entries().iter().filter(|entry| entry.key != "model") {
            let instead = "params at a target of its own";
            self.findings().not_possible(&entry.node, "a fallback gets the request as it is", instead);
        }
        found
    }

    fn findings(&self) -> &Findings {
        self.reader.findings
    }
}
