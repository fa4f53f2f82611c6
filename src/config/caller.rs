//! What may a key or a project do, and how much? The fields that both have: scopes,
//! limits and budgets.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::node::Value;
use super::problem::{Problem, Report, one_of};
use super::read::{Item, Table};
use crate::domain::budget::{Budget, Budgets};
use crate::domain::caller::{Only, Rights};
use crate::domain::catalog::Catalog;
use crate::domain::limits::CallerLimits;
use crate::domain::names::NameError;
use crate::domain::nearest::nearest;

/// The fields of scopes, limits and budgets.
pub(super) const FIELDS: &[&str] =
    &["aliases", "models", "providers", "requests_per_minute", "tokens_per_minute", "max_in_flight", "budget"];

/// What names are looked up in.
pub(super) struct Names<'c> {
    catalog: &'c Catalog,
}

impl<'c> Names<'c> {
    pub(super) fn new(catalog: &'c Catalog) -> Self {
        Self { catalog }
    }

    /// The scopes of a table whose fields include [`FIELDS`], by the names that things have
    /// themselves.
    pub(super) fn rights(&self, table: &Table<'_>, report: &Report) -> Rights {
        Rights {
            aliases: only(table, "aliases", report, |item, name| self.alias(item, name)),
            models: only(table, "models", report, |item, name| self.model(item, name)),
            providers: only(table, "providers", report, |item, name| self.provider(item, name)),
        }
    }

    fn alias(&self, item: &Item<'_>, name: &str) -> Result<String, Problem> {
        let found = self.catalog.resolve(name).map(|alias| self.catalog.alias(alias).name.to_string());
        found.map_err(|error| unknown(item, "alias or model", name, error))
    }

    fn model(&self, item: &Item<'_>, name: &str) -> Result<String, Problem> {
        let found = self.catalog.model_names.resolve(name).map(|model| self.catalog.models[model].id.to_string());
        found.map_err(|error| unknown(item, "model that is served", name, error))
    }

    fn provider(&self, item: &Item<'_>, name: &str) -> Result<String, Problem> {
        let ids = || self.catalog.providers.iter().map(|provider| provider.id.as_str());
        match ids().find(|id| *id == name) {
            Some(id) => Ok(id.to_owned()),
            None => Err(unknown(item, "provider", name, NameError::Unknown { nearest: nearest(name, ids()) })),
        }
    }
}

fn unknown(item: &Item<'_>, what: &str, name: &str, error: NameError) -> Problem {
    match error {
        NameError::Unknown { nearest } => item.problem(format!("no {what} {name:?}")).suggest(nearest),
        NameError::Ambiguous { candidates } => {
            item.problem(format!("{name:?} may mean several models")).expected(one_of(&candidates))
        }
    }
}

fn only(
    table: &Table<'_>,
    field: &'static str,
    report: &Report,
    find: impl Fn(&Item<'_>, &str) -> Result<String, Problem>,
) -> Only {
    let item = table.get(field)?;
    let names = item.texts(report);
    if names.is_empty() && matches!(&item.node.value, Value::Array(list) if list.is_empty()) {
        report.warn(item.problem("is empty: nothing may be called"));
    }
    let mut found = BTreeSet::new();
    for (item, name) in names {
        match find(&item, name) {
            Ok(name) => {
                found.insert(name.into_boxed_str());
            }
            Err(problem) => report.problem(problem),
        }
    }
    Some(Arc::new(found))
}

/// The limits of a table whose fields include [`FIELDS`].
pub(super) fn limits(table: &Table<'_>, report: &Report) -> CallerLimits {
    let count = |field| table.read(field, |item| item.count(1..=u32::MAX, report)).and_then(NonZeroU32::new);
    CallerLimits {
        requests_per_minute: count("requests_per_minute"),
        tokens_per_minute: count("tokens_per_minute"),
        max_in_flight: count("max_in_flight").map(NonZeroU32::get),
        budgets: budgets(table, report),
    }
}

/// Budgets: one, or a list of at most one for each period.
pub(super) fn budgets(table: &Table<'_>, report: &Report) -> Budgets {
    let mut budgets = Budgets::default();
    let Some(item) = table.get("budget") else { return budgets };
    let texts = match &item.node.value {
        Value::Array(_) => item.texts(report),
        _ => item.text(report).map(|text| (item.clone(), text)).into_iter().collect(),
    };
    for (item, text) in texts {
        match text.parse::<Budget>() {
            Ok(budget) => {
                if budgets.insert(budget).is_err() {
                    report.problem(item.problem(format!("there is a budget for the {} already", budget.period)));
                }
            }
            Err(error) => {
                let form = "an amount and a period such as \"$50/day\", \"$300/week\" or \"$1000/month\"";
                report.problem(item.problem(error.to_string()).expected(form));
            }
        }
    }
    budgets
}
