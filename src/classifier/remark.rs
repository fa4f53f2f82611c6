//! What an operator should know about the categories that he wrote.

use std::fmt;

use crate::domain::category::BuiltIn;
use crate::domain::ids::CategoryName;

/// Something about an operator's own categories that is likely not what he meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remark {
    /// Prompts of one category look like prompts of another.
    Overlap {
        /// The one that stands first in the scheme.
        one: CategoryName,
        /// The other.
        other: CategoryName,
    },
    /// An example looks more like another category than like its own.
    LooksLike {
        /// The category that has the example.
        category: CategoryName,
        /// The example's position there, from 0.
        example: usize,
        /// What it looks like.
        like: Likeness,
    },
    /// Most of a category's examples look like one built-in category, whose prompts it may take.
    Within {
        /// The category.
        category: CategoryName,
        /// The built-in category that is switched on.
        built_in: BuiltIn,
    },
    /// There is too little to learn a category from.
    TooFew {
        /// The category.
        category: CategoryName,
        /// How many examples it has that hold any text.
        examples: usize,
    },
}

/// What an example looks like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Likeness {
    /// A built-in category that is switched on.
    BuiltIn(BuiltIn),
    /// Another of the operator's own.
    Own(CategoryName),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap { one, other } => {
                write!(f, "categories {one} and {other} overlap: their examples look alike")
            }
            Self::LooksLike { category, example, like } => {
                write!(f, "example {} of category {category} looks like ", example + 1)?;
                match like {
                    Likeness::BuiltIn(built_in) => write!(f, "{}", built_in.as_str()),
                    Likeness::Own(name) => write!(f, "{name}"),
                }
            }
            Self::Within { category, built_in } => {
                let built_in = built_in.as_str();
                write!(f, "most examples of category {category} look like {built_in}: it may take prompts from there")
            }
            Self::TooFew { category, examples: 0 } => {
                write!(f, "category {category} has no examples: a few would make it far more reliable")
            }
            Self::TooFew { category, examples } => {
                write!(f, "category {category} has only {examples} examples: about ten would make it more reliable")
            }
        }
    }
}
