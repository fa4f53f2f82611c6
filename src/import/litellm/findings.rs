//! Has every line got its verdict? Findings are gathered here while the configuration is
//! read; what nobody spoke of is found at the end, so nothing is passed over in silence.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::config::Place;
use crate::import::report::{Finding, Verdict};
use crate::import::yaml::{Entry, Node, Value};

/// A verdict in words that are fixed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// The keys that it is about, with blanks between them; `*` stands for any letters.
    pub(super) keys: &'static str,
    pub(super) verdict: Verdict,
    /// What it became, or why it did not.
    pub(super) says: &'static str,
    /// What to do; nothing if empty.
    pub(super) instead: &'static str,
}

impl Rule {
    fn is_about(&self, key: &str) -> bool {
        self.keys.split_whitespace().any(|pattern| matches(pattern, key))
    }

    /// The first rule about a key.
    pub(super) fn find(rules: &'static [Self], key: &str) -> Option<&'static Self> {
        rules.iter().find(|rule| rule.is_about(key))
    }
}

fn matches(pattern: &str, key: &str) -> bool {
    let Some((beginning, rest)) = pattern.split_once('*') else { return pattern == key };
    let Some(key) = key.strip_prefix(beginning) else { return false };
    rest.is_empty() || key.char_indices().any(|(at, _)| matches(rest, &key[at..]))
}

/// What is gathered.
#[derive(Default)]
pub(super) struct Findings {
    list: RefCell<Vec<Finding>>,
    /// The nodes that have a finding, by their ids.
    judged: RefCell<HashSet<usize>>,
}

impl Findings {
    /// The value, and all below it, means the same.
    pub(super) fn exact(&self, node: &Node, message: impl Into<String>) {
        self.judge(node, Verdict::Exact, message.into(), None);
    }

    /// The value, and all below it, means nearly the same.
    pub(super) fn approximated(&self, node: &Node, message: impl Into<String>) {
        self.judge(node, Verdict::Approximated, message.into(), None);
    }

    /// As [`approximated`](Self::approximated), with something left to do.
    pub(super) fn approximated_but(&self, node: &Node, message: impl Into<String>, instead: impl Into<String>) {
        self.judge(node, Verdict::Approximated, message.into(), Some(instead.into()));
    }

    /// The value, and all below it, is left out.
    pub(super) fn not_possible(&self, node: &Node, message: impl Into<String>, instead: impl Into<String>) {
        self.judge(node, Verdict::NotPossible, message.into(), Some(instead.into()));
    }

    /// The value, and all below it, is what the rule says.
    pub(super) fn rule(&self, node: &Node, rule: &Rule) {
        let instead = (!rule.instead.is_empty()).then(|| rule.instead.to_owned());
        self.judge(node, rule.verdict, rule.says.to_owned(), instead);
    }

    /// Judges an entry by the rules, if one of them is about it.
    pub(super) fn by_rules(&self, entry: &Entry, rules: &'static [Rule]) -> bool {
        let rule = Rule::find(rules, &entry.key);
        if let Some(rule) = rule {
            self.rule(&entry.node, rule);
        }
        rule.is_some()
    }

    /// What the file does not say, but should be known.
    pub(super) fn absent(&self, path: &str, verdict: Verdict, message: impl Into<String>, instead: impl Into<String>) {
        let (message, instead) = (message.into(), Some(instead.into()));
        self.list.borrow_mut().push(Finding { place: None, path: path.to_owned(), verdict, message, instead });
    }

    fn judge(&self, node: &Node, verdict: Verdict, message: String, instead: Option<String>) {
        self.judged.borrow_mut().insert(node.id);
        self.say(node.place, node.path.clone(), verdict, message, instead);
    }

    fn say(&self, place: Place, path: String, verdict: Verdict, message: String, instead: Option<String>) {
        self.list.borrow_mut().push(Finding { place: Some(place), path, verdict, message, instead });
    }

    /// Whether the value has a finding of its own.
    pub(super) fn has_judged(&self, node: &Node) -> bool {
        self.judged.borrow().contains(&node.id)
    }

    /// All findings in the order of the text, those included that nobody has made.
    pub(super) fn finish(self, root: &Node) -> Vec<Finding> {
        self.judge_rest(root);
        self.tell_repeated(root);
        let mut list = self.list.into_inner();
        // What is used several times may have been judged several times.
        let key = |of: &Finding| (of.place.is_none(), of.place, of.path.clone(), of.verdict, of.message.clone());
        list.sort_by_cached_key(key);
        list.dedup();
        list
    }

    /// Leaves that no finding covers.
    fn judge_rest(&self, node: &Node) {
        if self.has_judged(node) {
            return;
        }
        match &node.value {
            Value::Null => self.exact(node, "has no value, as if it were not given"),
            Value::List(nodes) if nodes.is_empty() => self.exact(node, "is empty"),
            Value::Map(entries) if entries.is_empty() => self.exact(node, "is empty"),
            _ if node.is_leaf() => self.not_possible(
                node,
                "is not known to this importer",
                "look up what it does in LiteLLM, and whether docs/configuration.md has something like it",
            ),
            _ => node.children().for_each(|child| self.judge_rest(child)),
        }
    }

    fn tell_repeated(&self, node: &Node) {
        for entry in node.entries() {
            for place in &entry.repeated {
                let message = format!("stands again in line {}, and the last one counts", entry.node.place.line);
                self.say(*place, entry.node.path.clone(), Verdict::Exact, message, None);
            }
        }
        node.children().for_each(|child| self.tell_repeated(child));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    fn told(findings: Findings, root: &Node) -> Vec<String> {
        findings.finish(root).iter().map(|finding| finding.in_file("c")).collect()
    }

    #[test]
    fn what_nobody_spoke_of_is_told() {
        let root = parse("a: 1\nb: {c: 2, d: [3, 4]}\ne:\nf: []\n").unwrap();
        let findings = Findings::default();
        findings.exact(root.get("b").unwrap().get("d").unwrap(), "all of it");
        let told = told(findings, &root);
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[0].starts_with("c:1:4: not possible: a: is not known"), "{told:?}");
        assert!(told[1].starts_with("c:2:8: not possible: b.c: "), "{told:?}");
        assert_eq!(
            told[2..4],
            ["c:2:14: exact: b.d: all of it", "c:3:2: exact: e: has no value, as if it were not given"]
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_told_too() {
        let root = parse("a: 1\na: 2\n").unwrap();
        let told = told(Findings::default(), &root);
        assert_eq!(told[0], "c:1:1: exact: a: stands again in line 2, and the last one counts");
    }

    #[test]
    fn the_first_rule_about_a_key_counts() {
        const RULES: &[Rule] = &[
            Rule { keys: "db_x", verdict: Verdict::Exact, says: "x", instead: "" },
            Rule { keys: "db_* z", verdict: Verdict::NotPossible, says: "db", instead: "y" },
        ];
        let says = |key| Rule::find(RULES, key).map(|rule| rule.says);
        assert_eq!((says("db_x"), says("db_y"), says("z"), says("zz")), (Some("x"), Some("db"), Some("db"), None));
        assert!(matches("a*c*", "abcd") && matches("a*c*", "ac") && !matches("a*c*", "ab"));
        assert!(matches("a*c", "abc") && !matches("a*c", "abcd"));
    }
}
