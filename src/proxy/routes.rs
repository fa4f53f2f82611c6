//! The paths of the data plane.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::time::Instant;
use tower::ServiceExt;

use super::auth::shown_key;
use super::error::{ErrorShape, GatewayError};
use super::guard::Peer;
use super::intake::{call, operation_of, read_body};
use super::models;
use super::respond::Trace;
use super::{Gateway, pipeline};
use crate::domain::names::NameError;
use crate::live::{Caller, Denied, View};
use crate::upstream::lane::Operation;

/// The data plane: what clients call, and the few paths that only tell something.
///
/// Nearly every request is a `POST` to a path that [`operation_of`] knows, so these do not
/// pay for a router.
#[derive(Clone, Debug)]
pub struct DataPlane {
    gateway: Arc<Gateway>,
    others: Router,
    /// Who is served.
    peer: Option<Peer>,
}

impl DataPlane {
    /// Over a gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let others = Router::new()
            .route("/v1/models", get(list_models))
            .route("/v1/models/{*id}", get(one_model))
            .route("/health/live", get(|| async { "ok" }))
            .fallback(refuse)
            .with_state(Arc::clone(&gateway));
        Self { gateway, others, peer: None }
    }

    /// The same for one who calls.
    pub fn serving(&self, peer: Peer) -> Self {
        Self { peer: Some(peer), ..self.clone() }
    }
}

impl Service<Request<Incoming>> for DataPlane {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let peer = self.peer;
        if request.method() == Method::POST
            && let Ok((operation, shape)) = operation_at(request.uri().path())
        {
            let gateway = Arc::clone(&self.gateway);
            return in_place(|| async move { Ok(serve(&gateway, operation, shape, peer, request).await) });
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        Box::pin(self.others.clone().oneshot(request.map(Body::new)))
    }
}

/// A future that is made where it will stay. One that is made first and boxed then is copied, all
/// the room for what it will hold later included, which is most of it.
fn in_place<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

/// An operation's path with another method than `POST`, or no path of ours.
async fn refuse(State(gateway): State<Arc<Gateway>>, request: Request<Body>) -> Response {
    let trace = Trace::new(&gateway.live.telemetry);
    match operation_at(request.uri().path()) {
        Ok((_, shape)) => GatewayError::WrongMethod.into_response(shape, &trace),
        Err(shape) => GatewayError::NoSuchPath.into_response(shape, &trace),
    }
}

/// What a path asks for; otherwise the shape in which its caller expects errors.
fn operation_at(path: &str) -> Result<(Operation, ErrorShape), ErrorShape> {
    // Anthropic's SDK wants a base URL without `/v1`, OpenAI's one with it.
    let nothing = if path.starts_with("/v1/messages") { ErrorShape::Anthropic } else { ErrorShape::OpenAi };
    path.strip_prefix("/v1").and_then(operation_of).ok_or(nothing)
}

async fn serve(
    gateway: &Gateway,
    operation: Operation,
    shape: ErrorShape,
    peer: Option<Peer>,
    request: Request<Incoming>,
) -> Response {
    let mut trace = Trace::new(&gateway.live.telemetry);
    let view = gateway.live.view();
    let (head, body) = request.into_parts();
    trace.open.came_by(operation.protocol(), &head.headers, head.uri.path());
    let mut space = gateway.room.space();
    let outcome = async {
        let caller = authenticate(gateway, &view, &head.headers, peer).await?;
        let body = read_body(&head.headers, body, &view.limits, &mut space, &gateway.refused).await?;
        let started = Instant::now();
        let now = gateway.live.clock.at(started);
        let (long, connections) = (&gateway.long_bodies, &gateway.connections);
        let call = call(long, connections, operation, head.headers, body, &trace.id, now).await?;
        pipeline::serve(gateway, &view, &caller, &call, &mut trace, started).await
    }
    .await;
    outcome.unwrap_or_else(|error| error.into_response(shape, &trace))
}

async fn authenticate(
    gateway: &Gateway,
    view: &View,
    headers: &HeaderMap,
    peer: Option<Peer>,
) -> Result<Caller, GatewayError> {
    let shown = shown_key(headers);
    match view.caller(shown, gateway.live.clock.now()) {
        Ok(caller) => Ok(caller),
        Err(denied) => {
            // Whoever shows none, or one that was valid, does not guess.
            if denied == Denied::Unknown && shown.is_some() {
                gateway.wrong_key(peer).await.map_err(|wait| GatewayError::Guessing { wait })?;
            }
            gateway.refused.denied.fetch_add(1, Relaxed);
            Err(GatewayError::Denied(denied))
        }
    }
}

/// Anthropic's SDK names its version with every request; OpenAI's does not.
fn shape_of(headers: &HeaderMap) -> ErrorShape {
    if headers.contains_key("anthropic-version") { ErrorShape::Anthropic } else { ErrorShape::OpenAi }
}

async fn list_models(
    State(gateway): State<Arc<Gateway>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let (view, shape) = (gateway.live.view(), shape_of(&headers));
    let caller = authenticate(&gateway, &view, &headers, peer.map(|Extension(peer)| peer)).await;
    answer(&gateway, shape, || {
        let caller = caller?;
        Ok(match shape {
            ErrorShape::Anthropic => models::anthropic_list(&view, &caller),
            _ => models::openai_list(&view, &caller, gateway.live.clock.now().as_secs()),
        })
    })
}

async fn one_model(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let (view, shape) = (gateway.live.view(), shape_of(&headers));
    let caller = authenticate(&gateway, &view, &headers, peer.map(|Extension(peer)| peer)).await;
    answer(&gateway, shape, || {
        let caller = caller?;
        let alias = view.catalog.resolve(&id).map_err(|error| match error {
            NameError::Unknown { .. } => GatewayError::UnknownModel { name: id.clone(), nearest: Vec::new() },
            NameError::Ambiguous { candidates } => GatewayError::AmbiguousModel { name: id.clone(), candidates },
        })?;
        let alias = view.catalog.alias(alias);
        if !caller.may_use(alias, &view.catalog) {
            return Err(GatewayError::Forbidden { alias: id.clone() });
        }
        let name = alias.name.as_str();
        Ok(match shape {
            ErrorShape::Anthropic => models::anthropic_one(name),
            _ => models::openai_one(name, gateway.live.clock.now().as_secs()),
        })
    })
}

fn answer(gateway: &Gateway, shape: ErrorShape, body: impl FnOnce() -> Result<Vec<u8>, GatewayError>) -> Response {
    let trace = Trace::new(&gateway.live.telemetry);
    match body() {
        Ok(body) => {
            trace.open.answered();
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            trace.put_into(response.headers_mut());
            response
        }
        Err(error) => error.into_response(shape, &trace),
    }
}
