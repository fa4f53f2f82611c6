//! Which of the operator's own categories is a prompt about? Learned when the configuration
//! comes, from descriptions and examples: a ridge regression for each category over what prompts
//! are about, against background prompts and the other categories' examples.
//!
//! What each sample would get if it had not been learned from, in closed form, says how a
//! prediction becomes a probability: one logistic curve for all categories of a scheme, as ten
//! examples are too few for a curve of their own. It counts a prompt of no own category twice, so
//! that a category begins rather late than early.

use super::Classifier;
use super::calibration::softmax;
use super::fast::LABELS;
use super::features::Features;
use super::labelled;
use super::overlap;
use super::remark::Remark;
use super::ridge::{predict, without_itself};
use super::rise::{Point, Rise};
use super::topic::Topics;
use crate::domain::category::{CategoryKind, CategoryScheme};

/// How strongly coefficients are punished: what ten examples against several hundred background
/// prompts want.
const PENALTY: f64 = 1.0;
/// What a description counts where there is no example, an example being 1.
const ALONE: f64 = 15.0;
/// The default threshold: at least as likely as not.
const THRESHOLD: f64 = 0.5;
/// The default margin. Own categories are often close relatives, and the threshold already keeps
/// doubtful prompts out.
const MARGIN: f64 = 0.0;

/// The operator's own categories, learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    heads: Vec<Head>,
    rise: Rise,
    /// What the operator should know of them.
    pub(super) remarks: Vec<Remark>,
}

/// One category: its position in the scheme, and what it looks for.
#[derive(Clone, Debug)]
struct Head {
    at: usize,
    coefficients: Vec<f64>,
}

/// Something to learn from.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Which of the own categories it belongs to, by its position among them.
    pub(super) head: usize,
    /// Which example of it; `None` is the description.
    pub(super) example: Option<usize>,
    vector: Vec<f64>,
    weight: f64,
    /// What the fast classifier makes of it.
    pub(super) built_in: [f64; LABELS],
}

impl Own {
    /// Learns the own categories of a scheme. `shown` says which built-in categories are switched
    /// on.
    pub(super) fn learn(classifier: &Classifier, scheme: &CategoryScheme, shown: &[Option<usize>; LABELS]) -> Self {
        let mut places = Vec::new();
        let mut samples = Vec::new();
        for (at, category) in scheme.categories.iter().enumerate() {
            if let CategoryKind::Own { description, examples } = &category.kind {
                samples.extend(look(classifier, places.len(), description.as_deref(), examples));
                places.push(at);
            }
        }
        if places.is_empty() {
            return Self::default();
        }
        let topics = classifier.topics();
        let mut gram = topics.gram().clone();
        let mut sums = vec![vec![0.0; topics.width() + 1]; places.len()];
        for sample in &samples {
            gram.add(&sample.vector, sample.weight);
            for (sum, number) in sums[sample.head].iter_mut().zip(&sample.vector) {
                *sum += sample.weight * number;
            }
        }
        let ridge = gram.ridge(PENALTY);
        sums.iter_mut().for_each(|sum| ridge.solve(sum));
        let heads: Vec<Head> =
            places.iter().zip(sums).map(|(at, coefficients)| Head { at: *at, coefficients }).collect();
        // What every sample and every background prompt would get without itself.
        let without = |vector: &[f64], weight: f64, of: Option<usize>| -> Vec<f64> {
            let leverage = ridge.leverage(vector, weight);
            let predicted = heads.iter().enumerate().map(|(head, learned)| {
                let target = f64::from(u8::from(of == Some(head)));
                without_itself(predict(&learned.coefficients, vector), target, leverage)
            });
            predicted.collect()
        };
        let said: Vec<Vec<f64>> =
            samples.iter().map(|sample| without(&sample.vector, sample.weight, Some(sample.head))).collect();
        let background: Vec<Vec<f64>> = topics.background().iter().map(|vector| without(vector, 1.0, None)).collect();
        let rise = Rise::fit(&points(&samples, &said, &background, heads.len()));
        let said: Vec<Vec<f64>> = said
            .into_iter()
            .map(|said| said.into_iter().map(|predicted| rise.probability(predicted)).collect())
            .collect();
        let remarks = overlap::remarks(scheme, &places, &samples, &said, shown);
        Self { heads, rise, remarks }
    }

    /// The default threshold and margin of an own category.
    pub(super) fn limits() -> (f64, f64) {
        (THRESHOLD, MARGIN)
    }

    /// How likely a prompt belongs to each, against all that does not, by its position in the
    /// scheme.
    pub(super) fn probabilities(&self, topics: &Topics, features: &Features) -> Vec<(usize, f64)> {
        if self.heads.is_empty() {
            return Vec::new();
        }
        let Some(vector) = topics.of(features) else { return Vec::new() };
        let probability = |head: &Head| (head.at, self.rise.probability(predict(&head.coefficients, &vector)));
        self.heads.iter().map(probability).collect()
    }
}

