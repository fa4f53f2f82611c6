//! HTTP/2 towards a provider: a few connections that all requests share.
//!
//! A provider takes only so many requests at once on one of them, and the others wait: there is
//! another connection before that happens.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::payload::Payload;
use super::pool::IDLE;
use super::stream::Stream;

/// Exchanges on one connection, beyond which there is another. Common servers bear 100 and more.
const FULL: usize = 96;

/// A connection that can be used.
#[derive(Clone, Debug)]
pub struct Connection {
    sender: SendRequest<Payload>,
    under_way: Arc<AtomicUsize>,
}

/// The connections.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Vec<(Instant, Connection)>>);

/// An exchange that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: hyper::Error,
    /// The provider has not looked at it: it may go another way.
    pub untouched: bool,
}

impl Connections {
    /// One with room, if there is one.
    pub fn take(&self) -> Option<Connection> {
        let mut all = self.all();
        let now = Instant::now();
        let idle = |used: Instant, one: &Connection| now > used + IDLE && one.under_way.load(Relaxed) == 0;
        all.retain(|(used, one)| !one.sender.is_closed() && !idle(*used, one));
        let (used, found) = all.iter_mut().find(|(_, one)| one.under_way.load(Relaxed) < FULL)?;
        *used = now;
        Some(found.clone())
    }

    /// Begins to speak HTTP/2 on a connection, and keeps it.
    ///
    /// # Errors
    /// If the other end does not.
    pub async fn open(&self, stream: Stream) -> Result<Connection, hyper::Error> {
        let mut builder = Builder::new(TokioExecutor::new());
        let (sender, driver) = builder.timer(TokioTimer::new()).handshake(TokioIo::new(stream)).await?;
        // It ends with the last request that uses it, once nobody keeps it here.
        TokioExecutor::new().execute(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a provider ended in an error");
            }
        });
        let connection = Connection { sender, under_way: Arc::default() };
        self.all().push((Instant::now(), connection.clone()));
        Ok(connection)
    }

    fn all(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        // A panic elsewhere leaves whole connections behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// If the connection or the exchange ended before.
    pub async fn exchange(mut self, parts: Parts, payload: Payload) -> Result<Response<AnswerBody>, Failed> {
        let place = Place::take(&self.under_way);
        let answer = self.sender.try_send_request(Request::from_parts(parts, payload)).await;
        let answer = answer.map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let error = failed.into_error();
            Failed { untouched: unsent || was_refused(&error), error }
        })?;
        Ok(answer.map(|body| AnswerBody { body, _place: place }))
    }
}

/// Whether the provider says that it has not begun with a request (RFC 9113, section 8.7).
fn was_refused(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let reason = cause.reason();
        cause.is_remote()
            && (cause.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
                || cause.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// One of the exchanges on a connection, until it ends.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(under_way: &Arc<AtomicUsize>) -> Self {
        under_way.fetch_add(1, Relaxed);
        Self(Arc::clone(under_way))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer, on its way in.
#[derive(Debug)]
pub struct AnswerBody {
    body: Incoming,
    _place: Place,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use hyper::service::service_fn;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn there_is_another_connection_before_one_is_full() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut servers = JoinSet::new();
        servers.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = service_fn(async |_| Ok::<_, Infallible>(Response::new(Payload::from(Bytes::from("ok")))));
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                all.spawn(async move { builder.serve_connection(TokioIo::new(stream), answer).await });
            }
        });
        let connections = Connections::default();
        let parts = || Request::post("http://host/").body(()).unwrap().into_parts().0;
        let mut held = Vec::new();
        for _ in 0..2 {
            assert!(connections.take().is_none());
            connections.open(Stream::Clear(TcpStream::connect(address).await.unwrap())).await.unwrap();
            for _ in 0..FULL {
                let connection = connections.take().unwrap();
                held.push(connection.exchange(parts(), Payload::default()).await.unwrap().into_body());
            }
        }
        // Whoever is done makes room.
        let body = held.pop().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(body, "ok");
        assert!(connections.take().is_some());
    }
}
