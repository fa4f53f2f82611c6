//! When is a decision sure enough? Chosen on the tuning prompts, and written into the manifest and
//! the model card.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::card::{Card, card};
use super::data::{Sample, Use};
use super::report::Report;
use crate::classifier::bundle::digest;
use crate::classifier::calibration::{softmax, temperature};
use crate::classifier::fast::LABELS;
use crate::classifier::features::Shape;
use crate::classifier::manifest::{FastEntry, FileEntry, Label, Manifest, StrongEntry, TopicEntry, VERSION};
use crate::domain::category::BuiltIn;

type Logits = [f32; LABELS];

/// What training made of the samples.
pub struct Results<'a> {
    /// All prompts.
    pub samples: &'a [Sample],
    /// The fast classifier's shape.
    pub shape: &'a Shape,
    /// Its logits.
    pub fast: &'a [Logits],
    /// The strong classifier's, if there is one.
    pub strong: Option<&'a [Logits]>,
    /// Its layers, heads and most pieces.
    pub size: (usize, usize, usize),
    /// How to do it again.
    pub command: String,
}

/// Of right decisions of a category on tuning prompts, the share that its threshold may cost.
const COST: f64 = 0.05;
/// And its margin.
const COST_OF_MARGIN: f64 = 0.02;
/// No threshold is higher, and no margin.
const MOST: (f64, f64) = (0.6, 0.15);
/// What the cascade may lose against asking the strong classifier each time.
const LOSS: f64 = 0.002;

/// Writes `manifest.json` and `MODEL_CARD.md` for the weights that are there.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write(out: &Path, results: &Results<'_>) -> Result<()> {
    let entry = |file: &str| -> Result<FileEntry> {
        let bytes = fs::read(out.join(file)).with_context(|| out.join(file).display().to_string())?;
        Ok(FileEntry { file: file.to_owned(), sha256: digest(&bytes) })
    };
    let rows = |fits: &dyn Fn(usize) -> bool| (0..results.samples.len()).filter(|at| fits(*at)).collect::<Vec<_>>();
    let tuning = rows(&|at| matches!(results.samples[at].used, Use::Tuning | Use::Written));
    ensure!(!tuning.is_empty(), "there is nothing to choose thresholds by");
    let label = |at: &usize| results.samples[*at].label.index();
    let labels: Vec<usize> = tuning.iter().map(label).collect();
    let of = |logits: &[Logits]| tuning.iter().map(|at| logits[*at]).collect::<Vec<_>>();
    // Users are a source that training never saw.
    let honest = |logits: &[Logits], fits: &dyn Fn(usize) -> bool| {
        let rows = rows(&|at| results.samples[at].used == Use::Tuning && fits(at));
        let (logits, labels): (Vec<_>, Vec<_>) = rows.iter().map(|at| (logits[*at], label(at))).unzip();
        temperature(&logits, &labels)
    };
    let fast_tuning = of(results.fast);
    let fast_temperature = honest(results.fast, &|_| true);
    let mut strong = None;
    let (mut decides, mut decides_at) = (results.fast.to_vec(), fast_temperature);
    let mut ask_below = 0.0;
    if let Some(logits) = results.strong {
        let share = blend(&fast_tuning, &of(logits), &labels);
        decides = results.fast.iter().zip(logits).map(|(fast, strong)| mixed(fast, strong, share)).collect();
        ask_below = worth_asking(&fast_tuning, fast_temperature, &of(&decides), &labels);
        // Both decide only where the fast one was in doubt, so that is where both have to be honest.
        let asked = |at: usize| best(&softmax(&results.fast[at], fast_temperature)).1 < ask_below;
        decides_at = honest(&decides, &asked);
        let (layers, heads, pieces) = results.size;
        let weights = entry("strong.safetensors")?;
        strong = Some(StrongEntry { weights, pieces, layers, heads, share, temperature: decides_at });
    }
    // Where both decide, both are as they will be: the fast one's answer where it is sure.
    let cascade: Vec<[f64; LABELS]> = results
        .fast
        .iter()
        .zip(&decides)
        .map(|(fast, decides)| {
            let shares = softmax(fast, fast_temperature);
            if best(&shares).1 >= ask_below { shares } else { softmax(decides, decides_at) }
        })
        .collect();
    let tuning_shares: Vec<[f64; LABELS]> = tuning.iter().map(|at| cascade[*at]).collect();
    let manifest = Manifest {
        version: VERSION,
        vocabulary: entry("vocab.txt")?,
        fast: FastEntry {
            weights: entry("fast.safetensors")?,
            shape: results.shape.clone(),
            temperature: fast_temperature,
            ask_below,
        },
        strong,
        labels: BuiltIn::ALL.iter().map(|label| sure(*label, &tuning_shares, &labels)).collect(),
        topic: TopicEntry { weights: entry("topic.safetensors")?, background: entry("background.jsonl")? },
    };
    fs::write(out.join("manifest.json"), serde_json::to_string_pretty(&manifest)? + "\n")?;
    let fast: Vec<Vec<f32>> = results.fast.iter().map(|logits| logits.to_vec()).collect();
    let logs = |shares: &[f64; LABELS]| shares.map(|share| share.max(1e-9).ln() as f32);
    let cascade: Vec<(&Sample, Logits)> =
        results.samples.iter().zip(&cascade).map(|(sample, shares)| (sample, logs(shares))).collect();
    let text = card(&Card {
        samples: results.samples,
        manifest: &manifest,
        fast: &Report::new(results.samples, &fast),
        cascade: &Report::of(&cascade, 1.0),
        command: &results.command,
    });
    fs::write(out.join("MODEL_CARD.md"), text)?;
    Ok(())
}

