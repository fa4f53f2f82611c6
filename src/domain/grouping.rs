//! How a virtual model of categories leads from a category to the targets that serve it.

use thiserror::Error;

use super::category::{CategoryScheme, CategorySpec};
use super::ids::{AliasIdx, CategoryName};

/// What serves prompts that match no category.
pub const DEFAULT_CATEGORY: &str = "default";

/// The name of what serves prompts that match no category.
pub fn default_category() -> CategoryName {
    CategoryName::new(DEFAULT_CATEGORY)
}

/// What happens when no target of a category can serve a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnExhausted {
    /// Default's targets are tried, within the same attempts and the same time.
    #[default]
    Default,
    /// The request fails: nobody else may see it.
    Fail,
}

/// The categories of a virtual model, and what each leads to.
#[derive(Clone, PartialEq, Debug)]
pub struct Grouping {
    /// The categories, Default apart.
    pub scheme: CategoryScheme,
    /// By position in the scheme: the alias of its targets.
    pub groups: Vec<AliasIdx>,
    /// The alias of Default's targets.
    pub default: AliasIdx,
    /// A conversation keeps the category of its first prompt.
    pub pin: bool,
    /// What a caller says of its prompt's category is believed.
    pub hint: bool,
}

impl Grouping {
    /// The alias that serves a category; `None` is Default.
    pub fn group(&self, category: Option<usize>) -> AliasIdx {
        category.and_then(|at| self.groups.get(at).copied()).unwrap_or(self.default)
    }

    /// A category's name; `None` is Default.
    pub fn name(&self, category: Option<usize>) -> CategoryName {
        category.and_then(|at| self.scheme.categories.get(at)).map_or_else(default_category, |spec| spec.name.clone())
    }

    /// All names, Default's last.
    pub fn names(&self) -> Vec<&str> {
        self.scheme.categories.iter().map(|spec| spec.name.as_str()).chain([DEFAULT_CATEGORY]).collect()
    }

    /// The category that goes by a name, in any spelling; `Some(None)` is Default.
    pub fn find(&self, name: &str) -> Option<Option<usize>> {
        if same_name(name, DEFAULT_CATEGORY) {
            return Some(None);
        }
        let goes_by = |spec: &CategorySpec| same_name(name, spec.name.as_str()) || same_kind(name, spec);
        self.scheme.categories.iter().position(goes_by).map(Some)
    }
}

/// Whether two names are one: case, and `-` for `_`, make no difference.
pub fn same_name(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Whether a name is one of those that a built-in category has.
fn same_kind(name: &str, spec: &CategorySpec) -> bool {
    use super::category::{BuiltIn, CategoryKind};
    matches!(&spec.kind, CategoryKind::BuiltIn(category) if BuiltIn::parse(name) == Some(*category))
}

/// Why an alias has no categories. `having` are those that have some.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NoCategories {
    /// There is no such alias.
    #[error("there is no alias `{name}`; {}", whoever_has(having))]
    Unknown {
        /// What was asked for.
        name: String,
        /// In the order of their names.
        having: Vec<String>,
    },
    /// It is of another strategy.
    #[error("the alias `{name}` has the strategy {strategy} and no categories; {}", whoever_has(having))]
    Other {
        /// What was asked for.
        name: String,
        /// How it chooses instead.
        strategy: &'static str,
        /// In the order of their names.
        having: Vec<String>,
    },
}

/// More names are counted only.
const MOST_NAMED: usize = 10;

fn whoever_has(names: &[String]) -> String {
    match names {
        [] => "no alias has categories".to_owned(),
        names if names.len() <= MOST_NAMED => format!("aliases with categories: {}", names.join(", ")),
        names => {
            let (named, others) = names.split_at(MOST_NAMED);
            format!("aliases with categories: {} and {} more", named.join(", "), others.len())
        }
    }
}

/// What an alias is that serves a category of another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// The category; `default` for Default.
    pub category: CategoryName,
    /// What happens when none of its targets can serve.
    pub on_exhausted: OnExhausted,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::category::{BuiltIn, CategoryKind, Tier};

    #[test]
    fn categories_go_by_every_spelling_of_their_names() {
        let spec =
            |name: &str, kind| CategorySpec { name: CategoryName::new(name), kind, threshold: None, margin: None };
        let own = CategoryKind::Own { description: Some("money back".into()), examples: Vec::new() };
        let categories = vec![spec("content-writing", CategoryKind::BuiltIn(BuiltIn::Writing)), spec("re_funds", own)];
        let scheme = CategoryScheme { categories, tier: Tier::Fast, budget: Duration::ZERO };
        let groups = vec![AliasIdx(1), AliasIdx(2)];
        let grouping = Grouping { scheme, groups, default: AliasIdx(3), pin: false, hint: true };
        for name in ["content-writing", "Content_Writing", "writing"] {
            assert_eq!(grouping.find(name), Some(Some(0)), "{name}");
        }
        assert_eq!((grouping.find("RE-FUNDS"), grouping.find("Default")), (Some(Some(1)), Some(None)));
        assert_eq!(grouping.find("coding"), None);
        assert_eq!(grouping.names(), ["content-writing", "re_funds", "default"]);
        assert_eq!((grouping.group(Some(1)), grouping.group(None)), (AliasIdx(2), AliasIdx(3)));
        assert_eq!((grouping.name(Some(1)).as_str(), grouping.name(None).as_str()), ("re_funds", "default"));
    }
    #[test]
    fn whoever_has_categories_is_named() {
        let said = |count: usize| {
            let having = (0..count).map(|n| format!("a{n}")).collect();
            NoCategories::Unknown { name: "x".into(), having }.to_string()
        };
        assert_eq!(said(0), "there is no alias `x`; no alias has categories");
        assert_eq!(said(2), "there is no alias `x`; aliases with categories: a0, a1");
        assert!(said(12).ends_with("a9 and 2 more"), "{}", said(12));
    }
}
