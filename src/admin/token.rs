//! Admin tokens, who asks, and sealed secrets.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use secrecy::ExposeSecret;

use super::asker::Asker;
use super::change::{refused, signed};
use super::error::AdminError;
use super::input::{How, Json, Named};
use crate::api::Page;
use crate::api::error::ErrorReport;
use crate::api::token::{self, Me, Resealed, TokenCreated, TokenFields, TokenReport};
use crate::control::Control;
use crate::store::record::{Role, TokenRecord};

/// A role as it is told.
pub fn told(role: Role) -> token::Role {
    match role {
        Role::Viewer => token::Role::Viewer,
        Role::Editor => token::Role::Editor,
        Role::Admin => token::Role::Admin,
    }
}

fn meant(role: token::Role) -> Role {
    match role {
        token::Role::Viewer => Role::Viewer,
        token::Role::Editor => Role::Editor,
        token::Role::Admin => Role::Admin,
    }
}

fn report(record: TokenRecord) -> TokenReport {
    TokenReport {
        name: record.name,
        role: told(record.role),
        prefix: record.secret.prefix,
        created_ms: record.secret.created_ms,
        created_by: record.created_by,
        expires_ms: record.secret.expires_ms,
    }
}

/// Who asks.
#[utoipa::path(
    get, path = "/admin/v1/me", tag = "admin",
    responses((status = 200, body = Me), (status = "4XX", body = ErrorReport))
)]
pub async fn me(asker: Asker) -> Answer<Me> {
    Answer(Me { name: asker.holder.name, role: told(asker.holder.role) })
}

/// Lists tokens.
#[utoipa::path(
    get, path = "/admin/v1/tokens", operation_id = "list_tokens", tag = "admin",
    responses((status = 200, body = Page<TokenReport>), (status = "4XX", body = ErrorReport))
)]
pub async fn list(asker: Asker, State(control): State<Arc<Control>>) -> Result<Answer<Page<TokenReport>>, AdminError> {
    asker.must_be(Role::Admin)?;
    Ok(Answer(Page { items: control.tokens()?.into_iter().map(report).collect(), next: None }))
}

/// Makes a token. What it is is shown only in this answer.
#[utoipa::path(
    post, path = "/admin/v1/tokens", operation_id = "create_token", tag = "admin",
    responses((status = 201, body = TokenCreated), (status = "4XX", body = ErrorReport))
)]
pub async fn create(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Json(fields): Json<TokenFields>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Admin, ("token.create", &fields.name), How::default())?;
    let expires = fields.expires_in_s.map(|s| control.clock().now() + Duration::from_secs(s.into()));
    let made = control.create_token(signed.clone(), fields.name, meant(fields.role), expires).await;
    let made = made.map_err(|error| refused(&control, &signed, error))?;
    let created = TokenCreated { token: report(made.record), secret: made.secret.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, Answer(created)))
}

/// Takes a token back: the next question with it is refused.
#[utoipa::path(
    delete, path = "/admin/v1/tokens/{name}", operation_id = "delete_token", tag = "admin",
    params(("name" = String, Path, description = "its name")),
    responses((status = 204), (status = "4XX", body = ErrorReport))
)]
pub async fn delete(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
) -> Result<StatusCode, AdminError> {
    let signed = signed(&asker, &control, Role::Admin, ("token.delete", &name), How::default())?;
    let made = control.delete_token(signed.clone(), name).await;
    made.map_err(|error| refused(&control, &signed, error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Seals all that an older master key sealed with the newest.
#[utoipa::path(
    post, path = "/admin/v1/secrets/reseal", operation_id = "reseal_secrets", tag = "admin",
    responses((status = 200, body = Resealed), (status = "4XX", body = ErrorReport))
)]
pub async fn reseal(asker: Asker, State(control): State<Arc<Control>>) -> Result<Answer<Resealed>, AdminError> {
    let signed = signed(&asker, &control, Role::Admin, ("secrets.reseal", "all"), How::default())?;
    let made = control.reseal(signed.clone()).await;
    let count = made.map_err(|error| refused(&control, &signed, error))?;
    Ok(Answer(Resealed { resealed: count as u64 }))
}
