//! How providers stand, and whether they answer.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::asker::Asker;
use super::change::signed;
use super::error::AdminError;
use super::input::{How, Named};
use crate::api::Page;
use crate::api::error::ErrorReport;
use crate::api::provider::{ConnectionTest, ProviderStatus};
use crate::config::Kind;
use crate::control::{Control, ControlError};
use crate::domain::ids::ProviderIdx;
use crate::domain::provider::Auth;
use crate::live::View;
use crate::store::record::Role;
use crate::upstream::probe::probe;

fn report(view: &View, idx: ProviderIdx) -> ProviderStatus {
    let provider = view.catalog.provider(idx);
    let key = match (&provider.auth, &provider.unusable) {
        (_, Some(_)) => "missing",
        (Auth::None, None) => "none",
        _ => "set",
    };
    ProviderStatus {
        id: provider.id.to_string(),
        base_url: provider.base_url.clone(),
        protocol: provider.protocol.as_str().to_owned(),
        enabled: provider.enabled,
        key: key.to_owned(),
        unusable: provider.unusable.clone(),
        in_flight: view.provider(idx).in_flight(),
    }
}

fn all(view: &View) -> impl Iterator<Item = ProviderIdx> {
    // Indexes count providers of one configuration, far below u32::MAX.
    (0..view.catalog.providers.len() as u32).map(ProviderIdx)
}

fn find(view: &View, id: &str) -> Result<ProviderIdx, ControlError> {
    let found = all(view).find(|idx| view.catalog.provider(*idx).id.as_str() == id);
    let ids = || view.catalog.providers.iter().map(|provider| provider.id.as_str());
    found.ok_or_else(|| ControlError::no_document(Kind::Provider, id, ids()))
}

/// How all providers stand.
#[utoipa::path(
    get, path = "/admin/v1/status/providers", operation_id = "list_provider_status", tag = "providers",
    responses((status = 200, body = Page<ProviderStatus>), (status = "4XX", body = ErrorReport))
)]
pub async fn statuses(
    asker: Asker,
    State(control): State<Arc<Control>>,
) -> Result<Answer<Page<ProviderStatus>>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let view = control.live.view();
    Ok(Answer(Page { items: all(&view).map(|idx| report(&view, idx)).collect(), next: None }))
}

/// How a provider stands.
#[utoipa::path(
    get, path = "/admin/v1/providers/{name}/status", operation_id = "provider_status", tag = "providers",
    params(("name" = String, Path, description = "its id")),
    responses((status = 200, body = ProviderStatus), (status = "4XX", body = ErrorReport))
)]
pub async fn status(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
) -> Result<Answer<ProviderStatus>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let view = control.live.view();
    Ok(Answer(report(&view, find(&view, &name)?)))
}

/// Asks a provider for its models, with the key that requests would be sent with.
#[utoipa::path(
    post, path = "/admin/v1/providers/{name}/test", operation_id = "test_provider", tag = "providers",
    params(("name" = String, Path, description = "its id")),
    responses((status = 200, body = ConnectionTest), (status = "4XX", body = ErrorReport))
)]
pub async fn test(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(name): Named<String>,
) -> Result<Answer<ConnectionTest>, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("provider.test", &name), How::default())?;
    let view = control.live.view();
    let idx = find(&view, &name)?;
    let outcome = match &view.catalog.provider(idx).unusable {
        Some(why) => ConnectionTest { message: why.clone(), ..ConnectionTest::default() },
        None => {
            let probed = probe(&view, idx).await;
            ConnectionTest {
                ok: probed.ok,
                status: probed.status,
                took_ms: u64::try_from(probed.took.as_millis()).unwrap_or(u64::MAX),
                models: probed.models,
                message: probed.message,
            }
        }
    };
    control.audit(&signed, if outcome.ok { "ok" } else { &outcome.message })?;
    Ok(Answer(outcome))
}
