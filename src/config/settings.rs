//! How may a request be served, whoever's targets serve it? Limits, fallbacks, a highest price:
//! what an alias says for all of its categories, and a category for itself.

use std::time::Duration;

use super::problem::Report;
use super::read::{Item, Table};
use super::{adaptivity, price};
use crate::domain::alias::{Adaptivity, Alias, FallbackPolicy, MaxPrice, RequestLimits, Strategy};
use crate::domain::budget::Budgets;
use crate::domain::ids::AliasName;

/// The fields, those of [`adaptivity`] apart.
pub(super) const FIELDS: &[&str] = &[
    "max_attempts",
    "first_token_timeout",
    "answer_timeout",
    "deadline",
    "total_timeout",
    "stream_idle_timeout",
    "fallback",
    "drop_unsupported",
    "max_price",
];
pub(super) const FALLBACK_FIELDS: &[&str] = &["any_error", "content_policy"];

const MOMENT: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads a time limit on a request.
pub(super) fn limit(item: &Item<'_>, report: &Report) -> Option<Duration> {
    item.duration(MOMENT..=DAY, report)
}

/// The settings of an alias or a category.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    limits: RequestLimits,
    fallback: FallbackPolicy,
    max_price: Option<MaxPrice>,
    adaptivity: Adaptivity,
    drop_unsupported: bool,
}

impl Settings {
    /// Those of an alias, for its categories.
    pub(super) fn of(alias: &Alias) -> Self {
        Self {
            limits: alias.limits,
            fallback: alias.fallback,
            max_price: alias.max_price,
            adaptivity: alias.adaptivity.clone(),
            drop_unsupported: alias.drop_unsupported,
        }
    }

    /// An alias with these settings and nothing else.
    pub(super) fn alias(self, name: AliasName) -> Alias {
        Alias {
            name,
            strategy: Strategy::Priority { within: None },
            targets: Vec::new(),
            limits: self.limits,
            fallback: self.fallback,
            max_price: self.max_price,
            adaptivity: self.adaptivity,
            projects: None,
            budgets: Budgets::default(),
            direct: false,
            drop_unsupported: self.drop_unsupported,
            group: None,
        }
    }
}

/// Reads them from a table whose fields include [`FIELDS`] and those of [`adaptivity`]; what
/// it does not say is as `usual`. `strategy` is `None` where it could not be read, or orders
/// no targets.
pub(super) fn read(table: &Table<'_>, strategy: Option<&Strategy>, usual: &Settings, report: &Report) -> Settings {
    let fallback = table.read("fallback", |item| item.table(FALLBACK_FIELDS, report));
    let policy = |field, usual| {
        let flag = fallback.as_ref().and_then(|table| table.read(field, |item| item.boolean(report)));
        flag.unwrap_or(usual)
    };
    let mut adaptivity = adaptivity::read(table, strategy, &usual.adaptivity, report);
    if matches!(strategy, Some(Strategy::RandomShuffle { sticky_by: Some(_) })) {
        // Who stays where is said already; said here as well, it is a problem.
        adaptivity.affinity = None;
    }
    Settings {
        limits: limits(table, &usual.limits, report),
        fallback: FallbackPolicy {
            any_error: policy("any_error", usual.fallback.any_error),
            content_policy: policy("content_policy", usual.fallback.content_policy),
        },
        max_price: table.read("max_price", |item| price::read_max(item, report)).or(usual.max_price),
        adaptivity,
        drop_unsupported: table.read("drop_unsupported", |item| item.boolean(report)).unwrap_or(usual.drop_unsupported),
    }
}

fn limits(table: &Table<'_>, usual: &RequestLimits, report: &Report) -> RequestLimits {
    let time = |field, usual| table.read(field, |item| limit(item, report)).unwrap_or(usual);
    let limits = RequestLimits {
        max_attempts: table.read("max_attempts", |item| item.count(1..=20, report)).unwrap_or(usual.max_attempts),
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
        if let Some(item) = table.get(inner)
            && inner_limit > outer_limit
        {
            report.warn(item.problem(format!("is longer than {outer}, which ends the request first")));
        }
    }
    limits
}
