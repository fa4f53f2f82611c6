//! Sorts prompts into the categories of one virtual model.

use super::Classifier;
use super::judgement::{Choice, Doubt, Judge, Judgement};
use super::remark::Remark;
use crate::domain::category::CategoryScheme;
use crate::domain::conversation::Conversation;

/// Sorts prompts into the categories of one scheme.
#[derive(Clone, Debug)]
pub struct Sorter {
    remarks: Vec<Remark>,
}

impl Sorter {
    pub(super) fn new(_classifier: &Classifier, _scheme: &CategoryScheme) -> Self {
        Self { remarks: Vec::new() }
    }

    /// What the operator should know about the categories he wrote.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Judges a prompt within microseconds.
    pub fn fast(&self, _conversation: &Conversation) -> Judgement {
        Judgement {
            choice: Choice::Default(Doubt::Unsure),
            confidence: 0.0,
            scores: Vec::new(),
            by: Judge::Fast,
            in_doubt: false,
        }
    }

    /// Judges a prompt again, with the strong classifier too: milliseconds, for a worker thread.
    /// Where the strong classifier is not to be had, the fast judgement stands.
    pub fn strong(&self, _conversation: &Conversation, fast: &Judgement) -> Judgement {
        fast.clone()
    }
}
