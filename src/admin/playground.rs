//! A chat through an alias by whoever is logged in: the way of any caller's request, with
//! nobody's key, or as if by one.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::asker::Asker;
use super::error::AdminError;
use super::explain::caller;
use super::input::Json;
use crate::api::error::{ErrorBody, ErrorReport};
use crate::api::playground::PlaygroundRequest;
use crate::control::Control;
use crate::proxy::error::{ErrorShape, GatewayError};
use crate::proxy::respond::Trace;
use crate::proxy::{Gateway, intake, pipeline};
use crate::store::record::Role;
use crate::upstream::lane::Operation;
use crate::wire::Dialect;

/// An error of the data plane is no longer.
const LARGEST_ERROR: usize = 1 << 20;

/// Sends a chat completion and answers as the data plane does, with its headers; an error is
/// told in the shape of this API, with the status that callers get. What failed at providers is
/// a 424.
#[utoipa::path(
    post, path = "/admin/v1/playground", operation_id = "play", tag = "traffic",
    responses(
        (status = 200, description = "a chat completion of OpenAI's, streamed if that was asked for",
            content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", body = ErrorReport)
    )
)]
pub async fn play(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    State(control): State<Arc<Control>>,
    Json(asked): Json<PlaygroundRequest>,
) -> Result<Response, AdminError> {
    asker.must_be(Role::Editor)?;
    let view = gateway.live.view();
    let caller = caller(&view, &control, asked.key.as_deref())?;
    let mut chat = asked.chat;
    chat.insert("model".to_owned(), Value::from(asked.alias));
    let body = Bytes::from(json!(chat).to_string());
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let mut trace = Trace::new(&gateway.live.telemetry);
    let operation = Operation::Chat(Dialect::ChatCompletions);
    trace.open.came_by(operation.protocol(), &headers, "/admin/v1/playground");
    let started = Instant::now();
    let now = gateway.live.clock.at(started);
    let (long, connections) = (&gateway.long_bodies, &gateway.connections);
    let served = match intake::call(long, connections, operation, headers, body, &trace.id, now).await {
        Ok(call) => pipeline::serve(&gateway, &view, &caller, &call, &mut trace, started).await,
        Err(error) => Err(error),
    };
    Ok(match served {
        Ok(response) => response,
        Err(error) => told(error, &trace).await,
    })
}

/// An error of the data plane in the shape of this API.
async fn told(error: GatewayError, trace: &Trace) -> Response {
    let (mut head, body) = error.into_response(ErrorShape::OpenAi, trace).into_parts();
    let body = to_bytes(body, LARGEST_ERROR).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = |field: &str| body["error"][field].as_str().map(str::to_owned);
    let code = said("code").or_else(|| said("type")).unwrap_or_else(|| "unserved".to_owned());
    let message = said("message").unwrap_or_else(|| "nobody could serve it".to_owned());
    let report = ErrorReport { error: ErrorBody { code, message, ..ErrorBody::default() } };
    if !head.status.is_client_error() {
        head.status = StatusCode::FAILED_DEPENDENCY;
    }
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(json!(report).to_string()))
}
