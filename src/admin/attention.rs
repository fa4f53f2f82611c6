//! What wants somebody's attention?

use std::time::Duration;

use super::health::{apart, named, servable, standing_of};
use super::overview::configured;
use crate::api::traffic::{Attention, Severity};
use crate::control::Control;
use crate::domain::alias::{Alias, Strategy};
use crate::domain::ids::AliasIdx;
use crate::domain::time::UnixMillis;
use crate::live::View;
use crate::stats::traffic::{SLICE, SLICES};

/// Nobody reads more.
const MOST: usize = 50;

/// A budget is near its end when this part of it is gone.
const NEAR: f64 = 0.8;

/// After so many requests a target that got none stands out.
const MANY: u32 = 100;

/// Everything that does, what matters most first.
pub fn attention(view: &View, control: &Control, now: UnixMillis) -> Vec<Attention> {
    let mut all = Vec::new();
    for (idx, alias) in configured(view) {
        if !servable(view, alias, now) {
            let message = format!("no target of `{}` can be used now", alias.name);
            all.push(Attention {
                alias: Some(alias.name.to_string()),
                ..one(Severity::Critical, "unservable", alias.name.as_str(), message)
            });
        }
        all.extend(never_chosen(view, idx, alias, now));
    }
    if let Some(why) = control.store_failing() {
        let message = format!("usage is kept in memory, since it cannot be written down: {why}");
        all.push(one(Severity::Critical, "store", "store", message));
    }
    if let Some(why) = control.fleet.as_ref().and_then(|fleet| apart(fleet, now)) {
        all.push(one(Severity::Warning, "redis", "redis", why));
    }
    for provider in view.catalog.providers.iter().filter(|provider| provider.enabled) {
        if let Some(why) = &provider.unusable {
            all.push(one(Severity::Warning, "key_missing", provider.id.as_str(), why.clone()));
        }
    }
    all.extend(view.all_accounts().iter().flat_map(|account| budgets(account, now)));
    let mut endpoints: Vec<_> = named(view).into_iter().collect();
    endpoints.sort_unstable_by_key(|idx| idx.0);
    for idx in endpoints {
        let target = view.catalog.endpoint(idx).id.as_str();
        let standing = standing_of(view, idx, now);
        let back =
            standing.back_in_ms.map_or(String::new(), |ms| format!("; it is tried again in {} s", ms.div_ceil(1000)));
        match (standing.state, standing.cause) {
            ("open", cause) => {
                let why = cause.unwrap_or("it failed too often");
                all.push(one(Severity::Warning, "breaker_open", target, format!("left out: {why}{back}")));
            }
            ("rate_limited", _) => {
                all.push(one(Severity::Info, "rate_limited", target, format!("its provider asked to wait{back}")));
            }
            _ => {}
        }
    }
    all.sort_by_key(|one| one.severity);
    all.truncate(MOST);
    all
}

fn one(severity: Severity, kind: &str, subject: &str, message: String) -> Attention {
    Attention { severity, kind: kind.to_owned(), subject: subject.to_owned(), alias: None, message }
}

/// Targets that may be chosen, and never were while many requests came. Under `priority` that
/// is what they are there for.
fn never_chosen(view: &View, idx: AliasIdx, alias: &Alias, now: UnixMillis) -> Option<Attention> {
    if matches!(alias.strategy, Strategy::Priority { .. }) {
        return None;
    }
    let whole = SLICE * SLICES as u32;
    let sum = view.alias(idx).traffic(|traffic| traffic.sum(whole, now));
    if sum.requests < MANY {
        return None;
    }
    let drawn = matches!(alias.strategy, Strategy::RandomShuffle { .. });
    let meant =
        alias.targets.iter().filter(|target| target.enabled && !target.last_resort && (!drawn || target.weight > 0.0));
    let idle: Vec<&str> = meant
        .filter(|target| {
            let ids = target.endpoints.iter().map(|idx| &view.catalog.endpoint(*idx).id);
            let parts = ids.filter_map(|id| sum.parts.iter().find(|part| part.endpoint == *id));
            parts.map(|part| part.served).sum::<u32>() == 0
        })
        .map(|target| view.catalog.models[target.model.get()].id.as_str())
        .collect();
    if idle.is_empty() {
        return None;
    }
    let minutes = whole.as_secs() / 60;
    let message = format!("{} served none of {} requests in {minutes} minutes", idle.join(", "), sum.requests);
    let name = alias.name.as_str();
    Some(Attention { alias: Some(name.to_owned()), ..one(Severity::Info, "never_chosen", name, message) })
}

fn budgets(account: &crate::limits::Account, now: UnixMillis) -> Vec<Attention> {
    let owner = account.owner();
    let subject = format!("{} {}", owner.kind.as_str(), owner.name);
    let left = account.standing(now).budgets;
    let tell = |left: &crate::limits::BudgetLeft| {
        let gone = 1.0 - left.remaining.as_usd() / left.budget.amount.as_usd();
        let again = in_words(left.resets_at.since(now));
        let (severity, kind, message) = match gone {
            gone if gone >= 1.0 => {
                let message = format!("its budget of {} is spent; it begins anew in {again}", left.budget);
                (Severity::Critical, "budget_spent", message)
            }
            gone if gone >= NEAR => {
                let message = format!(
                    "{:.0} % of its budget of {} are gone; it begins anew in {again}",
                    gone * 100.0,
                    left.budget
                );
                (Severity::Warning, "budget_near", message)
            }
            // A budget of nothing is meant.
            _ => return None,
        };
        Some(one(severity, kind, &subject, message))
    };
    left.iter().filter_map(tell).collect()
}

fn in_words(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    match minutes {
        0..=99 => format!("{minutes} min"),
        100..=5999 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        for (s, text) in [(0, "0 min"), (61, "2 min"), (7200, "2 h"), (700_000, "8 days")] {
            assert_eq!(in_words(Duration::from_secs(s)), text);
        }
    }

    #[test]
    fn what_matters_most_comes_first() {
        let mut all = [Severity::Info, Severity::Critical, Severity::Warning];
        all.sort_unstable();
        assert_eq!(all, [Severity::Critical, Severity::Warning, Severity::Info]);
    }
}
