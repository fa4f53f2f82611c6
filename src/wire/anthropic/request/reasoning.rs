//! How a wish to reason becomes `thinking` and `output_config.effort`.
//!
//! Models since 4.6 think as they see fit, guided by an effort; older ones, and other
//! vendors' models behind this protocol, want a budget of tokens. Each wish is said in the
//! form the model takes, and left out where the rest of the request rules thinking out.

use serde_json::{Value, json};

use super::generation::{Generation, Off, Thinking};
use crate::wire::chat::{Effort, Reasoning};

/// The least budget Anthropic takes, in tokens.
const LEAST_BUDGET: u64 = 1_024;

/// The most that an effort turns into, in tokens: above it Anthropic advises batches, since
/// connections seldom live that long.
const MOST_FOR_EFFORT: u64 = 32_000;

/// What the request says of thinking.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Said {
    /// `thinking`.
    pub(super) thinking: Option<Value>,
    /// `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    /// The model is asked to think, which rules out some sampling.
    pub(super) on: bool,
}

/// What to say for a wish.
///
/// `ruled_out`: the rest of the request does not go with thinking. Anthropic refuses it
/// together with a forced tool call or a prefill.
/// `unsealed_turn`: the turn that tool results answer does not begin with thinking, which
/// models with budgets demand once they think.
pub(super) fn say(
    wish: Option<&Reasoning>,
    generation: &Generation,
    max_tokens: u64,
    ruled_out: bool,
    unsealed_turn: bool,
) -> Said {
    let Some(wish) = wish else {
        return if ruled_out { off(generation.thinking, false) } else { Said::default() };
    };
    let explicit_off = wish.effort == Some(Effort::None);
    if explicit_off || ruled_out {
        return off(generation.thinking, explicit_off);
    }
    match generation.thinking {
        Thinking::Never => Said::default(),
        Thinking::BudgetOrAdaptive if wish.budget_tokens.is_none() => adaptive(wish, generation),
        Thinking::Budget | Thinking::BudgetOrAdaptive if unsealed_turn => Said::default(),
        Thinking::Budget | Thinking::BudgetOrAdaptive => budget(wish, max_tokens),
        Thinking::Adaptive(_) => adaptive(wish, generation),
    }
}

fn off(thinking: Thinking, asked: bool) -> Said {
    let typed = |name: &str| Said { thinking: Some(json!({"type": name})), ..Said::default() };
    match thinking {
        // Other vendors' models may think unless told otherwise.
        Thinking::Budget if asked => typed("disabled"),
        Thinking::Adaptive(Off::Sent(name)) => typed(name),
        Thinking::Adaptive(Off::Impossible) if asked => Said { effort: Some("low"), ..Said::default() },
        _ => Said::default(),
    }
}

fn adaptive(wish: &Reasoning, generation: &Generation) -> Said {
    let mut thinking = json!({"type": "adaptive"});
    if wish.show {
        // Newer models hide their thinking unless asked.
        thinking["display"] = json!("summarized");
    }
    let effort = wish.effort.or(wish.budget_tokens.map(effort_of_budget));
    let name = effort.map(|effort| match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh if !generation.xhigh => "high",
        Effort::XHigh => "xhigh",
        Effort::Max => "max",
    });
    Said { thinking: Some(thinking), effort: name, on: true }
}

/// The effort nearest to a budget, for models that take no budget.
fn effort_of_budget(tokens: u64) -> Effort {
    match tokens {
        0..4_096 => Effort::Low,
        4_096..16_384 => Effort::Medium,
        _ => Effort::High,
    }
}

fn budget(wish: &Reasoning, max_tokens: u64) -> Said {
    // The budget is a part of the output limit and must leave room for an answer. Where
    // even the least does not fit, the limit is the client's and the thinking goes.
    if max_tokens <= LEAST_BUDGET {
        return Said::default();
    }
    let tokens = wish.budget_tokens.unwrap_or_else(|| share(wish.effort, max_tokens).min(MOST_FOR_EFFORT));
    let tokens = tokens.clamp(LEAST_BUDGET, max_tokens - 1);
    Said { thinking: Some(json!({"type": "enabled", "budget_tokens": tokens})), effort: None, on: true }
}

