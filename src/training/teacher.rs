//! What did the strong classifier say of each prompt? The fast one learns from it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::data::Sample;
use crate::classifier::fast::LABELS;

/// A row of the file: the prompt's hash, then its logits.
const ROW: usize = 8 + 4 * LABELS;

/// Writes the logits of prompts.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, samples: &[Sample], logits: &[Vec<f32>]) -> Result<()> {
    let mut file = Vec::with_capacity(samples.len() * ROW);
    for (sample, logits) in samples.iter().zip(logits) {
        file.extend(sample.hash.to_le_bytes());
        file.extend(logits.iter().flat_map(|logit| logit.to_le_bytes()));
    }
    fs::write(path, file).with_context(|| format!("{}", path.display()))
}

/// Reads them, by the prompts' hashes; there are none where there is no file.
///
/// # Errors
/// If the file cannot be read, or is none of these.
pub fn read(path: &Path) -> Result<HashMap<u64, [f32; LABELS]>> {
    if !path.exists() {
        return Ok(HashMap::new());
    }
    let file = fs::read(path).with_context(|| format!("{}", path.display()))?;
    let (rows, rest) = file.as_chunks::<ROW>();
    ensure!(rest.is_empty(), "{} is no file of logits", path.display());
    Ok(rows
        .iter()
        .map(|row| {
            let (hash, numbers) = row.split_at(8);
            let hash = hash.iter().rev().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
            let mut logits = [0.0; LABELS];
            for (logit, bytes) in logits.iter_mut().zip(numbers.as_chunks::<4>().0) {
                *logit = f32::from_le_bytes(*bytes);
            }
            (hash, logits)
        })
        .collect())
}
