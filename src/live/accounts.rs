//! Whose limits and budgets does a view have, and which of them does a request touch?
//!
//! An account exists only where something is limited. It outlives edits of the
//! configuration: what was used and spent is not forgotten with a limit that changes.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::domain::alias::{Alias, Target};
use crate::domain::budget::Budgets;
use crate::domain::catalog::Catalog;
use crate::domain::limits::CallerLimits;
use crate::domain::project::Project;
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
    /// Whether anybody but projects has one; most often nobody has.
    beyond_projects: bool,
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
            if let Some(account) = account(owner.clone(), limits, before, spent) {
                accounts.beyond_projects |= owner.kind != Kind::Project;
                accounts.by_owner.insert(owner, account);
            }
        };
        for project in projects {
            add(Owner::new(Kind::Project, project.name.as_str()), project.limits);
        }
        for provider in catalog.providers.iter().filter(|provider| !provider.budgets.is_empty()) {
            add(Owner::new(Kind::Provider, provider.id.as_str()), of(provider.budgets));
        }
        for alias in &catalog.aliases {
            if !alias.budgets.is_empty() {
                add(Owner::new(Kind::Alias, alias.name.as_str()), of(alias.budgets));
            }
            for target in alias.targets.iter().filter(|target| !target.budgets.is_empty()) {
                let model = catalog.model(target.model).id.as_str();
                add(target_owner(alias.name.as_str(), model), of(target.budgets));
            }
        }
        accounts
    }

    /// The account of somebody, if it is limited.
    pub fn get(&self, owner: &Owner) -> Option<&Arc<Account>> {
        self.by_owner.get(owner)
    }

    /// The account of a project, if it is limited.
    pub fn project(&self, name: &str) -> Option<&Arc<Account>> {
        if self.by_owner.is_empty() { None } else { self.get(&Owner::new(Kind::Project, name)) }
    }

    /// Those of an alias, one of its targets and its provider, as far as they are limited. A
    /// last resort goes on when the budget of the alias is used up.
    pub(super) fn touched(&self, catalog: &Catalog, alias: &Alias, target: &Target, provider: &str) -> Touched {
        let mut touched = Touched::new();
        if !self.beyond_projects {
            return touched;
        }
        let mut touch = |owner: &Owner| touched.extend(self.get(owner).cloned());
        if !target.last_resort && !alias.budgets.is_empty() {
            touch(&Owner::new(Kind::Alias, alias.name.as_str()));
        }
        if !target.budgets.is_empty() {
            touch(&target_owner(alias.name.as_str(), catalog.model(target.model).id.as_str()));
        }
        touch(&Owner::new(Kind::Provider, provider));
        touched
    }
}

fn of(budgets: Budgets) -> CallerLimits {
    CallerLimits { budgets, ..CallerLimits::NONE }
}
