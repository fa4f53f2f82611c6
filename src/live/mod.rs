//! The state that requests share: one view of the configuration, swapped whole.
//!
//! A request loads the [`View`] once and keeps it to its end, so an index means the same
//! from the first step to the last, whatever is reloaded in the meantime. What is observed
//! of an endpoint outlives a reload as long as the endpoint keeps its name.

mod accounts;
mod alias;
pub mod decisions;
mod endpoint;
mod flight;
mod keys;
mod ledger;
mod sharing;
pub mod sorting;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

pub use accounts::{Accounts, SpentBefore, Touched, account};
pub use alias::AliasLive;
pub use endpoint::{CountedBy, EndpointLive, ProviderLive};
pub use flight::{Departure, Flight, FlightEnd, Meters};
pub use keys::{Caller, Denied, Key, KeyRing, ProjectLive, Shown};
pub use ledger::{Ledger, Page, UsageSums, UsedBy};
pub use sharing::{Heard, Sharing, SharingStanding};

use smallvec::SmallVec;

use self::sorting::Sorting;

use crate::clock::Clock;
use crate::config::{Problem, ServerLimits};
use crate::domain::alias::{Alias, Scoring, Target, UsageScope};
use crate::domain::caller::default_project;
use crate::domain::catalog::{Catalog, Endpoint};
use crate::domain::ids::{AliasIdx, EndpointIdx, ProjectName, ProviderIdx, Revision};
use crate::domain::money::PicoUsd;
use crate::domain::project::Project;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::limits::{self, Account, Refusal, Wait};
use crate::routing::facts::OverBudget;
use crate::routing::{EndpointState, RequestFacts, Snapshot};
use crate::stats::share::EndpointKey;
use crate::telemetry::Telemetry;
use crate::transport::client::{self, ClientError};

/// Everything a request needs to know, of one revision.
#[derive(Clone, Debug)]
pub struct View {
    /// Which.
    pub revision: Revision,
    /// The revision that made the catalog: as long as it is the same, indexes mean the same.
    pub catalog_revision: Revision,
    /// What requests resolve to.
    pub catalog: Arc<Catalog>,
    /// Limits of the data plane.
    pub limits: ServerLimits,
    /// Callers need no key.
    pub open: bool,
    /// Who may call.
    pub keys: KeyRing,
    /// Whose limits and budgets there are, those of keys apart.
    pub accounts: Arc<Accounts>,
    /// Whose keys there are.
    projects: Arc<HashMap<ProjectName, Arc<ProjectLive>, RandomState>>,
    /// By [`EndpointIdx`].
    endpoints: Arc<[Arc<EndpointLive>]>,
    /// By [`ProviderIdx`].
    providers: Arc<[Arc<ProviderLive>]>,
    /// By [`AliasIdx`].
    aliases: Arc<[Arc<AliasLive>]>,
    /// Of aliases of categories.
    sortings: Arc<HashMap<AliasIdx, Arc<Sorting>>>,
    /// What other replicas are told and tell, where there are any.
    sharing: Option<Arc<Sharing>>,
    /// Endpoints as other replicas name them; empty where there is nothing to share.
    by_key: Arc<HashMap<EndpointKey, EndpointIdx>>,
}

/// What a view is built from.
#[derive(Debug)]
pub struct Draft {
    /// Its revision.
    pub revision: Revision,
    /// What requests resolve to.
    pub catalog: Catalog,
    /// Whose keys there are.
    pub projects: Vec<Project>,
    /// Who may call.
    pub keys: KeyRing,
    /// Limits of the data plane.
    pub limits: ServerLimits,
    /// Callers need no key.
    pub open: bool,
}

/// Whose usage a request is counted under apart from everybody's, if its alias wants that.
pub fn counted_by(alias: &Alias, caller: &Caller) -> Option<CountedBy> {
    let Some(Scoring::LowestUsage(options)) = alias.strategy.scoring() else { return None };
    match options.scope {
        UsageScope::Fleet => None,
        UsageScope::Project => Some(CountedBy::Project(caller.project_name().clone())),
        UsageScope::Key => caller.key_name().cloned().map(CountedBy::Key),
    }
}

/// What an alias is known by from view to view; those of categories have the name of theirs.
fn identity_of(alias: &Alias) -> (&str, Option<&str>) {
    (alias.name.as_str(), alias.group.as_ref().map(|group| group.category.as_str()))
}

