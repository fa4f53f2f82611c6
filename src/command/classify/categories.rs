//! Which categories does `pointsman classify` sort into? All built-in ones, or those of a file:
//!
//! ```toml
//! [[categories]]
//! name = "refunds"
//! description = "Money back for orders and subscriptions"
//! examples = ["I want my money back", "cancel my order and refund me"]
//!
//! [[categories]]
//! name = "coding"
//! threshold = 0.7
//! ```

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::domain::category::{BuiltIn, CategoryKind, CategoryScheme, CategorySpec, Tier};
use crate::domain::ids::CategoryName;

/// What everything that is in no category is in.
pub(super) const DEFAULT: &str = "default";

/// Why a file of categories is none.
#[derive(Debug, Error)]
pub enum CategoriesError {
    /// It is no TOML of the known keys.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A category has the name of another, or of Default.
    #[error("category {0}: the name is taken")]
    Taken(String),
    /// A category is not built in, and nothing says what belongs to it.
    #[error("category {0}: it is not built in, so it needs a description or examples")]
    Unknown(String),
    /// A number is none that can be compared with a probability.
    #[error("category {name}: {key} should be within 0 and 1")]
    Range {
        /// The category.
        name: String,
        /// `threshold` or `margin`.
        key: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    categories: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    description: Option<String>,
    #[serde(default)]
    examples: Vec<String>,
    threshold: Option<f64>,
    margin: Option<f64>,
}

/// All built-in categories but `other`, which is Default's.
pub(super) fn built_in(tier: Tier) -> CategoryScheme {
    let known = BuiltIn::ALL.into_iter().filter(|category| *category != BuiltIn::Other);
    let spec = |category: BuiltIn| CategorySpec {
        name: CategoryName::new(category.as_str()),
        kind: CategoryKind::BuiltIn(category),
        threshold: None,
        margin: None,
    };
    scheme(known.map(spec).collect(), tier)
}

/// The categories of a file.
///
/// # Errors
/// If it is none of such.
pub(super) fn of_file(text: &str, tier: Tier) -> Result<CategoryScheme, CategoriesError> {
    let file: File = toml::from_str(text)?;
    let mut names = HashSet::from([DEFAULT.to_owned()]);
    let specs = file.categories.into_iter().map(|entry| {
        if !names.insert(entry.name.clone()) {
            return Err(CategoriesError::Taken(entry.name));
        }
        spec(entry)
    });
    Ok(scheme(specs.collect::<Result<_, _>>()?, tier))
}

fn spec(entry: Entry) -> Result<CategorySpec, CategoriesError> {
    let Entry { name, description, examples, threshold, margin } = entry;
    for (key, number) in [("threshold", threshold), ("margin", margin)] {
        if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
            return Err(CategoriesError::Range { name, key });
        }
    }
    let kind = if description.is_some() || !examples.is_empty() {
        CategoryKind::Own { description, examples }
    } else {
        CategoryKind::BuiltIn(BuiltIn::parse(&name).ok_or_else(|| CategoriesError::Unknown(name.clone()))?)
    };
    Ok(CategorySpec { name: CategoryName::new(name.as_str()), kind, threshold, margin })
}

fn scheme(categories: Vec<CategorySpec>, tier: Tier) -> CategoryScheme {
    // Nobody waits for an answer here.
    CategoryScheme { categories, tier, budget: Duration::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_own_and_built_in_categories() {
        let text = "[[categories]]\nname = \"refunds\"\nexamples = [\"money back\"]\nthreshold = 0.6\n\n[[categories]]\nname = \"content-writing\"\n";
        let scheme = of_file(text, Tier::Fast).unwrap();
        let [own, writing] = &scheme.categories[..] else { panic!("{scheme:?}") };
        assert_eq!(own.kind, CategoryKind::Own { description: None, examples: vec!["money back".to_owned()] });
        assert_eq!(own.threshold, Some(0.6));
        assert_eq!(writing.kind, CategoryKind::BuiltIn(BuiltIn::Writing));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| of_file(text, Tier::Fast).unwrap_err().to_string();
        assert_eq!(said("[[categories]]\nname = \"default\"\n"), "category default: the name is taken");
        assert!(said("[[categories]]\nname = \"refunds\"\n").contains("needs a description or examples"));
        assert!(said("[[categories]]\nname = \"math\"\nmargin = 2\n").contains("margin should be within"));
        assert!(said("[[categories]]\nname = \"math\"\nmargins = 2\n").contains("margins"));
    }
}
