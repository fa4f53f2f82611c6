//! What operators' own categories are told apart by: a vector for each piece, of what the base
//! encoder makes of it alone, and prompts that belong to nobody.
//!
//! The vectors are those of model2vec (Minish Lab 2024): the encoder reads each piece by itself,
//! principal components keep what tells pieces apart, and frequent pieces count less, by
//! a / (a + p) (Arora, Liang and Ma 2017: A simple but tough-to-beat baseline for sentence
//! embeddings). p is that of Zipf's law, since the vocabulary is about sorted by frequency.

use anyhow::Result;
use serde_json::json;

use super::base::Base;
use super::data::{Sample, Use};
use super::export::{Entry, file};
use super::pca::Components;
use super::workers::Workers;
use crate::classifier::encoder::read;
use crate::classifier::wordpiece::WordPiece;
use crate::domain::category::BuiltIn;
use crate::domain::conversation::Conversation;

/// The numbers of a vector.
const WIDTH: usize = 256;
/// How much less frequent pieces count: `a` above.
const RARE: f64 = 1e-4;
/// Pieces that are read at once.
const BATCH: usize = 512;
/// Prompts of each built-in category among those that belong to nobody.
const BACKGROUND: usize = 60;
/// The most bytes of such a prompt.
const SHORT: usize = 300;

/// The file of the vectors.
///
/// # Errors
/// If the base is no encoder of this vocabulary, or candle cannot compute them.
pub fn vectors(base: &Base, layers: usize, heads: usize, words: &WordPiece, workers: &Workers) -> Result<Vec<u8>> {
    let kept: Vec<usize> = (0..layers).collect();
    let encoder = base.encoder(&kept, heads, 3, 0)?;
    let width = encoder.shape.width;
    let batch = |at: usize| -> candle_core::Result<Vec<f32>> {
        let pieces = at * BATCH..words.len().min((at + 1) * BATCH);
        let texts: Vec<[u32; 3]> = pieces.map(|piece| [words.class, piece as u32, words.separator]).collect();
        let texts: Vec<&[u32]> = texts.iter().map(|text| &text[..]).collect();
        let lengths = vec![3; texts.len()];
        let mut rows = encoder.embed(&texts)?;
        for layer in &encoder.layers {
            rows = layer.forward(&rows, &lengths, heads, None)?;
        }
        read(&encoder.pool(&rows, &lengths)?, |pooled| {
            pooled.chunks_exact(2 * width).flat_map(|row| row[..width].to_vec()).collect()
        })
    };
    let read = workers.map(words.len().div_ceil(BATCH), batch);
    let all: Vec<f32> = read.into_iter().collect::<candle_core::Result<Vec<_>>>()?.concat();
    let components = Components::find(&all, width, WIDTH);
    let harmonic: f64 = (1..=words.len()).map(|rank| 1.0 / rank as f64).sum();
    let mut vectors = Vec::with_capacity(words.len() * WIDTH);
    for (at, row) in all.chunks_exact(width).enumerate() {
        let share = 1.0 / ((at + 1) as f64 * harmonic);
        let weight = (RARE / (RARE + share)) as f32;
        vectors.extend(components.of(row).into_iter().map(|number| number * weight));
    }
    file(&Entry::rows("topic", WIDTH, &vectors))
}

/// Prompts that belong to no category that anyone is likely to write, as JSON lines: a few of each
/// built-in category, of those that anyone may use.
pub fn background(samples: &[Sample]) -> String {
    let mut lines = String::new();
    for category in BuiltIn::ALL {
        let fits = |sample: &&Sample| {
            let Conversation { system, earlier, answer, prompt } = &sample.conversation;
            sample.used == Use::Training
                && sample.label == category
                && sample.licence == "CC0-1.0"
                && [system, earlier, answer].into_iter().all(|passage| passage.is_empty())
                && prompt.tail.is_empty()
                && prompt.head.len() <= SHORT
        };
        for sample in samples.iter().filter(fits).take(BACKGROUND) {
            let line = json!({"text": sample.conversation.prompt.head, "category": category.as_str()});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    lines
}
