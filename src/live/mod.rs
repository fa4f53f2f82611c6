//! The state that requests share: one view of the configuration, swapped whole.
//!
//! A request loads the [`View`] once and keeps it to its end, so an index means the same
//! from the first step to the last, whatever is reloaded in the meantime. What is observed
//! of an endpoint outlives a reload as long as the endpoint keeps its name.

mod alias;
pub mod decisions;
mod endpoint;
mod flight;
mod keys;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use alias::AliasLive;
pub use endpoint::{EndpointLive, ProviderLive};
pub use flight::{Departure, Flight, FlightEnd};
pub use keys::{Caller, KeyRing};

use crate::clock::Clock;
use crate::config::{Config, ServerLimits};
use crate::domain::alias::{Alias, Scoring, UsageScope};
use crate::domain::catalog::Catalog;
use crate::domain::ids::{AliasIdx, EndpointIdx, KeyName, ProviderIdx, Revision};
use crate::domain::time::UnixMillis;
use crate::routing::{EndpointState, RequestFacts, Snapshot};
use crate::transport::client::{self, ClientError};

/// Everything a request needs to know, of one revision.
#[derive(Debug)]
pub struct View {
    /// Which.
    pub revision: Revision,
    /// What requests resolve to.
    pub catalog: Catalog,
    /// Limits of the data plane.
    pub limits: ServerLimits,
    /// Who may call.
    pub keys: KeyRing,
    /// By [`EndpointIdx`].
    endpoints: Vec<Arc<EndpointLive>>,
    /// By [`ProviderIdx`].
    providers: Vec<Arc<ProviderLive>>,
    /// By [`AliasIdx`].
    aliases: Vec<Arc<AliasLive>>,
}

/// Whether an alias counts usage apart for each key.
pub fn counts_by_key(alias: &Alias) -> bool {
    matches!(alias.strategy.scoring(), Some(Scoring::LowestUsage(options)) if options.scope == UsageScope::Key)
}

impl View {
    /// The live state of an endpoint.
    pub fn endpoint(&self, idx: EndpointIdx) -> &Arc<EndpointLive> {
        &self.endpoints[idx.get()]
    }

    /// The live state of a provider.
    pub fn provider(&self, idx: ProviderIdx) -> &Arc<ProviderLive> {
        &self.providers[idx.get()]
    }

    /// The live state of an alias.
    pub fn alias(&self, idx: AliasIdx) -> &Arc<AliasLive> {
        &self.aliases[idx.get()]
    }

    /// What is observed at `now`, as routing reads it.
    pub fn snapshot(&self, alias: AliasIdx, facts: &RequestFacts, key: Option<&KeyName>, now: UnixMillis) -> Snapshot {
        let live = self.alias(alias);
        let alias = self.catalog.alias(alias);
        let counted_by = key.filter(|_| counts_by_key(alias));
        let state = |&idx: &EndpointIdx| {
            let endpoint = self.endpoint(idx);
            EndpointState {
                reading: endpoint.reading(now),
                full: self.provider(self.catalog.endpoint(idx).provider).is_full(now),
                by_key: counted_by.map(|key| endpoint.used_by(key, now)),
            }
        };
        let at_home = facts.identity.filter(|_| alias.adaptivity.affinity.is_some());
        Snapshot {
            endpoints: alias.targets.iter().flat_map(|target| &target.endpoints).map(state).collect(),
            alias: live.stats.reading(facts.max_output_tokens),
            home: at_home.and_then(|conversation| live.home(conversation, now)),
        }
    }

    /// Builds the view of a configuration, taking over what `earlier` knows of endpoints
    /// and providers that are still the same.
    fn build(config: Config, keys: KeyRing, earlier: Option<&Self>, now: UnixMillis) -> Result<Self, ClientError> {
        let Config { server, catalog, .. } = config;
        let known: HashMap<&str, &Arc<EndpointLive>> = earlier
            .map(|view| {
                let ids = view.catalog.endpoints.iter().map(|endpoint| endpoint.id.as_str());
                ids.zip(&view.endpoints).collect()
            })
            .unwrap_or_default();
        let endpoints = catalog
            .endpoints
            .iter()
            .map(|endpoint| match known.get(endpoint.id.as_str()) {
                Some(live) => {
                    live.change(now, |stats| stats.set_limits(endpoint.limits));
                    Arc::clone(live)
                }
                None => Arc::new(EndpointLive::new(endpoint.limits)),
            })
            .collect();
        let known_aliases: HashMap<&str, &Arc<AliasLive>> = earlier
            .map(|view| view.catalog.aliases.iter().map(|alias| alias.name.as_str()).zip(&view.aliases).collect())
            .unwrap_or_default();
        let aliases = catalog
            .aliases
            .iter()
            .map(|alias| match known_aliases.get(alias.name.as_str()) {
                Some(live) => {
                    live.forget_homes();
                    Arc::clone(live)
                }
                None => Arc::default(),
            })
            .collect();
        let mut providers = Vec::with_capacity(catalog.providers.len());
        for provider in &catalog.providers {
            let same = earlier.and_then(|view| {
                let at = view.catalog.providers.iter().position(|other| other.id == provider.id)?;
                let other = &view.catalog.providers[at];
                let unchanged = other.limits == provider.limits
                    && other.connect_timeout == provider.connect_timeout
                    && other.base_url == provider.base_url;
                unchanged.then(|| Arc::clone(&view.providers[at]))
            });
            providers.push(match same {
                Some(live) => live,
                None => Arc::new(ProviderLive::new(provider.limits, client::build(provider)?)),
            });
        }
        let revision = Revision(earlier.map_or(1, |view| view.revision.0 + 1));
        Ok(Self { revision, catalog, limits: server.limits, keys, endpoints, providers, aliases })
    }
}

/// The current view, and how it is replaced.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<View>,
    /// Time, for all who act on the view.
    pub clock: Clock,
}

impl Live {
    /// The first view.
    ///
    /// # Errors
    /// If a provider's client cannot be built.
    pub fn new(config: Config, keys: KeyRing, clock: Clock) -> Result<Self, ClientError> {
        Ok(Self { current: ArcSwap::from_pointee(View::build(config, keys, None, clock.now())?), clock })
    }

    /// The view to serve a request by, from its beginning to its end.
    pub fn view(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Replaces the configuration; requests under way end on the one they began with.
    ///
    /// # Errors
    /// If a provider's client cannot be built; then nothing has changed.
    pub fn replace(&self, config: Config, keys: KeyRing) -> Result<Revision, ClientError> {
        let view = View::build(config, keys, Some(&self.view()), self.clock.now())?;
        let revision = view.revision;
        self.current.store(Arc::new(view));
        Ok(revision)
    }
}
