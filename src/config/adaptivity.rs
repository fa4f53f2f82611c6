//! What may an alias spend on knowing better? `explore`, `give_up_early`, `hedge` and
//! `affinity`.

use super::node::Value;
use super::problem::Report;
use super::read::{Item, Table};
use super::strategy::identity;
use crate::domain::alias::{Adaptivity, Strategy};

pub(super) const FIELDS: &[&str] = &["explore", "give_up_early", "hedge", "affinity"];

/// The largest share that may be spent: beyond a fifth it is no longer an aside.
const MOST: f64 = 0.2;

/// The share of requests sent twice where `hedge = true` does not say how many.
const HEDGE: f64 = 0.04;

/// Reads them from a table whose fields include [`FIELDS`]; what it does not say is as
/// `usual`. `strategy` is `None` where it could not be read.
pub(super) fn read(table: &Table<'_>, strategy: Option<&Strategy>, usual: &Adaptivity, report: &Report) -> Adaptivity {
    if let (Some(item), Some(Strategy::RandomShuffle { sticky_by: Some(_) })) = (table.get("affinity"), strategy) {
        let problem = item.problem("stands beside sticky_by, which says already who stays where");
        report.problem(problem.expected("one of them"));
    }
    Adaptivity {
        explore: table.read("explore", |item| item.number(0.0..=MOST, report)).unwrap_or(usual.explore),
        give_up_early: table.read("give_up_early", |item| item.boolean(report)).unwrap_or(usual.give_up_early),
        hedge: table.read("hedge", |item| hedge(item, report)).unwrap_or(usual.hedge),
        affinity: table.read("affinity", |item| identity(item, report)).or_else(|| usual.affinity.clone()),
    }
}

fn hedge(item: &Item<'_>, report: &Report) -> Option<f64> {
    match item.node.value {
        Value::Bool(true) => Some(HEDGE),
        Value::Bool(false) => Some(0.0),
        Value::Integer(_) | Value::Float(_) => item.number(0.0..=MOST, report),
        _ => {
            let problem = item.problem(format!("is {}", item.node.value.kind()));
            report.problem(problem.expected(format!("true, false or a share of requests from 0 to {MOST}")));
            None
        }
    }
}
