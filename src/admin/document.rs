//! Providers, models, projects and aliases: listed, read, put, patched, deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json as Answer, http::HeaderMap};
use http::HeaderValue;
use http::header::ETAG;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::asker::Asker;
use super::change::{signed, told, told_new};
use super::error::AdminError;
use super::input::{Asked, Condition, How, Json, Named, Part, limit};
use crate::api::Page;
use crate::api::change::ChangeReport;
use crate::api::resource::Resource;
use crate::config::{Document, Kind};
use crate::control::{Control, ControlError, Precondition, State as Documents, redacted};
use crate::store::record::Role;

/// What it takes to change a document: providers hold the credentials, and whoever can say
/// where they are sent to has them.
fn needed(kind: Kind) -> Role {
    if kind == Kind::Provider { Role::Admin } else { Role::Editor }
}

fn action(kind: Kind, what: &str) -> &'static str {
    match (kind, what) {
        (Kind::Alias, "put") => "alias.put",
        (Kind::Alias, "patch") => "alias.patch",
        (Kind::Alias, _) => "alias.delete",
        (Kind::Provider, "put") => "provider.put",
        (Kind::Provider, "patch") => "provider.patch",
        (Kind::Provider, _) => "provider.delete",
        (Kind::Model, "put") => "model.put",
        (Kind::Model, "patch") => "model.patch",
        (Kind::Model, _) => "model.delete",
        (Kind::Project, "put") => "project.put",
        (Kind::Project, "patch") => "project.patch",
        (Kind::Project, _) => "project.delete",
    }
}

fn resource(state: &Documents, kind: Kind, name: &str, document: &Document) -> Resource {
    Resource {
        kind: kind.as_str().to_owned(),
        name: name.to_owned(),
        revision: state.modified(kind, name).unwrap_or_default(),
        document: redacted(kind, document),
    }
}

async fn list(control: &Control, kind: Kind, part: Part) -> Result<Answer<Page<Resource>>, AdminError> {
    let most = limit(part.limit)?;
    let search = part.search.unwrap_or_default().to_lowercase();
    let after = part.after.unwrap_or_default();
    let page = control.look(|state| {
        let wanted = state.documents().of(kind).filter(|(name, _)| *name > after.as_str());
        let mut wanted = wanted.filter(|(name, _)| name.to_lowercase().contains(&search));
        let items: Vec<Resource> =
            wanted.by_ref().take(most).map(|(name, document)| resource(state, kind, name, document)).collect();
        let more = wanted.next().is_some();
        let next = items.last().filter(|_| more).map(|last| last.name.clone());
        Page { items, next }
    });
    Ok(Answer(page.await))
}

async fn get(control: &Control, kind: Kind, name: &str) -> Result<Response, AdminError> {
    let found = control.look(|state| {
        let names = || state.documents().of(kind).map(|(name, _)| name);
        let document = state.documents().get(kind, name);
        document
            .map(|document| resource(state, kind, name, document))
            .ok_or_else(|| ControlError::no_document(kind, name, names()))
    });
    let resource = found.await?;
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", resource.revision)) {
        headers.insert(ETAG, tag);
    }
    Ok((headers, Answer(resource)).into_response())
}

/// The document that a body and a path name, if they agree.
fn named(kind: Kind, name: &str, mut fields: Map<String, Value>) -> Result<Document, AdminError> {
    match fields.get(kind.name_field()).and_then(Value::as_str) {
        Some(said) if said == name => {}
        None if !fields.contains_key(kind.name_field()) => {
            fields.insert(kind.name_field().to_owned(), Value::from(name));
        }
        _ => {
            let message = format!("The field {:?} is not the name in the path, {name:?}.", kind.name_field());
            return Err(AdminError::Bad(message));
        }
    }
    Ok(Document::new(&fields))
}

