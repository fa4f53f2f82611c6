//! Which providers and models are known without being configured? The built-in catalogue.
//!
//! The data is `models/catalogue/*.json`, compiled in and read once, when first asked for.
//! It is a source of defaults for [`crate::config`] and of nothing else.

mod prices;
mod quirks;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

pub use self::quirks::{compatible_server, quirks_of};
use crate::domain::feature::{Feature, FeatureSet};
use crate::domain::money::Prices;
use crate::domain::provider::Protocol;

const PROVIDERS: &str = include_str!("../../models/catalogue/providers.json");
const MODELS: &str = include_str!("../../models/catalogue/models.json");

/// A provider whose protocol and address everybody knows.
#[derive(Debug)]
pub struct KnownProvider {
    /// Its id, which is also the first part of its models' ids.
    pub id: String,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Its documented base URL, without a slash at the end.
    pub base_url: String,
    /// The environment variable that usually holds its key.
    pub api_key_env: String,
}

/// A model as its own provider serves it.
#[derive(Debug)]
pub struct KnownModel {
    /// `provider/upstream_model`.
    pub id: String,
    /// The [`KnownProvider`] that serves it.
    pub provider: String,
    /// What that provider calls it.
    pub upstream_model: String,
    /// Limits and abilities.
    pub facts: ModelFacts,
    /// What it costs there.
    pub prices: Prices,
}

/// Limits and abilities of a model; `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    /// Prompt and output together, in tokens.
    pub context_window: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it takes as input.
    pub input_modalities: Option<Vec<Modality>>,
    /// Whether it calls function tools.
    pub tools: Option<bool>,
    /// Whether it holds its output to a JSON schema.
    pub structured_output: Option<bool>,
}

impl ModelFacts {
    /// The features that the model is known to lack; what is not known counts as able.
    pub fn lacks(&self) -> FeatureSet {
        let takes = |modality| self.input_modalities.as_ref().is_none_or(|known| known.contains(&modality));
        let lacking = [
            (takes(Modality::Image), Feature::Images),
            (takes(Modality::Image), Feature::ImageUrls),
            (takes(Modality::Pdf), Feature::Documents),
            (takes(Modality::Audio), Feature::Audio),
            (self.tools != Some(false), Feature::Tools),
            (self.tools != Some(false), Feature::AllowedTools),
            (self.structured_output != Some(false), Feature::JsonSchema),
        ];
        let mut lacks = FeatureSet::EMPTY;
        for (_, feature) in lacking.into_iter().filter(|(able, _)| !able) {
            lacks.insert(feature);
        }
        lacks
    }
}

/// A kind of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Plain text.
    Text,
    /// Still images.
    Image,
    /// Sound.
    Audio,
    /// Moving images.
    Video,
    /// Documents.
    Pdf,
}

impl Modality {
    /// The names as the catalogue and the configuration spell them.
    pub const ALL: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("image", Self::Image),
        ("audio", Self::Audio),
        ("video", Self::Video),
        ("pdf", Self::Pdf),
    ];
}

/// Everything that is known.
#[derive(Debug)]
pub struct Catalogue {
    /// In the order of the file.
    pub providers: Vec<KnownProvider>,
    /// In the order of the file, ids being unique.
    pub models: Vec<KnownModel>,
    provider_by_id: HashMap<String, usize>,
}

impl Catalogue {
    /// The provider of that id.
    pub fn provider(&self, id: &str) -> Option<&KnownProvider> {
        self.provider_by_id.get(id).map(|&position| &self.providers[position])
    }
}

/// The built-in catalogue.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        // Unwrap safety: the text is compiled in and a test reads all of it.
        read(PROVIDERS, MODELS).expect("the built-in catalogue is valid")
    });
    &CATALOGUE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProvider {
    id: String,
    protocol: String,
    base_url: String,
    api_key_env: String,
}

#[derive(Deserialize)]
struct RawModel {
    id: String,
    provider: String,
    upstream_model: String,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    input_modalities: Option<Vec<Modality>>,
    tools: Option<bool>,
    structured_output: Option<bool>,
    usd_per_mtok: prices::UsdPerMtok,
}

fn read(providers: &str, models: &str) -> Result<Catalogue, String> {
    let raw: Vec<RawProvider> = serde_json::from_str(providers).map_err(|e| format!("providers.json: {e}"))?;
    let providers = raw.into_iter().map(known_provider).collect::<Result<Vec<_>, _>>()?;
    let raw: Vec<RawModel> = serde_json::from_str(models).map_err(|e| format!("models.json: {e}"))?;
    let models = raw.into_iter().map(known_model).collect::<Result<Vec<_>, _>>()?;
    let provider_by_id = providers.iter().enumerate().map(|(i, provider)| (provider.id.clone(), i)).collect();
    Ok(Catalogue { providers, models, provider_by_id })
}

