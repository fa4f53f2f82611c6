//! What a gateway says of a decision.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The path at the admin listener that explains what would be decided now.
pub const EXPLAIN_PATH: &str = "/admin/v1/explain";

/// The path at the admin listener of the decisions that were made.
pub const DECISIONS_PATH: &str = "/admin/v1/decisions";

/// A question: what would be decided for such a request?
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// What the caller would put in `model`.
    pub alias: String,
    /// What it would ask.
    #[serde(default)]
    pub prompt: String,
    /// The conversation that it would send instead, as the `messages` of a chat completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<serde_json::Value>>,
    /// Whether it would want the answer as a stream.
    #[serde(default)]
    pub stream: bool,
    /// The longest answer it would take, in tokens.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// The name of the key that would ask; nobody in particular if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The document of the alias, if it were another than it is, or were there at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub document: Option<Map<String, Value>>,
}

/// A decision and what it rests on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct DecisionReport {
    /// Its id.
    pub decision: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The revision of the configuration that it was made by.
    pub revision: u64,
    /// The alias, by its own name.
    pub alias: String,
    /// What the request was taken for, where the alias is of categories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryReport>,
    /// The alias's strategy, or that of its category.
    pub strategy: String,
    /// The request, as routing sees it.
    pub request: RequestReport,
    /// Who may serve it, in the order in which they would be tried.
    pub candidates: Vec<CandidateReport>,
    /// Who may not.
    pub skipped: Vec<SkippedReport>,
    /// Set where the first candidate is there to be tried out, not because it is the best.
    pub exploring: Option<ExploringReport>,
}

/// What a request was taken for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CategoryReport {
    /// The category whose targets serve it.
    pub name: String,
    /// Why, in a word such as `unsure`, where it is not a plain match.
    pub reason: Option<String>,
    /// How likely the best category is, from 0 to 1; `null` if nobody was asked.
    pub confidence: Option<f64>,
    /// Who said so: `fast` or `strong`.
    pub tier: Option<String>,
    /// What it took to find out, in microseconds.
    pub took_us: u64,
    /// How likely each category is, the best first, also those that the alias does not have.
    pub scores: Vec<CategoryScore>,
}

/// How likely a category is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CategoryScore {
    /// Its name.
    pub name: String,
    /// From 0 to 1.
    pub confidence: f64,
    /// Whether the alias has it; if not, it means default.
    pub of_alias: bool,
}

/// What routing knows of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RequestReport {
    /// Tokens of the prompt, as estimated.
    pub prompt_tokens: u64,
    /// Tokens of the answer, as answers of this alias usually are.
    pub expected_output: u64,
    /// The longest answer that the request takes, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Whether the answer is a stream.
    pub stream: bool,
}

/// A candidate and what is known of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CandidateReport {
    /// `model@provider`.
    pub target: String,
    /// What put it in its place, in words.
    pub why: String,
    /// What it would be called for: [`USUAL`], or a word for another purpose.
    pub purpose: String,
    /// What candidates are compared by; the lowest is best.
    pub score: Option<f64>,
    /// What `score` is counted in: `"s"`, `"USD"`, `"share"`, or `""` for a plain number.
    pub unit: String,
    /// Until the first token of this request.
    pub predicted_ttft_ms: Option<f64>,
    /// The 95 % quantile of recent times until the first token.
    pub ttft_p95_ms: Option<f64>,
    /// Of one answer.
    pub tokens_per_second: Option<f64>,
    /// Until the last token of an answer of the expected length.
    pub predicted_total_ms: Option<f64>,
    /// The share of attempts that fail before any content.
    pub failure_rate: Option<f64>,
    /// Requests under way.
    pub in_flight: Option<u32>,
    /// Requests under way beyond which it is expected to queue.
    pub window: Option<f64>,
    /// Attempts that its predictions rest on.
    pub samples: Option<u64>,
    /// Since the last of them.
    pub age_ms: Option<u64>,
    /// What of its limits is used; 1 is all.
    pub usage_share: Option<f64>,
    /// Of this request, in US dollars.
    pub expected_cost_usd: Option<f64>,
    /// When an attempt without content is left, where somebody else stands by.
    pub give_up_after_ms: Option<f64>,
    /// When a second copy is sent to somebody else, where the alias wants that.
    pub hedge_after_ms: Option<f64>,
}

/// The purpose of a candidate that is there because it is the best of those that are left.
pub const USUAL: &str = "usual";

/// An endpoint that is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SkippedReport {
    /// `model@provider`.
    pub target: String,
    /// The kind of reason, in a word such as `cooling_down`.
    pub class: String,
    /// The reason, in words.
    pub reason: String,
}

/// Why another than the best comes first.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExploringReport {
    /// Who is tried out.
    pub target: String,
    /// Who would have been first.
    pub instead_of: String,
    /// What the trial costs more than the best, in costs of the best; 0 is nothing.
    pub excess: Option<f64>,
    /// What may be spent on trials now, in costs of the best.
    pub budget: Option<f64>,
}

/// A decision that was made for a real request, and what came of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RecordedDecision {
    /// The decision.
    #[serde(flatten)]
    pub report: DecisionReport,
    /// Whom default had, where nobody of the category could serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<BehindReport>,
    /// The calls that followed, in order.
    pub attempts: Vec<AttemptReport>,
    /// Who served it; `null` if nobody did.
    pub chosen: Option<String>,
    /// Whether the same question to the same observations gave the same answer again.
    pub replayed: bool,
}

/// Who was asked after those of a category.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BehindReport {
    /// Default's strategy.
    pub strategy: String,
    /// Who could serve it, in order.
    pub candidates: Vec<CandidateReport>,
    /// Who could not.
    pub skipped: Vec<SkippedReport>,
}

/// One call to a provider.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AttemptReport {
    /// `model@provider`.
    pub target: String,
    /// `ok`, or the class of the failure.
    pub outcome: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// Until its first content.
    pub ttft_ms: Option<u64>,
    /// Until its end.
    pub elapsed_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_needs_only_an_alias() {
        let asked: ExplainRequest = serde_json::from_value(json!({"alias": "chat"})).unwrap();
        assert_eq!(
            asked,
            ExplainRequest {
                alias: "chat".into(),
                prompt: String::new(),
                messages: None,
                stream: false,
                max_tokens: None,
                key: None,
                document: None
            }
        );
        assert!(serde_json::from_value::<ExplainRequest>(json!({"alias": "chat", "promt": "x"})).is_err());
    }

    #[test]
    fn what_is_unknown_may_be_null_or_left_out() {
        let candidate = json!({"target": "m@a", "why": "rank 0", "purpose": "usual", "score": null, "unit": ""});
        let read: CandidateReport = serde_json::from_value(candidate).unwrap();
        assert_eq!((read.score, read.in_flight), (None, None));
        assert!(serde_json::to_value(&read).unwrap()["in_flight"].is_null());
    }

    #[test]
    fn a_recorded_decision_is_a_decision_with_more_fields() {
        let recorded = RecordedDecision { chosen: Some("m@a".into()), ..RecordedDecision::default() };
        let written = serde_json::to_value(&recorded).unwrap();
        assert_eq!((&written["chosen"], &written["replayed"]), (&json!("m@a"), &json!(false)));
        assert!(written["candidates"].is_array());
        assert_eq!(serde_json::from_value::<RecordedDecision>(written).unwrap(), recorded);
    }
}