/// A refusal of a budget, as routing knows it.
pub fn over_budget(refusal: &Refusal, now: UnixMillis) -> OverBudget {
    let wait = match refusal.wait {
        Wait::For(time) => Some(time),
        // Others may end at any moment; a second is as good a guess as any.
        Wait::Ask | Wait::Others => Some(Duration::from_secs(1)),
        Wait::Never => None,
    };
    OverBudget { whose: refusal.owner.kind.as_str(), until: wait.map(|wait| now + wait) }
}

impl View {
    /// The live state of an endpoint.
    pub fn endpoint(&self, idx: EndpointIdx) -> &Arc<EndpointLive> {
        &self.endpoints[idx.get()]
    }

    /// An endpoint as other replicas name it.
    pub fn endpoint_by_key(&self, key: EndpointKey) -> Option<EndpointIdx> {
        self.by_key.get(&key).copied()
    }

    /// All endpoints, as other replicas name them.
    fn shared_endpoints(&self) -> impl Iterator<Item = (EndpointKey, &EndpointLive)> {
        self.endpoints.iter().map(|live| (live.key(), &**live))
    }

    /// The live state of a provider.
    pub fn provider(&self, idx: ProviderIdx) -> &Arc<ProviderLive> {
        &self.providers[idx.get()]
    }

    /// The live state of an alias.
    pub fn alias(&self, idx: AliasIdx) -> &Arc<AliasLive> {
        &self.aliases[idx.get()]
    }

    /// How the categories of an alias are told apart, if it is of categories.
    pub fn sorting(&self, idx: AliasIdx) -> Option<&Arc<Sorting>> {
        self.sortings.get(&idx)
    }

    /// What the operator should know of the categories.
    pub fn remarks(&self) -> Vec<Problem> {
        sorting::told(&self.catalog, &self.sortings)
    }

    /// All projects.
    pub fn projects(&self) -> impl Iterator<Item = &Arc<ProjectLive>> {
        self.projects.values()
    }

    /// Whoever asks on the operator's behalf: without a key, of the project that is always
    /// there.
    pub fn operator(&self) -> Caller {
        let project = self.projects.get(&default_project()).cloned();
        let nobody = || Arc::new(ProjectLive::new(Project::default_one(), None));
        Caller { key: None, project: project.unwrap_or_else(nobody) }
    }

    /// A caller with this key, whether it is let in or not.
    pub fn caller_with(&self, key: Arc<Key>) -> Option<Caller> {
        let project = Arc::clone(self.projects.get(&key.project)?);
        Some(Caller { key: Some(key), project })
    }

    /// The caller that shows this key, or none.
    ///
    /// # Errors
    /// If it is not let in at `now`.
    pub fn caller(&self, shown: Option<&[u8]>, now: UnixMillis) -> Result<Caller, Denied> {
        let key = match shown.map(|shown| self.keys.key(shown, now)) {
            Some(Ok(key)) => Some(key),
            None | Some(Err(Denied::Unknown)) if self.open => None,
            None => return Err(Denied::Unknown),
            Some(Err(denied)) => return Err(denied),
        };
        let project = match &key {
            Some(key) => self.projects.get(&key.project),
            None => self.projects.get(&default_project()),
        };
        match project {
            Some(live) if live.project.enabled => Ok(Caller { key, project: Arc::clone(live) }),
            // A project that is gone is switched off for good.
            _ => Err(Denied::Disabled),
        }
    }

    /// What is observed at `now`, as routing reads it.
    pub fn snapshot(&self, alias: AliasIdx, facts: &RequestFacts, caller: &Caller, now: UnixMillis) -> Snapshot {
        let live = self.alias(alias);
        let alias = self.catalog.alias(alias);
        let counted_by = counted_by(alias, caller);
        let confined = caller.is_confined();
        let reading = live.stats.reading(facts.max_output_tokens);
        let state = |(target, idx): (&Target, EndpointIdx)| {
            let endpoint = self.endpoint(idx);
            EndpointState {
                reading: endpoint.reading(now),
                full: self.provider(self.catalog.endpoint(idx).provider).is_full(now),
                forbidden: confined && !caller.may_be_served_by(idx, &self.catalog),
                over_budget: self.over_budget(caller, alias, target, idx, facts, reading.expected_output, now),
                by_caller: counted_by.as_ref().map(|by| endpoint.used_by(by, now)),
            }
        };
        let at_home = facts.identity.filter(|_| alias.adaptivity.affinity.is_some());
        let mut endpoints = Vec::with_capacity(alias.targets.iter().map(|target| target.endpoints.len()).sum());
        let targets = alias.targets.iter();
        endpoints.extend(targets.flat_map(|target| target.endpoints.iter().map(move |&idx| (target, idx))).map(state));
        Snapshot {
            endpoints,
            alias: reading,
            fleet: self.sharing.as_ref().map(|sharing| sharing.fleet()).unwrap_or_default(),
            home: at_home.and_then(|conversation| live.home(conversation, now)),
        }
    }

