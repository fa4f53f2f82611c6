//! How do bytes come in and go out? The accept loop, connections that can be reset, and the
//! reading of requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{self, Fate};
use super::control;
use super::engine::Engine;
use super::playback::{CutHere, Reply};
use super::protocol;
use super::refusal::{Reason, Refusal};

/// Longer request bodies are refused with 413.
const BODY_MAX: usize = 64 << 20;

/// Accepts connections until `stop`; all of them end with it.
pub(super) async fn accept(listener: TcpListener, engine: Arc<Engine>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles, most likely: others must end first.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let (engine, stop) = (Arc::clone(&engine), stop.clone());
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, engine) => {}
                () = stop.cancelled() => {}
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, engine: Arc<Engine>) {
    // A connection that cannot be configured is still a connection.
    let _ = stream.set_nodelay(true);
    let _open = engine.counters.connected();
    let reset = Arc::new(Reset::default());
    let socket = Socket { stream, reset: Arc::clone(&reset) };
    let service = service_fn(|request| answer(Arc::clone(&engine), request, Arc::clone(&reset)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1_024);
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        // An error here is the client's going away, or a fault that was ordered.
        _ = connection => {}
        () = reset.notified() => {}
    }
}

/// The order to reset a connection.
#[derive(Default)]
struct Reset {
    ordered: AtomicBool,
    notify: tokio::sync::Notify,
}

impl Reset {
    fn order(&self) {
        self.ordered.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    async fn notified(&self) {
        self.notify.notified().await;
    }
}

/// A socket that sends RST instead of FIN when it is dropped under that order.
struct Socket {
    stream: TcpStream,
    reset: Arc<Reset>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.ordered.load(Ordering::Acquire) {
            // If the system refuses, the connection closes in the ordinary way.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

async fn answer(
    engine: Arc<Engine>,
    request: Request<Incoming>,
    reset: Arc<Reset>,
) -> Result<Response<Reply>, CutHere> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return Ok(refused(&engine, &Refusal::new(Reason::TooLarge)));
    };
    let body: Bytes = body.to_bytes();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    if path.starts_with(control::PREFIX) {
        return Ok(control::answer(&engine, &parts.method, path, query, &body));
    }
    engine.counters.received(&parts, &body);
    let Some(route) = protocol::route(engine.protocol, &parts.method, path, query) else {
        let message = format!("Invalid URL ({} {path})", parts.method);
        return Ok(refused(&engine, &Refusal { message: Some(message), ..Refusal::new(Reason::NoPath) }));
    };
    match call::serve(&engine, route, &parts, body).await {
        Fate::Answer(response) => Ok(response),
        Fate::Reset => {
            reset.order();
            std::future::pending().await
        }
    }
}

fn refused(engine: &Engine, refusal: &Refusal) -> Response<Reply> {
    let written = protocol::refuse(engine.protocol, refusal, engine.next_serial());
    let mut response = Response::new(Reply::whole(written.body));
    *response.status_mut() = written.status;
    *response.headers_mut() = written.headers;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
