//! How does the dashboard get into a browser, and how does the browser stay logged in?
//!
//! The pages are files in the binary ([`assets`]); they ask the admin API like any other
//! client, by a session in the place of a token ([`sessions`]). Nothing here knows what is on
//! the pages, and nothing of the pages comes from elsewhere: a strict policy says so to the
//! browser.

mod assets;
pub mod sessions;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use assets::Asset;

/// Where the pages are.
pub const HOME: &str = "/dashboard/";

/// All that a page may do: run our scripts, look like our style, talk to where it came from.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The routes of the pages and their files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let home = || async { Redirect::permanent(HOME) };
    Router::new()
        .route("/", get(|| async { Redirect::temporary(HOME) }))
        .route("/dashboard", get(home))
        .route(HOME, get(page))
        .route("/dashboard/{*path}", get(page))
        .route("/dashboard/assets/{*path}", get(file))
        .layer(axum::middleware::map_response(guarded))
}

/// The page that all addresses of the dashboard share; its script knows them.
async fn page(headers: HeaderMap) -> Response {
    sent(assets::index(), &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    assets::named(&path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| sent(asset, &headers))
}

/// A file, or that it is as the browser has it. It is asked for each time, since the next
/// binary may have another one under the same name.
fn sent(asset: &Asset, headers: &HeaderMap) -> Response {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag);
    let shared = [(CACHE_CONTROL, HeaderValue::from_static("no-cache")), (ETAG, asset.etag.clone())];
    if known {
        return (StatusCode::NOT_MODIFIED, shared).into_response();
    }
    (shared, [(CONTENT_TYPE, asset.content_type)], asset.bytes).into_response()
}

/// Whatever it is, a browser does no more with it than it has to.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str, tag: Option<&HeaderValue>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn body(response: Response) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn every_address_of_the_dashboard_is_its_page() {
        for path in ["/dashboard/", "/dashboard/aliases", "/dashboard/aliases/a%2Fb"] {
            let response = get(path, None).await;
            assert_eq!(
                (response.status(), response.headers()[CONTENT_TYPE].as_bytes()),
                (StatusCode::OK, &b"text/html; charset=utf-8"[..])
            );
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
            assert_eq!(body(response).await, assets::index().bytes);
        }
        for path in ["/", "/dashboard"] {
            let response = get(path, None).await;
            assert!(response.status().is_redirection(), "{path}");
            assert_eq!(response.headers()["location"], HOME);
        }
    }

    #[tokio::test]
    async fn files_come_once_and_then_only_when_they_have_changed() {
        let first = get("/dashboard/assets/app.js", None).await;
        assert_eq!(
            (first.status(), first.headers()[CONTENT_TYPE].as_bytes()),
            (StatusCode::OK, &b"text/javascript; charset=utf-8"[..])
        );
        let tag = first.headers()[ETAG].clone();
        let again = get("/dashboard/assets/app.js", Some(&tag)).await;
        assert_eq!((again.status(), &again.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &tag));
        assert!(again.headers().contains_key(CONTENT_SECURITY_POLICY));
        assert!(body(again).await.is_empty());
        let other = get("/dashboard/assets/app.js", Some(&HeaderValue::from_static("\"other\""))).await;
        assert_eq!(other.status(), StatusCode::OK);
        for path in ["/dashboard/assets/none.js", "/dashboard/assets/..%2Fmod.rs", "/dashboard/assets/"] {
            assert_ne!(
                get(path, None).await.headers().get(CONTENT_TYPE),
                Some(&first.headers()[CONTENT_TYPE]),
                "{path}"
            );
        }
        assert_eq!(get("/dashboard/assets/none.js", None).await.status(), StatusCode::NOT_FOUND);
    }
}
