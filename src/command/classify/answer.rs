//! What does `pointsman classify` say of a prompt? A line of JSON.

use serde_json::{Map, Value, json};

use super::categories::DEFAULT;
use crate::classifier::{Choice, Judgement, Scored};
use crate::domain::category::CategoryScheme;

/// The name of what was scored. A hidden category goes by its own name in brackets, as it is none
/// of the scheme.
pub(super) fn name(scheme: &CategoryScheme, of: Scored) -> String {
    match of {
        Scored::Category(at) => scheme.categories[at].name.to_string(),
        Scored::Hidden(built_in) => format!("({})", built_in.as_str()),
    }
}

/// The name of what was chosen.
pub(super) fn chosen(scheme: &CategoryScheme, choice: Choice) -> String {
    match choice {
        Choice::Category(at) => scheme.categories[at].name.to_string(),
        Choice::Default(_) => DEFAULT.to_owned(),
    }
}

/// A judgement as JSON. `reason` says why it is Default, if it is.
pub(super) fn answer(scheme: &CategoryScheme, judgement: &Judgement, microseconds: u128) -> Value {
    let scores: Map<String, Value> =
        judgement.scores.iter().map(|score| (name(scheme, score.of), rounded(score.probability))).collect();
    let reason = match judgement.choice {
        Choice::Category(_) => None,
        Choice::Default(doubt) => Some(doubt.as_str()),
    };
    json!({
        "category": chosen(scheme, judgement.choice),
        "confidence": rounded(judgement.confidence),
        "reason": reason,
        "scores": scores,
        "tier": judgement.by.as_str(),
        "microseconds": u64::try_from(microseconds).unwrap_or(u64::MAX),
    })
}

/// To four digits: more would say more than is known.
pub(super) fn rounded(number: f64) -> Value {
    json!((number * 1e4).round() / 1e4)
}
