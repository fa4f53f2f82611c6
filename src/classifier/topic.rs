//! What is a prompt about? A vector of what its pieces are about, to tell the operator's own
//! categories apart by.

use bytes::Bytes;

use super::bundle::{Bundle, BundleError, text};
use super::features::{Features, Featuriser};
use super::labelled::Row;
use super::manifest::Manifest;
use super::table::{Table, tensors};
use super::wordpiece::WordPiece;

/// The vectors of pieces, and what most prompts are about.
#[derive(Clone, Debug)]
pub struct Topics {
    table: Table,
    /// The vectors of prompts of no particular category.
    pub background: Vec<Vec<f32>>,
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
        let mut topics = Self { table, background: Vec::new() };
        let name = &entry.background.file;
        let mut features = Features::default();
        for (at, line) in text(name, &bundle.background)?.lines().enumerate() {
            let row =
                Row::parse(line).map_err(|error| BundleError::content(name, format!("line {}: {error}", at + 1)))?;
            featuriser.look(wordpiece, &row.conversation, &mut features);
            topics.background.extend(topics.of(&features));
        }
        Ok(topics)
    }

    fn table(file: &Bytes, vocabulary: usize) -> Result<Table, String> {
        let table = Table::read(file, &tensors(file)?, "topic")?;
        if table.len() != vocabulary {
            return Err(format!("tensor topic: it has {} rows for {vocabulary} pieces", table.len()));
        }
        Ok(table)
    }

    /// How many numbers a vector has.
    pub fn width(&self) -> usize {
        self.table.width()
    }

    /// What a prompt is about: a vector of length one; `None` where there are no words.
    pub fn of(&self, features: &Features) -> Option<Vec<f32>> {
        let mut sum = vec![0.0; self.table.width()];
        self.table.add(&features.pieces, &mut sum);
        let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
        if length < f32::EPSILON {
            return None;
        }
        sum.iter_mut().for_each(|number| *number /= length);
        Some(sum)
    }
}
