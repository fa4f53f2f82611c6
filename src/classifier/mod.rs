//! Which category does a prompt belong to?

mod judgement;

pub use self::judgement::{Choice, Doubt, Judge, Judgement, Score, Scored};
use crate::domain::category::{BuiltIn, CategoryKind, CategoryScheme};
use crate::domain::conversation::Conversation;

/// Why the shipped weights cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the classifier's weights cannot be used: {0}")]
pub struct BundleError(String);

/// The shipped weights.
#[derive(Debug)]
pub struct Classifier;

/// Tells the categories of one scheme apart.
#[derive(Clone, Debug)]
pub struct Sorter {
    scheme: CategoryScheme,
    remarks: Vec<Remark>,
}

/// Something that the operator should know of a scheme.
#[derive(Clone, PartialEq, Debug)]
pub struct Remark(String);

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Classifier {
    /// The shipped one.
    ///
    /// # Errors
    /// If its files are damaged.
    pub fn shipped() -> Result<&'static Self, &'static BundleError> {
        Ok(&Self)
    }

    /// A sorter for a scheme.
    pub fn sorter(&self, scheme: &CategoryScheme) -> Sorter {
        let mut remarks = Vec::new();
        for category in &scheme.categories {
            if let CategoryKind::Own { examples, .. } = &category.kind {
                let like_code = examples.iter().filter(|example| built_in(example) == BuiltIn::Coding);
                remarks.extend(like_code.map(|example| Remark(format!("the example {example:?} looks like coding"))));
            }
        }
        Sorter { scheme: scheme.clone(), remarks }
    }
}

fn built_in(text: &str) -> BuiltIn {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["python", "function", "rust", "javascript"]) {
        BuiltIn::Coding
    } else if has(&["translate", "übersetze"]) {
        BuiltIn::Translation
    } else if has(&["summarize", "summary"]) {
        BuiltIn::Summarization
    } else if has(&["write", "poem"]) {
        BuiltIn::Writing
    } else if has(&["what", "why", "capital"]) {
        BuiltIn::QuestionAnswering
    } else {
        BuiltIn::Other
    }
}

impl Sorter {
    /// What the operator should know.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// At once.
    pub fn fast(&self, conversation: &Conversation) -> Judgement {
        let text = format!("{}{}", conversation.prompt.head, conversation.prompt.tail);
        let words = |text: &str| -> Vec<String> {
            text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3).map(Into::into).collect()
        };
        let prompt = words(&text);
        let like = |kind: &CategoryKind| match kind {
            CategoryKind::Own { description, examples } => {
                let known: Vec<String> = description.iter().chain(examples).flat_map(|text| words(text)).collect();
                prompt.iter().filter(|word| known.contains(word)).count()
            }
            CategoryKind::BuiltIn(_) => 0,
        };
        let own = self.scheme.categories.iter().enumerate().map(|(at, category)| (like(&category.kind), at)).max();
        let own = own.filter(|(like, _)| *like > 1).map(|(_, at)| at);
        let of_kind = built_in(&text);
        let found = own.or_else(|| {
            self.scheme.categories.iter().position(|category| category.kind == CategoryKind::BuiltIn(of_kind))
        });
        let (choice, confidence, label) = match found {
            _ if text.trim().is_empty() => (Choice::Default(Doubt::Empty), 0.0, Scored::Hidden(BuiltIn::Other)),
            Some(at) => (Choice::Category(at), 0.97, Scored::Category(at)),
            None if of_kind == BuiltIn::Other => (Choice::Default(Doubt::Unsure), 0.4, Scored::Hidden(of_kind)),
            None => (Choice::Default(Doubt::Elsewhere(of_kind)), 0.9, Scored::Hidden(of_kind)),
        };
        Judgement {
            choice,
            confidence,
            scores: vec![Score { of: label, probability: confidence }],
            by: Judge::Fast,
            in_doubt: confidence < 0.5 && !text.trim().is_empty(),
        }
    }

    /// In its time.
    pub fn strong(&self, _: &Conversation, fast: &Judgement) -> Judgement {
        Judgement { by: Judge::Strong, in_doubt: false, ..fast.clone() }
    }
}
