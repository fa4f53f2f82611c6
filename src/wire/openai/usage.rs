//! Token counts as OpenAI's answers write them, and as its imitators vary them.

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::usage::TokenUsage;

/// A count that may be missing, `null` or written as a float.
#[derive(Clone, Copy, Default, Debug)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let whole = value.as_u64();
        // The cast saturates, so a negative or absurd float becomes 0 or the maximum.
        Ok(Self(whole.or_else(|| value.as_f64().map(|float| float as u64)).unwrap_or(0)))
    }
}

/// The `usage` object of any answer.
#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(default)]
pub(super) struct UsageIn {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetailsIn>,
    completion_tokens_details: Option<CompletionDetailsIn>,
    /// DeepSeek's name for `prompt_tokens_details.cached_tokens`.
    prompt_cache_hit_tokens: Count,
    /// Moonshot's name for it.
    cached_tokens: Count,
}

#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(default)]
struct PromptDetailsIn {
    cached_tokens: Count,
    cache_write_tokens: Count,
}

#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(default)]
struct CompletionDetailsIn {
    reasoning_tokens: Count,
}

impl UsageIn {
    /// In the convention of the house.
    pub(super) fn read(self) -> TokenUsage {
        let input = self.prompt_tokens.0;
        // Some servers (xAI's, Gemini's) leave reasoning out of `completion_tokens` and
        // count it in the total only.
        let output = self.completion_tokens.0.max(self.total_tokens.0.saturating_sub(input));
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let cached = prompt.cached_tokens.0.max(self.prompt_cache_hit_tokens.0).max(self.cached_tokens.0);
        TokenUsage {
            input,
            cached_input: cached.min(input),
            cache_write: prompt.cache_write_tokens.0.min(input),
            output,
            reasoning: self.completion_tokens_details.unwrap_or_default().reasoning_tokens.0.min(output),
        }
    }
}

/// `x_groq`, in which Groq's server puts the usage of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct GroqIn {
    pub(super) usage: Option<UsageIn>,
}

/// The `usage` object that clients get.
#[derive(Serialize)]
pub(super) struct UsageOut {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetailsOut,
    completion_tokens_details: CompletionDetailsOut,
}

#[derive(Serialize)]
struct PromptDetailsOut {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetailsOut {
    reasoning_tokens: u64,
}

impl From<&TokenUsage> for UsageOut {
    fn from(usage: &TokenUsage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: PromptDetailsOut {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            completion_tokens_details: CompletionDetailsOut { reasoning_tokens: usage.reasoning },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> TokenUsage {
        serde_json::from_value::<UsageIn>(value).unwrap().read()
    }

    #[test]
    fn details_are_parts_of_the_whole() {
        let usage = read(json!({
            "prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": null},
            "completion_tokens_details": {"reasoning_tokens": 5},
        }));
        assert_eq!(usage, TokenUsage { input: 10, cached_input: 4, cache_write: 0, output: 7, reasoning: 5 });
    }

    #[test]
    fn reasoning_left_out_of_the_completion_is_found_in_the_total() {
        let usage = read(json!({
            "prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 47,
            "completion_tokens_details": {"reasoning_tokens": 30},
        }));
        assert_eq!((usage.output, usage.reasoning), (37, 30));
    }

    #[test]
    fn odd_counts_do_not_hurt() {
        let usage = read(json!({
            "prompt_tokens": 10.0, "completion_tokens": null, "total_tokens": -1,
            "prompt_tokens_details": null, "prompt_cache_hit_tokens": 64,
        }));
        assert_eq!(usage, TokenUsage { input: 10, cached_input: 10, ..TokenUsage::default() });
    }
}