fn mixed(fast: &Logits, strong: &Logits, share: f64) -> Logits {
    let share = share as f32;
    let mut mixed = *strong;
    mixed.iter_mut().zip(fast).for_each(|(strong, fast)| *strong = share * *strong + (1.0 - share) * fast);
    mixed
}

fn best(shares: &[f64; LABELS]) -> (usize, f64) {
    shares.iter().enumerate().fold((0, 0.0), |best, (at, share)| if *share > best.1 { (at, *share) } else { best })
}

/// The strong classifier's share under which labels are likeliest.
fn blend(fast: &[Logits], strong: &[Logits], labels: &[usize]) -> f64 {
    let tried = (0..=20).map(|at| f64::from(at) / 20.0).map(|share| {
        let mixed: Vec<Logits> = fast.iter().zip(strong).map(|(fast, strong)| mixed(fast, strong, share)).collect();
        let at = temperature(&mixed, labels);
        let loss: f64 =
            mixed.iter().zip(labels).map(|(mixed, label)| -softmax(mixed, at)[*label].max(1e-12).ln()).sum();
        (loss, share)
    });
    tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.5, |(_, share)| share)
}

/// Below which confidence of the fast classifier the strong one is worth asking.
fn worth_asking(fast: &[Logits], fast_at: f64, both: &[Logits], labels: &[usize]) -> f64 {
    let right = |below: f64| {
        let rows = fast.iter().zip(both).zip(labels);
        let right = rows.filter(|((fast, both), label)| {
            let (guess, confidence) = best(&softmax(fast, fast_at));
            let guess = if confidence < below { best(&softmax(both, 1.0)).0 } else { guess };
            guess == **label
        });
        right.count() as f64 / labels.len() as f64
    };
    let most = right(2.0);
    let tried = (10..20).map(|at| f64::from(at) / 20.0);
    tried.into_iter().find(|below| right(*below) >= most - LOSS).unwrap_or(0.95)
}

/// Where a category is sure enough: hardly any right decision is lost.
fn sure(category: BuiltIn, shares: &[[f64; LABELS]], labels: &[usize]) -> Label {
    let index = category.index();
    let mut right = Vec::new();
    for (shares, label) in shares.iter().zip(labels) {
        let (guess, confidence) = best(shares);
        if guess == index && guess == *label {
            let second = shares.iter().enumerate().filter(|(at, _)| *at != guess).map(|(_, share)| *share);
            right.push((confidence, confidence - second.fold(0.0, f64::max)));
        }
    }
    let low = |mut values: Vec<f64>, cost: f64, most: f64| {
        values.sort_by(f64::total_cmp);
        let at = (values.len() as f64 * cost) as usize;
        let value = values.get(at).copied().unwrap_or(most).min(most);
        (value * 1000.0).floor() / 1000.0
    };
    Label {
        name: category.as_str().to_owned(),
        threshold: low(right.iter().map(|(confidence, _)| *confidence).collect(), COST, MOST.0),
        margin: low(right.iter().map(|(_, margin)| *margin).collect(), COST_OF_MARGIN, MOST.1),
    }
}
