//! What was a request taken for, as it is told?

use crate::api::decision::{CategoryReport, CategoryScore};
use crate::classifier::{Score, Scored};
use crate::domain::alias::Alias;
use crate::live::sorting::{Reason, Verdict};

/// A verdict on a request to an alias of categories.
pub fn report(alias: &Alias, verdict: &Verdict) -> CategoryReport {
    let name = |category| alias.grouping().map(|grouping| grouping.name(category).to_string()).unwrap_or_default();
    let judgement = verdict.judgement.as_deref();
    let score = |score: &Score| CategoryScore {
        name: match score.of {
            Scored::Category(at) => name(Some(at)),
            Scored::Hidden(built_in) => built_in.as_str().to_owned(),
        },
        confidence: score.probability,
        of_alias: matches!(score.of, Scored::Category(_)),
    };
    CategoryReport {
        name: name(verdict.category),
        reason: verdict.reason.map(Reason::as_str).map(str::to_owned),
        confidence: judgement.map(|judgement| judgement.confidence),
        tier: judgement.map(|judgement| judgement.by.as_str().to_owned()),
        took_us: u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX),
        scores: judgement.map(|judgement| judgement.scores.iter().map(score).collect()).unwrap_or_default(),
    }
}
