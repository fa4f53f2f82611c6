//! What does `model_name: "openai/*"` become? Names with a star stand for all models of a
//! provider, which callers may name here too; and fallbacks may name one of them.

use super::account::{Account, Base, Reader as Accounts};
use super::deployment::Deployment;
use super::entry::{Head, Reader};
use super::findings::Findings;
use super::rules::PARAMS;
use super::vendors::Vendor;
use crate::import::yaml::{Entry, Node};

/// An entry whose name or model has a star in it.
pub(super) struct Pattern<'y> {
    entry: &'y Node,
    name: String,
    model: String,
    /// `None` where any provider is meant.
    pub(super) account: Option<Account>,
    pub(super) key_node: Option<&'y Node>,
    pub(super) model_node: &'y Node,
    /// Callers may name every model of that provider.
    pub(super) direct: bool,
}

/// Patterns with more stars than this are not followed.
const MOST_STARS: usize = 4;

impl<'y> Pattern<'y> {
    /// Reads an entry and judges all of it but its key.
    pub(super) fn read(
        entry: &'y Node,
        head: Head<'y>,
        vendor: &'static Vendor,
        upstream: String,
        reader: Reader<'_, 'y>,
    ) -> Self {
        let findings = reader.findings;
        let account = Accounts { world: reader.world, findings }.account(vendor, head.params);
        let direct = judge(&head, &account, &upstream, findings);
        for entry in head.params.own.entries().iter().filter(|entry| !findings.has_judged(&entry.node)) {
            judge_rest(entry, findings);
        }
        for node in [head.info, entry.get("rpm"), entry.get("tpm")].into_iter().flatten() {
            findings.not_possible(
                node,
                NOT_FOR_MANY,
                "[[models]] and [[aliases]] for those models that it matters for",
            );
        }
        Self {
            entry,
            name: head.group,
            model: head.model,
            key_node: head.params.get("api_key"),
            model_node: head.model_node,
            account: Some(account),
            direct,
        }
    }

    /// Reads an entry for all models of any provider, and judges it.
    pub(super) fn of_any(entry: &'y Node, head: Head<'y>, findings: &Findings) -> Self {
        let instead = "[[providers]] for each other provider, with its key";
        let message = "callers may name all models of the providers in this file, by their ids or by their names alone; \
                       LiteLLM would serve those of any provider whose key is set";
        findings.approximated_but(entry, message, instead);
        let (key_node, model_node) = (None, head.model_node);
        Self { entry, name: head.group, model: head.model, account: None, key_node, model_node, direct: true }
    }

    /// The patterns that a name answers to: those with the longest text, as LiteLLM.
    pub(super) fn matching<'p>(patterns: &'p [Self], name: &str) -> Vec<&'p Self> {
        let matching = patterns.iter().filter(|pattern| parts(&pattern.name, name).is_some());
        let matching: Vec<&Self> = matching.collect();
        let longest = matching.iter().map(|pattern| pattern.name.len()).max().unwrap_or(0);
        let first = matching.iter().find(|pattern| pattern.name.len() == longest).map(|pattern| pattern.name.clone());
        matching.into_iter().filter(|pattern| Some(&pattern.name) == first.as_ref()).collect()
    }

    /// The deployment that a name becomes by this pattern.
    pub(super) fn make(&self, name: &str, reader: Reader<'_, 'y>) -> Option<Deployment<'y>> {
        let parts = parts(&self.name, name)?;
        let mut model = self.model.clone();
        if model.matches('*').count() < parts.len() && model.contains('*') {
            model = name.to_owned();
        }
        for part in parts {
            model = model.replacen('*', part, 1);
        }
        let head = Head { group: name.to_owned(), model, ..reader.head(self.entry)? };
        let (vendor, upstream) = reader.vendor(self.entry, &head)?;
        (!upstream.contains('*')).then(|| reader.body(self.entry, head, vendor, upstream))
    }
}

const NOT_FOR_MANY: &str = "is not said of all models of a provider at once";

/// Judges name and model, and returns whether callers may name all models.
fn judge(head: &Head<'_>, account: &Account, upstream: &str, findings: &Findings) -> bool {
    let (name, model) = (head.group_node, head.model_node);
    let known = account.known.filter(|_| account.base == Base::Catalogue && upstream == "*");
    match known {
        Some(_) if !head.group.contains('*') => {
            let instead = "an alias with one of its models";
            findings.not_possible(name, "one name cannot be many models", instead);
            findings.not_possible(model, "one name cannot be many models", instead);
            false
        }
        Some(known) => {
            let message = format!(
                "callers may name all models of the catalogue, by their ids as in {known}/NAME or by NAME alone; \
                 those of all providers in this file, too"
            );
            findings.approximated_but(
                name,
                message,
                "server.direct_models = false and an alias for each, to be stricter",
            );
            findings.exact(model, format!("provider {known:?}"));
            true
        }
        None => {
            let message = "all models of a server that is not in the catalogue cannot be named at once";
            let instead = "[[models]] with its provider as endpoint, and an alias, for each that is used";
            findings.not_possible(name, message, instead);
            findings.not_possible(model, message, instead);
            false
        }
    }
}

fn judge_rest(entry: &Entry, findings: &Findings) {
    let read = ["model", "api_key", "litellm_credential_name", "extra_headers", "headers"];
    if !read.contains(&entry.key.as_str()) && !findings.by_rules(entry, PARAMS) {
        findings.not_possible(
            &entry.node,
            NOT_FOR_MANY,
            "[[models]] and [[aliases]] for those models that it matters for",
        );
    }
}

/// What the stars of a pattern stand for in a name.
fn parts<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    if pattern.matches('*').count() > MOST_STARS {
        return None;
    }
    let Some((beginning, rest)) = pattern.split_once('*') else { return (pattern == name).then(Vec::new) };
    let name = name.strip_prefix(beginning)?;
    // As in a regular expression, each star takes as much as it can.
    name.char_indices().map(|(at, _)| at).chain([name.len()]).rev().find_map(|at| {
        let mut found = vec![&name[..at]];
        found.append(&mut parts(rest, &name[at..])?);
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert_eq!(parts("openai/*", "openai/gpt-5.5"), Some(vec!["gpt-5.5"]));
        assert_eq!(parts("*", ""), Some(vec![""]));
        assert_eq!(parts("fo::*:static::*", "fo::a:static::b:c"), Some(vec!["a", "b:c"]));
        assert_eq!(parts("openai/*", "anthropic/x"), None);
        assert_eq!(parts("a", "a"), Some(Vec::new()));
        assert_eq!(parts("*a*", "bab"), Some(vec!["b", "b"]));
        assert_eq!(parts("*****", "x"), None, "absurd");
    }
}
