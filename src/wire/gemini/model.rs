//! What a model takes, told from its name: the API refuses fields that a model's generation
//! does not know, and the name is all there is to go by.
//!
//! `gemini-<major>[.<minor>]-…` gives the generation; the `…-latest` names follow the newest
//! one. A name that tells nothing (a tuned model, another family) is treated so that the
//! least can fail.

use crate::wire::chat::{Effort, Reasoning};

/// A generation of models, as far as their requests differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Generation {
    /// Up to 2.0: no thinking, no fetching of URLs.
    Early,
    /// 2.5: thinks within a budget of tokens.
    Budgeted,
    /// 3 and later: thinks at a level, and insists on signatures of function calls.
    Levelled,
    /// The name does not tell.
    Unknown,
}

/// A model by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    /// The last segment of the resource name.
    id: &'a str,
    generation: Generation,
}

/// How much to think, as the API says it; never both forms at once, which it refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Thinking {
    /// `thinkingLevel`.
    pub level: Option<&'static str>,
    /// `thinkingBudget`, in tokens.
    pub budget: Option<u64>,
    /// `includeThoughts`.
    pub show: bool,
}

impl<'a> Model<'a> {
    /// Reads a model's name, bare or as a resource.
    pub(super) fn of(name: &'a str) -> Self {
        let id = name.rsplit('/').next().unwrap_or(name);
        Self { id, generation: generation(id) }
    }

    /// Whether function calls of the current turn must carry a thought signature.
    pub(super) fn wants_signatures(self) -> bool {
        matches!(self.generation, Generation::Levelled | Generation::Unknown)
    }

    /// Whether it fetches public HTTPS URLs.
    pub(super) fn fetches_urls(self) -> bool {
        self.generation != Generation::Early
    }

    /// Whether its output may be held to JSON while it has tools on offer. Up to 2.5 the API
    /// answers `Function calling with a response mime type … is unsupported`.
    pub(super) fn has_json_beside_tools(self) -> bool {
        matches!(self.generation, Generation::Levelled | Generation::Unknown)
    }

    /// The thinking to ask for; `None` where nothing can or need be said.
    ///
    /// Effort and budget are converted into each other where the model has only the other
    /// form, by the table of Google's own OpenAI-compatible API (low 1,024, medium 8,192,
    /// high 24,576 tokens), and both are moved into the range that the model takes, since
    /// they are hints and a value outside is refused.
    pub(super) fn thinking(self, reasoning: &Reasoning) -> Option<Thinking> {
        let mut thinking = Thinking { show: reasoning.show, ..Thinking::default() };
        match self.generation {
            Generation::Early => return None,
            // Models that make pictures or speech have levels of their own or none.
            _ if ["-image", "-tts", "-audio"].iter().any(|kind| self.id.contains(kind)) => return None,
            Generation::Levelled => thinking.level = self.level(reasoning),
            // Later generations still accept a budget, so it is the form that both understand.
            Generation::Budgeted | Generation::Unknown => thinking.budget = self.budget(reasoning),
        }
        // Thoughts of a model that was told not to think are refused.
        thinking.show &= thinking.budget != Some(0);
        (thinking != Thinking::default()).then_some(thinking)
    }

