//! How Anthropic counts tokens and names the end of an answer, and how we do.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::usage::TokenUsage;
use crate::wire::chat::Finish;

/// `usage` of a message or of a `message_delta`, where what is not repeated is missing.
#[derive(Clone, Copy, Default, Debug, Deserialize)]
pub(super) struct Usage {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Default, Debug, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Usage {
    /// Takes over the counts that `later` has; they are totals, not increments.
    pub(super) fn update(&mut self, later: Self) {
        fn keep<T>(old: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *old = new;
            }
        }
        keep(&mut self.input_tokens, later.input_tokens);
        keep(&mut self.cache_read_input_tokens, later.cache_read_input_tokens);
        keep(&mut self.cache_creation_input_tokens, later.cache_creation_input_tokens);
        keep(&mut self.output_tokens, later.output_tokens);
        keep(&mut self.output_tokens_details, later.output_tokens_details);
    }

    /// In our convention: `input` is the whole prompt. Anthropic's `input_tokens` are only
    /// those that had nothing to do with the cache.
    pub(super) fn counted(&self) -> TokenUsage {
        let cached_input = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0);
        let plain = self.input_tokens.unwrap_or(0);
        let reasoning = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        TokenUsage {
            input: plain.saturating_add(cached_input).saturating_add(cache_write),
            cached_input,
            cache_write,
            output: self.output_tokens.unwrap_or(0),
            reasoning: reasoning.unwrap_or(0),
        }
    }
}

/// `usage` as clients read it.
pub(super) fn encode(usage: &TokenUsage) -> Value {
    let plain = usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write);
    let mut out = json!({
        "input_tokens": plain,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached_input,
        "output_tokens": usage.output,
    });
    if usage.reasoning > 0 {
        out["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning});
    }
    out
}

/// What a `stop_reason` means. `pause_turn` (a long turn of the provider's own tools) ends
/// the answer like `end_turn`: who did not ask for such tools cannot get it.
pub(super) fn finish(stop_reason: &str, stop_sequence: Option<String>) -> Finish {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "stop_sequence" => Finish::StopSequence(stop_sequence),
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        _ => Finish::Stop,
    }
}

/// `stop_reason` and `stop_sequence` for clients. `content` is what the answer held:
/// providers that end a turn of tool calls or a refusal with a plain stop are put right.
pub(super) fn stop_reason(finish: &Finish, content: Held) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop if content.refusal => ("refusal", None),
        Finish::Stop if content.tool_call => ("tool_use", None),
        Finish::Stop => ("end_turn", None),
        Finish::StopSequence(which) => ("stop_sequence", which.as_deref()),
        Finish::Length => ("max_tokens", None),
        Finish::ToolCalls => ("tool_use", None),
        Finish::ContentFilter | Finish::Refusal => ("refusal", None),
    }
}

/// What kinds of content an answer held that its end has to agree with.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Held {
    /// A call of a tool.
    pub(super) tool_call: bool,
    /// The model's refusal in words.
    pub(super) refusal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_outside_of_input_tokens_there_and_inside_here() {
        let wire: Usage = serde_json::from_value(json!({
            "input_tokens": 10, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 50,
            "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}, "service_tier": "standard",
        }))
        .unwrap();
        let ours = wire.counted();
        assert_eq!(ours, TokenUsage { input: 360, cached_input: 300, cache_write: 50, output: 7, reasoning: 3 });
        let back: Usage = serde_json::from_value(encode(&ours)).unwrap();
        assert_eq!(back.counted(), ours);
    }

    #[test]
    fn later_counts_replace_only_what_they_name() {
        let mut usage: Usage = serde_json::from_value(json!({"input_tokens": 9, "output_tokens": 1})).unwrap();
        usage.update(serde_json::from_value(json!({"output_tokens": 40, "input_tokens": null})).unwrap());
        assert_eq!(usage.counted(), TokenUsage { input: 9, output: 40, ..TokenUsage::default() });
    }

    #[test]
    fn every_stop_reason_has_a_meaning_and_most_come_back() {
        let none = Held::default();
        for reason in ["end_turn", "max_tokens", "tool_use", "refusal"] {
            assert_eq!(stop_reason(&finish(reason, None), none).0, reason);
        }
        assert_eq!(finish("model_context_window_exceeded", None), Finish::Length);
        assert_eq!(finish("pause_turn", None), Finish::Stop);
        let at = finish("stop_sequence", Some("END".into()));
        assert_eq!(stop_reason(&at, none), ("stop_sequence", Some("END")));
        assert_eq!(stop_reason(&Finish::Stop, Held { tool_call: true, refusal: false }).0, "tool_use");
    }
}
