//! What a request brings, read with our own words for what is wrong with it.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::error::AdminError;
use crate::control::Precondition;

/// A body of JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(AdminError::WrongType);
        }
        // Its limit is that of the router.
        let body = Bytes::from_request(request, state).await.map_err(|error| match error.status().as_u16() {
            413 => AdminError::TooLarge,
            _ => AdminError::Bad("The body broke off.".to_owned()),
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| AdminError::Bad(format!("The body: {error}.")))
    }
}

/// Parameters of the query.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Query(asked) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| AdminError::Bad(format!("The query: {}.", error.body_text())))?;
        Ok(Self(asked))
    }
}

/// Names in the path.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Path(named) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| AdminError::Bad(format!("The path: {}.", error.body_text())))?;
        Ok(Self(named))
    }
}

/// The condition in `If-Match` and `If-None-Match`.
#[derive(Debug)]
pub struct Condition(pub Precondition);

impl<S: Send + Sync> FromRequestParts<S> for Condition {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AdminError> {
        condition(&parts.headers).map(Self)
    }
}

fn condition(headers: &HeaderMap) -> Result<Precondition, AdminError> {
    let text = |name: &HeaderName| {
        let value = headers.get(name)?;
        Some(value.to_str().map(str::trim).map_err(|_| AdminError::Bad(format!("The header {name} is no text."))))
    };
    if let Some(seen) = text(&IF_MATCH).transpose()? {
        if seen == "*" {
            return Ok(Precondition::Any);
        }
        let revision = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').parse().ok();
        let revisions: Option<Vec<u64>> = seen.split(',').map(revision).collect();
        return revisions.map(Precondition::Revision).ok_or_else(|| {
            AdminError::Bad("The header if-match is none of ours; expected an ETag such as \"12\", or *.".to_owned())
        });
    }
    match text(&IF_NONE_MATCH).transpose()? {
        None => Ok(Precondition::Unsaid),
        Some("*") => Ok(Precondition::Absent),
        Some(_) => Err(AdminError::Bad("The header if-none-match can only be *.".to_owned())),
    }
}

/// How a change is made.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// Only find out what would change.
    #[serde(default)]
    #[param(default = false)]
    pub dry_run: bool,
    /// What is said of the change in the history, at most 1000 characters.
    #[param(max_length = 1000)]
    pub note: Option<String>,
}

/// A part of a list by name.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Only those whose names contain this.
    pub search: Option<String>,
    /// Only those after this name: `next` of the part before.
    pub after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
}

/// A part of a list by number, newest first.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Before {
    /// Only those before this number: `next` of the part before.
    #[param(format = "uint64")]
    pub before: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
}

/// How many a part may hold.
///
/// # Errors
/// If it is none, or too many.
pub fn limit(asked: Option<u32>) -> Result<usize, AdminError> {
    at_most("limit", asked.unwrap_or(100), 1000)
}

/// A number of things that is wanted.
///
/// # Errors
/// If it is none, or too many.
pub fn at_most(name: &str, asked: u32, most: u32) -> Result<usize, AdminError> {
    if (1..=most).contains(&asked) {
        Ok(asked as usize)
    } else {
        Err(AdminError::Bad(format!("The query: {name} is {asked}; expected 1 to {most}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: HeaderName, value: &str) -> Result<Precondition, AdminError> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        condition(&headers)
    }

    #[test]
    fn conditions_are_those_of_http() {
        assert_eq!(condition(&HeaderMap::new()).unwrap(), Precondition::Unsaid);
        assert_eq!(said(IF_MATCH, "*").unwrap(), Precondition::Any);
        assert_eq!(said(IF_MATCH, "\"12\"").unwrap(), Precondition::Revision(vec![12]));
        assert_eq!(said(IF_MATCH, "W/\"12\", \"13\"").unwrap(), Precondition::Revision(vec![12, 13]));
        assert_eq!(said(IF_NONE_MATCH, "*").unwrap(), Precondition::Absent);
        assert!(said(IF_MATCH, "soon").is_err() && said(IF_NONE_MATCH, "\"1\"").is_err());
    }
}
