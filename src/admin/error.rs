//! What went wrong with a question to the admin listener: the one place where it becomes a
//! status and a body.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::api::error::{ErrorBody, ErrorReport, ProblemReport};
use crate::config::{Problem, Problems};
use crate::control::ControlError;
use crate::store::StoreError;
use crate::store::record::Role;

/// A question that comes to nothing.
#[derive(Debug)]
pub enum AdminError {
    /// No token, or one that is not valid.
    NoToken,
    /// No token that is valid, too often from this address.
    Guessing {
        /// How long it should wait.
        wait: Duration,
    },
    /// The token's role does not allow it.
    Role {
        /// What it would take.
        needed: Role,
        /// What it is.
        has: Role,
    },
    /// A change in a session does not carry what only the dashboard's own page knows.
    Csrf,
    /// The page that asks comes from elsewhere.
    Elsewhere,
    /// The question cannot be read.
    Bad(String),
    /// Its body is larger than any that makes sense.
    TooLarge,
    /// Its body is of another kind.
    WrongType,
    /// There is no such thing.
    NotFound {
        /// In words.
        message: String,
        /// The nearest names, best first.
        nearest: Vec<String>,
    },
    /// The path is none of ours.
    NoSuchPath,
    /// The classifier does not work.
    Classifier,
    /// The control said no.
    Control(ControlError),
}

impl From<ControlError> for AdminError {
    fn from(error: ControlError) -> Self {
        Self::Control(error)
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Control(error.into())
    }
}

impl AdminError {
    fn parts(self) -> (StatusCode, ErrorBody) {
        let body = |code: &str, message: String| ErrorBody { code: code.to_owned(), message, ..ErrorBody::default() };
        match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                body(
                    "no_token",
                    "The request shows no admin token that is valid here. Send one as `Authorization: Bearer pma-…`; \
                     the first is shown when a store is made, or set POINTSMAN_ADMIN_TOKEN for the server."
                        .to_owned(),
                ),
            ),
            Self::Guessing { .. } => {
                let message = "Too many tokens that are not valid here came from this address. One that is valid is \
                               let in."
                    .to_owned();
                (StatusCode::TOO_MANY_REQUESTS, body("too_many_wrong_tokens", message))
            }
            Self::Role { needed, has } => {
                let message =
                    format!("This takes a token of the role {}; this one is a {}.", needed.as_str(), has.as_str());
                (StatusCode::FORBIDDEN, body("role", message))
            }
            Self::Csrf => {
                let message = "A change in a session has to carry its `x-pointsman-csrf`, which \
                               `GET /dashboard/session` tells."
                    .to_owned();
                (StatusCode::FORBIDDEN, body("csrf", message))
            }
            Self::Elsewhere => {
                let message = "The page that asks comes from another address than this.".to_owned();
                (StatusCode::FORBIDDEN, body("origin", message))
            }
            Self::Bad(message) => (StatusCode::BAD_REQUEST, body("bad_request", message)),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, body("too_large", "The body is too large.".to_owned())),
            Self::WrongType => {
                let message = "The body has to be JSON, with `content-type: application/json`.".to_owned();
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, body("wrong_type", message))
            }
            Self::NotFound { message, nearest } => {
                (StatusCode::NOT_FOUND, ErrorBody { nearest, ..body("not_found", message) })
            }
            Self::NoSuchPath => {
                let message = "There is no such path here; /admin/openapi.json has them all.".to_owned();
                (StatusCode::NOT_FOUND, body("no_such_path", message))
            }
            Self::Classifier => {
                let message = "The classifier does not work. The log of the server says more.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, body("classifier", message))
            }
            Self::Control(error) => of_control(error),
        }
    }
}

fn of_control(error: ControlError) -> (StatusCode, ErrorBody) {
    let body = |code: &str| ErrorBody { code: code.to_owned(), message: error.to_string(), ..ErrorBody::default() };
    match &error {
        ControlError::Invalid(Problems { list, .. }) => {
            let body = ErrorBody { problems: list.iter().map(problem).collect(), ..body("invalid") };
            (StatusCode::UNPROCESSABLE_ENTITY, body)
        }
        ControlError::Conflict { now, .. } => {
            (StatusCode::PRECONDITION_FAILED, ErrorBody { revision: Some(*now), ..body("conflict") })
        }
        ControlError::Unconditional { .. } => {
            let message = format!("{error}: send `If-Match` with the revision that you have seen, or `If-Match: *`");
            (StatusCode::PRECONDITION_REQUIRED, ErrorBody { message, ..body("precondition_required") })
        }
        ControlError::NotFound { nearest, .. } => {
            (StatusCode::NOT_FOUND, ErrorBody { nearest: nearest.clone(), ..body("not_found") })
        }
        ControlError::Exists { .. } => (StatusCode::CONFLICT, body("exists")),
        ControlError::Mistake(_) => (StatusCode::BAD_REQUEST, body("mistake")),
        ControlError::Forbidden(_) => (StatusCode::FORBIDDEN, body("forbidden")),
        ControlError::Client(_) => (StatusCode::BAD_REQUEST, body("mistake")),
        ControlError::Store(_) => {
            tracing::error!(%error, "the store failed");
            let message = "the store failed; nothing has changed. The log of the server says more".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, ErrorBody { message, ..body("store") })
        }
        ControlError::Journal(_) => (StatusCode::SERVICE_UNAVAILABLE, body("redis")),
        ControlError::Busy => (StatusCode::SERVICE_UNAVAILABLE, body("busy")),
        ControlError::Undecided(_) => (StatusCode::SERVICE_UNAVAILABLE, body("undecided")),
        ControlError::Ending => (StatusCode::SERVICE_UNAVAILABLE, body("ending")),
    }
}

/// A problem as it is told.
pub fn problem(problem: &Problem) -> ProblemReport {
    ProblemReport {
        path: problem.path.clone(),
        message: problem.message.clone(),
        expected: problem.expected.clone(),
        suggestions: problem.suggestions.clone(),
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let wait = if let Self::Guessing { wait } = self { Some(wait) } else { None };
        let (status, error) = self.parts();
        let revision = error.revision;
        let mut response = (status, Json(ErrorReport { error })).into_response();
        if let Some(wait) = wait {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            // The next guess has to connect first.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(value) = revision.and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok()) {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
}

/// An answer to a path that is none of ours.
pub async fn no_such_path() -> AdminError {
    AdminError::NoSuchPath
}

/// An answer to a path that wants another method.
pub async fn wrong_method() -> Response {
    let error = ErrorBody {
        code: "method_not_allowed".to_owned(),
        message: "This path wants another method; /admin/openapi.json has them all.".to_owned(),
        ..ErrorBody::default()
    };
    (StatusCode::METHOD_NOT_ALLOWED, Json(ErrorReport { error })).into_response()
}
