//! What keys and projects have used, and what is left of their limits.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::asker::Asker;
use super::error::AdminError;
use super::input::Named;
use crate::api::error::ErrorReport;
use crate::api::project::{BudgetStanding, RateStanding, Standing};
use crate::config::Kind;
use crate::control::{Control, ControlError};
use crate::limits::{self, Account, Owner, RateLeft};
use crate::proxy::Gateway;
use crate::store::record::Role;

/// What a project has used.
#[utoipa::path(
    get, path = "/admin/v1/projects/{name}/standing", operation_id = "project_standing", tag = "keys",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, body = Standing), (status = "4XX", body = ErrorReport))
)]
pub async fn of_project(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
) -> Result<Answer<Standing>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let view = control.live.view();
    let Some(live) = view.projects().find(|live| live.project.name.as_str() == name) else {
        let names = view.projects().map(|live| live.project.name.as_str());
        return Err(ControlError::no_document(Kind::Project, &name, names).into());
    };
    let account = live.account.clone();
    standing(&gateway, control, account, Owner::new(limits::Kind::Project, name)).await
}

/// What a key has used.
#[utoipa::path(
    get, path = "/admin/v1/keys/{name}/standing", operation_id = "key_standing", tag = "keys",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, body = Standing), (status = "4XX", body = ErrorReport))
)]
pub async fn of_key(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
) -> Result<Answer<Standing>, AdminError> {
    asker.must_be(Role::Viewer)?;
    control.key(&name)?;
    let account = control.live_key(&name)?.and_then(|key| key.account.clone());
    standing(&gateway, control, account, Owner::new(limits::Kind::Key, name)).await
}

async fn standing(
    gateway: &Gateway,
    control: Arc<Control>,
    account: Option<Arc<Account>>,
    owner: Owner,
) -> Result<Answer<Standing>, AdminError> {
    if let (Some(quota), Some(account)) = (&gateway.quota, &account) {
        // What the others have used is known only as of the last request here.
        quota.look(account).await;
    }
    let now = control.clock().now();
    let spent = match &account {
        Some(account) => account.purse().spent(now),
        None => {
            let read = tokio::task::spawn_blocking(move || control.spent(&owner)).await;
            read.map_err(|_| ControlError::Ending)?.at(now)
        }
    };
    let left = account.as_ref().map(|account| account.standing(now)).unwrap_or_default();
    let rate = |left: RateLeft| RateStanding {
        limit: left.limit.get(),
        remaining: left.remaining,
        resets_in_ms: u64::try_from(left.resets_in.as_millis()).unwrap_or(u64::MAX),
    };
    let budgets = left.budgets.iter().map(|left| BudgetStanding {
        budget: left.budget.to_string(),
        remaining_usd: left.remaining.as_usd(),
        resets_at_ms: left.resets_at.0,
    });
    Ok(Answer(Standing {
        in_flight: account.as_ref().map_or(0, |account| account.in_flight()),
        requests: left.requests.map(rate),
        tokens: left.tokens.map(rate),
        budgets: budgets.collect(),
        spent_day_usd: spent.day.spent.as_usd(),
        spent_week_usd: spent.week.spent.as_usd(),
        spent_month_usd: spent.month.spent.as_usd(),
    }))
}
