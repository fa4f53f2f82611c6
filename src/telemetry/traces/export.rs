//! How do spans get to a collector? Encoded by OpenTelemetry's library, carried by our own
//! connections, counted, and lost rather than waited for.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use crate::domain::telemetry::TracePolicy;

/// What becomes of something that was posted: the answer, or why there is none.
pub type Posted = Pin<Box<dyn Future<Output = Result<Response<Bytes>, String>> + Send>>;

/// Posts what is exported. The library exports from a thread of its own; what it posts is done by
/// the runtime of this handle.
#[derive(Clone)]
pub struct Post {
    send: Arc<dyn Fn(Request<Bytes>) -> Posted + Send + Sync>,
    runtime: Handle,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

impl Post {
    /// By `send`, on `runtime`.
    pub fn new(send: impl Fn(Request<Bytes>) -> Posted + Send + Sync + 'static, runtime: Handle) -> Self {
        Self { send: Arc::new(send), runtime }
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.runtime.spawn((self.send)(request)).await??)
    }
}

/// How many spans were sent, and how many could not be.
#[derive(Debug, Default)]
pub struct Exported {
    /// Those that the collector took.
    pub sent: AtomicU64,
    /// Those that it did not.
    pub dropped: AtomicU64,
    failing: AtomicBool,
}

/// An exporter that counts.
#[derive(Debug)]
pub(super) struct Counted {
    inner: opentelemetry_otlp::SpanExporter,
    exported: Arc<Exported>,
}

pub(super) fn exporter(policy: &TracePolicy, post: Post, exported: Arc<Exported>) -> anyhow::Result<Counted> {
    let headers = policy.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
    let inner = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(post)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(policy.endpoint.as_str())
        .with_headers(headers.collect())
        .build()?;
    Ok(Counted { inner, exported })
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let result = self.inner.export(batch).await;
        let Exported { sent, dropped, failing } = &*self.exported;
        match &result {
            Ok(()) => {
                sent.fetch_add(count, Relaxed);
                if failing.swap(false, Relaxed) {
                    tracing::info!("spans are exported again");
                }
            }
            Err(error) => {
                dropped.fetch_add(count, Relaxed);
                if !failing.swap(true, Relaxed) {
                    tracing::warn!("spans cannot be exported, and are dropped until they can: {error}");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
