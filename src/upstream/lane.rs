//! How can a provider serve this operation: as it is, translated, or not at all?

use crate::domain::client_protocol::ClientProtocol;
use crate::domain::feature::{Feature, FeatureSet};
use crate::domain::provider::{Protocol, Provider};
use crate::routing::facts::Fit;
use crate::wire::{Dialect, anthropic, gemini, openai};

/// What a caller asks for, by path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A chat in one of the three dialects.
    Chat(Dialect),
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// Any other OpenAI path with a `model` in its body, relative to `/v1`: `/moderations`.
    Other(String),
}

impl Operation {
    /// By which API it came.
    pub fn protocol(&self) -> ClientProtocol {
        match self {
            Self::Chat(Dialect::ChatCompletions) => ClientProtocol::ChatCompletions,
            Self::Chat(Dialect::Responses) => ClientProtocol::Responses,
            Self::Chat(Dialect::Messages) => ClientProtocol::Messages,
            Self::Completions => ClientProtocol::Completions,
            Self::Embeddings => ClientProtocol::Embeddings,
            Self::CountTokens => ClientProtocol::CountTokens,
            Self::Other(_) => ClientProtocol::Other,
        }
    }
}

/// How one provider serves one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Client and provider speak the same protocol: the body passes through.
    Native,
    /// Through our own form of a chat.
    Translated(Protocol),
}

/// The lane of an operation at a provider; `None` if the provider has nothing like it.
pub fn lane(operation: &Operation, provider: &Provider) -> Option<Lane> {
    use Lane::{Native, Translated};
    let protocol = provider.protocol;
    match operation {
        Operation::Chat(dialect) => Some(match (dialect, protocol) {
            (Dialect::ChatCompletions, Protocol::OpenAi) | (Dialect::Messages, Protocol::Anthropic) => Native,
            (Dialect::Responses, Protocol::OpenAi) if provider.quirks.responses_api => Native,
            _ => Translated(protocol),
        }),
        Operation::Completions | Operation::Other(_) => (protocol == Protocol::OpenAi).then_some(Native),
        Operation::Embeddings => match protocol {
            Protocol::OpenAi => Some(Native),
            Protocol::Gemini => Some(Translated(protocol)),
            Protocol::Anthropic => None,
        },
        Operation::CountTokens => match protocol {
            Protocol::Anthropic => Some(Native),
            Protocol::Gemini => Some(Translated(protocol)),
            Protocol::OpenAi => None,
        },
    }
}

/// What each kind of provider could not express of a request with these needs.
pub fn fit(operation: &Operation, needs: FeatureSet) -> Fit {
    let translated = |able: FeatureSet| Some(needs.missing_from(able));
    let native = Some(FeatureSet::EMPTY);
    match operation {
        Operation::Chat(dialect) => Fit {
            openai: if *dialect == Dialect::ChatCompletions { native } else { translated(openai::EXPRESSIBLE) },
            openai_responses: match dialect {
                Dialect::ChatCompletions | Dialect::Responses => native,
                Dialect::Messages => translated(openai::EXPRESSIBLE),
            },
            anthropic: if *dialect == Dialect::Messages { native } else { translated(anthropic::EXPRESSIBLE) },
            gemini: translated(gemini::EXPRESSIBLE),
        },
        Operation::Completions | Operation::Other(_) => {
            Fit { openai: native, openai_responses: native, anthropic: None, gemini: None }
        }
        Operation::Embeddings => {
            let gemini = Some(needs.missing_from(FeatureSet::EMPTY));
            Fit { openai: native, openai_responses: native, anthropic: None, gemini }
        }
        Operation::CountTokens => {
            Fit { openai: None, openai_responses: None, anthropic: native, gemini: translated(gemini::EXPRESSIBLE) }
        }
    }
}

/// Features that say something of a protocol's form and nothing of what a model can do.
const OF_THE_PROTOCOL: FeatureSet = FeatureSet::of(&[
    Feature::AllowedTools,
    Feature::ImageUrls,
    Feature::FileIds,
    Feature::MultipleChoices,
    Feature::Logprobs,
    Feature::LogitBias,
    Feature::ManyStops,
    Feature::Stops,
    Feature::ProviderState,
    Feature::Prefill,
    Feature::UnknownField,
]);

/// The needs that are the model's to meet.
pub fn model_needs(needs: FeatureSet) -> FeatureSet {
    let mut of_the_model = needs.missing_from(OF_THE_PROTOCOL);
    if needs.contains(Feature::ImageUrls) {
        of_the_model.insert(Feature::Images);
    }
    of_the_model
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests_support::fleet;

    fn at(protocol: Protocol, responses_api: bool, operation: &Operation) -> Option<Lane> {
        let mut provider = fleet(&[None]).catalog.providers.remove(0);
        provider.protocol = protocol;
        provider.quirks.responses_api = responses_api;
        lane(operation, &provider)
    }

    #[test]
    fn the_same_protocol_on_both_sides_passes_through() {
        use Dialect::{ChatCompletions, Messages, Responses};
        let chat = Operation::Chat;
        assert_eq!(at(Protocol::OpenAi, false, &chat(ChatCompletions)), Some(Lane::Native));
        assert_eq!(at(Protocol::Anthropic, false, &chat(Messages)), Some(Lane::Native));
        assert_eq!(at(Protocol::OpenAi, true, &chat(Responses)), Some(Lane::Native));
        assert_eq!(at(Protocol::OpenAi, false, &chat(Responses)), Some(Lane::Translated(Protocol::OpenAi)));
        assert_eq!(at(Protocol::Gemini, false, &chat(Messages)), Some(Lane::Translated(Protocol::Gemini)));
        assert_eq!(at(Protocol::Anthropic, false, &Operation::Embeddings), None);
        assert_eq!(at(Protocol::Gemini, false, &Operation::Completions), None);
    }

    #[test]
    fn what_passes_through_needs_no_words_and_what_is_translated_does() {
        let needs = FeatureSet::of(&[Feature::LogitBias, Feature::Tools]);
        let fit = fit(&Operation::Chat(Dialect::ChatCompletions), needs);
        assert_eq!(fit.openai, Some(FeatureSet::EMPTY));
        assert_eq!(fit.anthropic, Some(FeatureSet::of(&[Feature::LogitBias])));
        assert_eq!(super::fit(&Operation::Embeddings, needs).anthropic, None);
    }

    #[test]
    fn a_model_is_asked_only_for_what_models_can_do() {
        let needs = FeatureSet::of(&[Feature::ImageUrls, Feature::Logprobs, Feature::Tools]);
        assert_eq!(model_needs(needs), FeatureSet::of(&[Feature::Images, Feature::Tools]));
    }
}
