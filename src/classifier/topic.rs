//! What is a prompt about? A vector of what its pieces are about, to tell the operator's own
//! categories apart by.

use bytes::Bytes;

use super::bundle::{Bundle, BundleError, text};
use super::features::{Features, Featuriser};
use super::labelled::Row;
use super::manifest::Manifest;
use super::ridge::Gram;
use super::table::{Table, tensors};
use super::wordpiece::WordPiece;

/// The vectors of pieces, and what most prompts are about.
#[derive(Clone, Debug)]
pub struct Topics {
    table: Table,
    /// The vectors of prompts of no particular category.
    background: Vec<Vec<f64>>,
    /// What a regression needs to know of them.
    gram: Gram,
}

impl Topics {
    pub(super) fn read(
        bundle: &Bundle,
        manifest: &Manifest,
        wordpiece: &WordPiece,
        featuriser: &Featuriser,
    ) -> Result<Self, BundleError> {
        let entry = &manifest.topic;
        let table = Self::table(&bundle.topic, wordpiece.len())
            .map_err(|problem| BundleError::content(&entry.weights.file, problem))?;
        let gram = Gram::new(table.width() + 1);
        let mut topics = Self { table, background: Vec::new(), gram };
        let name = &entry.background.file;
        let mut features = Features::default();
        for (at, line) in text(name, &bundle.background)?.lines().enumerate() {
            let row =
                Row::parse(line).map_err(|error| BundleError::content(name, format!("line {}: {error}", at + 1)))?;
            featuriser.look(wordpiece, &row.conversation, &mut features);
            topics.background.extend(topics.of(&features));
        }
        topics.background.iter().for_each(|vector| topics.gram.add(vector, 1.0));
        Ok(topics)
    }

    fn table(file: &Bytes, vocabulary: usize) -> Result<Table, String> {
        let table = Table::read(file, &tensors(file)?, "topic")?;
        if table.len() != vocabulary {
            return Err(format!("tensor topic: it has {} rows for {vocabulary} pieces", table.len()));
        }
        Ok(table)
    }

    /// How many numbers a vector has, the constant apart.
    pub fn width(&self) -> usize {
        self.table.width()
    }

    /// The vectors of prompts of no particular category.
    pub(super) fn background(&self) -> &[Vec<f64>] {
        &self.background
    }

    /// What a regression needs to know of those.
    pub(super) fn gram(&self) -> &Gram {
        &self.gram
    }

    /// What a prompt is about: a vector of length one, and a constant 1; `None` where there are
    /// no words.
    pub fn of(&self, features: &Features) -> Option<Vec<f64>> {
        let mut sum = vec![0.0; self.table.width()];
        self.table.add(&features.pieces, &mut sum);
        let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
        if length < f32::EPSILON {
            return None;
        }
        Some(sum.into_iter().map(|number| f64::from(number / length)).chain([1.0]).collect())
    }
}
