//! Accepting connections: TCP_NODELAY, TLS, HTTP/1.1 and HTTP/2, limits, and an orderly
//! end.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::tls::TlsConfig;

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// A request's head, in bytes.
    pub max_header_bytes: usize,
    /// Until a request's head has come, the idle time of a kept-alive connection included.
    pub head_timeout: Duration,
    /// For requests under way when the end comes.
    pub drain: Duration,
}

/// Pause after the system could not accept, which is most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets requests under way finish within the drain time.
pub async fn serve<S>(
    listener: TcpListener,
    tls: Option<Arc<TlsConfig>>,
    service: S,
    limits: ServerLimits,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let builder = Arc::new(builder(&limits));
    let connections = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without this a small answer waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (builder, service, tls) = (Arc::clone(&builder), service.clone(), tls.clone());
        let watcher = graceful.watcher();
        let head_timeout = limits.head_timeout;
        #[expect(clippy::disallowed_methods, reason = "connections end by themselves and are drained below")]
        tokio::spawn(async move {
            let _permit = permit;
            // What a client does wrong on its own connection ends that connection, no more.
            let outcome = match tls {
                None => watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await,
                Some(tls) => match tls.accept(stream, head_timeout).await {
                    Ok(stream) => watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await,
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended in an error");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("the drain time is over; the remaining requests are cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

fn builder(limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        // Hyper's floor for this buffer is 8 KiB.
        // Not `pipeline_flush`: it lets answers be buffered without a bound.
        .max_buf_size(limits.max_header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
