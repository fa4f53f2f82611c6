//! What prompts are taken for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The path at the admin listener that judges prompts.
pub const CLASSIFY_PATH: &str = "/admin/v1/classify";

/// As many prompts are judged at once.
pub const MOST_PROMPTS: usize = 1000;

/// A question: what are these prompts taken for? By the categories of an alias, by those that
/// are given, or else by all built-in ones.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifyRequest {
    /// The alias whose categories, thresholds and tier are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The categories that are tried, as an alias has them; whoever serves them is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>, min_items = 1)]
    pub categories: Option<Vec<Map<String, Value>>>,
    /// What is spent on a prompt; the alias's own if it is not given, and else the cascade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The prompts.
    #[schema(max_items = 1000)]
    pub prompts: Vec<Prompt>,
}

/// What is spent on a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The fast classifier only.
    Fast,
    /// The strong one too, where the fast one is in doubt.
    Cascade,
}

/// A prompt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a prompt is a text, or an object with either `text` or `messages`")]
pub enum Prompt {
    /// Its text.
    Plain(String),
    /// Its text, as a line of a file has it.
    Text(TextPrompt),
    /// The conversation that it ends.
    Messages(MessagesPrompt),
}

/// A prompt in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextPrompt {
    /// The text; lines that begin with `[user] ` and the like make it a conversation.
    pub text: String,
}

/// A prompt at the end of a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagesPrompt {
    /// The `messages` of a chat completion.
    pub messages: Vec<Value>,
}

/// What prompts are taken for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ClassifyReport {
    /// As many as there are prompts, in their order.
    pub answers: Vec<PromptReport>,
    /// What looks wrong with the categories, such as two that overlap.
    pub remarks: Vec<String>,
}

/// What a prompt is taken for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PromptReport {
    /// The category, or `default`.
    pub category: String,
    /// How likely the best category is, from 0 to 1, whether or not it was chosen.
    pub confidence: f64,
    /// Why it is default, if it is: `elsewhere`, `unsure`, `close` or `empty`.
    pub reason: Option<String>,
    /// How likely each category is, the best first. What stands in brackets is none of those that
    /// were tried, and means default.
    #[schema(value_type = std::collections::HashMap<String, f64>)]
    pub scores: Map<String, Value>,
    /// Who said so: `fast` or `strong`.
    pub tier: String,
    /// What it took, in microseconds.
    pub microseconds: u64,
}

impl PromptReport {
    /// One with its numbers as they are told.
    pub fn new(
        (category, reason): (&str, Option<&str>),
        confidence: f64,
        scores: impl Iterator<Item = (String, f64)>,
        tier: &str,
        took: Duration,
    ) -> Self {
        Self {
            category: category.to_owned(),
            confidence: rounded(confidence),
            reason: reason.map(str::to_owned),
            scores: scores.map(|(name, score)| (name, rounded(score).into())).collect(),
            tier: tier.to_owned(),
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// To four digits: more would say more than is known.
pub fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prompts_are_texts_or_conversations() {
        let message = json!({"role": "user", "content": "hi"});
        let asked = json!({"prompts": ["hi", {"text": "hi"}, {"messages": [message]}], "tier": "fast"});
        let read: ClassifyRequest = serde_json::from_value(asked.clone()).unwrap();
        let prompts = vec![
            Prompt::Plain("hi".into()),
            Prompt::Text(TextPrompt { text: "hi".into() }),
            Prompt::Messages(MessagesPrompt { messages: vec![message] }),
        ];
        assert_eq!(read, ClassifyRequest { prompts, tier: Some(Tier::Fast), ..ClassifyRequest::default() });
        assert_eq!(serde_json::to_value(&read).unwrap(), json!({"tier": "fast", "prompts": asked["prompts"]}));
        for bad in [json!(1), json!({}), json!({"text": "a", "messages": []}), json!({"messages": "a"})] {
            let error = serde_json::from_value::<ClassifyRequest>(json!({"prompts": [bad]})).unwrap_err();
            assert!(error.to_string().starts_with("a prompt is a text, or"), "{error}");
        }
        assert!(serde_json::from_value::<ClassifyRequest>(json!({"tier": "fast"})).is_err());
    }

    #[test]
    fn scores_keep_their_order_and_four_digits() {
        let scores = [("zebra".to_owned(), 0.912_345), ("(apple)".to_owned(), 0.1)];
        let took = Duration::from_micros(7);
        let report = PromptReport::new(("default", Some("elsewhere")), 0.912_345, scores.into_iter(), "fast", took);
        let expected = r#"{"category":"default","confidence":0.9123,"reason":"elsewhere","scores":{"zebra":0.9123,"(apple)":0.1},"tier":"fast","microseconds":7}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), expected);
    }
}