/// The share of the output limit that an effort may spend on thinking.
fn share(effort: Option<Effort>, max_tokens: u64) -> u64 {
    let percent = match effort {
        Some(Effort::None | Effort::Minimal) => 10,
        Some(Effort::Low) => 20,
        Some(Effort::Medium) | None => 50,
        Some(Effort::High) => 80,
        Some(Effort::XHigh | Effort::Max) => 90,
    };
    (max_tokens / 100).saturating_mul(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(effort: Option<Effort>, budget_tokens: Option<u64>) -> Option<Reasoning> {
        Some(Reasoning { effort, budget_tokens, show: false })
    }

    fn said(model: &str, wish: Option<Reasoning>) -> (Option<Value>, Option<&'static str>) {
        let said = say(wish.as_ref(), &Generation::of(model), 20_000, false, false);
        (said.thinking, said.effort)
    }

    #[test]
    fn an_effort_is_a_budget_for_older_models_and_an_effort_for_newer_ones() {
        let high = wish(Some(Effort::High), None);
        let budget = json!({"type": "enabled", "budget_tokens": 16_000});
        assert_eq!(said("claude-sonnet-4-5", high), (Some(budget), None));
        assert_eq!(said("claude-opus-4-6", high), (Some(json!({"type": "adaptive"})), Some("high")));
        assert_eq!(said("claude-opus-5-5", high), (Some(json!({"type": "adaptive"})), Some("high")));
        assert_eq!(said("claude-3-haiku-20240307", high), (None, None));
        assert_eq!(said("claude-opus-4-6", wish(Some(Effort::XHigh), None)).1, Some("high"));
    }

    #[test]
    fn a_budget_is_kept_where_it_is_taken() {
        let budget = wish(None, Some(2_000));
        assert_eq!(said("claude-opus-4-6", budget).0, Some(json!({"type": "enabled", "budget_tokens": 2_000})));
        assert_eq!(said("claude-opus-4-8", budget), (Some(json!({"type": "adaptive"})), Some("low")));
        let bounded = |tokens| said("claude-sonnet-4-5", wish(None, Some(tokens))).0.unwrap()["budget_tokens"].clone();
        assert_eq!(bounded(1), 1_024);
        assert_eq!(bounded(50_000), 19_999);
    }

    #[test]
    fn a_limit_too_small_for_a_budget_goes_without() {
        let small =
            say(wish(Some(Effort::High), None).as_ref(), &Generation::of("claude-sonnet-4-5"), 500, false, false);
        assert_eq!(small, Said::default());
    }

    #[test]
    fn each_model_is_kept_from_thinking_in_its_own_way() {
        let none = wish(Some(Effort::None), None);
        assert_eq!(said("claude-opus-4-8", none), (None, None));
        assert_eq!(said("claude-opus-5", none).0, Some(json!({"type": "disabled"})));
        assert_eq!(said("claude-sonnet-5-5", none).0, Some(json!({"type": "between_tools"})));
        assert_eq!(said("claude-opus-5-5", none), (None, Some("low")));
    }

    #[test]
    fn forced_tools_rule_thinking_out() {
        let ruled_out =
            |model| say(wish(Some(Effort::High), None).as_ref(), &Generation::of(model), 20_000, true, false).thinking;
        assert_eq!(ruled_out("claude-sonnet-4-5"), None);
        assert_eq!(ruled_out("claude-sonnet-5"), Some(json!({"type": "disabled"})));
    }

    #[test]
    fn thinking_is_shown_only_to_who_wants_it() {
        let shown = Reasoning { effort: None, budget_tokens: None, show: true };
        assert_eq!(said("claude-opus-5", Some(shown)).0, Some(json!({"type": "adaptive", "display": "summarized"})));
    }
}