    /// The accounts of an attempt, as far as they are limited: of the key, the project, the
    /// alias, the target and the provider.
    pub fn touched(&self, caller: &Caller, alias: &Alias, target: &Target, endpoint: EndpointIdx) -> Touched {
        if self.accounts.is_empty() && caller.key.as_ref().is_none_or(|key| key.account.is_none()) {
            return Touched::new();
        }
        let mut touched = self.accounts.touched(alias, target, self.catalog.endpoint(endpoint));
        touched.extend(self.accounts_of(caller));
        touched
    }

    /// Those of a caller: its key's, which is its own, before its project's.
    pub fn accounts_of(&self, caller: &Caller) -> SmallVec<[Arc<Account>; 2]> {
        let key = caller.key.as_ref().and_then(|key| key.account.clone());
        key.into_iter().chain(caller.project.account.clone()).collect()
    }

    /// All that there are.
    pub fn all_accounts(&self) -> Vec<Arc<Account>> {
        let of_keys = self.keys.keys().filter_map(|key| key.account.as_ref());
        of_keys.chain(self.accounts.iter()).cloned().collect()
    }

    /// What an attempt may cost: its prompt, and the longest answer that was asked for, or
    /// else one as they usually are. Nothing where no price is known.
    pub fn expected_cost(&self, endpoint: EndpointIdx, facts: &RequestFacts, expected_output: f64) -> PicoUsd {
        // A float of at most a few million.
        let output = facts.max_output_tokens.unwrap_or(expected_output as u64);
        let usage = TokenUsage { input: facts.prompt_tokens, output, ..TokenUsage::default() };
        self.catalog.endpoint(endpoint).prices.as_ref().map_or(PicoUsd(0), |prices| prices.cost(&usage))
    }

    /// A budget that has less left than an attempt is expected to cost, if one has; of several
    /// the one that would allow it last.
    #[expect(clippy::too_many_arguments, reason = "what a cost depends on")]
    fn over_budget(
        &self,
        caller: &Caller,
        alias: &Alias,
        target: &Target,
        endpoint: EndpointIdx,
        facts: &RequestFacts,
        expected_output: f64,
        now: UnixMillis,
    ) -> Option<OverBudget> {
        let touched = self.touched(caller, alias, target, endpoint);
        if touched.is_empty() {
            return None;
        }
        let cost = self.expected_cost(endpoint, facts, expected_output);
        if cost == PicoUsd(0) {
            return None;
        }
        limits::would_refuse(&touched, cost, now).map(|refusal| over_budget(&refusal, now))
    }

