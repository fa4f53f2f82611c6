//! What do callers name, and how does it become an endpoint? `[[aliases]]`, and one more
//! for every model that may be called directly.

use std::collections::HashMap;

use super::model::Models;
use super::problem::Report;
use super::project::ProjectNames;
use super::provider::Providers;
use super::read::{Item, Table, together};
use super::settings::{self, Settings};
use super::{adaptivity, caller, category, strategy, target};
use crate::domain::alias::{Adaptivity, Alias, FallbackPolicy, ParamOverrides, RequestLimits, Strategy, Target};
use crate::domain::budget::Budgets;
use crate::domain::catalog::{Catalog, Model};
use crate::domain::ids::{AliasIdx, AliasName, ModelIdx, ProjectName};
use crate::domain::names::NameIndex;

/// What is the alias's own; the rest are options that others may have too.
pub(super) const OWN_FIELDS: &[&str] = &together::<{ 5 + settings::FIELDS.len() }>(&[
    &["name", "strategy", "targets"],
    settings::FIELDS,
    &["projects", "budget"],
]);
const FIELDS: &[&str] = &together::<
    { OWN_FIELDS.len() + adaptivity::FIELDS.len() + strategy::OPTIONS.len() + category::ALIAS_FIELDS.len() },
>(&[OWN_FIELDS, adaptivity::FIELDS, strategy::OPTIONS, category::ALIAS_FIELDS]);
/// What may be in an alias's name beside letters and digits.
pub(super) const NAME_MARKS: &[char] = &['-', '_', '.', '/', ':', '~'];

/// Names that begin with this word and a slash are kept for ourselves, and so is the word.
const RESERVED: &str = "pointsman";

/// What aliases are read against.
#[derive(Clone, Copy)]
pub(super) struct Around<'r> {
    pub(super) providers: &'r Providers,
    pub(super) models: &'r Models,
    pub(super) projects: &'r ProjectNames,
    pub(super) report: &'r Report,
}

/// The aliases of a configuration, and where each is by its name.
#[derive(Default)]
pub(super) struct Aliases {
    list: Vec<Alias>,
    by_name: HashMap<Box<str>, AliasIdx>,
}

impl Around<'_> {
    /// Reads `[[aliases]]`.
    pub(super) fn aliases(self, item: Option<&Item<'_>>) -> Aliases {
        let mut aliases = Aliases::default();
        for item in item.and_then(|item| item.list(self.report)).unwrap_or_default() {
            let item = item.named_by("aliases", "name");
            let Some(table) = item.table(FIELDS, self.report) else { continue };
            let first = index(aliases.list.len());
            let Some(read) = (Reader { table, around: self }).alias(&aliases.by_name, first) else { continue };
            let (alias, groups) = read;
            aliases.by_name.insert(alias.name.as_str().into(), first);
            aliases.list.push(alias);
            aliases.list.extend(groups);
        }
        aliases
    }
}

/// Puts the catalog together.
pub(super) fn catalog(aliases: Aliases, providers: Providers, models: Models, direct_models: bool) -> Catalog {
    let mut catalog = Catalog {
        providers: providers.list,
        models: models.models,
        endpoints: models.endpoints,
        aliases: aliases.list,
        alias_by_name: aliases.by_name,
        model_names: NameIndex::default(),
    };
    catalog.model_names = NameIndex::new(catalog.models.iter().map(|model| model.id.as_str()));
    if direct_models {
        add_direct_aliases(&mut catalog);
    }
    catalog
}

/// Indexes count aliases of one configuration, far below u32::MAX.
pub(super) fn index(position: usize) -> AliasIdx {
    AliasIdx(position as u32)
}

fn add_direct_aliases(catalog: &mut Catalog) {
    for (model, idx) in catalog.models.iter().zip(0..).filter(|(model, _)| !model.hidden) {
        let id = model.id.as_str();
        if !catalog.alias_by_name.contains_key(id) {
            catalog.alias_by_name.insert(id.into(), index(catalog.aliases.len()));
            catalog.aliases.push(direct_alias(model, ModelIdx(idx)));
        }
    }
}

