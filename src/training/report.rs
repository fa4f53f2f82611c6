//! How good are logits, by part of the data, category, language and source?

use std::collections::BTreeMap;
use std::fmt;

use super::data::{Sample, Use};
use crate::classifier::calibration::{
    Decision, accuracy, by_class, calibration_error, confusion, macro_f1, softmax, temperature,
};
use crate::classifier::fast::LABELS;
use crate::domain::category::BuiltIn;

/// Scores of one part of the data.
#[derive(Clone, Debug)]
pub struct Scores {
    /// How many prompts.
    pub count: usize,
    /// The share that is right.
    pub accuracy: f64,
    /// The mean F1 of categories.
    pub macro_f1: f64,
    /// By how much confidence and accuracy differ.
    pub calibration_error: f64,
    /// The share of right decisions where only coding, writing and translation are switched on.
    pub preset: f64,
    /// The share of prompts of category `other` that go to Default when the threshold lets 95 % of
    /// all others pass; `None` where there are too few to say.
    pub refused: Option<f64>,
    /// How often each category (rows) was taken for each (columns).
    pub confusion: Vec<Vec<usize>>,
    /// Count and accuracy by language.
    pub by_lang: BTreeMap<String, (usize, f64)>,
    /// Count and accuracy by source.
    pub by_source: BTreeMap<String, (usize, f64)>,
}

/// Scores of all that nothing was learned from.
#[derive(Clone, Debug)]
pub struct Report {
    /// What logits are divided by, as the tuning prompts have it: users are a source that
    /// training never saw.
    pub temperature: f64,
    /// Prompts of other sources, which temperature and thresholds were chosen by.
    pub tuning: Scores,
    /// Prompts that were written for this, which thresholds were chosen by.
    pub written: Scores,
    /// Prompts of sources that were learned from.
    pub held_out: Scores,
    /// Prompts of other sources.
    pub unseen: Scores,
    /// Of those, the prompts under a licence that is stated.
    pub unseen_clear: Scores,
}

impl Report {
    /// Judges the logits of all samples.
    pub fn new(samples: &[Sample], logits: &[Vec<f32>]) -> Self {
        let rows: Vec<(&Sample, [f32; LABELS])> = samples
            .iter()
            .zip(logits)
            .map(|(sample, logits)| {
                let mut row = [0.0; LABELS];
                row.iter_mut().zip(logits).for_each(|(number, logit)| *number = *logit);
                (sample, row)
            })
            .collect();
        let tuning = rows.iter().filter(|(sample, _)| sample.used == Use::Tuning);
        let (logits, labels): (Vec<_>, Vec<_>) = tuning.map(|(sample, row)| (*row, sample.label.index())).unzip();
        Self::of(&rows, temperature(&logits, &labels))
    }

    /// Judges logits that are divided by this.
    pub fn of(rows: &[(&Sample, [f32; LABELS])], temperature: f64) -> Self {
        let part = |fits: &dyn Fn(&Sample) -> bool| {
            let rows: Vec<_> = rows.iter().filter(|(sample, _)| fits(sample)).copied().collect();
            Scores::new(&rows, temperature)
        };
        Self {
            temperature,
            tuning: part(&|sample| sample.used == Use::Tuning),
            written: part(&|sample| sample.used == Use::Written),
            held_out: part(&|sample| sample.used == Use::HeldOut),
            unseen: part(&|sample| sample.used == Use::Unseen),
            unseen_clear: part(&|sample| sample.used == Use::Unseen && !sample.is_unclear()),
        }
    }
}

/// What the logits of a prompt decide.
pub fn decision(sample: &Sample, logits: &[f32; LABELS], temperature: f64) -> Decision {
    let shares = softmax(logits, temperature);
    let (guess, confidence) = shares
        .into_iter()
        .enumerate()
        .fold((0, 0.0), |best, (at, share)| if share > best.1 { (at, share) } else { best });
    Decision { truth: sample.label.index(), guess, confidence }
}

