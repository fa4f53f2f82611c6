//! What went wrong with a request, and what its client is told: the one place where a
//! failure becomes a status, a body in the client's dialect and headers.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use super::respond::Trace;
use crate::domain::failure::FailureKind;
use crate::limits::{Limit, Refusal, Wait};
use crate::live::Denied;
use crate::upstream::refusal::AttemptError;
use crate::wire::error::{BadRequest, ErrorBody, ErrorKind};
use crate::wire::{anthropic, openai, responses};

/// SDKs wait no longer than this before they ask again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Room for a body is there again as soon as others have been sent on.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Whose error shape a client understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorShape {
    /// OpenAI's, of every path but the Responses API.
    OpenAi,
    /// The Responses API's.
    Responses,
    /// Anthropic's.
    Anthropic,
}

/// A request that ends in an error.
#[derive(Clone, Debug)]
pub enum GatewayError {
    /// No key, or one that is not valid.
    Denied(Denied),
    /// No key that is known, too often from this address.
    Guessing {
        /// How long it should wait.
        wait: Duration,
    },
    /// A limit of the key or its project is reached.
    Limited(Refusal),
    /// A budget has less left than the request may cost, whoever serves it.
    OverBudget {
        /// The alias.
        alias: String,
        /// Each target and its reason.
        reasons: Vec<(String, String)>,
        /// When it would allow the request, if that is at any time.
        retry_after: Option<Duration>,
    },
    /// The key may not use the alias.
    Forbidden {
        /// Which.
        alias: String,
    },
    /// The name in `model` leads nowhere.
    UnknownModel {
        /// The name.
        name: String,
        /// The nearest names, best first.
        nearest: Vec<String>,
    },
    /// The name in `model` could mean several models.
    AmbiguousModel {
        /// The name.
        name: String,
        /// All that answer to it.
        candidates: Vec<String>,
    },
    /// The request is not of its dialect.
    Bad(BadRequest),
    /// The body is too large.
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body did not come in time.
    SlowBody,
    /// There is no room for the body beside the others.
    NoRoom,
    /// No target can serve this request, ever.
    NoneFit {
        /// The alias.
        alias: String,
        /// Each target and its reason.
        reasons: Vec<(String, String)>,
        /// All of them for the length of the prompt.
        too_long: bool,
        /// All of them by configuration, not by the request.
        unavailable: bool,
    },
    /// Every target is out for a while.
    NoneReady {
        /// The alias.
        alias: String,
        /// Each target and its reason.
        reasons: Vec<(String, String)>,
        /// When the first is back.
        retry_after: Option<Duration>,
        /// All of them at a limit of theirs.
        limited: bool,
    },
    /// Every attempt failed.
    AllFailed {
        /// The alias.
        alias: String,
        /// Each attempt, in order: endpoint and failure.
        attempts: Vec<(String, AttemptError)>,
        /// Targets that were not tried, and why, where that has to be told.
        passed_over: Vec<(String, String)>,
    },
    /// No such path.
    NoSuchPath,
    /// The path wants another method.
    WrongMethod,
}

impl GatewayError {
    /// A header that cannot be read.
    pub fn header(name: &'static str, expected: &str) -> Self {
        Self::Bad(BadRequest::at(format!("header {name}"), format!("expected {expected}")))
    }

    /// The answer to the client.
    pub fn into_response(self, shape: ErrorShape, trace: &Trace) -> Response {
        let outcome = self.outcome();
        if let Self::AllFailed { attempts, .. } = &self
            && let Some(native) = native_refusal(attempts, shape)
        {
            trace.open.refused(outcome, native.0.as_u16());
            return json_response(native.0, native.1, None, trace);
        }
        let retry_after = self.retry_after();
        let body = self.body();
        let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        trace.open.refused(outcome, status.as_u16());
        let mut response = json_response(status, Bytes::from(encode(&body, shape, &trace.id)), retry_after, trace);
        if status == StatusCode::TOO_MANY_REQUESTS && retry_after.is_none_or(|wait| wait > LONGEST_PAUSE) {
            // SDKs repeat a 429 of their own accord; here that is in vain.
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        }
        if matches!(self, Self::Guessing { .. }) {
            // The next guess has to connect first.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoneReady { retry_after, .. } => *retry_after,
            Self::OverBudget { retry_after, .. } => *retry_after,
            // Others may end at any moment; a second is as good a guess as any.
            Self::Limited(Refusal { wait: Wait::Ask | Wait::Others, .. }) => Some(Duration::from_secs(1)),
            Self::Limited(refusal) => refusal.retry_after(),
            Self::Guessing { wait } => Some(*wait),
            Self::NoRoom => Some(A_MOMENT),
            Self::AllFailed { attempts, .. } if all(attempts, FailureKind::NoSocket) => Some(A_MOMENT),
            Self::AllFailed { attempts, .. } if all(attempts, FailureKind::RateLimited) => {
                attempts.iter().filter_map(|(_, error)| error.retry_after).min()
            }
            _ => None,
        }
    }

