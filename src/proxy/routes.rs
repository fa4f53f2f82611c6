//! The paths of the data plane.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use super::auth::shown_key;
use super::error::{ErrorShape, GatewayError};
use super::intake::{BodyLimits, call, operation_of, read_body};
use super::models;
use super::respond::Trace;
use super::{Gateway, pipeline};
use crate::domain::names::NameError;
use crate::live::{Caller, View};

/// The router of the data plane.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/models", get(list_models))
        .route("/v1/models/{*id}", get(one_model))
        .route("/health/live", get(|| async { "ok" }))
        .fallback(any(serve))
        .with_state(gateway)
}

async fn serve(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let mut trace = Trace::new();
    let path = request.uri().path();
    // Anthropic's SDK wants a base URL without `/v1`, OpenAI's one with it.
    let Some((operation, shape)) = path.strip_prefix("/v1").and_then(operation_of) else {
        let shape = if path.starts_with("/v1/messages") { ErrorShape::Anthropic } else { ErrorShape::OpenAi };
        return GatewayError::NoSuchPath.into_response(shape, &trace);
    };
    if request.method() != Method::POST {
        return GatewayError::WrongMethod.into_response(shape, &trace);
    }
    let view = gateway.live.view();
    let (head, body) = request.into_parts();
    let outcome = async {
        let caller = authenticate(&view, &head.headers)?;
        let limits = BodyLimits { max: view.limits.max_body_bytes, time: view.limits.body_timeout };
        let body = read_body(&head.headers, body, limits).await?;
        let call = call(operation, head.headers, body, &trace.id, gateway.live.clock.now())?;
        pipeline::serve(&gateway, &view, &caller, &call, &mut trace).await
    }
    .await;
    outcome.unwrap_or_else(|error| error.into_response(shape, &trace))
}

fn authenticate(view: &View, headers: &HeaderMap) -> Result<Caller, GatewayError> {
    view.keys.caller(shown_key(headers)).ok_or(GatewayError::Unauthorized)
}

/// Anthropic's SDK names its version with every request; OpenAI's does not.
fn shape_of(headers: &HeaderMap) -> ErrorShape {
    if headers.contains_key("anthropic-version") { ErrorShape::Anthropic } else { ErrorShape::OpenAi }
}

async fn list_models(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    let (view, shape) = (gateway.live.view(), shape_of(&headers));
    answer(shape, || {
        let caller = authenticate(&view, &headers)?;
        Ok(match shape {
            ErrorShape::Anthropic => models::anthropic_list(&view, &caller),
            _ => models::openai_list(&view, &caller, gateway.live.clock.now().as_secs()),
        })
    })
}

async fn one_model(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let (view, shape) = (gateway.live.view(), shape_of(&headers));
    answer(shape, || {
        let caller = authenticate(&view, &headers)?;
        let alias = view.catalog.resolve(&id).map_err(|error| match error {
            NameError::Unknown { .. } => GatewayError::UnknownModel { name: id.clone(), nearest: Vec::new() },
            NameError::Ambiguous { candidates } => GatewayError::AmbiguousModel { name: id.clone(), candidates },
        })?;
        if !caller.may_use(alias) {
            return Err(GatewayError::Forbidden { alias: id.clone() });
        }
        let name = view.catalog.alias(alias).name.as_str();
        Ok(match shape {
            ErrorShape::Anthropic => models::anthropic_one(name),
            _ => models::openai_one(name, gateway.live.clock.now().as_secs()),
        })
    })
}

fn answer(shape: ErrorShape, body: impl FnOnce() -> Result<Vec<u8>, GatewayError>) -> Response {
    let trace = Trace::new();
    match body() {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            trace.put_into(response.headers_mut());
            response
        }
        Err(error) => error.into_response(shape, &trace),
    }
}
