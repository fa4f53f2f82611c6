//! The paths of the data plane.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::service::Service;
use tower::ServiceExt;

use super::auth::shown_key;
use super::error::{ErrorShape, GatewayError};
use super::intake::{BodyLimits, call, operation_of, read_body};
use super::models;
use super::respond::Trace;
use super::{Gateway, pipeline};
use crate::domain::names::NameError;
use crate::live::{Caller, View};
use crate::upstream::lane::Operation;

/// The data plane: what clients call, and the few paths that only tell something.
///
/// Nearly every request is a `POST` to a path that [`operation_of`] knows, so these do not
/// pay for a router.
#[derive(Clone, Debug)]
pub struct DataPlane {
    gateway: Arc<Gateway>,
    others: Router,
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
        Self { gateway, others }
    }
}

impl Service<Request<Incoming>> for DataPlane {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.method() == Method::POST
            && let Ok((operation, shape)) = operation_at(request.uri().path())
        {
            let gateway = Arc::clone(&self.gateway);
            return Box::pin(async move { Ok(serve(&gateway, operation, shape, request).await) });
        }
        Box::pin(self.others.clone().oneshot(request.map(Body::new)))
    }
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

async fn serve(gateway: &Gateway, operation: Operation, shape: ErrorShape, request: Request<Incoming>) -> Response {
    let mut trace = Trace::new(&gateway.live.telemetry);
    let view = gateway.live.view();
    let (head, body) = request.into_parts();
    trace.open.came_by(operation.protocol(), &head.headers, head.uri.path());
    let outcome = async {
        let caller = authenticate(gateway, &view, &head.headers)?;
        let limits = BodyLimits { max: view.limits.max_body_bytes, time: view.limits.body_timeout };
        let body = read_body(&head.headers, body, limits).await?;
        let call = call(operation, head.headers, body, &trace.id, gateway.live.clock.now())?;
        pipeline::serve(gateway, &view, &caller, &call, &mut trace).await
    }
    .await;
    outcome.unwrap_or_else(|error| error.into_response(shape, &trace))
}

fn authenticate(gateway: &Gateway, view: &View, headers: &HeaderMap) -> Result<Caller, GatewayError> {
    view.caller(shown_key(headers), gateway.live.clock.now()).map_err(GatewayError::Denied)
}

/// Anthropic's SDK names its version with every request; OpenAI's does not.
fn shape_of(headers: &HeaderMap) -> ErrorShape {
    if headers.contains_key("anthropic-version") { ErrorShape::Anthropic } else { ErrorShape::OpenAi }
}

async fn list_models(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    let (view, shape) = (gateway.live.view(), shape_of(&headers));
    answer(&gateway, shape, || {
        let caller = authenticate(&gateway, &view, &headers)?;
        Ok(match shape {
            ErrorShape::Anthropic => models::anthropic_list(&view, &caller),
            _ => models::openai_list(&view, &caller, gateway.live.clock.now().as_secs()),
        })
    })
}

async fn one_model(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let (view, shape) = (gateway.live.view(), shape_of(&headers));
    answer(&gateway, shape, || {
        let caller = authenticate(&gateway, &view, &headers)?;
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