/// One target with all the model's endpoints, as equals.
fn direct_alias(model: &Model, idx: ModelIdx) -> Alias {
    Alias {
        name: AliasName::new(model.id.as_str()),
        strategy: Strategy::Priority { within: None },
        targets: vec![Target {
            model: idx,
            endpoints: model.endpoints.clone(),
            ordered: 0,
            rank: 0,
            weight: 1.0,
            last_resort: false,
            enabled: true,
            params: ParamOverrides::default(),
            first_token_timeout: None,
            budgets: Budgets::default(),
        }],
        projects: None,
        budgets: Budgets::default(),
        limits: RequestLimits::default(),
        fallback: FallbackPolicy::default(),
        max_price: None,
        adaptivity: Adaptivity::default(),
        direct: true,
        drop_unsupported: false,
        group: None,
    }
}

/// One entry while it is read.
struct Reader<'r, 'n> {
    table: Table<'n>,
    around: Around<'r>,
}

impl Reader<'_, '_> {
    /// The alias, which stands at `first`, and those of its categories, which stand behind
    /// it; nothing if its name is missing or taken. What else is wrong is reported and
    /// replaced by a default.
    fn alias(&self, others: &HashMap<Box<str>, AliasIdx>, first: AliasIdx) -> Option<(Alias, Vec<Alias>)> {
        let (table, report) = (&self.table, self.around.report);
        let name = self.name(others);
        let of_alias = strategy::read(table, report);
        let of_categories = matches!(of_alias, Some(strategy::OfAlias::Category));
        let strategy = of_alias.and_then(|of_alias| match of_alias {
            strategy::OfAlias::Orders(strategy) => Some(strategy),
            strategy::OfAlias::Category => None,
        });
        let mut targets = Vec::new();
        if of_categories {
            category::check_no_targets(table, report);
        } else {
            category::check_no_categories(table, strategy.as_ref(), report);
            let reader = target::Reader { providers: self.around.providers, models: self.around.models, report };
            targets = reader.targets(table, strategy.as_ref());
        }
        let settings = settings::read(table, strategy.as_ref(), &Settings::default(), report);
        let projects = table.get("projects").map(|item| self.projects(&item));
        let budgets = caller::budgets(table, report);
        let mut alias = Alias {
            strategy: strategy.unwrap_or(Strategy::Priority { within: None }),
            targets,
            projects,
            budgets,
            ..settings.alias(AliasName::new(name.unwrap_or_default()))
        };
        let mut groups = Vec::new();
        if of_categories {
            let (grouping, read) = category::Reader { table, around: self.around, alias: &alias, first }.read();
            alias.strategy = Strategy::Category(Box::new(grouping));
            groups = read;
        }
        name.map(|_| (alias, groups))
    }

    fn name(&self, others: &HashMap<Box<str>, AliasIdx>) -> Option<&str> {
        let item = self.table.require("name", self.around.report)?;
        let name = item.name(NAME_MARKS, self.around.report)?;
        if name == RESERVED || name.strip_prefix(RESERVED).is_some_and(|rest| rest.starts_with('/')) {
            self.around.report.problem(item.problem(format!("{name:?} is reserved")).expected("another name"));
        }
        if others.contains_key(name) {
            self.around.report.problem(item.problem(format!("there is an alias {name:?} already")));
            return None;
        }
        if self.around.models.is_served(name) {
            let warning = "is the id of a model too; callers who name it get this alias";
            self.around.report.warn(item.problem(warning));
        }
        Some(name)
    }

    /// Whose keys may call it.
    fn projects(&self, item: &Item<'_>) -> Vec<ProjectName> {
        let report = self.around.report;
        let named = item.texts(report);
        if named.is_empty() {
            report.warn(item.problem("is empty: no key may call it"));
        }
        named.iter().filter_map(|(item, name)| self.around.projects.find(item, name, report)).collect()
    }
}
