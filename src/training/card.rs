//! What should people know of the weights? The model card, made of the numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::data::{Sample, Use};
use super::report::{Report, Scores};
use crate::classifier::calibration::by_class;
use crate::classifier::manifest::Manifest;
use crate::domain::category::BuiltIn;

/// What the card is made of.
pub struct Card<'a> {
    /// All prompts.
    pub samples: &'a [Sample],
    /// What the weights say of themselves.
    pub manifest: &'a Manifest,
    /// Scores of the fast classifier.
    pub fast: &'a Report,
    /// Scores of the cascade.
    pub cascade: &'a Report,
    /// How to do it again.
    pub command: &'a str,
}

/// The fewest prompts of a language or source for a line of its own.
const FEWEST: usize = 10;
/// How many confusions are named.
const CONFUSIONS: usize = 12;

/// The model card, as Markdown.
pub fn card(card: &Card<'_>) -> String {
    let mut text = String::new();
    // Infallible: a string takes all that is written to it.
    let _ = body(card, &mut text);
    text
}

fn body(card: &Card<'_>, to: &mut String) -> std::fmt::Result {
    let unseen = &card.cascade.unseen;
    let strong = card.manifest.strong.as_ref();
    writeln!(to, "# The category classifier\n")?;
    writeln!(
        to,
        "Tells what a prompt asks for: {} categories, of which `other` always means Default.",
        BuiltIn::ALL.len()
    )?;
    let shape = &card.manifest.fast.shape;
    writeln!(
        to,
        "The fast tier is a table of {} hashed rows and one row for each piece of the vocabulary, {} numbers each in \
         8 bits, and a network of one hidden layer of {}.",
        shape.buckets, shape.width, shape.hidden
    )?;
    if let Some(strong) = strong {
        writeln!(
            to,
            "The strong tier is a BERT encoder of {} layers that reads at most {} pieces, fine-tuned from \
             all-MiniLM-L6-v2 (Apache-2.0); it is asked where the fast tier's confidence is below {:.2}, and has \
             a share of {:.2} in the average of both.",
            strong.layers, strong.pieces, card.manifest.fast.ask_below, strong.share
        )?;
    }
    writeln!(to, "\n## Again\n\n```sh\n{}\n```\n", card.command)?;
    writeln!(to, "## Scores\n")?;
    writeln!(
        to,
        "*Unseen* are prompts of sources and languages that training never sees: half of the `other-source` rows of\n\
         the validation data, which nothing was chosen by. Most come from one collection of a chat arena (auto-j\n\
         pairwise data); other prompts of that collection, whose licence nobody states, are among what is learned, so\n\
         the rows of clear licence are told apart: they are the ones to trust most. *Tuning* is the other half,\n\
         *written* one in twelve of the prompts that were written for this, in 40 languages: temperatures are chosen\n\
         on the first, thresholds and the share of each tier on both. *Held out* are prompts of the sources that are learned from; they flatter.\n"
    )?;
    writeln!(
        to,
        "| prompts | tier | count | accuracy | macro-F1 | calibration error | preset | refused |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    let tiers = [("fast", card.fast), ("cascade", card.cascade)];
    for (tier, report) in tiers.into_iter().filter(|(tier, _)| *tier == "fast" || strong.is_some()) {
        let parts = [
            ("unseen", &report.unseen),
            ("unseen, of clear licence", &report.unseen_clear),
            ("tuning", &report.tuning),
            ("written", &report.written),
            ("held out", &report.held_out),
        ];
        for (prompts, scores) in parts {
            let Scores { count, accuracy, macro_f1, calibration_error, preset, .. } = scores;
            let refused = scores.refused.map_or("-".to_owned(), |refused| format!("{refused:.3}"));
            writeln!(
                to,
                "| {prompts} | {tier} | {count} | {accuracy:.3} | {macro_f1:.3} | {calibration_error:.3} | {preset:.3} | {refused} |"
            )?;
        }
    }
    writeln!(
        to,
        "\n*Calibration error* is the expected one, over 15 bins of equal width. *Preset*: the share that is right where\n\
         only coding, writing and translation are switched on and all else is Default. *Refused*: the share of prompts\n\
         of category `other` that go to Default when the threshold lets 95 % of all others pass; unseen sources have\n\
         no such prompts."
    )?;
    classes(card, unseen, to)?;
    groups("language", "unseen", &card.fast.unseen.by_lang, &unseen.by_lang, to)?;
    groups("language", "written", &card.fast.written.by_lang, &card.cascade.written.by_lang, to)?;
    groups("source", "unseen", &card.fast.unseen.by_source, &unseen.by_source, to)?;
    confusions(unseen, to)?;
    data(card.samples, to)
}

fn classes(card: &Card<'_>, unseen: &Scores, to: &mut String) -> std::fmt::Result {
    writeln!(to, "\n### By category (unseen)\n")?;
    writeln!(
        to,
        "| category | count | precision | recall | F1 | F1, fast tier | threshold | margin |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    let fast = by_class(&card.fast.unseen.confusion);
    for ((label, score), fast) in card.manifest.labels.iter().zip(by_class(&unseen.confusion)).zip(fast) {
        writeln!(
            to,
            "| {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} |",
            label.name, score.support, score.precision, score.recall, score.f1, fast.f1, label.threshold, label.margin
        )?;
    }
    Ok(())
}

type Groups = BTreeMap<String, (usize, f64)>;

fn groups(what: &str, of: &str, fast: &Groups, cascade: &Groups, to: &mut String) -> std::fmt::Result {
    writeln!(to, "\n### By {what} ({of}, of at least {FEWEST} prompts)\n")?;
    writeln!(to, "| {what} | count | accuracy, fast | accuracy, cascade |\n| --- | --- | --- | --- |")?;
    for (name, (count, accuracy)) in cascade.iter().filter(|(_, (count, _))| *count >= FEWEST) {
        let fast = fast.get(name).map_or(0.0, |(_, accuracy)| *accuracy);
        writeln!(to, "| {name} | {count} | {fast:.3} | {accuracy:.3} |")?;
    }
    Ok(())
}

fn confusions(scores: &Scores, to: &mut String) -> std::fmt::Result {
    let mut pairs = Vec::new();
    for (truth, row) in BuiltIn::ALL.iter().zip(&scores.confusion) {
        for (guess, count) in BuiltIn::ALL.iter().zip(row).filter(|(guess, count)| *guess != truth && **count > 0) {
            pairs.push((*count, truth.as_str(), guess.as_str()));
        }
    }
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.0));
    writeln!(to, "\n### Known confusions (unseen, cascade)\n\n| is | taken for | how often |\n| --- | --- | --- |")?;
    for (count, truth, guess) in pairs.iter().take(CONFUSIONS) {
        writeln!(to, "| {truth} | {guess} | {count} |")?;
    }
    Ok(())
}

fn data(samples: &[Sample], to: &mut String) -> std::fmt::Result {
    let mut sources: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.used == Use::Training) {
        let source = sample.source.split(" (").next().unwrap_or_default();
        *sources.entry((source, &sample.licence)).or_default() += 1;
    }
    writeln!(to, "\n## Data\n\nWhat the weights learned from.\n\n| source | licence | prompts |\n| --- | --- | --- |")?;
    for ((source, licence), count) in sources {
        writeln!(to, "| {source} | {licence} | {count} |")?;
    }
    Ok(())
}
