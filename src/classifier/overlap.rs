//! What is odd about categories that an operator wrote? Found in what each example would get if
//! its category had been learned without it.

use super::fast::LABELS;
use super::own::Sample;
use super::remark::{Likeness, Remark};
use crate::domain::category::{BuiltIn, CategoryScheme};
use crate::domain::ids::CategoryName;

/// With fewer examples, a category is a guess.
const FEW: usize = 5;
/// Two categories overlap if this share of their examples would rather belong to the other.
const OVERLAPPING: f64 = 0.3;
/// Less likely than this, an example looks like nothing in particular.
const LIKELY: f64 = 0.5;
/// An example looks like a built-in category from this probability on.
const ALIKE: f64 = 0.7;

/// Remarks about the own categories, which stand at `places` in the scheme. `said` are the
/// probabilities that a sample belongs to each of them.
pub(super) fn remarks(
    scheme: &CategoryScheme,
    places: &[usize],
    samples: &[Sample],
    said: &[Vec<f64>],
    shown: &[Option<usize>; LABELS],
) -> Vec<Remark> {
    let name = |head: usize| scheme.categories[places[head]].name.clone();
    let examples =
        |head: usize| samples.iter().filter(move |sample| sample.head == head && sample.example.is_some()).count();
    let mut remarks = Vec::new();
    for head in 0..places.len() {
        if examples(head) < FEW {
            remarks.push(Remark::TooFew { category: name(head), examples: examples(head) });
        }
    }
    for head in 0..places.len() {
        let category = || name(head);
        remarks.extend(within(head, samples, shown).map(|built_in| Remark::Within { category: category(), built_in }));
    }
    // Which category each example would rather belong to.
    let rather: Vec<Option<usize>> = samples.iter().zip(said).map(|(sample, said)| other(sample.head, said)).collect();
    let strays = |from: usize, to: usize| {
        let both = samples.iter().zip(&rather);
        both.filter(|(sample, rather)| sample.example.is_some() && sample.head == from && **rather == Some(to)).count()
    };
    let overlaps = |one: usize, other: usize| {
        let count = strays(one, other) + strays(other, one);
        count > 1 && count as f64 >= OVERLAPPING * (examples(one) + examples(other)) as f64
    };
    for one in 0..places.len() {
        for other in one + 1..places.len() {
            if overlaps(one, other) {
                remarks.push(Remark::Overlap { one: name(one), other: name(other) });
            }
        }
    }
    for ((sample, said), rather) in samples.iter().zip(said).zip(&rather) {
        let Some(example) = sample.example else { continue };
        let like = match *rather {
            Some(other) if overlaps(sample.head, other) => continue,
            Some(other) => Some(Likeness::Own(name(other))),
            None => built_in(sample, said, shown).map(Likeness::BuiltIn),
        };
        remarks.extend(like.map(|like| Remark::LooksLike { category: name(sample.head), example, like }));
    }
    remarks
}

/// The category that a sample rather belongs to than to its own, if it likely does.
fn other(head: usize, said: &[f64]) -> Option<usize> {
    let best = (0..said.len()).max_by(|a, b| said[*a].total_cmp(&said[*b]))?;
    (best != head && said[best] >= LIKELY).then_some(best)
}

/// The built-in category, of those that are switched on, that would take a sample from its own.
fn built_in(sample: &Sample, said: &[f64], shown: &[Option<usize>; LABELS]) -> Option<BuiltIn> {
    let known = BuiltIn::ALL.into_iter().filter(|category| shown[category.index()].is_some());
    let best = known.max_by(|a, b| sample.built_in[a.index()].total_cmp(&sample.built_in[b.index()]))?;
    let left = 1.0 - said[sample.head];
    let taken = sample.built_in[best.index()] * left;
    (taken >= LIKELY && taken > said[sample.head]).then_some(best)
}

/// The built-in category, of those that are switched on, that most examples look like.
fn within(head: usize, samples: &[Sample], shown: &[Option<usize>; LABELS]) -> Option<BuiltIn> {
    let examples = samples.iter().filter(|sample| sample.head == head && sample.example.is_some());
    let count = examples.clone().count();
    let known = BuiltIn::ALL.into_iter().filter(|category| shown[category.index()].is_some());
    known.into_iter().find(|category| {
        let alike = examples.clone().filter(|sample| sample.built_in[category.index()] >= ALIKE).count();
        alike > 1 && 2 * alike > count
    })
}

impl Remark {
    /// The categories that it is about.
    pub fn categories(&self) -> Vec<&CategoryName> {
        match self {
            Self::Overlap { one, other } => vec![one, other],
            Self::LooksLike { category, .. } | Self::Within { category, .. } | Self::TooFew { category, .. } => {
                vec![category]
            }
        }
    }
}
