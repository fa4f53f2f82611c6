//! Which targets does an alias or a category have? `targets`, and what is wrong with them
//! together.

use std::collections::HashSet;

use super::read::{Item, Table};
use super::target::Reader;
use crate::domain::alias::{Strategy, Target};

impl Reader<'_> {
    /// The targets of a table, at least one. `strategy` is `None` where it could not be read.
    pub(super) fn targets(&self, table: &Table<'_>, strategy: Option<&Strategy>) -> Vec<Target> {
        let report = self.report;
        let item = match strategy {
            // Of a strategy that nobody knows, nobody knows where its targets are.
            None => table.get("targets"),
            Some(_) => table.require("targets", report),
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
            self.target(&item, strategy, position)
        };
        let targets: Vec<Target> = items.into_iter().enumerate().filter_map(read).collect();
        if targets.len() == count {
            self.check_some_can_be_chosen(&item, &targets);
            self.check_some_are_equal(table, strategy, &targets);
        }
        targets
    }

    /// What `within` orders are targets of equal rank, and a target's endpoints.
    fn check_some_are_equal(&self, table: &Table<'_>, strategy: Option<&Strategy>, targets: &[Target]) {
        if let Some(Strategy::Priority { within: Some(_) }) = strategy
            && let Some(item) = table.get("within")
            && targets.iter().all(|target| target.endpoints.len() <= 1)
            && targets.iter().map(|target| target.rank).collect::<HashSet<_>>().len() == targets.len()
        {
            self.report.warn(item.problem("has no effect: no two targets have the same rank"));
        }
    }

    fn check_some_can_be_chosen(&self, item: &Item<'_>, targets: &[Target]) {
        if !targets.iter().any(|target| target.enabled) {
            self.report.warn(item.problem("every target is switched off"));
        } else if !targets.iter().any(|target| target.enabled && (target.weight > 0.0 || target.last_resort)) {
            let problem = item.problem("every target has weight 0, so none is ever chosen");
            self.report.problem(problem.expected("a weight above 0, or last_resort = true, in one of them"));
        }
    }
}
