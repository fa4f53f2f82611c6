//! Which deployments answer to a name? Groups, the patterns that stand for many names, and
//! the names of single deployments.

use std::collections::HashMap;

use super::deployment::Deployment;
use super::entry::Reader;
use super::findings::Findings;
use super::wildcard::Pattern;
use crate::import::yaml::Node;

/// Deployments of one name, in the order of the file.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) members: Vec<usize>,
    /// Callers may name it: it is no group that only fallbacks lead to.
    pub(super) public: bool,
}

/// Everything that a name can mean.
pub(super) struct Book<'y> {
    pub(super) deployments: Vec<Deployment<'y>>,
    pub(super) groups: Vec<Group>,
    by_name: HashMap<String, usize>,
    pub(super) patterns: Vec<Pattern<'y>>,
}

impl<'y> Book<'y> {
    /// Reads `model_list`.
    pub(super) fn read(list: Option<&'y Node>, reader: Reader<'_, 'y>) -> Self {
        let mut book =
            Self { deployments: Vec::new(), groups: Vec::new(), by_name: HashMap::new(), patterns: Vec::new() };
        for entry in list.map(Node::elements).unwrap_or_default() {
            let Some(head) = reader.head(entry) else { continue };
            if head.model == "*" && head.group.contains('*') {
                book.patterns.push(Pattern::of_any(entry, head, reader.findings));
                continue;
            }
            let Some((vendor, upstream)) = reader.vendor(entry, &head) else { continue };
            if head.group.contains('*') || head.model.contains('*') {
                book.patterns.push(Pattern::read(entry, head, vendor, upstream, reader));
            } else {
                let deployment = reader.body(entry, head, vendor, upstream);
                let name = deployment.group.clone();
                book.put(deployment, &name, true);
            }
        }
        book
    }

    fn put(&mut self, deployment: Deployment<'y>, name: &str, public: bool) -> usize {
        let member = self.deployments.len();
        self.deployments.push(deployment);
        let group = self.group_of(name, public);
        self.groups[group].members.push(member);
        group
    }

    fn group_of(&mut self, name: &str, public: bool) -> usize {
        *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.groups.push(Group { name: name.to_owned(), members: Vec::new(), public });
            self.groups.len() - 1
        })
    }

    /// The group of exactly that name that callers may name.
    pub(super) fn public(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied().filter(|group| self.groups[*group].public)
    }

    /// Whatever a fallback may mean by a name: a group, a deployment by its id, or what a
    /// pattern makes of it.
    pub(super) fn find(&mut self, name: &str, world: Reader<'_, 'y>) -> Option<usize> {
        if let Some(group) = self.by_name.get(name) {
            return Some(*group);
        }
        if let Some(member) = self.deployments.iter().position(|deployment| deployment.id.as_deref() == Some(name)) {
            let group = self.group_of(name, false);
            self.groups[group].members.push(member);
            return Some(group);
        }
        // What is said of the pattern has been judged; of what it becomes nothing stands in
        // the file.
        let silent = Findings::default();
        let reader = Reader { findings: &silent, ..world };
        let made = Pattern::matching(&self.patterns, name).into_iter().filter_map(|pattern| pattern.make(name, reader));
        let made: Vec<Deployment<'y>> = made.collect();
        let mut found = None;
        for deployment in made {
            found = Some(self.put(deployment, name, false));
        }
        found
    }
}
