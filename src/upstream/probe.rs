//! Does a provider answer, and does it take our key? It is asked for its models, which costs
//! nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::headers::request_headers;
use super::lane::Lane;
use super::refusal::decode_error;
use crate::domain::ids::ProviderIdx;
use crate::domain::provider::{Protocol, UrlStyle};
use crate::live::View;
use crate::transport::collect::collect;
use crate::transport::payload::Payload;

/// A list of models that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest list.
const LONGEST: usize = 8 << 20;

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// It answered as it should.
    pub ok: bool,
    /// Its status.
    pub status: Option<u16>,
    /// The connection included.
    pub took: Duration,
    /// How many models it listed.
    pub models: Option<u64>,
    /// In words, without a secret.
    pub message: String,
}

/// Asks a provider for its models.
pub async fn probe(view: &View, idx: ProviderIdx) -> Probe {
    let begun = Instant::now();
    let failed = |status, message| Probe { ok: false, status, took: begun.elapsed(), models: None, message };
    let asked = tokio::time::timeout(PATIENCE, ask(view, idx)).await;
    let (status, body) = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(message)) => return failed(None, message),
        Err(_) => return failed(None, format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let code = Some(status.as_u16());
    let protocol = view.catalog.provider(idx).protocol;
    if status.is_success() {
        let models = count(&body);
        let message = match models {
            Some(count) => format!("it answers, and lists {count} models"),
            None => "it answers, but with no list of models".to_owned(),
        };
        return Probe { ok: true, status: code, took: begun.elapsed(), models, message };
    }
    let said = decode_error(protocol, status.as_u16(), &body).message;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failed(code, format!("it refuses our key: {said}")),
        // Many compatible servers have no such list.
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Probe {
            ok: true,
            status: code,
            took: begun.elapsed(),
            models: None,
            message: "it answers, but has no list of models; whether it takes our key is not known".to_owned(),
        },
        _ => failed(code, format!("it answers with {}: {said}", status.as_u16())),
    }
}

async fn ask(view: &View, idx: ProviderIdx) -> Result<(StatusCode, Bytes), String> {
    let provider = view.catalog.provider(idx);
    let base = &provider.base_url;
    let url = match (&provider.url_style, provider.protocol) {
        (UrlStyle::AzureDeployment { api_version }, _) => format!("{base}/openai/models?api-version={api_version}"),
        (UrlStyle::Plain, Protocol::OpenAi) => format!("{base}/models"),
        (UrlStyle::Plain, Protocol::Anthropic) => format!("{base}/models?limit=1000"),
        (UrlStyle::Plain, Protocol::Gemini) => format!("{base}/models?pageSize=1000"),
    };
    let mut request = Request::new(Payload::default());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url.parse().map_err(|_| "its base URL makes no valid address".to_owned())?;
    let json = HeaderValue::from_static("application/json");
    *request.headers_mut() = request_headers(provider, Lane::Native, &HeaderMap::new(), json, false);
    let sent = view.provider(idx).client.send(request).await.map_err(|error| error.message)?;
    let (head, body) = sent.response.into_parts();
    let body = collect(body, LONGEST).await.map_err(|error| format!("its answer: {error}"))?;
    Ok((head.status, body))
}

/// OpenAI and Anthropic list `data`, Gemini `models`.
fn count(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let list = body.get("data").or_else(|| body.get("models"))?.as_array()?;
    Some(list.len() as u64)
}