    /// Builds a view, taking over what `earlier` knows of endpoints, providers and aliases
    /// that are still the same. Nothing that is served by now is changed.
    fn build(
        draft: Draft,
        earlier: Option<&Self>,
        spent: SpentBefore<'_>,
        sharing: Option<Arc<Sharing>>,
    ) -> Result<Self, ClientError> {
        let Draft { revision, catalog, projects, keys, limits, open } = draft;
        let known: HashMap<&str, &Arc<EndpointLive>> = earlier
            .map(|view| {
                let ids = view.catalog.endpoints.iter().map(|endpoint| endpoint.id.as_str());
                ids.zip(view.endpoints.iter()).collect()
            })
            .unwrap_or_default();
        let endpoint = |endpoint: &Endpoint| match known.get(endpoint.id.as_str()) {
            Some(live) => Arc::clone(live),
            None => Arc::new(EndpointLive::new(&endpoint.id, endpoint.limits, sharing.clone())),
        };
        let known_aliases: HashMap<_, &Arc<AliasLive>> = earlier
            .map(|view| view.catalog.aliases.iter().map(identity_of).zip(view.aliases.iter()).collect())
            .unwrap_or_default();
        let alias =
            |alias: &Alias| known_aliases.get(&identity_of(alias)).map_or_else(Arc::default, |live| Arc::clone(live));
        let mut providers = Vec::with_capacity(catalog.providers.len());
        for provider in &catalog.providers {
            let same = earlier.and_then(|view| {
                let at = view.catalog.providers.iter().position(|other| other.id == provider.id)?;
                let other = &view.catalog.providers[at];
                let unchanged = other.limits == provider.limits
                    && other.connect_timeout == provider.connect_timeout
                    && other.private_addresses == provider.private_addresses
                    && other.base_url == provider.base_url;
                unchanged.then(|| Arc::clone(&view.providers[at]))
            });
            providers.push(match same {
                Some(live) => live,
                None => Arc::new(ProviderLive::new(provider.limits, client::build(provider)?)),
            });
        }
        let learned = earlier.map(|view| (&*view.catalog, &*view.sortings));
        let sortings = Arc::new(sorting::all(&catalog, learned));
        let earlier = earlier.map(|view| &*view.accounts);
        let accounts = Accounts::build(&catalog, &projects, earlier, spent);
        let project = |project: Project| {
            let account = accounts.of_project(project.name.as_str()).cloned();
            (project.name.clone(), Arc::new(ProjectLive::new(project, account)))
        };
        let endpoints: Arc<[_]> = catalog.endpoints.iter().map(endpoint).collect();
        let keys_of = |endpoints: &[Arc<EndpointLive>]| {
            let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
            (0..count).map(EndpointIdx).zip(endpoints).map(|(idx, live)| (live.key(), idx)).collect()
        };
        let by_key = if sharing.is_some() { keys_of(&endpoints) } else { HashMap::new() };
        Ok(Self {
            revision,
            catalog_revision: revision,
            limits,
            open,
            keys,
            projects: Arc::new(projects.into_iter().map(project).collect()),
            accounts: Arc::new(accounts),
            endpoints,
            sortings,
            sharing,
            by_key: Arc::new(by_key),
            providers: providers.into(),
            aliases: catalog.aliases.iter().map(alias).collect(),
            catalog: Arc::new(catalog),
        })
    }

    /// The same with other keys, as another revision.
    #[must_use]
    pub fn with_keys(&self, keys: KeyRing, revision: Revision) -> Self {
        Self { keys, revision, ..self.clone() }
    }
}

/// The current view, and how it is replaced: in two steps, of which only the first can fail.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<View>,
    /// What was used and is not written down yet.
    pub ledger: Arc<Ledger>,
    /// Time, for all who act on the view.
    pub clock: Clock,
    /// Where everything that happens is told.
    pub telemetry: Arc<Telemetry>,
    /// When the view was last replaced, in milliseconds.
    changed_at: AtomicU64,
}

impl Live {
    /// The first view. `sharing`: what other replicas are told and tell, where there are any.
    ///
    /// # Errors
    /// If a provider's client cannot be built.
    pub fn new(
        draft: Draft,
        spent: SpentBefore<'_>,
        clock: Clock,
        sharing: Option<Arc<Sharing>>,
    ) -> Result<Self, ClientError> {
        let view = View::build(draft, None, spent, sharing)?;
        Ok(Self {
            current: ArcSwap::from_pointee(view),
            ledger: Arc::default(),
            clock,
            telemetry: Arc::default(),
            changed_at: AtomicU64::new(clock.now().0),
        })
    }

    /// The view to serve a request by, from its beginning to its end.
    pub fn view(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Builds the next view.
    ///
    /// # Errors
    /// If a provider's client cannot be built.
    pub fn prepare(&self, draft: Draft, spent: SpentBefore<'_>) -> Result<View, ClientError> {
        let view = self.view();
        View::build(draft, Some(&view), spent, view.sharing.clone())
    }

    /// Serves every request from now on by this view; those under way end on the one they
    /// began with.
    pub fn publish(&self, view: View) {
        let (earlier, view) = (self.view(), Arc::new(view));
        if !Arc::ptr_eq(&earlier.catalog, &view.catalog) {
            let now = self.clock.now();
            for (live, endpoint) in view.endpoints.iter().zip(&view.catalog.endpoints) {
                live.change(now, |stats| stats.set_limits(endpoint.limits));
            }
            let ids =
                |view: &View| view.catalog.endpoints.iter().map(|endpoint| endpoint.id.clone()).collect::<Vec<_>>();
            if ids(&earlier) != ids(&view) {
                // Endpoints have other numbers now.
                view.aliases.iter().for_each(|alias| alias.forget_homes());
            }
        }
        self.current.store(view);
        self.changed_at.store(self.clock.now().0, Relaxed);
    }

    /// When the view was last replaced.
    pub fn changed_at(&self) -> UnixMillis {
        UnixMillis(self.changed_at.load(Relaxed))
    }
}
