//! What does an endpoint cost, and what may it cost? `usd_per_mtok` and `max_price`, in US
//! dollars per million tokens.

use super::problem::Report;
use super::read::{Item, Table};
use crate::domain::alias::MaxPrice;
use crate::domain::money::{PicoUsd, Prices, Rates, Tier};

pub(super) const FIELDS: &[&str] = &["input", "output", "cached_input", "cache_write", "tiers"];
pub(super) const TIER_FIELDS: &[&str] = &["above_input_tokens", "input", "output", "cached_input", "cache_write"];
pub(super) const MAX_FIELDS: &[&str] = &["input", "output"];

pub(super) fn read(item: &Item<'_>, report: &Report) -> Option<Prices> {
    let table = item.table(FIELDS, report)?;
    let base = rates(&table, report);
    let mut tiers: Vec<Tier> = Vec::new();
    for item in table.read("tiers", |item| item.list(report)).unwrap_or_default() {
        let Some(table) = item.table(TIER_FIELDS, report) else { continue };
        let bound = table.require("above_input_tokens", report);
        let tokens = bound.as_ref().and_then(|item| item.integer(1..=u64::MAX, report));
        let (Some(bound), Some(above_input_tokens), Some(rates)) = (bound, tokens, rates(&table, report)) else {
            continue;
        };
        if tiers.iter().any(|tier| tier.above_input_tokens == above_input_tokens) {
            report.problem(bound.problem(format!("there is a tier above {above_input_tokens} tokens already")));
        }
        tiers.push(Tier { above_input_tokens, rates });
    }
    tiers.sort_by_key(|tier| tier.above_input_tokens);
    Some(Prices { base: base?, tiers })
}

/// `max_price`: what an alias accepts at most.
pub(super) fn read_max(item: &Item<'_>, report: &Report) -> Option<MaxPrice> {
    let table = item.table(MAX_FIELDS, report)?;
    if MAX_FIELDS.iter().all(|field| table.get(field).is_none()) {
        report.warn(item.problem("has no effect: it bounds neither \"input\" nor \"output\""));
    }
    let bound = |field| table.read(field, |item| price(item, report));
    Some(MaxPrice { input: bound("input"), output: bound("output") })
}

fn rates(table: &Table<'_>, report: &Report) -> Option<Rates> {
    let input = table.require("input", report).and_then(|item| price(&item, report));
    let output = table.require("output", report).and_then(|item| price(&item, report));
    let cached_input = table.read("cached_input", |item| price(item, report));
    let cache_write = table.read("cache_write", |item| price(item, report));
    let (input, output) = (input?, output?);
    Some(Rates {
        input,
        output,
        cached_input: cached_input.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
    })
}

fn price(item: &Item<'_>, report: &Report) -> Option<PicoUsd> {
    // What is an amount is in the range of prices too.
    PicoUsd::per_token_from_usd_per_mtok(item.amount(report)?)
}
