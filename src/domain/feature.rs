//! What a request uses that not every endpoint or protocol can do.

use std::fmt;

/// One thing that some endpoint may lack.
///
/// Hints that a protocol's own documentation calls optional (sampling parameters, seeds,
/// user ids, cache hints) are not features: they are dropped where they cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Feature {
    /// Function tools, or tool calls in the history.
    Tools,
    /// A tool choice that narrows to a subset of the tools.
    AllowedTools,
    /// Tools the provider itself runs (web search, code execution …), or tools with free-form grammars.
    HostedTools,
    /// Image input, inline.
    Images,
    /// Image input by URL that the provider has to fetch.
    ImageUrls,
    /// PDF or other document input.
    Documents,
    /// A file by an id that only one provider knows.
    FileIds,
    /// Audio input or output.
    Audio,
    /// "Some JSON object" as output, without a schema.
    JsonObject,
    /// Output held to a JSON schema.
    JsonSchema,
    /// More than one answer per request.
    MultipleChoices,
    /// Token log-probabilities.
    Logprobs,
    /// Bias on token ids, which belong to one tokenizer.
    LogitBias,
    /// More than four stop sequences.
    ManyStops,
    /// Any stop sequence (the Responses API has none).
    Stops,
    /// State kept at the provider: stored responses, conversations, background runs.
    ProviderState,
    /// A last assistant message that the model is to continue.
    Prefill,
    /// A field of the request that is not known here and so cannot be translated.
    UnknownField,
}

impl Feature {
    /// Every feature, in bit order.
    pub const ALL: [Self; 18] = [
        Self::Tools,
        Self::AllowedTools,
        Self::HostedTools,
        Self::Images,
        Self::ImageUrls,
        Self::Documents,
        Self::FileIds,
        Self::Audio,
        Self::JsonObject,
        Self::JsonSchema,
        Self::MultipleChoices,
        Self::Logprobs,
        Self::LogitBias,
        Self::ManyStops,
        Self::Stops,
        Self::ProviderState,
        Self::Prefill,
        Self::UnknownField,
    ];

    /// The stable name in headers, errors and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::AllowedTools => "allowed_tools",
            Self::HostedTools => "hosted_tools",
            Self::Images => "images",
            Self::ImageUrls => "image_urls",
            Self::Documents => "documents",
            Self::FileIds => "file_ids",
            Self::Audio => "audio",
            Self::JsonObject => "json_object",
            Self::JsonSchema => "json_schema",
            Self::MultipleChoices => "multiple_choices",
            Self::Logprobs => "logprobs",
            Self::LogitBias => "logit_bias",
            Self::ManyStops => "more_than_four_stop_sequences",
            Self::Stops => "stop_sequences",
            Self::ProviderState => "provider_state",
            Self::Prefill => "prefill",
            Self::UnknownField => "unknown_field",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of [`Feature`]s in one word.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct FeatureSet(u32);

impl FeatureSet {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    /// Everything.
    pub const ALL: Self = Self::of(&Feature::ALL);

    /// The set of exactly these.
    pub const fn of(features: &[Feature]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < features.len() {
            bits |= 1 << features[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Adds one.
    pub fn insert(&mut self, feature: Feature) {
        self.0 |= 1 << feature as u8;
    }

    /// Whether it is in the set.
    pub fn contains(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u8) != 0
    }

    /// Those of this set that `able` lacks.
    #[must_use]
    pub fn missing_from(self, able: Self) -> Self {
        Self(self.0 & !able.0)
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The features in it, in bit order.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |feature| self.contains(*feature))
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, feature) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(feature.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_bit_order_and_complete() {
        for (i, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature as usize, i);
        }
    }

    #[test]
    fn missing_is_what_the_able_one_lacks() {
        let needs = FeatureSet::of(&[Feature::Tools, Feature::Audio]);
        let able = FeatureSet::of(&[Feature::Tools, Feature::Images]);
        assert_eq!(needs.missing_from(able), FeatureSet::of(&[Feature::Audio]));
        assert_eq!(needs.to_string(), "tools, audio");
    }
}
