mod enter;
mod fleet;
mod properties;
mod threads;

use std::num::NonZeroU32;
use std::sync::Arc;

use super::*;
use crate::domain::limits::CallerLimits;
use crate::domain::money::PicoUsd;
use crate::domain::spent::Spent;
use crate::domain::time::UnixMillis;

/// Wednesday, 2026-12-30, at noon.
const NOON: UnixMillis = UnixMillis(1_798_632_000_000);
const DOLLAR: u64 = 1_000_000_000_000;

/// Limits of requests and tokens per minute, 0 for none, and budgets.
fn limits(requests: u32, tokens: u32, budgets: &[&str]) -> CallerLimits {
    let mut limits = CallerLimits {
        requests_per_minute: NonZeroU32::new(requests),
        tokens_per_minute: NonZeroU32::new(tokens),
        ..CallerLimits::NONE
    };
    budgets.iter().for_each(|budget| limits.budgets.insert(budget.parse().unwrap()).unwrap());
    limits
}

fn at_once(max: u32) -> CallerLimits {
    CallerLimits { max_in_flight: Some(max), ..CallerLimits::NONE }
}

fn account(kind: Kind, limits: CallerLimits) -> Arc<Account> {
    Arc::new(Account::new(Owner::new(kind, "shop"), limits, Spent::default()))
}

fn key(limits: CallerLimits) -> Arc<Account> {
    account(Kind::Key, limits)
}

fn project(limits: CallerLimits) -> Arc<Account> {
    account(Kind::Project, limits)
}

fn tokens_left(account: &Account, now: UnixMillis) -> u32 {
    account.standing(now).tokens.unwrap().remaining
}

fn usd(dollars: u64) -> PicoUsd {
    PicoUsd(dollars * DOLLAR)
}
