//! What is said outside the entry itself? Variables of the environment, which may be set by
//! the file, and texts that name them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use super::findings::Findings;
use crate::import::yaml::Node;

/// How LiteLLM names a variable in the place of a value.
const VARIABLE: &str = "os.environ/";

/// The variable that a text names, if it names one.
pub(super) fn variable(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix(VARIABLE)?;
    let plausible = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plausible.then_some(name)
}

/// A secret that stands in the file. Only enough of it is kept to tell it from others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest of a weak secret gives it away.
        f.write_str("Fingerprint")
    }
}

/// The variables that can be looked up.
pub(super) struct World<'w> {
    /// Those of the process that imports.
    process: &'w dyn Fn(&str) -> Option<String>,
    /// Those that the file sets, which win.
    file: BTreeMap<String, Option<String>>,
    /// Those whose values have been written into the result.
    written: RefCell<BTreeSet<String>>,
}

impl<'w> World<'w> {
    pub(super) fn new(section: Option<&Node>, process: &'w dyn Fn(&str) -> Option<String>) -> Self {
        let entries = section.map(Node::entries).unwrap_or_default();
        let file = entries.iter().map(|entry| (entry.key.clone(), entry.node.name())).collect();
        Self { process, file, written: RefCell::default() }
    }

    /// Whether the variable has a value here and now.
    pub(super) fn has(&self, name: &str) -> bool {
        self.look_up(name).is_some()
    }

    /// The value of a variable that is no secret, because it will be written down.
    pub(super) fn open_value(&self, name: &str) -> Option<String> {
        let value = self.look_up(name)?;
        self.written.borrow_mut().insert(name.to_owned());
        Some(value)
    }

    fn look_up(&self, name: &str) -> Option<String> {
        let value = match self.file.get(name) {
            Some(value) => value.clone(),
            None => (self.process)(name),
        };
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Judges what the file sets. `read` are the variables that the result looks into.
    pub(super) fn judge(&self, section: Option<&Node>, read: &BTreeSet<String>, findings: &Findings) {
        for entry in section.map(Node::entries).unwrap_or_default() {
            let name = &entry.key;
            if read.contains(name) {
                let message = "a configuration cannot set variables, only read them";
                let instead = format!("set {name} in the environment of pointsman");
                findings.approximated_but(&entry.node, message, instead);
            } else if self.written.borrow().contains(name) {
                findings.exact(&entry.node, "its value stands where the file names it");
            } else if entry.node.name().is_some() {
                findings.not_possible(
                    &entry.node,
                    "a configuration cannot set variables, and nothing in the new one reads this",
                    "nothing, unless another program relies on it",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    #[test]
    fn only_what_looks_like_a_variable_is_one() {
        assert_eq!(variable("os.environ/OPENAI_API_KEY"), Some("OPENAI_API_KEY"));
        for text in ["OPENAI_API_KEY", "os.environ/", "os.environ/a b", "os.environ/1A", "os.environ/sk-1234"] {
            assert_eq!(variable(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_file_sets_wins_over_the_process() {
        let root = parse("A: file\nB: ''\nC: 5\n").unwrap();
        let process = |name: &str| Some(format!("process {name}"));
        let world = World::new(Some(&root), &process);
        assert_eq!(world.open_value("A").as_deref(), Some("file"));
        assert_eq!(world.open_value("B"), None, "set, and empty");
        assert_eq!(world.open_value("C").as_deref(), Some("5"));
        assert_eq!(world.open_value("D").as_deref(), Some("process D"));
    }

    #[test]
    fn a_fingerprint_does_not_show_itself() {
        assert_eq!(format!("{:?}", Fingerprint::of("sk-1")), "Fingerprint");
    }
}
