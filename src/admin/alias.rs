//! Parts of an alias: its targets, their order and weights, its name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Map, Value};

use super::asker::Asker;
use super::change::{signed, told};
use super::error::AdminError;
use super::input::{Asked, Condition, How, Json, Named};
use crate::api::change::ChangeReport;
use crate::api::error::ErrorReport;
use crate::api::resource::{NewName, TargetOrder, TargetToAdd, TargetWeights};
use crate::control::{AtPart, Control, Precondition};
use crate::store::record::Role;

async fn change(
    asker: &Asker,
    control: &Arc<Control>,
    action: &'static str,
    name: String,
    part: AtPart,
    condition: Precondition,
    how: How,
) -> Result<axum::Json<ChangeReport>, AdminError> {
    let signed = signed(asker, control, Role::Editor, (action, &name), how)?;
    let made = control.change_alias(signed.clone(), name, part, condition).await;
    told(control, &signed, made)
}

/// Puts a target in.
#[utoipa::path(
    post, path = "/admin/v1/aliases/{name}/targets", tag = "aliases",
    params(
        ("name" = String, Path, description = "the alias"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn add_target(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
    Json(body): Json<TargetToAdd>,
) -> Result<impl IntoResponse, AdminError> {
    let part = AtPart::Add { target: body.target, at: body.at.map(|at| at as usize) };
    change(&asker, &control, "alias.add-target", name, part, condition, how).await
}

/// Changes fields of a target.
#[utoipa::path(
    patch, path = "/admin/v1/aliases/{name}/targets/{target}", tag = "aliases",
    params(
        ("name" = String, Path, description = "the alias"),
        ("target" = String, Path, description = "the target's model, or its position, counted from 0"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    request_body(content = Object, description = "a merge patch (RFC 7396): null takes a field out"),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn change_target(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named((name, target)): Named<(String, String)>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
    Json(patch): Json<Map<String, Value>>,
) -> Result<impl IntoResponse, AdminError> {
    let part = AtPart::Change { target, patch };
    change(&asker, &control, "alias.change-target", name, part, condition, how).await
}

/// Takes a target out.
#[utoipa::path(
    delete, path = "/admin/v1/aliases/{name}/targets/{target}", tag = "aliases",
    params(
        ("name" = String, Path, description = "the alias"),
        ("target" = String, Path, description = "the target's model, or its position, counted from 0"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn remove_target(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named((name, target)): Named<(String, String)>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
) -> Result<impl IntoResponse, AdminError> {
    change(&asker, &control, "alias.remove-target", name, AtPart::Remove { target }, condition, how).await
}

/// Puts the targets into an order.
#[utoipa::path(
    put, path = "/admin/v1/aliases/{name}/order", tag = "aliases",
    params(
        ("name" = String, Path, description = "the alias"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn set_order(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
    Json(body): Json<TargetOrder>,
) -> Result<impl IntoResponse, AdminError> {
    change(&asker, &control, "alias.order", name, AtPart::Order(body.targets), condition, how).await
}

/// Sets weights.
#[utoipa::path(
    put, path = "/admin/v1/aliases/{name}/weights", tag = "aliases",
    params(
        ("name" = String, Path, description = "the alias"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn set_weights(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
    Json(body): Json<TargetWeights>,
) -> Result<impl IntoResponse, AdminError> {
    let part = AtPart::Weights(body.weights.into_iter().collect());
    change(&asker, &control, "alias.weights", name, part, condition, how).await
}

/// Gives the alias another name; keys and projects that may call it may call it by that.
#[utoipa::path(
    post, path = "/admin/v1/aliases/{name}/rename", tag = "aliases",
    params(
        ("name" = String, Path, description = "the alias"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn rename(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
    Json(body): Json<NewName>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("alias.rename", &name), how)?;
    let made = control.rename_alias(signed.clone(), name, body.name, condition).await;
    told(&control, &signed, made)
}