macro_rules! documents {
    ($module:ident, $kind:expr, $list:literal, $one:literal, $names:literal) => {
        mod $module {
            use super::*;

            #[utoipa::path(
                get, path = $list, operation_id = concat!("list_", $names), tag = "documents", params(Part),
                responses(
                    (status = 200, body = Page<Resource>),
                    (status = "4XX", body = crate::api::error::ErrorReport)
                )
            )]
            pub async fn list(
                asker: Asker,
                State(control): State<Arc<Control>>,
                Asked(part): Asked<Part>,
            ) -> Result<Answer<Page<Resource>>, AdminError> {
                asker.must_be(Role::Viewer)?;
                super::list(&control, $kind, part).await
            }

            #[utoipa::path(
                post, path = $list, operation_id = concat!("create_", $names), tag = "documents", params(How),
                request_body(content = Object, description = "its fields, as in a configuration file"),
                responses(
                    (status = 201, body = ChangeReport),
                    (status = "4XX", body = crate::api::error::ErrorReport)
                )
            )]
            pub async fn create(
                asker: Asker,
                State(control): State<Arc<Control>>,
                Asked(how): Asked<How>,
                Json(fields): Json<Map<String, Value>>,
            ) -> Result<impl IntoResponse, AdminError> {
                let document = Document::new(&fields);
                let subject = document.name($kind).unwrap_or_default();
                let signed = signed(&asker, &control, needed($kind), (action($kind, "put"), &subject), how)?;
                let made = control.put(signed.clone(), $kind, document, Precondition::Absent).await;
                let made = made.map_err(|error| exists($kind, error));
                told_new(&control, &signed, made)
            }

            #[utoipa::path(
                get, path = $one, operation_id = concat!("get_", $names), tag = "documents",
                params(("name" = String, Path, description = "its name, percent-encoded as one segment")),
                responses(
                    (status = 200, body = Resource, headers(("etag" = String, description = "its revision"))),
                    (status = "4XX", body = crate::api::error::ErrorReport)
                )
            )]
            pub async fn get(
                asker: Asker,
                State(control): State<Arc<Control>>,
                Named(name): Named<String>,
            ) -> Result<Response, AdminError> {
                asker.must_be(Role::Viewer)?;
                super::get(&control, $kind, &name).await
            }

            #[utoipa::path(
                put, path = $one, operation_id = concat!("put_", $names), tag = "documents",
                params(
                    ("name" = String, Path, description = "its name, percent-encoded as one segment"),
                    ("if-match" = Option<String>, Header, description = "the ETag that was seen, or `*`; needed to replace what is there"),
                    ("if-none-match" = Option<String>, Header, description = "`*`: only if it is not there yet"),
                    How
                ),
                request_body(content = Object, description = "its fields, as in a configuration file"),
                responses(
                    (status = 200, body = ChangeReport),
                    (status = "4XX", body = crate::api::error::ErrorReport)
                )
            )]
            pub async fn put(
                asker: Asker,
                State(control): State<Arc<Control>>,
                Named(name): Named<String>,
                Condition(condition): Condition,
                Asked(how): Asked<How>,
                Json(fields): Json<Map<String, Value>>,
            ) -> Result<impl IntoResponse, AdminError> {
                let signed = signed(&asker, &control, needed($kind), (action($kind, "put"), &name), how)?;
                let document = named($kind, &name, fields)?;
                let made = control.put(signed.clone(), $kind, document, condition).await;
                told(&control, &signed, made)
            }

            #[utoipa::path(
                patch, path = $one, operation_id = concat!("patch_", $names), tag = "documents",
                params(
                    ("name" = String, Path, description = "its name, percent-encoded as one segment"),
                    ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
                    How
                ),
                request_body(content = Object, description = "a merge patch (RFC 7396): null takes a field out"),
                responses(
                    (status = 200, body = ChangeReport),
                    (status = "4XX", body = crate::api::error::ErrorReport)
                )
            )]
            pub async fn patch(
                asker: Asker,
                State(control): State<Arc<Control>>,
                Named(name): Named<String>,
                Condition(condition): Condition,
                Asked(how): Asked<How>,
                Json(fields): Json<Map<String, Value>>,
            ) -> Result<impl IntoResponse, AdminError> {
                let signed = signed(&asker, &control, needed($kind), (action($kind, "patch"), &name), how)?;
                let made = control.patch(signed.clone(), $kind, name, fields, condition).await;
                told(&control, &signed, made)
            }

            #[utoipa::path(
                delete, path = $one, operation_id = concat!("delete_", $names), tag = "documents",
                params(
                    ("name" = String, Path, description = "its name, percent-encoded as one segment"),
                    ("if-match" = Option<String>, Header, description = "the ETag that was seen"),
                    How
                ),
                responses(
                    (status = 200, body = ChangeReport),
                    (status = "4XX", body = crate::api::error::ErrorReport)
                )
            )]
            pub async fn delete(
                asker: Asker,
                State(control): State<Arc<Control>>,
                Named(name): Named<String>,
                Condition(condition): Condition,
                Asked(how): Asked<How>,
            ) -> Result<impl IntoResponse, AdminError> {
                let signed = signed(&asker, &control, needed($kind), (action($kind, "delete"), &name), how)?;
                let made = control.delete(signed.clone(), $kind, name, condition).await;
                told(&control, &signed, made)
            }
        }
    };
}

documents!(alias, Kind::Alias, "/admin/v1/aliases", "/admin/v1/aliases/{name}", "alias");
documents!(provider, Kind::Provider, "/admin/v1/providers", "/admin/v1/providers/{name}", "provider");
documents!(model, Kind::Model, "/admin/v1/models", "/admin/v1/models/{name}", "model");
documents!(project, Kind::Project, "/admin/v1/projects", "/admin/v1/projects/{name}", "project");

/// Whoever makes something new is told that it is there, not that somebody was faster.
fn exists(kind: Kind, error: ControlError) -> ControlError {
    match error {
        ControlError::Conflict { what, .. } => {
            let name = what.split('"').nth(1).unwrap_or_default().to_owned();
            ControlError::Exists { what: kind.as_str(), name }
        }
        other => other,
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(alias::list, alias::create))
        .routes(routes!(alias::get, alias::put, alias::patch, alias::delete))
        .routes(routes!(provider::list, provider::create))
        .routes(routes!(provider::get, provider::put, provider::patch, provider::delete))
        .routes(routes!(model::list, model::create))
        .routes(routes!(model::get, model::put, model::patch, model::delete))
        .routes(routes!(project::list, project::create))
        .routes(routes!(project::get, project::put, project::patch, project::delete))
}