/// The samples of a category; texts without words are none.
fn look(classifier: &Classifier, head: usize, description: Option<&str>, examples: &[String]) -> Vec<Sample> {
    let manifest = classifier.manifest();
    let mut features = Features::default();
    let mut sample = |text: &str, example: Option<usize>| {
        classifier.features(&labelled::conversation(text), &mut features);
        let vector = classifier.topics().of(&features)?;
        // Without logits nothing is known of it, and all built-in categories are as likely.
        let logits = classifier.fast_logits(&features).unwrap_or_default();
        Some(Sample { head, example, vector, weight: 1.0, built_in: softmax(&logits, manifest.fast.temperature) })
    };
    let mut samples: Vec<Sample> =
        examples.iter().enumerate().filter_map(|(at, text)| sample(text, Some(at))).collect();
    let alone = samples.is_empty();
    if let Some(mut described) = description.and_then(|text| sample(text, None)) {
        described.weight = if alone { ALONE } else { 1.0 };
        samples.push(described);
    }
    samples
}

/// What is to be told apart, each category counting the same: its examples, those of the others,
/// and the background.
fn points(samples: &[Sample], said: &[Vec<f64>], background: &[Vec<f64>], heads: usize) -> Vec<Point> {
    let mut points = Vec::new();
    for head in 0..heads {
        let examples = |own: bool| {
            let both = samples.iter().zip(said);
            let wanted = both.filter(move |(sample, _)| sample.example.is_some() && (sample.head == head) == own);
            wanted.map(move |(_, said)| said[head]).collect::<Vec<_>>()
        };
        let mine = examples(true);
        // One example says nothing of what it would get without itself.
        if mine.len() < 2 {
            continue;
        }
        let groups =
            [(mine, true), (examples(false), false), (background.iter().map(|said| said[head]).collect(), false)];
        for (predicted, belongs) in groups {
            let weight = 1.0 / predicted.len() as f64;
            points.extend(predicted.into_iter().map(|predicted| Point { predicted, belongs, weight }));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::classifier::tests_support::classifier;
    use crate::classifier::{Choice, Doubt, Likeness};
    use crate::domain::category::{CategorySpec, Tier};
    use crate::domain::conversation::Conversation;
    use crate::domain::ids::CategoryName;

    fn own(name: &str, examples: &[&str]) -> CategorySpec {
        let examples = examples.iter().map(ToString::to_string).collect();
        let kind = CategoryKind::Own { description: Some(name.to_owned()), examples };
        CategorySpec { name: CategoryName::new(name), kind, threshold: None, margin: None }
    }

    fn scheme(categories: Vec<CategorySpec>) -> CategoryScheme {
        CategoryScheme { categories, tier: Tier::Fast, budget: Duration::ZERO }
    }

    const WEATHER: [&str; 5] = [
        "will it rain in oslo tomorrow",
        "rain forecast for the weekend",
        "how much rain will fall today",
        "is rain coming to oslo",
        "will the rain stop today",
    ];
    const TRAINS: [&str; 5] = [
        "book a train ticket to bern",
        "train times from bern",
        "is the train to bern late",
        "cancel my train ticket",
        "cheap train ticket to basel",
    ];

    /// Even with random vectors of pieces, shared words tell categories apart.
    #[test]
    fn categories_are_learned_from_examples() {
        let scheme = scheme(vec![own("weather", &WEATHER), own("trains", &TRAINS)]);
        let sorter = classifier().sorter(&scheme);
        let choice = |text: &str| sorter.fast(&Conversation::prompt(text)).choice;
        assert_eq!(choice("will it rain in oslo today"), Choice::Category(0));
        assert_eq!(choice("a train ticket from bern to basel"), Choice::Category(1));
        assert!(matches!(choice("write a poem about the sea"), Choice::Default(Doubt::Elsewhere(_) | Doubt::Unsure)));
        assert_eq!(choice(" \n"), Choice::Default(Doubt::Empty));
        assert_eq!(sorter.remarks(), []);
    }

    #[test]
    fn what_looks_wrong_is_said() {
        let mut mixed = TRAINS.to_vec();
        mixed.push("how much rain will fall in oslo today");
        let sorter =
            classifier().sorter(&scheme(vec![own("weather", &WEATHER), own("trains", &mixed), own("few", &["hm"])]));
        let like = Likeness::Own(CategoryName::new("weather"));
        let (trains, few) = (CategoryName::new("trains"), CategoryName::new("few"));
        let remarks = sorter.remarks();
        assert!(remarks.contains(&Remark::LooksLike { category: trains, example: 5, like }), "{remarks:?}");
        assert!(remarks.contains(&Remark::TooFew { category: few, examples: 1 }), "{remarks:?}");
        let sorter = classifier().sorter(&scheme(vec![own("one", &WEATHER), own("other", &WEATHER)]));
        let overlap = Remark::Overlap { one: CategoryName::new("one"), other: CategoryName::new("other") };
        assert_eq!(sorter.remarks(), [overlap]);
    }

    #[test]
    fn nothing_to_learn_from_is_no_mishap() {
        let silent = CategoryKind::Own { description: None, examples: vec![String::new(), "\u{0}".to_owned()] };
        let spec = CategorySpec { name: CategoryName::new("silent"), kind: silent, threshold: None, margin: None };
        let sorter = classifier().sorter(&scheme(vec![spec]));
        let judged = sorter.fast(&Conversation::prompt("anything at all"));
        assert!(matches!(judged.choice, Choice::Default(_)), "{judged:?}");
        assert!(judged.scores.iter().all(|score| score.probability.is_finite()));
        assert_eq!(sorter.remarks().len(), 1);
    }
}
