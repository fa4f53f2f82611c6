//! How do spans get to a collector? Encoded by OpenTelemetry's library, carried by our own
//! connections, and lost rather than waited for; each that has ended is counted as sent, as
//! dropped, or as waiting.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT, Span, SpanData,
    SpanExporter, SpanProcessor,
};
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

/// What became of the spans that have ended: together they are all of them.
#[derive(Debug, Default)]
pub struct Exported {
    /// Those that the collector took.
    pub sent: AtomicU64,
    /// Those that it did not, and those that there was no room for.
    pub dropped: AtomicU64,
    /// Those that it is yet to take.
    pub waiting: AtomicU64,
    failing: AtomicBool,
    full: AtomicBool,
}

/// Lets as many spans wait as there is room for, and counts those that it turns away. The library's
/// own queue has as much room, so that it is never full: it would drop without a word.
#[derive(Debug)]
pub(super) struct Bounded {
    queue: BatchSpanProcessor,
    room: u64,
    exported: Arc<Exported>,
}

pub(super) fn processor(policy: &TracePolicy, post: Post, exported: &Arc<Exported>) -> anyhow::Result<Bounded> {
    let said = std::env::var(OTEL_BSP_MAX_QUEUE_SIZE).ok().and_then(|size| size.trim().parse().ok());
    let room = said.filter(|room| *room > 0).unwrap_or(OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT);
    let queue = BatchSpanProcessor::builder(exporter(policy, post, Arc::clone(exported))?)
        .with_batch_config(BatchConfigBuilder::default().with_max_queue_size(room).build())
        .build();
    Ok(Bounded { queue, room: room as u64, exported: Arc::clone(exported) })
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let Exported { waiting, dropped, full, .. } = &*self.exported;
        if waiting.fetch_add(1, Relaxed) < self.room {
            return self.queue.on_end(span);
        }
        waiting.fetch_sub(1, Relaxed);
        dropped.fetch_add(1, Relaxed);
        if !full.swap(true, Relaxed) {
            tracing::warn!(waiting = self.room, "spans end faster than the collector takes them, and some are dropped");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

/// An exporter that counts.
#[derive(Debug)]
struct Counted {
    inner: opentelemetry_otlp::SpanExporter,
    exported: Arc<Exported>,
}

fn exporter(policy: &TracePolicy, post: Post, exported: Arc<Exported>) -> anyhow::Result<Counted> {
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
        let Exported { sent, dropped, waiting, failing, .. } = &*self.exported;
        waiting.fetch_sub(count, Relaxed);
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

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    fn counts(of: &Exported) -> [u64; 3] {
        [&of.sent, &of.dropped, &of.waiting].map(|count| count.load(Relaxed))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_span_is_sent_or_dropped_or_waits_even_if_the_collector_never_answers() {
        let policy = TracePolicy {
            endpoint: "http://127.0.0.1:1/v1/traces".parse().unwrap(),
            sample: 1.0,
            content: false,
            headers: Vec::new(),
        };
        let (answer, wait) = tokio::sync::watch::channel(false);
        let post = move |_| -> Posted {
            let mut wait = wait.clone();
            Box::pin(async move {
                wait.wait_for(|answers| *answers).await.map_err(|gone| gone.to_string())?;
                Ok(Response::new(Bytes::new()))
            })
        };
        let exported = Arc::<Exported>::default();
        let processor = processor(&policy, Post::new(post, Handle::current()), &exported).unwrap();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2500).for_each(|_| tracer.start("span").end()));
            }
        });
        let room = OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT as u64;
        assert_eq!(counts(&exported), [0, 10_000 - room, room]);
        answer.send(true).unwrap();
        tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap().unwrap();
        assert_eq!(counts(&exported), [room, 10_000 - room, 0]);
    }
}
