//! Many documents at once: applied as one revision, and exported.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, ETAG};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::asker::Asker;
use super::change::{signed, told};
use super::error::AdminError;
use super::input::{Asked, Condition, How, Json};
use crate::api::change::ChangeReport;
use crate::api::error::ErrorReport;
use crate::api::resource::DocumentLists;
use crate::config::{Document, Documents, KeyNodes, Kind, to_toml};
use crate::control::{Control, ControlError, redacted};
use crate::store::record::Role;

/// How documents are applied.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Applying {
    /// Take out all providers, models, projects and aliases that are not among them.
    #[serde(default)]
    #[param(default = false)]
    prune: bool,
    /// Only find out what would change.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
    /// What is said of the change in the history, at most 1000 characters.
    #[param(max_length = 1000)]
    note: Option<String>,
}

/// Applies documents as one revision.
#[utoipa::path(
    post, path = "/admin/v1/apply", operation_id = "apply_documents", tag = "documents",
    params(("if-match" = Option<String>, Header, description = "the latest revision that was seen"), Applying),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn apply(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Condition(condition): Condition,
    Asked(Applying { prune, dry_run, note }): Asked<Applying>,
    Json(lists): Json<DocumentLists>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("apply", ""), How { dry_run, note })?;
    let documents = documents(&lists)?;
    check_sources(&lists.keys)?;
    let made = control.apply_documents(signed.clone(), documents, KeyNodes::of(&lists.keys), prune, condition).await;
    told(&control, &signed, made)
}

/// Of a key that comes from elsewhere only its digest is taken: a variable or a file of this
/// machine would be read for whoever asks, and its beginning shown.
fn check_sources(keys: &[Map<String, Value>]) -> Result<(), AdminError> {
    let here = |fields: &Map<String, Value>| ["key_env", "key_file"].iter().any(|field| fields.contains_key(*field));
    match keys.iter().position(here) {
        None => Ok(()),
        Some(i) => Err(AdminError::Bad(format!(
            "keys[{i}]: only the server's own file names a variable or a file; send \"hash\"."
        ))),
    }
}

fn documents(lists: &DocumentLists) -> Result<Documents, AdminError> {
    let DocumentLists { providers, models, projects, aliases, .. } = lists;
    let mut documents = Documents::default();
    for (kind, list) in
        [(Kind::Provider, providers), (Kind::Model, models), (Kind::Project, projects), (Kind::Alias, aliases)]
    {
        for (i, fields) in list.iter().enumerate() {
            let (at, field) = (format!("{}[{i}]", kind.list()), kind.name_field());
            let Some(name) = fields.get(field).and_then(Value::as_str) else {
                return Err(AdminError::Bad(format!("{at}: the field {field:?} with its name is missing.")));
            };
            if documents.insert(kind, name, Document::new(fields)).is_some() {
                return Err(AdminError::Bad(format!("{at}: there is a {kind} {name:?} already among them.")));
            }
        }
    }
    Ok(documents)
}

/// How documents are exported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Exporting {
    /// As what: `toml`, a configuration file, or `json`.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A form of exported documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A configuration file.
    #[default]
    Toml,
    /// Lists of objects.
    Json,
}

/// Exports all documents. Values of providers' headers are hidden; keys of callers and
/// sealed secrets stay where they are.
#[utoipa::path(
    get, path = "/admin/v1/export", operation_id = "export_documents", tag = "documents", params(Exporting),
    responses(
        (status = 200, description = "a configuration file, or lists of objects",
            content((String = "application/toml"), (DocumentLists = "application/json")),
            headers(("etag" = String, description = "the latest revision"))),
        (status = "4XX", body = ErrorReport)
    )
)]
pub async fn export(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(Exporting { format }): Asked<Exporting>,
) -> Result<Response, AdminError> {
    asker.must_be(Role::Viewer)?;
    let (documents, revision) = control.look(|state| (shown(state.documents()), state.revision())).await;
    let mut response = match format {
        Format::Toml => {
            let text = to_toml(&documents).map_err(|error| ControlError::Mistake(error.to_string()))?;
            ([(CONTENT_TYPE, "application/toml")], text).into_response()
        }
        Format::Json => {
            let all = |kind| -> Vec<Map<String, Value>> { documents.of(kind).map(|(_, one)| one.fields()).collect() };
            Answer(DocumentLists {
                providers: all(Kind::Provider),
                models: all(Kind::Model),
                projects: all(Kind::Project),
                aliases: all(Kind::Alias),
                keys: Vec::new(),
            })
            .into_response()
        }
    };
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

fn shown(documents: &Documents) -> Documents {
    let mut shown = Documents::default();
    for (kind, name, document) in documents.iter() {
        shown.insert(kind, name, Document::new(&redacted(kind, document)));
    }
    shown
}
