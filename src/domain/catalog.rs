//! Everything a request can resolve to: providers, models, their endpoints, and aliases.
//!
//! A `Catalog` is built whole by [`crate::config::parse`]: every index in it is in bounds
//! and every name unique, so nobody checks again.

use std::collections::HashMap;
use std::sync::Arc;

use super::alias::Alias;
use super::feature::{Feature, FeatureSet};
use super::grouping::{Grouping, NoCategories};
use super::ids::{AliasIdx, EndpointId, EndpointIdx, ModelId, ModelIdx, ProviderIdx};
use super::money::Prices;
use super::names::{NameError, NameIndex};
use super::nearest::nearest;
use super::provider::{Limits, Provider};

/// More names than this are not all compared with one that nobody has, which would take
/// milliseconds.
const MANY: usize = 2000;
/// As many bytes count as the beginning of a name.
const BEGINNING: usize = 3;

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
    pub prices: Option<Arc<Prices>>,
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
    /// under its id, with [`Alias::direct`] set; a configured alias of that name wins. Those
    /// of categories are not here.
    pub alias_by_name: HashMap<Box<str>, AliasIdx>,
    /// Ids of all models, in every spelling people use.
    pub model_names: NameIndex,
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
        let direct = |id: &str| self.alias_by_name.get(id).copied();
        match self.model_names.lookup(name) {
            Some(Ok(position)) => direct(self.models[position].id.as_str()).ok_or_else(|| self.unknown(name)),
            None => Err(self.unknown(name)),
            Some(Err(NameError::Ambiguous { mut candidates })) => {
                // Those that may not be called mean nothing to a caller.
                candidates.retain(|id| direct(id).is_some());
                match candidates.as_slice() {
                    [] => Err(self.unknown(name)),
                    [only] => direct(only).ok_or_else(|| self.unknown(name)),
                    _ => Err(NameError::Ambiguous { candidates }),
                }
            }
            Some(Err(error)) => Err(error),
        }
    }

    /// The alias of categories that has exactly this name.
    ///
    /// # Errors
    /// If there is none of that name, or it is of another strategy.
    pub fn of_categories(&self, name: &str) -> Result<(AliasIdx, &Grouping), NoCategories> {
        let found = self.alias_by_name.get(name).map(|idx| (*idx, self.alias(*idx)));
        if let Some((idx, alias)) = found
            && let Some(grouping) = alias.grouping()
        {
            return Ok((idx, grouping));
        }
        let named = self.alias_by_name.iter().filter(|(_, idx)| self.alias(**idx).grouping().is_some());
        let mut having: Vec<String> = named.map(|(name, _)| name.to_string()).collect();
        having.sort_unstable();
        let name = name.to_owned();
        Err(match found {
            Some((_, alias)) => NoCategories::Other { name, strategy: alias.strategy.as_str(), having },
            None => NoCategories::Unknown { name, having },
        })
    }

    /// Nobody has that name. Of very many names only those that begin alike are compared: a
    /// caller that asks for nobody again and again should not cost more than the others.
    fn unknown(&self, name: &str) -> NameError {
        let names = self.alias_by_name.keys().map(|name| &**name);
        let beginning = name.get(..BEGINNING).filter(|_| self.alias_by_name.len() > MANY);
        NameError::Unknown {
            nearest: match beginning {
                Some(beginning) => nearest(name, names.filter(|other| other.starts_with(beginning))),
                None => nearest(name, names),
            },
        }
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

    /// The aliases whose targets serve an alias: those of its categories, or itself.
    pub fn serving<'c>(&'c self, alias: &'c Alias) -> impl Iterator<Item = &'c Alias> {
        let grouping = alias.grouping();
        let groups = grouping.into_iter().flat_map(|grouping| grouping.groups.iter().chain([&grouping.default]));
        groups.map(|idx| self.alias(*idx)).chain(grouping.is_none().then_some(alias))
    }

    /// By index.
    pub fn alias(&self, idx: AliasIdx) -> &Alias {
        &self.aliases[idx.get()]
    }
}
