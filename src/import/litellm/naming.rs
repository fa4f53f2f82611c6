//! How is something called here? Names within the letters that are allowed, and each once.

use std::collections::HashSet;

/// Longer names are cut; they need room for a number.
const LONGEST: usize = 180;

/// Beside letters and digits, in the ids of providers.
const PROVIDER_MARKS: &str = "-_.";
/// In the ids of models.
const MODEL_MARKS: &str = "-_./:~+";
/// In the names of aliases.
const ALIAS_MARKS: &str = "-_./:~";

/// The id of a provider.
pub(super) fn provider_id(text: &str) -> String {
    clean(text, PROVIDER_MARKS, "provider")
}

/// The id of a model.
pub(super) fn model_id(text: &str) -> String {
    clean(text, MODEL_MARKS, "model")
}

/// The name of an alias.
pub(super) fn alias_name(text: &str) -> String {
    let name = clean(text, ALIAS_MARKS, "alias");
    // These are kept for the gateway itself.
    if name == "pointsman" || name.starts_with("pointsman/") { format!("my-{name}") } else { name }
}

/// The name of a variable.
pub(super) fn variable_name(text: &str) -> String {
    let name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("KEY_{name}") } else { name }
}

fn clean(text: &str, marks: &str, otherwise: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || marks.contains(c) { c } else { '-' };
    let name: String = text.trim().chars().take(LONGEST).map(letter).collect();
    let name = name.trim_start_matches(['-', '.', '/']);
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}

/// Names that are given out, each once.
#[derive(Default)]
pub(super) struct Taken(HashSet<String>);

impl Taken {
    /// The name, or the first with a number behind it that is free.
    pub(super) fn take(&mut self, name: &str, mark: char) -> String {
        if self.0.insert(name.to_owned()) {
            return name.to_owned();
        }
        let mut number = 2_usize;
        loop {
            let other = format!("{name}{mark}{number}");
            if self.0.insert(other.clone()) {
                return other;
            }
            number += 1;
        }
    }

    /// Keeps a name from being given out.
    pub(super) fn reserve(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_becomes_a_hyphen() {
        assert_eq!(alias_name("GPT 4 (team@x)"), "GPT-4--team-x-");
        assert_eq!(alias_name("./x"), "x");
        assert_eq!(alias_name("ü"), "alias");
        assert_eq!(model_id("a/b@c:1+2"), "a/b-c:1+2");
        assert_eq!(provider_id("a/b"), "a-b");
        assert_eq!(variable_name("vllm-gpu.box"), "VLLM_GPU_BOX");
    }

    #[test]
    fn reserved_names_are_not_used() {
        assert_eq!(alias_name("pointsman"), "my-pointsman");
        assert_eq!(alias_name("pointsman/x"), "my-pointsman/x");
    }

    #[test]
    fn each_name_is_given_out_once() {
        let mut taken = Taken::default();
        taken.reserve("b");
        let names = ["a", "a", "a-2", "b"].map(|name| taken.take(name, '-'));
        assert_eq!(names, ["a", "a-2", "a-2-2", "b-2"]);
    }
}