    fn body(&self) -> ErrorBody {
        let body = |status, kind, code, param: Option<&str>, message: String| ErrorBody {
            status,
            kind,
            message,
            code: Some(code),
            param: param.map(str::to_owned),
        };
        match self {
            Self::Denied(denied) => {
                body(401, ErrorKind::Authentication, "invalid_api_key", None, why_denied(*denied).into())
            }
            Self::Guessing { .. } => body(
                429,
                ErrorKind::RateLimited,
                "too_many_wrong_keys",
                None,
                "Too many keys that are not known here came from this address. A key that is known is let in.".into(),
            ),
            Self::Limited(refusal) => {
                let code = match refusal.limit {
                    Limit::Budget(_) => "insufficient_quota",
                    _ => "rate_limit_exceeded",
                };
                body(429, ErrorKind::RateLimited, code, None, format!("{}.", sentence(&refusal.to_string())))
            }
            Self::OverBudget { alias, reasons, .. } => body(
                429,
                ErrorKind::RateLimited,
                "insufficient_quota",
                None,
                format!("A budget has less left than a request to `{alias}` may cost: {}", listed(reasons)),
            ),
            Self::Forbidden { alias } => body(
                403,
                ErrorKind::PermissionDenied,
                "model_not_allowed",
                Some("model"),
                format!("This key may not use `{alias}`."),
            ),
            Self::UnknownModel { name, nearest } => body(
                404,
                ErrorKind::NotFound,
                "model_not_found",
                Some("model"),
                format!("There is no alias or model `{}`.{}", crate::wire::peek::clip(name, 100), suggestion(nearest)),
            ),
            Self::AmbiguousModel { name, candidates } => body(
                404,
                ErrorKind::NotFound,
                "model_ambiguous",
                Some("model"),
                format!(
                    "`{}` could mean {}; send one of these.",
                    crate::wire::peek::clip(name, 100),
                    candidates.join(", ")
                ),
            ),
            Self::Bad(bad) => body(400, ErrorKind::InvalidRequest, "invalid_request", Some(&bad.path), bad.to_string()),
            Self::TooLarge { limit } => body(
                413,
                ErrorKind::TooLarge,
                "request_too_large",
                None,
                format!("The body is larger than the {limit} bytes that are accepted here."),
            ),
            Self::SlowBody => {
                body(408, ErrorKind::InvalidRequest, "request_timeout", None, "The body did not come in time.".into())
            }
            Self::NoRoom => body(
                503,
                ErrorKind::Overloaded,
                "no_room",
                None,
                "There is no room for a body of this size beside those that are here. Try again in a moment.".into(),
            ),
            Self::NoneFit { alias, reasons, too_long, unavailable } => {
                let message = format!("No target of `{alias}` can serve this request: {}", listed(reasons));
                if *unavailable {
                    body(503, ErrorKind::Overloaded, "no_target_available", None, message)
                } else if *too_long {
                    body(400, ErrorKind::InvalidRequest, "context_length_exceeded", Some("messages"), message)
                } else {
                    body(400, ErrorKind::InvalidRequest, "no_target_fits", None, message)
                }
            }
            Self::NoneReady { alias, reasons, limited, .. } => {
                let message = format!("Every target of `{alias}` is out for a while: {}", listed(reasons));
                if *limited {
                    body(429, ErrorKind::RateLimited, "rate_limit_exceeded", None, message)
                } else {
                    body(503, ErrorKind::Overloaded, "no_target_available", None, message)
                }
            }
            Self::AllFailed { alias, attempts, passed_over } => all_failed(alias, attempts, passed_over),
            Self::NoSuchPath => {
                body(404, ErrorKind::NotFound, "unknown_path", None, "There is no such path here.".into())
            }
            Self::WrongMethod => body(
                405,
                ErrorKind::InvalidRequest,
                "method_not_allowed",
                None,
                "This path wants another method.".into(),
            ),
        }
    }
}

