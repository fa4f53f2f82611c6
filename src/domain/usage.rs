//! Tokens counted for one answer.

/// Tokens of one attempt as the provider reported them, in one convention for all:
/// `input` is the whole prompt, of which `cached_input` was read from and `cache_write`
/// written to a prompt cache; `output` is all that was generated, of which `reasoning`
/// was not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenUsage {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// The part of `input` served from a prompt cache.
    pub cached_input: u64,
    /// The part of `input` written to a prompt cache.
    pub cache_write: u64,
    /// Generated tokens, reasoning included.
    pub output: u64,
    /// The part of `output` spent on reasoning.
    pub reasoning: u64,
}

impl TokenUsage {
    /// Nothing counted at all, which is how a provider that reports no usage looks.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Field by field the larger of two readings of the same answer: providers report
    /// usage in pieces, and cumulatively.
    #[must_use]
    pub fn max_of(&self, other: &Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached_input: self.cached_input.max(other.cached_input),
            cache_write: self.cache_write.max(other.cache_write),
            output: self.output.max(other.output),
            reasoning: self.reasoning.max(other.reasoning),
        }
    }
}
