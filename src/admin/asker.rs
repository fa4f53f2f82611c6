//! Who asks, and may it? By a token, or by the session that a token has opened.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::request::Parts;

use super::error::AdminError;
use crate::api::CLIENT_HEADER;
use crate::api::session::CSRF_HEADER;
use crate::control::{Control, Holder, Signed};
use crate::dashboard::sessions::{Entered, Sessions};
use crate::proxy::Gateway;
use crate::proxy::guard::Peer;
use crate::store::record::{Author, Role};

/// The cookie with a session's id.
pub const COOKIE_NAME: &str = "pointsman_session";

/// Whoever shows a valid token, or is in a session.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The token.
    pub holder: Holder,
    /// The session, if it is in one.
    pub session: Option<Entered>,
    /// By which way it comes.
    via: &'static str,
}

impl Asker {
    /// Refuses whoever may less than that.
    ///
    /// # Errors
    /// If the role does not allow it.
    pub fn must_be(&self, needed: Role) -> Result<(), AdminError> {
        let has = self.holder.role;
        if has >= needed { Ok(()) } else { Err(AdminError::Role { needed, has }) }
    }

    /// Its name and way.
    pub fn author(&self) -> Author {
        Author::new(self.holder.name.as_str(), self.via)
    }

    /// A change that it wants.
    pub fn signs(&self, action: &'static str, subject: impl Into<String>) -> Signed {
        Signed { role: self.holder.role, ..Signed::new(self.author(), action, subject) }
    }

    /// Whether its token still holds, and its session.
    pub fn still_may(&self, control: &Control, sessions: &Sessions) -> bool {
        match &self.session {
            None => control.still_holds(&self.holder),
            Some(session) => {
                let same = control.holder_of(&session.token).is_some_and(|holder| holder == self.holder);
                same && sessions.still_open(session, control.clock().now())
            }
        }
    }
}

impl<S> FromRequestParts<S> for Asker
where
    Arc<Gateway>: FromRef<S>,
    Arc<Control>: FromRef<S>,
    Arc<Sessions>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let control = Arc::<Control>::from_ref(state);
        // A header is shown on purpose, a cookie by itself.
        if parts.headers.contains_key(AUTHORIZATION) {
            let shown = shown_token(&parts.headers).ok_or(AdminError::NoToken)?;
            let Some(holder) = control.holder(shown) else {
                return Err(wrong_token(&Arc::<Gateway>::from_ref(state), parts.extensions.get()).await);
            };
            return Ok(Self { holder, session: None, via: way(&parts.headers) });
        }
        let id = shown_session(&parts.headers).ok_or(AdminError::NoToken)?;
        let sessions = Arc::<Sessions>::from_ref(state);
        let session = sessions.enter(id, control.clock().now()).ok_or(AdminError::NoToken)?;
        let Some(holder) = control.holder_of(&session.token) else {
            sessions.close(&session);
            return Err(AdminError::NoToken);
        };
        from_our_page(parts, &session)?;
        Ok(Self { holder, session: Some(session), via: "dashboard" })
    }
}

/// What becomes of whoever shows a token that nobody knows, or that no longer holds.
pub async fn wrong_token(gateway: &Gateway, peer: Option<&Peer>) -> AdminError {
    match gateway.wrong_key(peer.copied()).await {
        Ok(()) => AdminError::NoToken,
        Err(wait) => AdminError::Guessing { wait },
    }
}

fn shown_token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

fn shown_session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, id)| id)
}

/// A browser adds the cookie to whatever a page asks. What changes something has to come from
/// a page of ours.
fn from_our_page(parts: &Parts, session: &Entered) -> Result<(), AdminError> {
    if parts.method.is_safe() {
        return Ok(());
    }
    from_here(parts)?;
    let shown = parts.headers.get(CSRF_HEADER).map(|value| value.as_bytes()).unwrap_or_default();
    if session.is_csrf(shown) { Ok(()) } else { Err(AdminError::Csrf) }
}

/// Refuses what a page from another address asks.
///
/// # Errors
/// If it says that it is one.
pub fn from_here(parts: &Parts) -> Result<(), AdminError> {
    let Some(origin) = parts.headers.get(ORIGIN) else { return Ok(()) };
    let host = parts.headers.get(HOST).map(|value| value.as_bytes());
    // HTTP/2 has it in the address.
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str().as_bytes()));
    let origin = origin.as_bytes();
    let from = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    let same = from.zip(host).is_some_and(|(from, host)| from.eq_ignore_ascii_case(host));
    if same { Ok(()) } else { Err(AdminError::Elsewhere) }
}

/// What a client says it is, if that is one of ours.
fn way(headers: &HeaderMap) -> &'static str {
    match headers.get(CLIENT_HEADER).and_then(|value| value.to_str().ok()) {
        Some("cli") => "cli",
        Some("dashboard") => "dashboard",
        _ => "api",
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(headers: &[(&'static str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::post("/x"), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let shown = |headers: &[_]| shown_session(&parts(headers).headers).map(str::to_owned);
        assert_eq!(shown(&[("cookie", "a=b; pointsman_session=1 ; c=d")]).as_deref(), Some("1"));
        assert_eq!(shown(&[("cookie", "a=b"), ("cookie", "pointsman_session=2")]).as_deref(), Some("2"));
        assert_eq!(shown(&[("cookie", "xpointsman_session=1; pointsman_session")]), None);
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn a_page_from_elsewhere_is_known_by_its_origin() {
        let fine = |origin: &str| from_here(&parts(&[("host", "Box:8081"), ("origin", origin)])).is_ok();
        assert!(fine("http://box:8081") && fine("https://BOX:8081"));
        for wrong in ["null", "", "http://box", "http://box:8080", "http://evil", "ftp://box:8081", "http://box:8081/"]
        {
            assert!(!fine(wrong), "{wrong}");
        }
        assert!(from_here(&parts(&[("host", "box:8081")])).is_ok(), "nothing is said by whoever is no page");
        assert!(from_here(&parts(&[("origin", "http://box:8081")])).is_err());
        let mut over_http2 = parts(&[("origin", "http://box:8081")]);
        over_http2.uri = "http://box:8081/x".parse().unwrap();
        assert!(from_here(&over_http2).is_ok());
    }
}
