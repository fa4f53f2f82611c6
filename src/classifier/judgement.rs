//! What came of looking at a prompt.

use crate::domain::category::{BuiltIn, CategoryScheme};
use crate::domain::grouping::DEFAULT_CATEGORY;

/// Which of a scheme's categories a prompt belongs to, how sure that is, and what else it
/// could have been.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// What was decided.
    pub choice: Choice,
    /// The calibrated probability of the best category, whether or not it was chosen, in [0, 1].
    pub confidence: f64,
    /// Every category of the scheme and every hidden built-in one, best first.
    pub scores: Vec<Score>,
    /// Who decided.
    pub by: Judge,
    /// Whether the strong classifier could decide otherwise, and should be asked.
    pub in_doubt: bool,
}

impl Judgement {
    /// The name of what was chosen of a scheme; Default's, if that was.
    pub fn category<'s>(&self, scheme: &'s CategoryScheme) -> &'s str {
        match self.choice {
            Choice::Category(at) => scheme.categories[at].name.as_str(),
            Choice::Default(_) => DEFAULT_CATEGORY,
        }
    }

    /// Why it is Default, if it is, in a word.
    pub fn reason(&self) -> Option<&'static str> {
        match self.choice {
            Choice::Category(_) => None,
            Choice::Default(doubt) => Some(doubt.as_str()),
        }
    }

    /// All scores by name, best first. A hidden category goes by its own name in brackets, as it
    /// is none of the scheme.
    pub fn named_scores(&self, scheme: &CategoryScheme) -> impl Iterator<Item = (String, f64)> {
        self.scores.iter().map(|score| {
            let name = match score.of {
                Scored::Category(at) => scheme.categories[at].name.to_string(),
                Scored::Hidden(built_in) => format!("({})", built_in.as_str()),
            };
            (name, score.probability)
        })
    }
}

/// What a prompt was decided to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A category of the scheme, by its position there.
    Category(usize),
    /// None of them, and why.
    Default(Doubt),
}

/// Why no category of a scheme was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// It is a category that is not switched on.
    Elsewhere(BuiltIn),
    /// The best category stays below its threshold.
    Unsure,
    /// The next category is within the best one's margin.
    Close,
    /// There is no text to judge by.
    Empty,
}

impl Doubt {
    /// A word for headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Elsewhere(_) => "elsewhere",
            Self::Unsure => "unsure",
            Self::Close => "close",
            Self::Empty => "empty",
        }
    }
}

/// A category's calibrated probability.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Score {
    /// Which category.
    pub of: Scored,
    /// Its probability, in [0, 1]; over all scores they add up to one.
    pub probability: f64,
}

/// A category that a prompt was compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scored {
    /// One of the scheme, by its position there.
    Category(usize),
    /// A built-in one that is not switched on.
    Hidden(BuiltIn),
}

/// Which classifier decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judge {
    /// The fast one: microseconds.
    Fast,
    /// The fast one and the strong one together: milliseconds.
    Strong,
}

impl Judge {
    /// The name in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Strong => "strong",
        }
    }
}