/// The categories of the preset; all others are Default there.
const PRESET: [BuiltIn; 3] = [BuiltIn::Coding, BuiltIn::Writing, BuiltIn::Translation];
/// Of fewer prompts of category `other`, no share is told.
const ENOUGH: usize = 20;
/// The share of prompts of all other categories that a threshold lets pass.
const PASS: f64 = 0.95;

fn preset(decisions: &[Decision]) -> f64 {
    let of = |class: usize| PRESET.iter().find(|category| category.index() == class);
    let right = decisions.iter().filter(|decision| of(decision.truth) == of(decision.guess)).count();
    right as f64 / decisions.len().max(1) as f64
}

fn refused(rows: &[(&Sample, [f32; LABELS])], temperature: f64) -> Option<f64> {
    let surest = |logits: &[f32; LABELS]| {
        let shares = softmax(logits, temperature).into_iter().enumerate();
        shares.filter(|(at, _)| *at != BuiltIn::Other.index()).fold(0.0, |most: f64, (_, share)| most.max(share))
    };
    let scores = |other: bool| {
        let rows = rows.iter().filter(|(sample, _)| (sample.label == BuiltIn::Other) == other);
        let mut scores: Vec<f64> = rows.map(|(_, logits)| surest(logits)).collect();
        scores.sort_by(f64::total_cmp);
        scores
    };
    let (inside, outside) = (scores(false), scores(true));
    let threshold = inside.get((inside.len() as f64 * (1.0 - PASS)) as usize)?;
    let refused = outside.iter().filter(|score| *score < threshold).count();
    (outside.len() >= ENOUGH).then(|| refused as f64 / outside.len() as f64)
}

impl Scores {
    /// Scores of some prompts.
    pub fn new(rows: &[(&Sample, [f32; LABELS])], temperature: f64) -> Self {
        let decisions: Vec<Decision> =
            rows.iter().map(|(sample, logits)| decision(sample, logits, temperature)).collect();
        let confusion = confusion(&decisions, LABELS);
        let by = |name: &dyn Fn(&Sample) -> String| {
            let mut groups: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
            for ((sample, _), decision) in rows.iter().zip(&decisions) {
                groups.entry(name(sample)).or_default().push(*decision);
            }
            groups.into_iter().map(|(name, group)| (name, (group.len(), accuracy(&group)))).collect()
        };
        Self {
            count: decisions.len(),
            accuracy: accuracy(&decisions),
            macro_f1: macro_f1(&confusion),
            calibration_error: calibration_error(&decisions),
            preset: preset(&decisions),
            refused: refused(rows, temperature),
            by_lang: by(&|sample| sample.lang.clone()),
            by_source: by(&|sample| sample.source.split(" (").next().unwrap_or_default().to_owned()),
            confusion,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "temperature {:.3}", self.temperature)?;
        let parts = [
            ("tuning", &self.tuning),
            ("written for this", &self.written),
            ("held out", &self.held_out),
            ("unseen sources", &self.unseen),
            ("unseen sources of clear licence", &self.unseen_clear),
        ];
        for (name, scores) in parts {
            writeln!(
                f,
                "{name}: {} prompts, accuracy {:.3}, macro-F1 {:.3}, calibration error {:.3}, preset {:.3}, refused {:?}",
                scores.count, scores.accuracy, scores.macro_f1, scores.calibration_error, scores.preset, scores.refused
            )?;
            for (category, score) in BuiltIn::ALL.iter().zip(by_class(&scores.confusion)) {
                writeln!(
                    f,
                    "  {:<20} {:>5} precision {:.3} recall {:.3} F1 {:.3}",
                    category.as_str(),
                    score.support,
                    score.precision,
                    score.recall,
                    score.f1
                )?;
            }
            for (name, (count, accuracy)) in scores.by_source.iter().chain(&scores.by_lang) {
                writeln!(f, "  {name:<50} {count:>5} accuracy {accuracy:.3}")?;
            }
        }
        Ok(())
    }
}
