//! What is left of limits and budgets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key or a project has used, and what is left of its limits.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// Requests under way at the replica that is asked, where any limit is set.
    pub in_flight: u32,
    /// Of requests per minute, if they are limited.
    pub requests: Option<RateStanding>,
    /// Of tokens per minute, if they are limited.
    pub tokens: Option<RateStanding>,
    /// Of each budget.
    pub budgets: Vec<BudgetStanding>,
    /// Spent since midnight, in UTC.
    pub spent_day_usd: f64,
    /// Spent since Monday.
    pub spent_week_usd: f64,
    /// Spent since the first of the month.
    pub spent_month_usd: f64,
}

/// What is left of a limit per minute.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RateStanding {
    /// How many may pass in a minute.
    pub limit: u32,
    /// How many may pass now.
    pub remaining: u32,
    /// Until all may pass again.
    pub resets_in_ms: u64,
}

/// What is left of a budget.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BudgetStanding {
    /// The budget, as `$50/day`.
    pub budget: String,
    /// What is neither spent nor set aside for requests under way.
    pub remaining_usd: f64,
    /// When it begins anew.
    pub resets_at_ms: u64,
}
