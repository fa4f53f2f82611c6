//! Keys of callers.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::ETAG;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::asker::Asker;
use super::change::{refused, signed, told};
use super::error::AdminError;
use super::input::{Asked, Condition, How, Json, Named, limit};
use crate::api::Page;
use crate::api::change::ChangeReport;
use crate::api::error::ErrorReport;
use crate::api::key::{KeyCreated, KeyFields, KeyReport, Rotation, SecretReport};
use crate::control::{Control, KeyMade, Signed};
use crate::domain::time::UnixMillis;
use crate::store::record::{KeyRecord, Role};
use secrecy::ExposeSecret;

/// How long a secret stays valid after another took its place, unless it is said.
const GRACE_S: u32 = 86_400;

/// A key as it is told.
pub fn report(record: KeyRecord, now: UnixMillis) -> KeyReport {
    let over = record.expires_ms.is_some_and(|at| at <= now.0);
    let state = match () {
        () if record.revoked_ms.is_some() => "revoked",
        () if over => "expired",
        () if !record.enabled => "disabled",
        () => "active",
    };
    let secret = |secret: crate::store::record::SecretRecord| SecretReport {
        prefix: secret.prefix,
        created_ms: secret.created_ms,
        expires_ms: secret.expires_ms,
    };
    KeyReport {
        name: record.name,
        project: record.project,
        state: state.to_owned(),
        description: record.description,
        aliases: record.aliases,
        models: record.models,
        providers: record.providers,
        requests_per_minute: record.requests_per_minute,
        tokens_per_minute: record.tokens_per_minute,
        max_in_flight: record.max_in_flight,
        budget: record.budget,
        expires_ms: record.expires_ms,
        enabled: record.enabled,
        secrets: record.secrets.into_iter().map(secret).collect(),
        created_ms: record.created_ms,
        created_by: record.created_by,
        revoked_ms: record.revoked_ms,
        of_file: record.of_file,
        revision: record.revision,
    }
}

/// Which keys are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those whose names, descriptions or beginnings contain this.
    search: Option<String>,
    /// Only those of this project.
    project: Option<String>,
    /// Only those after this name: `next` of the part before.
    after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Lists keys by name.
#[utoipa::path(
    get, path = "/admin/v1/keys", operation_id = "list_keys", tag = "keys", params(Which),
    responses((status = 200, body = Page<KeyReport>), (status = "4XX", body = ErrorReport))
)]
pub async fn list(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Page<KeyReport>>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let most = limit(which.limit)?;
    let now = control.clock().now();
    let search = which.search.unwrap_or_default().to_lowercase();
    let wanted = move |record: &KeyRecord| {
        let found = |text: &str| text.to_lowercase().contains(&search);
        which.project.as_ref().is_none_or(|project| record.project == *project)
            && (found(&record.name)
                || record.description.as_deref().is_some_and(found)
                || record.secrets.iter().any(|secret| found(&secret.prefix)))
    };
    let after = which.after.unwrap_or_default();
    // There may be a hundred thousand of them to look through.
    let found = tokio::task::spawn_blocking(move || control.store.keys(&after, most + 1, wanted)).await;
    let mut found = found.map_err(|_| crate::control::ControlError::Ending)??;
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|record| record.name.clone());
    Ok(Answer(Page { items: found.into_iter().map(|record| report(record, now)).collect(), next }))
}

/// Makes a key. Its secret is shown only in this answer.
#[utoipa::path(
    post, path = "/admin/v1/keys", operation_id = "create_key", tag = "keys", params(How),
    request_body = KeyFields,
    responses((status = 201, body = KeyCreated), (status = "4XX", body = ErrorReport))
)]
pub async fn create(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(how): Asked<How>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<impl IntoResponse, AdminError> {
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    let signed = in_earnest(signed(&asker, &control, Role::Editor, ("key.create", name), how)?)?;
    let made = control.create_key(signed.clone(), fields).await;
    let made = made.map_err(|error| refused(&control, &signed, error))?;
    Ok((StatusCode::CREATED, Answer(created(&control, made))))
}

/// A key that is not made has no secret to be shown.
fn in_earnest(signed: Signed) -> Result<Signed, AdminError> {
    if signed.dry_run {
        return Err(AdminError::Bad("The query: dry_run makes no sense where a secret is made.".to_owned()));
    }
    Ok(signed)
}

fn created(control: &Control, made: KeyMade) -> KeyCreated {
    KeyCreated {
        secret: made.secret.expose_secret().to_owned(),
        revision: made.applied.revision,
        key: report(made.record, control.clock().now()),
    }
}

/// Reads a key.
#[utoipa::path(
    get, path = "/admin/v1/keys/{name}", operation_id = "get_key", tag = "keys",
    params(("name" = String, Path, description = "its name")),
    responses(
        (status = 200, body = KeyReport, headers(("etag" = String, description = "its revision"))),
        (status = "4XX", body = ErrorReport)
    )
)]
pub async fn get(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
) -> Result<Response, AdminError> {
    asker.must_be(Role::Viewer)?;
    let report = report(control.key(&name)?, control.clock().now());
    let tag = HeaderValue::from_str(&format!("\"{}\"", report.revision));
    let mut response = Answer(report).into_response();
    if let Ok(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// Changes fields of a key.
#[utoipa::path(
    patch, path = "/admin/v1/keys/{name}", operation_id = "update_key", tag = "keys",
    params(
        ("name" = String, Path, description = "its name"),
        ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
        How
    ),
    request_body(content = Object, description = "fields of a key; null takes one out"),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn update(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Condition(condition): Condition,
    Asked(how): Asked<How>,
    Json(patch): Json<Map<String, Value>>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("key.update", &name), how)?;
    let made = control.update_key(signed.clone(), name, patch, condition).await;
    told(&control, &signed, made)
}

/// Forgets a key. What it has used stays counted under its name.
#[utoipa::path(
    delete, path = "/admin/v1/keys/{name}", operation_id = "delete_key", tag = "keys",
    params(("name" = String, Path, description = "its name"), How),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn delete(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Asked(how): Asked<How>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("key.delete", &name), how)?;
    let made = control.delete_key(signed.clone(), name).await;
    told(&control, &signed, made)
}

/// Gives a key another secret, shown only in this answer. The one before stays valid for a
/// while; at most two are at once.
#[utoipa::path(
    post, path = "/admin/v1/keys/{name}/rotate", operation_id = "rotate_key", tag = "keys",
    params(("name" = String, Path, description = "its name"), How),
    responses((status = 200, body = KeyCreated), (status = "4XX", body = ErrorReport))
)]
pub async fn rotate(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Asked(how): Asked<How>,
    Json(rotation): Json<Rotation>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = in_earnest(signed(&asker, &control, Role::Editor, ("key.rotate", &name), how)?)?;
    let grace = Duration::from_secs(rotation.grace_s.unwrap_or(GRACE_S).into());
    let made = control.rotate_key(signed.clone(), name, grace).await;
    let made = made.map_err(|error| refused(&control, &signed, error))?;
    Ok(Answer(created(&control, made)))
}

/// Takes a key back, for good: the next request with it is refused.
#[utoipa::path(
    post, path = "/admin/v1/keys/{name}/revoke", operation_id = "revoke_key", tag = "keys",
    params(("name" = String, Path, description = "its name"), How),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn revoke(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
    Asked(how): Asked<How>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("key.revoke", &name), how)?;
    let made = control.revoke_key(signed.clone(), name).await;
    told(&control, &signed, made)
}
