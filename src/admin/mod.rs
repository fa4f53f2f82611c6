//! The admin listener: off the data port, on loopback unless the operator says otherwise.
//!
//! Health checks, metrics and the dashboard's files are open to whoever reaches it; all below
//! `/admin/v1` wants an admin token whose role allows it, or a session that one has opened. The OpenAPI document is made from the handlers themselves.

mod alias;
mod apply;
mod asker;
mod attention;
mod catalogue;
mod category;
mod change;
mod classify;
mod document;
mod error;
mod events;
mod explain;
mod health;
mod history;
mod input;
mod key;
mod logging;
mod metrics;
mod overview;
mod playground;
mod provider;
mod replica;
mod session;
mod simulated;
mod standing;
mod statistics;
mod token;
mod traffic;
mod usage;

use std::sync::{Arc, LazyLock, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use metrics::Runtimes;
pub use simulated::Puppet;

use crate::control::Control;
use crate::dashboard::{self, sessions::Sessions};
use crate::proxy::Gateway;

/// A configuration of ten thousand aliases has a few megabytes. Nobody sends that much
/// without a token: it is looked at before the body.
const LARGEST_BODY: usize = 64 << 20;

/// What all handlers share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The data plane.
    gateway: Arc<Gateway>,
    /// Who changes what it serves.
    control: Arc<Control>,
    /// Who is logged in at the dashboard.
    sessions: Arc<Sessions>,
    /// Providers that are simulated here.
    puppets: Arc<[Arc<dyn Puppet>]>,
    /// The end of the process.
    ending: Ending,
    /// What runs all of it.
    runtimes: Runtimes,
}

/// The two steps in which a process ends.
#[derive(Clone, Debug)]
pub struct Ending {
    /// No connection is accepted any more, and requests under way may finish.
    pub draining: CancellationToken,
    /// They have, and this listener ends too.
    pub over: CancellationToken,
}

impl FromRef<Shared> for Ending {
    fn from_ref(shared: &Shared) -> Self {
        shared.ending.clone()
    }
}

impl FromRef<Shared> for Arc<Gateway> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.gateway)
    }
}

impl FromRef<Shared> for Arc<Control> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.control)
    }
}

impl FromRef<Shared> for Arc<Sessions> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.sessions)
    }
}

/// What stands at the head of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pointsman admin API",
        description = "Everything that the dashboard and the command line do. Changes are checked as a whole, \
                       kept as a revision, and served by the next request.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("token" = [])),
    tags(
        (name = "documents", description = "Providers, models, projects and aliases, each as its table in a configuration file"),
        (name = "aliases", description = "Parts of an alias"),
        (name = "providers", description = "Providers and the catalogue"),
        (name = "keys", description = "Keys of callers"),
        (name = "history", description = "Revisions and the audit log"),
        (name = "traffic", description = "Usage, statistics and decisions"),
        (name = "admin", description = "Admin tokens and secrets")
    )
)]
struct Head;

/// The routes below `/admin/v1`, and their description.
fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Head::openapi())
        .merge(document::routes())
        .routes(routes!(alias::add_target))
        .routes(routes!(alias::change_target, alias::remove_target))
        .routes(routes!(alias::set_order))
        .routes(routes!(alias::set_weights))
        .routes(routes!(alias::rename))
        .routes(routes!(provider::statuses))
        .routes(routes!(provider::status))
        .routes(routes!(provider::test))
        .routes(routes!(catalogue::models))
        .routes(routes!(standing::of_project))
        .routes(routes!(standing::of_key))
        .routes(routes!(key::list, key::create))
        .routes(routes!(key::get, key::update, key::delete))
        .routes(routes!(key::rotate))
        .routes(routes!(key::revoke))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::delete))
        .routes(routes!(token::me))
        .routes(routes!(token::reseal))
        .routes(routes!(replica::list))
        .routes(routes!(logging::get, logging::change))
        .routes(routes!(history::revisions))
        .routes(routes!(history::revision))
        .routes(routes!(history::roll_back))
        .routes(routes!(history::compare))
        .routes(routes!(history::audit))
        .routes(routes!(apply::apply))
        .routes(routes!(apply::export))
        .routes(routes!(usage::usage))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::decisions))
        .routes(routes!(classify::classify))
        .routes(routes!(statistics::statistics))
        .routes(routes!(overview::overview))
        .routes(routes!(traffic::of_alias))
        .routes(routes!(playground::play))
        .routes(routes!(simulated::list))
        .routes(routes!(simulated::change))
        .routes(routes!(simulated::reset))
        .routes(routes!(events::events))
}

/// The OpenAPI document of the admin API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().split_for_parts().1.with_scheme()
}

/// The same for whoever asks. It is made for the first of them: most processes are never asked.
async fn description() -> impl IntoResponse {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| openapi().to_json().unwrap_or_default().into());
    ([(http::header::CONTENT_TYPE, "application/json")], JSON.clone())
}

trait WithScheme {
    /// With what the token is.
    fn with_scheme(self) -> Self;
}

impl WithScheme for utoipa::openapi::OpenApi {
    fn with_scheme(mut self) -> Self {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("an admin token")).build();
        self.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
        self
    }
}

/// The router of the admin listener.
pub fn router(
    gateway: Arc<Gateway>,
    control: Arc<Control>,
    puppets: Vec<Arc<dyn Puppet>>,
    ending: Ending,
    runtimes: Runtimes,
) -> Router {
    let shared = Shared { gateway, control, sessions: Arc::default(), puppets: puppets.into(), ending, runtimes };
    let api = Later { made: Arc::default(), shared: shared.clone() };
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/targets", get(health::targets))
        .route("/metrics", get(metrics::metrics))
        .route("/admin/openapi.json", get(description))
        .merge(session::routes())
        .merge(dashboard::routes())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .method_not_allowed_fallback(error::wrong_method)
        .fallback(move |request: Request| api.serve(request))
        .with_state(shared)
}

/// The router of the API, which is made when somebody first asks for something that is none of
/// the rest. With the description of each route it takes 4 MiB, of which processes that are never
/// asked have no use.
#[derive(Clone)]
struct Later {
    made: Arc<OnceLock<Router>>,
    shared: Shared,
}

impl Later {
    async fn serve(self, request: Request) -> Response {
        let router = self.made.get_or_init(|| {
            Router::new()
                .merge(api().split_for_parts().0.layer(axum::middleware::map_response(kept_by_nobody)))
                .layer(DefaultBodyLimit::max(LARGEST_BODY))
                .method_not_allowed_fallback(error::wrong_method)
                .fallback(error::no_such_path)
                .with_state(self.shared)
        });
        match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// What is only for whoever has a token is not for caches.
async fn kept_by_nobody(mut response: Response) -> Response {
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
