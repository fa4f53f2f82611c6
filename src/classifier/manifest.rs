//! What do weights say of themselves? Which files they are, the numbers they were trained with,
//! and where a decision is sure enough, as validation data showed.

use serde::{Deserialize, Serialize};

use super::features::Shape;
use crate::domain::category::BuiltIn;

/// The version of manifests that this program reads.
pub const VERSION: u32 = 1;

/// The description of a set of weights, `manifest.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this description.
    pub version: u32,
    /// The piece vocabulary, one piece a line.
    pub vocabulary: FileEntry,
    /// The fast classifier.
    pub fast: FastEntry,
    /// The strong classifier, if there is one.
    pub strong: Option<StrongEntry>,
    /// What the operator's own categories are told apart by.
    pub topic: TopicEntry,
    /// The built-in categories in the order of the outputs, and where they are sure enough.
    pub labels: Vec<Label>,
}

/// A file beside the manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    pub file: String,
    /// Its SHA-256 in small hexadecimal digits.
    pub sha256: String,
}

/// The fast classifier.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FastEntry {
    /// Its weights.
    pub weights: FileEntry,
    /// The numbers it was trained with.
    pub shape: Shape,
    /// What its logits are divided by, so that they become honest probabilities.
    pub temperature: f64,
    /// Below this probability of its best built-in category, the strong classifier is asked.
    pub ask_below: f64,
}

/// The strong classifier.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrongEntry {
    /// Its weights.
    pub weights: FileEntry,
    /// The most pieces it reads.
    pub pieces: usize,
    /// Layers of attention.
    pub layers: usize,
    /// Heads of each.
    pub heads: usize,
    /// Its share of the average with the fast logits, in [0, 1]; the fast classifier has the rest.
    pub share: f64,
    /// What the average is divided by.
    pub temperature: f64,
}

/// What the operator's own categories are told apart by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicEntry {
    /// A vector for each piece: what it is about.
    pub weights: FileEntry,
    /// Prompts that belong to no category that anyone is likely to write: JSON lines.
    pub background: FileEntry,
}

/// A built-in category.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// The confidence below which a prompt goes to Default, unless the operator says otherwise.
    pub threshold: f64,
    /// How far the next category must be below it, unless the operator says otherwise.
    pub margin: f64,
}

impl Manifest {
    /// Reads a manifest and checks what the rest of the program relies on.
    ///
    /// # Errors
    /// If it is none, or of another version, or does not name the built-in categories in their
    /// order, or has a number out of its range; says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if manifest.version != VERSION {
            return Err(format!("its version is {}, this program reads {VERSION}", manifest.version));
        }
        let names = manifest.labels.iter().map(|label| label.name.as_str());
        if !names.eq(BuiltIn::ALL.iter().map(|category| category.as_str())) {
            return Err("its labels are not the built-in categories in their order".to_owned());
        }
        manifest.numbers()?;
        Ok(manifest)
    }

    fn numbers(&self) -> Result<(), String> {
        let within = |name: &str, value: f64, most: f64| {
            if (0.0..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name}: {value} is not within 0 and {most}"))
            }
        };
        for label in &self.labels {
            within("threshold", label.threshold, 1.0)?;
            within("margin", label.margin, 1.0)?;
        }
        within("ask_below", self.fast.ask_below, 1.0)?;
        let share = self.strong.as_ref().map_or(0.0, |strong| strong.share);
        within("share", share, 1.0)?;
        let temperatures = [Some(self.fast.temperature), self.strong.as_ref().map(|strong| strong.temperature)];
        for temperature in temperatures.into_iter().flatten() {
            within("temperature", temperature, 100.0)?;
            within("1 / temperature", 1.0 / temperature, 100.0)?;
        }
        let shape = &self.fast.shape;
        if self.strong.as_ref().is_some_and(|strong| strong.heads == 0 || strong.layers == 0 || strong.pieces < 3) {
            return Err("strong: it has nothing to read with".to_owned());
        }
        let sizes = [shape.width, shape.hidden, shape.buckets as usize, shape.shortest_run, shape.longest_run];
        if sizes.contains(&0) || shape.shortest_run > shape.longest_run {
            return Err("shape: there is nothing of some kind of feature".to_owned());
        }
        // No more than a passage can hold of anything.
        let lengths = [shape.head, shape.middle, shape.tail, shape.system, shape.earlier, shape.answer];
        if lengths.iter().any(|length| *length > 4096) || shape.longest_run > 16 || shape.runs_per_piece > 64 {
            return Err("shape: a segment is longer than can be".to_owned());
        }
        Ok(())
    }
}
