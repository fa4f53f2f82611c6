//! The state that requests share: one view of the configuration, swapped whole.
//!
//! A request loads the [`View`] once and keeps it to its end, so an index means the same
//! from the first step to the last, whatever is reloaded in the meantime. What is observed
//! of an endpoint outlives a reload as long as the endpoint keeps its name.

mod counters;
mod endpoint;
mod keys;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use counters::{CounterReading, Counters};
pub use endpoint::{EndpointLive, Flight, FlightEnd, ProviderLive};
pub use keys::{Caller, KeyRing};

use crate::clock::Clock;
use crate::config::{Config, ServerLimits};
use crate::domain::catalog::Catalog;
use crate::domain::ids::{EndpointIdx, ProviderIdx, Revision};
use crate::domain::time::UnixMillis;
use crate::routing::{EndpointState, Observations};
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

    /// What is observed at `now`, as routing reads it.
    pub fn observed(&self, now: UnixMillis) -> impl Observations + '_ {
        move |idx: EndpointIdx| EndpointState {
            standing: self.endpoint(idx).standing(now),
            full: self.provider(self.catalog.endpoint(idx).provider).is_full(),
        }
    }

    /// Builds the view of a configuration, taking over what `earlier` knows of endpoints
    /// and providers that are still the same.
    fn build(config: Config, keys: KeyRing, earlier: Option<&Self>) -> Result<Self, ClientError> {
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
            .map(|endpoint| known.get(endpoint.id.as_str()).map_or_else(Arc::default, |live| Arc::clone(live)))
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
        Ok(Self { revision, catalog, limits: server.limits, keys, endpoints, providers })
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
        Ok(Self { current: ArcSwap::from_pointee(View::build(config, keys, None)?), clock })
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
        let view = View::build(config, keys, Some(&self.view()))?;
        let revision = view.revision;
        self.current.store(Arc::new(view));
        Ok(revision)
    }
}
