//! How is a simulated provider changed while it runs? `/_sim` on its own address.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::behaviour::{Behaviour, BehaviourError};
use super::engine::Engine;
use super::playback::Reply;

/// The path under which all control paths lie.
pub(super) const PREFIX: &str = "/_sim/";

/// Requests listed if the query does not say how many.
const LAST: usize = 10;

/// Answers a request to a control path.
pub(super) fn answer(engine: &Engine, method: &Method, path: &str, query: &str, body: &Bytes) -> Response<Reply> {
    let result = match (method.as_str(), path.strip_prefix(PREFIX).unwrap_or_default()) {
        ("GET", "behaviour") => Ok(to_value(&*engine.base())),
        ("PUT", "behaviour") => {
            serde_json::from_slice::<Behaviour>(body).map_err(BehaviourError::from).and_then(|b| put(engine, b))
        }
        ("PATCH", "behaviour") => serde_json::from_slice::<Value>(body)
            .map_err(BehaviourError::from)
            .and_then(|patch| engine.base().patched(&patch))
            .and_then(|b| put(engine, b)),
        ("POST", "reset") => engine.reset().map(|()| to_value(&*engine.base())),
        ("GET", "stats") => Ok(to_value(&engine.counters.read(engine.servers.waiting()))),
        ("GET", "requests") => {
            let last = query.split('&').find_map(|pair| pair.strip_prefix("last=")?.parse().ok()).unwrap_or(LAST);
            Ok(to_value(&engine.counters.last(last)))
        }
        (_, "behaviour" | "reset" | "stats" | "requests") => {
            return json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": format!("no {method} {path}")}));
        }
        _ => return json_response(StatusCode::NOT_FOUND, &json!({"error": format!("no such path: {path}")})),
    };
    match result {
        Ok(value) => json_response(StatusCode::OK, &value),
        Err(error) => json_response(StatusCode::BAD_REQUEST, &json!({"error": error.to_string()})),
    }
}

fn put(engine: &Engine, behaviour: Behaviour) -> Result<Value, BehaviourError> {
    engine.set(behaviour)?;
    Ok(to_value(&*engine.base()))
}

/// Behaviours and counters always have a JSON form: their map keys are text, their numbers finite.
fn to_value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn json_response(status: StatusCode, value: &Value) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
