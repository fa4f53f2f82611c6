//! Who asks, and may it?

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::error::AdminError;
use crate::api::CLIENT_HEADER;
use crate::control::{Control, Holder, Signed};
use crate::store::record::{Author, Role};

/// Whoever shows a valid token.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The token.
    pub holder: Holder,
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
}

impl<S> FromRequestParts<S> for Asker
where
    Arc<Control>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let control = Arc::<Control>::from_ref(state);
        let shown = shown_token(&parts.headers).ok_or(AdminError::NoToken)?;
        let holder = control.holder(shown).ok_or(AdminError::NoToken)?;
        Ok(Self { holder, via: way(&parts.headers) })
    }
}

fn shown_token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

/// What a client says it is, if that is one of ours.
fn way(headers: &HeaderMap) -> &'static str {
    match headers.get(CLIENT_HEADER).and_then(|value| value.to_str().ok()) {
        Some("cli") => "cli",
        Some("dashboard") => "dashboard",
        _ => "api",
    }
}