fn why_denied(denied: Denied) -> &'static str {
    match denied {
        Denied::Unknown => {
            "The request shows no key that is known here. Send one of this gateway's keys as `Authorization: Bearer …` or `x-api-key`."
        }
        Denied::Expired => "This key has expired.",
        Denied::Revoked => "This key has been revoked.",
        Denied::Disabled => "This key, or its project, is switched off.",
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The most useful error of several: what the caller can mend itself, then what it should
/// wait for, then what to blame.
fn all_failed(alias: &str, attempts: &[(String, AttemptError)], passed_over: &[(String, String)]) -> ErrorBody {
    let callers = attempts.iter().find(|(_, error)| is_callers(error.kind));
    let list: Vec<(String, String)> = attempts
        .iter()
        .map(|(endpoint, error)| {
            let status = error.status.map_or(String::new(), |status| format!(" ({status})"));
            (endpoint.clone(), format!("{}{status}", error.kind))
        })
        .collect();
    let (status, kind, code, message) = match callers {
        Some((endpoint, error)) => {
            let code = match error.kind {
                FailureKind::ContextTooLong => "context_length_exceeded",
                FailureKind::ContentPolicy => "content_policy_violation",
                _ => "invalid_request",
            };
            (400, ErrorKind::InvalidRequest, code, format!("{endpoint} refused the request: {}", error.message))
        }
        None => {
            let mut message = format!("Every target of `{alias}` that was tried has failed: {}", listed(&list));
            if !passed_over.is_empty() {
                message.push_str(&format!(". Not tried: {}", listed(passed_over)));
            }
            if all(attempts, FailureKind::RateLimited) {
                (429, ErrorKind::RateLimited, "rate_limit_exceeded", message)
            } else if all(attempts, FailureKind::Timeout) {
                (504, ErrorKind::Timeout, "upstream_timeout", message)
            } else if all(attempts, FailureKind::NoSocket) {
                (503, ErrorKind::Overloaded, "no_socket", message)
            } else {
                (502, ErrorKind::BadGateway, "upstream_failed", message)
            }
        }
    };
    ErrorBody { status, kind, message, code: Some(code), param: None }
}

pub(super) fn is_callers(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::CallerMistake | FailureKind::ContextTooLong | FailureKind::ContentPolicy)
}

pub(super) fn all(attempts: &[(String, AttemptError)], kind: FailureKind) -> bool {
    !attempts.is_empty() && attempts.iter().all(|(_, error)| error.kind == kind)
}

/// Where the mistake is the caller's and provider and client speak the same protocol, the
/// provider's own words are the best there are.
fn native_refusal(attempts: &[(String, AttemptError)], shape: ErrorShape) -> Option<(StatusCode, Bytes)> {
    let (_, error) = attempts.iter().find(|(_, error)| is_callers(error.kind))?;
    let body = error.native_body.clone()?;
    let is_anthropics = serde_json::from_slice::<serde_json::Value>(&body)
        .is_ok_and(|body| body.get("type").is_some_and(|kind| kind == "error"));
    let fits = is_anthropics == (shape == ErrorShape::Anthropic);
    let status = StatusCode::from_u16(error.status?).ok()?;
    fits.then_some((status, body))
}

fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(" Did you mean {}?", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or ")),
    }
}

fn listed(reasons: &[(String, String)]) -> String {
    reasons.iter().map(|(target, reason)| format!("{target}: {reason}")).collect::<Vec<_>>().join("; ")
}

fn encode(body: &ErrorBody, shape: ErrorShape, request_id: &str) -> Vec<u8> {
    match shape {
        ErrorShape::OpenAi => openai::encode_error(body, request_id),
        ErrorShape::Responses => responses::encode_error(body, request_id),
        ErrorShape::Anthropic => anthropic::encode_error(body, request_id),
    }
}

fn json_response(status: StatusCode, body: Bytes, retry_after: Option<Duration>, trace: &Trace) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = retry_after {
        // Whole seconds, rounded up: a client that comes a moment early is refused again.
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64));
    }
    trace.put_into(headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kinds: &[FailureKind]) -> ErrorBody {
        let attempts = kinds
            .iter()
            .map(|kind| {
                let error = AttemptError {
                    kind: *kind,
                    status: None,
                    retry_after: None,
                    message: "org-secret".into(),
                    quotes: true,
                    native_body: None,
                };
                ("m@p".to_owned(), error)
            })
            .collect();
        GatewayError::AllFailed { alias: "chat".into(), attempts, passed_over: Vec::new() }.body()
    }

    #[test]
    fn the_most_useful_failure_decides_the_status() {
        use FailureKind as F;
        let cases: [(&[F], u16); 8] = [
            (&[F::NoSocket, F::NoSocket], 503),
            (&[F::NoSocket, F::Connect], 502),
            (&[F::Connect, F::ServerError], 502),
            (&[F::Timeout, F::Timeout], 504),
            (&[F::Timeout, F::Connect], 502),
            (&[F::RateLimited, F::RateLimited], 429),
            (&[F::RateLimited, F::ServerError], 502),
            (&[F::ServerError, F::ContextTooLong, F::Connect], 400),
        ];
        for (kinds, status) in cases {
            assert_eq!(failed(kinds).status, status, "{kinds:?}");
        }
    }

    #[test]
    fn a_providers_words_are_shown_only_where_the_caller_can_mend_it() {
        assert!(!failed(&[FailureKind::Credential]).message.contains("org-secret"));
        assert!(failed(&[FailureKind::CallerMistake]).message.contains("org-secret"));
    }
}
