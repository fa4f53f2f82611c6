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
    /// How often each category (rows) was taken for each (columns).
    pub confusion: Vec<Vec<usize>>,
    /// Count and accuracy by language.
    pub by_lang: BTreeMap<String, (usize, f64)>,
    /// Count and accuracy by source.
    pub by_source: BTreeMap<String, (usize, f64)>,
}

/// Scores of what was held out, and of unseen sources.
#[derive(Clone, Debug)]
pub struct Report {
    /// What logits are divided by, as the held-out prompts have it.
    pub temperature: f64,
    /// Prompts of sources that were learned from.
    pub held_out: Scores,
    /// Prompts of other sources.
    pub unseen: Scores,
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
        let part = |used| rows.iter().filter(|(sample, _)| sample.used == used).copied().collect::<Vec<_>>();
        let (held_out, unseen) = (part(Use::HeldOut), part(Use::Unseen));
        let logits: Vec<[f32; LABELS]> = held_out.iter().map(|(_, logits)| *logits).collect();
        let labels: Vec<usize> = held_out.iter().map(|(sample, _)| sample.label.index()).collect();
        let temperature = temperature(&logits, &labels);
        Self { temperature, held_out: Scores::new(&held_out, temperature), unseen: Scores::new(&unseen, temperature) }
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
            by_lang: by(&|sample| sample.lang.clone()),
            by_source: by(&|sample| sample.source.split(" (").next().unwrap_or_default().to_owned()),
            confusion,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "temperature {:.3}", self.temperature)?;
        for (name, scores) in [("held out", &self.held_out), ("unseen sources", &self.unseen)] {
            writeln!(
                f,
                "{name}: {} prompts, accuracy {:.3}, macro-F1 {:.3}, calibration error {:.3}",
                scores.count, scores.accuracy, scores.macro_f1, scores.calibration_error
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
