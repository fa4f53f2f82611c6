//! Everything a request can resolve to: providers, models, their endpoints, and aliases.
//!
//! A `Catalog` is built whole by [`crate::config::parse`]: every index in it is in bounds
//! and every name unique, so nobody checks again.

use std::collections::HashMap;

use super::alias::Alias;
use super::feature::{Feature, FeatureSet};
use super::ids::{AliasIdx, EndpointId, EndpointIdx, ModelId, ModelIdx, ProviderIdx};
use super::money::Prices;
use super::names::{NameError, NameIndex};
use super::nearest::nearest;
use super::provider::{Limits, Provider};

/// What is known of a model, wherever it is served. Unknown counts as able.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// Prompt and output together, in tokens.
    pub context_window: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Features it is known to lack.
    pub lacks: FeatureSet,
    /// Callers may not name it; it can be reached only through an alias.
    pub hidden: bool,
    /// Where it is served; never empty for a model that an alias names.
    pub endpoints: Vec<EndpointIdx>,
}

impl Model {
    /// Whether it is not known to lack the feature.
    pub fn can(&self, feature: Feature) -> bool {
        !self.lacks.contains(feature)
    }
}

/// A model at a provider.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `model@provider`.
    pub id: EndpointId,
    /// The model.
    pub model: ModelIdx,
    /// The provider.
    pub provider: ProviderIdx,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// What it costs; `None` is not known, which is not free.
    pub prices: Option<Prices>,
    /// Our own limits, beside those of the provider.
    pub limits: Limits,
}

/// The whole configuration of routing, checked.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By [`ProviderIdx`].
    pub providers: Vec<Provider>,
    /// By [`ModelIdx`].
    pub models: Vec<Model>,
    /// By [`EndpointIdx`].
    pub endpoints: Vec<Endpoint>,
    /// By [`AliasIdx`].
    pub aliases: Vec<Alias>,
    /// Aliases by exact name. A model that may be called directly has an alias of its own
    /// under its id, with [`Alias::direct`] set; a configured alias of that name wins.
    pub alias_by_name: HashMap<Box<str>, AliasIdx>,
    /// Ids of the models that may be called directly, in every spelling people use.
    pub direct_models: NameIndex,
}

impl Catalog {
    /// The alias that a caller's `model` means: an alias by its exact name, or else a
    /// model that may be called directly, in any spelling that [`NameIndex`] knows.
    ///
    /// # Errors
    /// If nothing, or more than one model, answers to the name. The suggestions are aliases
    /// and models alike.
    pub fn resolve(&self, name: &str) -> Result<AliasIdx, NameError> {
        if let Some(&alias) = self.alias_by_name.get(name) {
            return Ok(alias);
        }
        let position = self.direct_models.lookup(name).transpose()?;
        let model = position.and_then(|position| self.models.get(position));
        let alias = model.and_then(|model| self.alias_by_name.get(model.id.as_str())).copied();
        alias
            .ok_or_else(|| NameError::Unknown { nearest: nearest(name, self.alias_by_name.keys().map(|name| &**name)) })
    }

    /// The provider of an endpoint.
    pub fn provider_of(&self, endpoint: EndpointIdx) -> &Provider {
        self.provider(self.endpoint(endpoint).provider)
    }

    /// By index.
    pub fn provider(&self, idx: ProviderIdx) -> &Provider {
        &self.providers[idx.get()]
    }

    /// By index.
    pub fn endpoint(&self, idx: EndpointIdx) -> &Endpoint {
        &self.endpoints[idx.get()]
    }

    /// By index.
    pub fn model(&self, idx: ModelIdx) -> &Model {
        &self.models[idx.get()]
    }

    /// By index.
    pub fn alias(&self, idx: AliasIdx) -> &Alias {
        &self.aliases[idx.get()]
    }
}
