//! What a caller of the Responses API is told when its request failed.

use serde::Serialize;

use super::object::to_json;
use crate::wire::error::{ErrorBody, ErrorKind};

/// The error object, with all four of its fields even where they are `null`.
#[derive(Serialize)]
pub(super) struct ErrorObject<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

impl<'a> From<&'a ErrorBody> for ErrorObject<'a> {
    fn from(error: &'a ErrorBody) -> Self {
        Self { message: &error.message, kind: error_type(error.kind), param: error.param.as_deref(), code: error.code }
    }
}

/// The JSON body of an error answer. The request's id is not part of OpenAI's errors; it
/// travels in a header.
pub fn encode_error(error: &ErrorBody, _request_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: ErrorObject<'a>,
    }
    to_json(&Body { error: error.into() })
}

/// OpenAI's word for a class of errors.
fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::TooLarge => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::PermissionDenied => "permission_error",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Internal | ErrorKind::BadGateway | ErrorKind::Overloaded | ErrorKind::Timeout => "server_error",
    }
}

/// The `code` of a failed response's `error`, which the API restricts to a short list.
pub(super) fn failure_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::InvalidRequest | ErrorKind::TooLarge => "invalid_prompt",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn errors_have_openais_shape() {
        let error = ErrorBody {
            status: 404,
            kind: ErrorKind::NotFound,
            message: "no model \"x\"".into(),
            code: Some("model_not_found"),
            param: Some("model".into()),
        };
        let body: Value = serde_json::from_slice(&encode_error(&error, "r1")).unwrap();
        assert_eq!(
            body,
            json!({"error": {"message": "no model \"x\"", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}})
        );
    }
}