fn known_provider(raw: RawProvider) -> Result<KnownProvider, String> {
    let protocol = Protocol::ALL.into_iter().find(|(name, _)| *name == raw.protocol);
    let (_, protocol) = protocol.ok_or_else(|| format!("{}: protocol {:?}", raw.id, raw.protocol))?;
    Ok(KnownProvider { id: raw.id, protocol, base_url: raw.base_url, api_key_env: raw.api_key_env })
}

fn known_model(raw: RawModel) -> Result<KnownModel, String> {
    let prices = raw.usd_per_mtok.prices().ok_or_else(|| format!("{}: a price is out of range", raw.id))?;
    let facts = ModelFacts {
        context_window: raw.context_window,
        max_output_tokens: raw.max_output_tokens,
        input_modalities: raw.input_modalities,
        tools: raw.tools,
        structured_output: raw.structured_output,
    };
    Ok(KnownModel { id: raw.id, provider: raw.provider, upstream_model: raw.upstream_model, facts, prices })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::money::PicoUsd;
    use crate::domain::names::{NameError, NameIndex};

    fn model(id: &str) -> &'static KnownModel {
        catalogue().models.iter().find(|model| model.id == id).unwrap()
    }

    #[test]
    fn all_of_it_parses() {
        let all = read(PROVIDERS, MODELS).unwrap();
        assert_eq!(all.models.len(), MODELS.matches("\"id\"").count());
        assert_eq!(all.providers.len(), PROVIDERS.matches("\"id\"").count());
    }

    #[test]
    fn ids_are_unique_and_begin_with_a_known_provider() {
        let mut seen = HashSet::new();
        for model in &catalogue().models {
            assert!(seen.insert(&model.id), "{} twice", model.id);
            assert_eq!(model.id, format!("{}/{}", model.provider, model.upstream_model));
            assert!(catalogue().provider(&model.provider).is_some(), "{}", model.id);
        }
        for provider in &catalogue().providers {
            assert!(provider.base_url.starts_with("https://") && !provider.base_url.ends_with('/'));
        }
    }

    #[test]
    fn tiers_price_long_prompts() {
        let prices = &model("openai/gpt-5.5").prices;
        assert_eq!(prices.rates_for(272_000).input, PicoUsd(5_000_000));
        assert_eq!(prices.rates_for(272_001).input, PicoUsd(10_000_000));
        assert_eq!(prices.rates_for(272_001).cached_input, PicoUsd(1_000_000));
        assert_eq!(prices.rates_for(0).cache_write, PicoUsd(5_000_000), "as input where nothing else is published");
    }

    #[test]
    fn only_what_is_known_to_be_missing_is_lacking() {
        let lacks = model("alibaba/qwen-mt-plus").facts.lacks();
        assert!(lacks.contains(Feature::Tools) && lacks.contains(Feature::Images));
        assert!(!lacks.contains(Feature::JsonSchema), "not known is able");
        assert!(model("anthropic/claude-opus-4-8").facts.lacks().is_empty());
    }

    #[test]
    fn the_names_that_people_write_find_their_models() {
        let index = NameIndex::new(catalogue().models.iter().map(|model| model.id.as_str()));
        let find = |name: &str| index.resolve(name).map(|i| catalogue().models[i].id.as_str());
        assert_eq!(find("openai/gpt-5.5"), Ok("openai/gpt-5.5"));
        assert_eq!(find("anthropic/claude-opus-4.8"), Ok("anthropic/claude-opus-4-8"));
        assert_eq!(find("google/gemini-3-pro"), Ok("google/gemini-3-pro-preview"));
        assert_eq!(find("anthropic/claude-opus-4.5"), Ok("anthropic/claude-opus-4-5"), "the undated one");
        assert_eq!(find("gpt-5.5"), Ok("openai/gpt-5.5"));
        assert!(matches!(find("gpt-oss-120b"), Err(NameError::Ambiguous { .. })));
    }

    /// Every way to write the first eight dots and hyphens of every id.
    #[test]
    fn no_spelling_of_an_id_leads_to_another_model_in_silence() {
        let models = &catalogue().models;
        let index = NameIndex::new(models.iter().map(|model| model.id.as_str()));
        let exact: HashSet<&str> = models.iter().map(|model| model.id.as_str()).collect();
        for (position, model) in models.iter().enumerate() {
            let joints: Vec<usize> = model.id.match_indices(['.', '-']).map(|(at, _)| at).take(8).collect();
            for choice in 0..1u32 << joints.len() {
                let mut spelling = model.id.clone().into_bytes();
                for (bit, &at) in joints.iter().enumerate() {
                    spelling[at] = if choice & (1 << bit) == 0 { b'.' } else { b'-' };
                }
                let spelling = String::from_utf8(spelling).unwrap();
                match index.resolve(&spelling) {
                    Ok(found) => assert!(found == position || exact.contains(spelling.as_str()), "{spelling}"),
                    Err(NameError::Ambiguous { candidates }) => assert!(candidates.contains(&model.id), "{spelling}"),
                    Err(unknown) => panic!("{spelling}: {unknown:?}"),
                }
            }
        }
    }
}
