//! Whose limits and budgets does a view have, and which of them does a request touch?
//!
//! An account exists only where something is limited. It outlives edits of the
//! configuration: what was used and spent is not forgotten with a limit that changes.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::domain::alias::{Alias, Target};
use crate::domain::budget::Budgets;
use crate::domain::catalog::{Catalog, Endpoint};
use crate::domain::ids::{AliasName, ModelIdx};
use crate::domain::limits::CallerLimits;
use crate::domain::project::Project;
use crate::domain::provider::Provider;
use crate::domain::spent::Spent;
use crate::limits::{Account, Kind, Owner};

/// What was spent by somebody before there was an account for it.
pub type SpentBefore<'a> = &'a dyn Fn(&Owner) -> Spent;

/// The accounts that an attempt touches.
pub type Touched = SmallVec<[Arc<Account>; 4]>;

/// The accounts of a view, those of keys apart.
#[derive(Debug, Default)]
pub struct Accounts {
    by_owner: HashMap<Owner, Arc<Account>>,
    /// By [`ProviderIdx`](crate::domain::ids::ProviderIdx).
    providers: Vec<Option<Arc<Account>>>,
    /// Of aliases that have a budget, or targets that have.
    aliases: HashMap<AliasName, OfAlias>,
}

/// Those of one alias.
#[derive(Debug, Default)]
struct OfAlias {
    own: Option<Arc<Account>>,
    targets: Vec<(ModelIdx, Arc<Account>)>,
}

/// The account of somebody under these limits, if there are any; `earlier` is the one that
/// it had before.
pub fn account(
    owner: Owner,
    limits: CallerLimits,
    earlier: Option<&Arc<Account>>,
    spent: SpentBefore<'_>,
) -> Option<Arc<Account>> {
    if limits.is_empty() {
        return None;
    }
    Some(match earlier {
        Some(earlier) if *earlier.limits() == limits => Arc::clone(earlier),
        Some(earlier) => Arc::new(earlier.with_limits(limits)),
        None => {
            let spent = spent(&owner);
            Arc::new(Account::new(owner, limits, spent))
        }
    })
}

/// The name under which a target is accounted for: neither part has a blank in it.
pub fn target_owner(alias: &str, model: &str) -> Owner {
    Owner::new(Kind::Target, format!("{alias} {model}"))
}

impl Accounts {
    /// Those of a configuration.
    pub(super) fn build(
        catalog: &Catalog,
        projects: &[Project],
        earlier: Option<&Self>,
        spent: SpentBefore<'_>,
    ) -> Self {
        let mut accounts = Self::default();
        let mut add = |owner: Owner, limits: CallerLimits| {
            let before = earlier.and_then(|earlier| earlier.by_owner.get(&owner));
            let account = account(owner.clone(), limits, before, spent)?;
            accounts.by_owner.insert(owner, Arc::clone(&account));
            Some(account)
        };
        for project in projects {
            add(Owner::new(Kind::Project, project.name.as_str()), project.limits);
        }
        let mut provider =
            |provider: &Provider| add(Owner::new(Kind::Provider, provider.id.as_str()), of(provider.budgets));
        let providers = catalog.providers.iter().map(&mut provider).collect();
        let mut aliases: HashMap<AliasName, OfAlias> = HashMap::new();
        for alias in catalog.aliases.iter().filter(|alias| has_budgets(alias)) {
            // Those of its categories count under its name; the alias itself comes first.
            let own = alias.group.is_none().then_some(Owner::new(Kind::Alias, alias.name.as_str()));
            let own = own.and_then(|owner| add(owner, of(alias.budgets)));
            let mut target = |target: &Target| {
                let owner = target_owner(alias.name.as_str(), catalog.model(target.model).id.as_str());
                Some((target.model, add(owner, of(target.budgets))?))
            };
            let of_alias = aliases.entry(alias.name.clone()).or_default();
            of_alias.own = own.or(of_alias.own.take());
            of_alias.targets.extend(alias.targets.iter().filter_map(&mut target));
        }
        Self { providers, aliases, ..accounts }
    }

    /// Whether nobody but keys can be limited.
    pub(super) fn is_empty(&self) -> bool {
        self.by_owner.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.by_owner.values()
    }

    /// The account of a project, if it is limited.
    pub fn of_project(&self, name: &str) -> Option<&Arc<Account>> {
        self.by_owner.get(&Owner::new(Kind::Project, name))
    }

    /// Those of an alias, one of its targets and its provider, as far as they are limited. A
    /// last resort goes on when the budget of the alias is used up.
    pub(super) fn touched(&self, alias: &Alias, target: &Target, at: &Endpoint) -> Touched {
        let mut touched = Touched::new();
        if !self.aliases.is_empty()
            && let Some(of_alias) = self.aliases.get(alias.name.as_str())
        {
            touched.extend(of_alias.own.clone().filter(|_| !target.last_resort));
            let own = of_alias.targets.iter().find(|(model, _)| *model == target.model);
            touched.extend(own.map(|(_, account)| Arc::clone(account)));
        }
        touched.extend(self.providers[at.provider.get()].clone());
        touched
    }
}

fn has_budgets(alias: &Alias) -> bool {
    !alias.budgets.is_empty() || alias.targets.iter().any(|target| !target.budgets.is_empty())
}

fn of(budgets: Budgets) -> CallerLimits {
    CallerLimits { budgets, ..CallerLimits::NONE }
}
