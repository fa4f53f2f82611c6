//! What do callers name, and how does it become an endpoint? `[[aliases]]`, and one more
//! for every model that may be called directly.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::model::Models;
use super::problem::Report;
use super::project::ProjectNames;
use super::provider::Providers;
use super::read::{Item, Table, together};
use super::{adaptivity, caller, price, strategy, target};
use crate::domain::alias::{Adaptivity, Alias, FallbackPolicy, ParamOverrides, RequestLimits, Strategy, Target};
use crate::domain::budget::Budgets;
use crate::domain::catalog::{Catalog, Model};
use crate::domain::ids::{AliasIdx, AliasName, ModelIdx, ProjectName};
use crate::domain::names::NameIndex;

/// What is the alias's own; the rest are options that others may have too.
pub(super) const OWN_FIELDS: &[&str] = &[
    "name",
    "strategy",
    "targets",
    "max_attempts",
    "first_token_timeout",
    "answer_timeout",
    "deadline",
    "total_timeout",
    "stream_idle_timeout",
    "fallback",
    "drop_unsupported",
    "max_price",
    "projects",
    "budget",
];
const FIELDS: &[&str] = &together::<{ OWN_FIELDS.len() + adaptivity::FIELDS.len() + strategy::OPTIONS.len() }>(&[
    OWN_FIELDS,
    adaptivity::FIELDS,
    strategy::OPTIONS,
]);
pub(super) const FALLBACK_FIELDS: &[&str] = &["any_error", "content_policy"];

/// What may be in an alias's name beside letters and digits.
pub(super) const NAME_MARKS: &[char] = &['-', '_', '.', '/', ':', '~'];

/// Names that begin with this word and a slash are kept for ourselves, and so is the word.
const RESERVED: &str = "pointsman";

const MOMENT: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads a time limit on a request.
pub(super) fn limit(item: &Item<'_>, report: &Report) -> Option<Duration> {
    item.duration(MOMENT..=DAY, report)
}

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
            let Some(alias) = (Reader { table, around: self }).alias(&aliases.by_name) else { continue };
            aliases.by_name.insert(alias.name.as_str().into(), index(aliases.list.len()));
            aliases.list.push(alias);
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
fn index(position: usize) -> AliasIdx {
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
    }
}

/// One entry while it is read.
struct Reader<'r, 'n> {
    table: Table<'n>,
    around: Around<'r>,
}

impl Reader<'_, '_> {
    /// The alias, unless its name is missing or taken. What else is wrong is reported and
    /// replaced by a default.
    fn alias(&self, others: &HashMap<Box<str>, AliasIdx>) -> Option<Alias> {
        let report = self.around.report;
        let name = self.name(others);
        let strategy = strategy::read(&self.table, report);
        let targets = self.targets(strategy.as_ref());
        let fallback = self.table.read("fallback", |item| item.table(FALLBACK_FIELDS, report));
        let policy = |field| {
            let flag = fallback.as_ref().and_then(|table| table.read(field, |item| item.boolean(report)));
            flag.unwrap_or_default()
        };
        Some(Alias {
            limits: self.limits(),
            fallback: FallbackPolicy { any_error: policy("any_error"), content_policy: policy("content_policy") },
            max_price: self.table.read("max_price", |item| price::read_max(item, report)),
            adaptivity: adaptivity::read(&self.table, strategy.as_ref(), report),
            projects: self.table.get("projects").map(|item| self.projects(&item)),
            budgets: caller::budgets(&self.table, report),
            direct: false,
            drop_unsupported: self.table.read("drop_unsupported", |item| item.boolean(report)).unwrap_or_default(),
            name: AliasName::new(name?),
            strategy: strategy.unwrap_or(Strategy::Priority { within: None }),
            targets,
        })
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

    fn targets(&self, strategy: Option<&Strategy>) -> Vec<Target> {
        let report = self.around.report;
        let item = match strategy {
            // A strategy of another version may have its targets elsewhere.
            None => self.table.get("targets"),
            Some(_) => self.table.require("targets", report),
        };
        let Some((item, items)) =
            item.and_then(|item| Some((item.list(report)?, item))).map(|(list, item)| (item, list))
        else {
            return Vec::new();
        };
        if items.is_empty() {
            report.problem(item.problem("is empty").expected("at least one { model = … }"));
            return Vec::new();
        }
        let count = items.len();
        let read = |(position, item): (usize, Item<'_>)| {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            target::Reader { providers: self.around.providers, models: self.around.models, report }
                .target(&item, strategy, position)
        };
        let targets: Vec<Target> = items.into_iter().enumerate().filter_map(read).collect();
        if targets.len() == count {
            self.check_some_can_be_chosen(&item, &targets);
            self.check_some_are_equal(strategy, &targets);
        }
        targets
    }

    /// What `within` orders are targets of equal rank, and a target's endpoints.
    fn check_some_are_equal(&self, strategy: Option<&Strategy>, targets: &[Target]) {
        if let Some(Strategy::Priority { within: Some(_) }) = strategy
            && let Some(item) = self.table.get("within")
            && targets.iter().all(|target| target.endpoints.len() <= 1)
            && targets.iter().map(|target| target.rank).collect::<HashSet<_>>().len() == targets.len()
        {
            self.around.report.warn(item.problem("has no effect: no two targets have the same rank"));
        }
    }

    fn check_some_can_be_chosen(&self, item: &Item<'_>, targets: &[Target]) {
        if !targets.iter().any(|target| target.enabled) {
            self.around.report.warn(item.problem("every target is switched off"));
        } else if !targets.iter().any(|target| target.enabled && (target.weight > 0.0 || target.last_resort)) {
            let problem = item.problem("every target has weight 0, so none is ever chosen");
            self.around.report.problem(problem.expected("a weight above 0, or last_resort = true, in one of them"));
        }
    }

    fn limits(&self) -> RequestLimits {
        let usual = RequestLimits::default();
        let time = |field, usual| self.table.read(field, |item| limit(item, self.around.report)).unwrap_or(usual);
        let limits = RequestLimits {
            max_attempts: self
                .table
                .read("max_attempts", |item| item.count(1..=20, self.around.report))
                .unwrap_or(usual.max_attempts),
            first_token_timeout: time("first_token_timeout", usual.first_token_timeout),
            answer_timeout: time("answer_timeout", usual.answer_timeout),
            deadline: time("deadline", usual.deadline),
            total_timeout: time("total_timeout", usual.total_timeout),
            stream_idle_timeout: time("stream_idle_timeout", usual.stream_idle_timeout),
        };
        // The longer one never comes to bear.
        let nested = [
            ("first_token_timeout", limits.first_token_timeout, "deadline", limits.deadline),
            ("deadline", limits.deadline, "total_timeout", limits.total_timeout),
        ];
        for (inner, inner_limit, outer, outer_limit) in nested {
            if let Some(item) = self.table.get(inner)
                && inner_limit > outer_limit
            {
                self.around.report.warn(item.problem(format!("is longer than {outer}, which ends the request first")));
            }
        }
        limits
    }
}