    fn level(self, reasoning: &Reasoning) -> Option<&'static str> {
        let effort = match (reasoning.effort, reasoning.budget_tokens) {
            (Some(effort), _) => effort,
            (None, Some(0)) => Effort::None,
            (None, Some(..8_192)) => Effort::Low,
            (None, Some(..24_576)) => Effort::Medium,
            (None, Some(_)) => Effort::High,
            (None, None) => return None,
        };
        // Which levels a model has: https://ai.google.dev/gemini-api/docs/thinking (thinking
        // levels). Every one has `low` and `high`; none can be told not to think at all.
        Some(match effort {
            Effort::None | Effort::Minimal if self.id.contains("flash-lite") || self.is("gemini-3-flash") => "MINIMAL",
            Effort::None | Effort::Minimal | Effort::Low => "LOW",
            Effort::Medium if !self.is("gemini-3-pro") => "MEDIUM",
            Effort::Medium | Effort::High | Effort::XHigh | Effort::Max => "HIGH",
        })
    }

    fn budget(self, reasoning: &Reasoning) -> Option<u64> {
        let wanted = match (reasoning.budget_tokens, reasoning.effort) {
            (Some(budget), _) => budget,
            (None, Some(Effort::None)) => 0,
            (None, Some(Effort::Minimal | Effort::Low)) => 1_024,
            (None, Some(Effort::Medium)) => 8_192,
            (None, Some(Effort::High)) => 24_576,
            (None, Some(Effort::XHigh | Effort::Max)) => u64::MAX,
            (None, None) => return None,
        };
        // Ranges: https://ai.google.dev/gemini-api/docs/thinking (thinking budgets). A name
        // that does not tell gets what all of them take.
        let (min, max, can_be_off) = if self.generation == Generation::Unknown {
            (512, 24_576, false)
        } else if self.id.contains("flash-lite") {
            (512, 24_576, true)
        } else if self.id.contains("pro") {
            (128, 32_768, false)
        } else {
            (1, 24_576, true)
        };
        Some(if wanted == 0 && can_be_off { 0 } else { wanted.clamp(min, max) })
    }

    /// Whether it is this model or a dated or preview version of it.
    fn is(self, base: &str) -> bool {
        self.id.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

fn generation(id: &str) -> Generation {
    let Some(rest) = id.strip_prefix("gemini-") else { return Generation::Unknown };
    if rest.ends_with("-latest") && !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Generation::Levelled;
    }
    let version = rest.split('-').next().unwrap_or(rest);
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    match (major.parse::<u16>(), minor.parse::<u16>()) {
        (Ok(3..), _) => Generation::Levelled,
        (Ok(2), Ok(5..)) => Generation::Budgeted,
        (Ok(_), _) => Generation::Early,
        (Err(_), _) => Generation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(model: &str, effort: Effort) -> Thinking {
        Model::of(model).thinking(&Reasoning { effort: Some(effort), ..Reasoning::default() }).unwrap()
    }

    fn budget(model: &str, tokens: u64) -> Thinking {
        Model::of(model).thinking(&Reasoning { budget_tokens: Some(tokens), ..Reasoning::default() }).unwrap()
    }

    #[test]
    fn the_name_tells_the_generation() {
        for (name, expected) in [
            ("gemini-1.5-pro", Generation::Early),
            ("gemini-2.0-flash-001", Generation::Early),
            ("models/gemini-2.5-flash", Generation::Budgeted),
            ("gemini-3-pro-preview", Generation::Levelled),
            ("publishers/google/models/gemini-3.1-flash-lite", Generation::Levelled),
            ("gemini-4-argon", Generation::Levelled),
            ("gemini-flash-latest", Generation::Levelled),
            ("gemini-2.5-flash-latest", Generation::Budgeted),
            ("gemini-robotics-er-2", Generation::Unknown),
            ("tunedModels/mine", Generation::Unknown),
            ("gemma-3-27b-it", Generation::Unknown),
            ("", Generation::Unknown),
        ] {
            assert_eq!(Model::of(name).generation, expected, "{name}");
        }
    }

    #[test]
    fn effort_is_a_level_from_gemini_3_on() {
        assert_eq!(effort("gemini-3.5-flash", Effort::Medium).level, Some("MEDIUM"));
        assert_eq!(effort("gemini-3-pro-preview", Effort::Medium).level, Some("HIGH"), "it has no medium");
        assert_eq!(effort("gemini-3-flash-preview", Effort::None).level, Some("MINIMAL"));
        assert_eq!(effort("gemini-3.1-flash-lite", Effort::Minimal).level, Some("MINIMAL"));
        assert_eq!(effort("gemini-3.1-pro-preview", Effort::Minimal).level, Some("LOW"), "it has no minimal");
        assert_eq!(effort("gemini-4-argon", Effort::Max).level, Some("HIGH"));
        assert_eq!(effort("gemini-3.5-flash", Effort::High).budget, None);
    }

    #[test]
    fn a_budget_becomes_the_nearest_level_below() {
        for (tokens, level) in [(0, "LOW"), (4_096, "LOW"), (10_000, "MEDIUM"), (31_999, "HIGH")] {
            assert_eq!(budget("gemini-3.5-flash", tokens).level, Some(level), "{tokens}");
        }
    }

    #[test]
    fn effort_is_a_budget_in_the_models_range_before() {
        assert_eq!(effort("gemini-2.5-flash", Effort::None).budget, Some(0));
        assert_eq!(effort("gemini-2.5-pro", Effort::None).budget, Some(128), "it always thinks");
        assert_eq!(effort("gemini-2.5-pro", Effort::Max).budget, Some(32_768));
        assert_eq!(effort("gemini-2.5-flash", Effort::Max).budget, Some(24_576));
        assert_eq!(budget("gemini-2.5-flash", 31_999).budget, Some(24_576));
        assert_eq!(budget("gemini-2.5-flash-lite", 100).budget, Some(512));
        assert_eq!(budget("gemini-2.5-flash", 2_000).budget, Some(2_000));
        assert_eq!(effort("tunedModels/x", Effort::Low).budget, Some(1_024));
        assert_eq!(effort("tunedModels/x", Effort::None).budget, Some(512));
    }

    #[test]
    fn models_that_do_not_think_are_not_asked_to() {
        let reasoning = Reasoning { effort: Some(Effort::High), budget_tokens: None, show: true };
        for name in ["gemini-2.0-flash", "gemini-2.5-flash-image", "gemini-3-pro-image-preview"] {
            assert_eq!(Model::of(name).thinking(&reasoning), None, "{name}");
        }
        assert_eq!(Model::of("gemini-2.5-flash").thinking(&Reasoning::default()), None);
    }

    #[test]
    fn thoughts_are_shown_only_where_there_are_any() {
        let shown = |effort| {
            Model::of("gemini-2.5-flash").thinking(&Reasoning { effort, budget_tokens: None, show: true }).unwrap().show
        };
        assert!(shown(Some(Effort::Low)));
        assert!(shown(None));
        assert!(!shown(Some(Effort::None)));
    }
}
