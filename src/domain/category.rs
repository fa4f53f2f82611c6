//! What a prompt asks for, and how a virtual model tells such prompts apart.

use std::time::Duration;

use super::ids::CategoryName;

/// A category that the shipped classifier knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BuiltIn {
    /// Write, fix, explain or convert code.
    Coding,
    /// The answer is a number, an expression or a proof.
    Math,
    /// Queries, formulas, tables and statistics of given data.
    DataAnalysis,
    /// From one natural language to another.
    Translation,
    /// New text.
    Writing,
    /// A given text comes back changed.
    Rewriting,
    /// A given text comes back shorter.
    Summarization,
    /// A label for given text or items.
    Classification,
    /// Names, dates, fields or quotes out of given text.
    Extraction,
    /// Knowledge, explanation, advice.
    QuestionAnswering,
    /// Ideas, suggestions, plans.
    Brainstorming,
    /// Small talk, role play, the assistant itself.
    Conversation,
    /// Nothing of these: what always goes to Default.
    Other,
}

impl BuiltIn {
    /// All of them, in the order of the classifier's outputs.
    pub const ALL: [Self; 13] = [
        Self::Coding,
        Self::Math,
        Self::DataAnalysis,
        Self::Translation,
        Self::Writing,
        Self::Rewriting,
        Self::Summarization,
        Self::Classification,
        Self::Extraction,
        Self::QuestionAnswering,
        Self::Brainstorming,
        Self::Conversation,
        Self::Other,
    ];

    /// Its name, as labelled data and the configuration spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coding => "coding",
            Self::Math => "math",
            Self::DataAnalysis => "data_analysis",
            Self::Translation => "translation",
            Self::Writing => "writing",
            Self::Rewriting => "rewriting",
            Self::Summarization => "summarization",
            Self::Classification => "classification",
            Self::Extraction => "extraction",
            Self::QuestionAnswering => "question_answering",
            Self::Brainstorming => "brainstorming",
            Self::Conversation => "conversation",
            Self::Other => "other",
        }
    }

    /// The category of this name. Case, and `-` for `_`, make no difference; writing is also
    /// known as `content-writing`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('-', "_");
        if name == "content_writing" {
            return Some(Self::Writing);
        }
        Self::ALL.into_iter().find(|category| category.as_str() == name)
    }

    /// Its position among the classifier's outputs.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What makes a prompt belong to a category.
#[derive(Clone, PartialEq, Debug)]
pub enum CategoryKind {
    /// The shipped classifier knows it.
    BuiltIn(BuiltIn),
    /// The operator's own: by what it is said to be about, by prompts that belong to it, or both.
    Own {
        /// What its prompts are about.
        description: Option<String>,
        /// Prompts that belong to it.
        examples: Vec<String>,
    },
}

/// One category of a virtual model.
#[derive(Clone, PartialEq, Debug)]
pub struct CategorySpec {
    /// As the operator calls it.
    pub name: CategoryName,
    /// What belongs to it.
    pub kind: CategoryKind,
    /// The confidence below which a prompt goes to Default, in [0, 1]; `None` is the
    /// classifier's own for this category.
    pub threshold: Option<f64>,
    /// How far the next category's confidence must be below this one's, in [0, 1]; `None` is
    /// the classifier's own.
    pub margin: Option<f64>,
}

/// How much is spent on telling categories apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tier {
    /// The fast classifier's answer stands.
    Fast,
    /// Where the fast one is in doubt, the strong one is asked too, within a time budget.
    #[default]
    Cascade,
}

impl Tier {
    /// The name as the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Cascade => "cascade",
        }
    }
}

/// The categories of a virtual model, Default apart, and how they are told apart.
#[derive(Clone, PartialEq, Debug)]
pub struct CategoryScheme {
    /// In configured order; names are distinct, and none is `default`.
    pub categories: Vec<CategorySpec>,
    /// What is spent on it.
    pub tier: Tier,
    /// How long a request waits for the strong classifier at most.
    pub budget: Duration,
}

impl CategoryScheme {
    /// Categories to be tried: nobody waits for an answer.
    pub fn to_try(categories: Vec<CategorySpec>, tier: Tier) -> Self {
        Self { categories, tier, budget: Duration::MAX }
    }

    /// All built-in categories but `other`, which is Default's, to be tried.
    pub fn built_in(tier: Tier) -> Self {
        let known = BuiltIn::ALL.into_iter().filter(|category| *category != BuiltIn::Other);
        let spec = |category: BuiltIn| CategorySpec {
            name: CategoryName::new(category.as_str()),
            kind: CategoryKind::BuiltIn(category),
            threshold: None,
            margin: None,
        };
        Self::to_try(known.map(spec).collect(), tier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_categories_and_back() {
        for (position, category) in BuiltIn::ALL.into_iter().enumerate() {
            assert_eq!(category.index(), position);
            assert_eq!(BuiltIn::parse(category.as_str()), Some(category));
        }
        assert_eq!(BuiltIn::parse("Content-Writing"), Some(BuiltIn::Writing));
        assert_eq!(BuiltIn::parse("question-answering"), Some(BuiltIn::QuestionAnswering));
        assert_eq!(BuiltIn::parse("default"), None);
    }
}
