//! Providers that are simulated in this process, as in the demo: how they behave, and how they
//! are made to behave otherwise.

use std::fmt::Debug;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde_json::{Map, Value};

use super::Shared;
use super::asker::Asker;
use super::error::AdminError;
use super::input::{Json, Named};
use crate::api::Page;
use crate::api::error::ErrorReport;
use crate::api::simulated::SimulatedProvider;
use crate::store::record::Role;

/// A provider that does as it is told.
pub trait Puppet: Debug + Send + Sync {
    /// What it is, and how it behaves now.
    fn report(&self) -> SimulatedProvider;

    /// Changes fields of its behaviour (RFC 7396).
    ///
    /// # Errors
    /// In words, if nobody can behave like that.
    fn patch(&self, patch: &Value) -> Result<(), String>;

    /// Behaves as at the start again.
    ///
    /// # Errors
    /// In words, if it cannot.
    fn reset(&self) -> Result<(), String>;
}

/// Lists those that run in this process: none outside the demo.
#[utoipa::path(
    get, path = "/admin/v1/simulated", operation_id = "list_simulated", tag = "providers",
    responses((status = 200, body = Page<SimulatedProvider>), (status = "4XX", body = ErrorReport))
)]
pub async fn list(asker: Asker, State(shared): State<Shared>) -> Result<Answer<Page<SimulatedProvider>>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let items = shared.puppets.iter().map(|puppet| puppet.report()).collect();
    Ok(Answer(Page { items, next: None }))
}

/// Changes how one behaves: objects are merged, a null takes a field out.
#[utoipa::path(
    patch, path = "/admin/v1/simulated/{name}", operation_id = "change_simulated", tag = "providers",
    params(("name" = String, Path, description = "its id")),
    request_body(content = Object, description = "fields of its behaviour"),
    responses((status = 200, body = SimulatedProvider), (status = "4XX", body = ErrorReport))
)]
pub async fn change(
    asker: Asker,
    State(shared): State<Shared>,
    Named(name): Named<String>,
    Json(patch): Json<Map<String, Value>>,
) -> Result<Answer<SimulatedProvider>, AdminError> {
    asker.must_be(Role::Editor)?;
    let puppet = find(&shared, &name)?;
    puppet.patch(&Value::Object(patch)).map_err(|why| AdminError::Bad(format!("The behaviour: {why}.")))?;
    Ok(Answer(puppet.report()))
}

/// Makes one behave as at the start again.
#[utoipa::path(
    post, path = "/admin/v1/simulated/{name}/reset", operation_id = "reset_simulated", tag = "providers",
    params(("name" = String, Path, description = "its id")),
    responses((status = 200, body = SimulatedProvider), (status = "4XX", body = ErrorReport))
)]
pub async fn reset(
    asker: Asker,
    State(shared): State<Shared>,
    Named(name): Named<String>,
) -> Result<Answer<SimulatedProvider>, AdminError> {
    asker.must_be(Role::Editor)?;
    let puppet = find(&shared, &name)?;
    puppet.reset().map_err(|why| AdminError::Bad(format!("The behaviour: {why}.")))?;
    Ok(Answer(puppet.report()))
}

fn find<'a>(shared: &'a Shared, name: &str) -> Result<&'a Arc<dyn Puppet>, AdminError> {
    let missing = || AdminError::NotFound {
        message: format!("there is no simulated provider {name:?} in this process"),
        nearest: Vec::new(),
    };
    shared.puppets.iter().find(|puppet| puppet.report().name == name).ok_or_else(missing)
}
