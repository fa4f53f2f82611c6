//! Logging in at the dashboard with an admin token, and out again. From then on the browser
//! shows a cookie that no script can read.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json as Answer, Router};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Shared;
use super::asker::{Asker, COOKIE_NAME, from_here, wrong_token};
use super::error::AdminError;
use super::input::Json;
use super::token::told;
use crate::api::session::{LogIn, Session};
use crate::control::{Holder, token_digest};
use crate::dashboard::sessions::{Entered, LONGEST, Sessions};
use crate::proxy::guard::Peer;

/// Nobody has a token that is longer.
const LARGEST_BODY: usize = 4096;

/// The routes of a session.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/dashboard/session", get(who).post(log_in).delete(log_out))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// Opens a session.
async fn log_in(State(shared): State<Shared>, request: Request) -> Result<Response, AdminError> {
    let (parts, body) = request.into_parts();
    from_here(&parts)?;
    let secure = came_by_tls(&parts.headers);
    let peer = parts.extensions.get::<Peer>().copied();
    let Json(LogIn { token }) = Json::from_request(Request::from_parts(parts, body), &()).await?;
    let digest = token_digest(token.trim().as_bytes());
    let Some(holder) = shared.control.holder_of(&digest) else {
        return Err(wrong_token(&shared.gateway, peer.as_ref()).await);
    };
    let (id, entered) = shared.sessions.open(digest, shared.control.clock().now());
    Ok((StatusCode::CREATED, cookie(&id, LONGEST.as_secs(), secure), report(holder, &entered)).into_response())
}

/// Who is in this session.
async fn who(asker: Asker) -> Result<Response, AdminError> {
    let session = asker.session.ok_or(AdminError::NoToken)?;
    Ok(report(asker.holder, &session).into_response())
}

/// Ends it.
async fn log_out(
    asker: Asker,
    State(sessions): State<Arc<Sessions>>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    sessions.close(&asker.session.ok_or(AdminError::NoToken)?);
    Ok((StatusCode::NO_CONTENT, cookie("", 0, came_by_tls(&headers))).into_response())
}

fn report(holder: Holder, entered: &Entered) -> impl IntoResponse + use<> {
    let Holder { name, role } = holder;
    let session = Session { name, role: told(role), csrf: entered.csrf().to_owned(), ends_ms: entered.ends.0 };
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Answer(session))
}

/// This listener speaks plain HTTP; whoever puts TLS in front of it says so.
fn came_by_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// For this address alone, and only for its own pages.
fn cookie(id: &str, seconds: u64, secure: bool) -> HeaderMap {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE_NAME}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).map(|value| HeaderMap::from_iter([(SET_COOKIE, value)])).unwrap_or_default()
}
