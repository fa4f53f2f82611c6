//! What a connection is doing: a service that counts the requests under way on it, and answers
//! that can be taken back from clients that do not read them.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;

use super::connections::{Busy, Held};

/// An answer that is no longer goes out in one piece: nothing of it is left to be watched.
const SMALL: u64 = 16 * 1024;

/// The service of one connection.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    service: S,
    held: Arc<Held>,
}

impl<S> Watched<S> {
    pub(super) fn new(service: S, held: Arc<Held>) -> Self {
        Self { service, held }
    }
}

impl<S> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let http2 = request.version() == Version::HTTP_2;
        self.held.linger.store(false, Relaxed);
        Answering {
            http2,
            // Where it came with a length as well, somebody before us may have gone by that one
            // and take the rest for another request (RFC 9112, section 6.1). The parser does
            // not tell, so no connection goes on after a body in chunks.
            last: !http2 && request.headers().contains_key(TRANSFER_ENCODING),
            bodied: !request.body().is_end_stream(),
            busy: Some(self.held.begin(http2)),
            held: Arc::clone(&self.held),
            answering: self.service.call(request),
        }
    }
}

/// Waits for the head of an answer.
#[derive(Debug)]
pub(super) struct Answering<F> {
    answering: F,
    held: Arc<Held>,
    busy: Option<Busy>,
    http2: bool,
    /// The connection ends with this answer.
    last: bool,
    /// The request has a body.
    bodied: bool,
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = Result<Response<Answer>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut response = std::task::ready!(Pin::new(&mut this.answering).poll(cx))?;
        if this.last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let refused = response.status().is_client_error() || response.status().is_server_error();
        if this.bodied && refused && !this.http2 {
            this.held.linger.store(true, Relaxed);
        }
        let busy = this.busy.take();
        Poll::Ready(Ok(response.map(|body| Answer::new(body, busy, &this.held, this.http2))))
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    body: Taken,
    busy: Option<Busy>,
}

/// Where it is.
#[derive(Debug)]
enum Taken {
    /// With the connection alone.
    Plain(Body),
    /// Where it can be taken back.
    Shared(Arc<Unread>),
}

impl Answer {
    fn new(body: Body, mut busy: Option<Busy>, held: &Arc<Held>, http2: bool) -> Self {
        if body.size_hint().exact().is_some_and(|length| length <= SMALL) {
            if let Some(busy) = &mut busy {
                busy.over();
            }
            return Self { body: Taken::Plain(body), busy: None };
        }
        if !http2 {
            // The socket itself tells whether it is read.
            return Self { body: Taken::Plain(body), busy };
        }
        let unread = Arc::new(Unread(Mutex::new(Waiting { body: Some(body), since: Some(held.tick()) })));
        held.watch(&unread);
        Self { body: Taken::Shared(unread), busy }
    }
}

/// The body of an answer over HTTP/2, which is asked for the next piece when its client has room
/// for one: a client that opens no window can hold it for ever, and its provider with it.
#[derive(Debug)]
pub(super) struct Unread(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// Gone when it was given up.
    body: Option<Body>,
    /// The tick since when nobody has asked for more; `None` while the provider is waited for.
    since: Option<u64>,
}

impl Unread {
    /// Gives the answer up, if nobody asked for more of it for so many ticks.
    pub(super) fn give_up(&self, now: u64, after: u64) -> bool {
        let mut waiting = self.waiting();
        let gone = waiting.since.is_some_and(|since| now.saturating_sub(since) > after);
        if gone {
            waiting.body = None;
            waiting.since = None;
        }
        gone
    }

    fn poll(&self, tick: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut waiting = self.waiting();
        let Some(body) = &mut waiting.body else { return Poll::Ready(Some(Err(axum::Error::new(GivenUp)))) };
        let polled = Pin::new(body).poll_frame(cx);
        waiting.since = matches!(polled, Poll::Ready(Some(Ok(_)))).then_some(tick);
        polled
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client read nothing for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client took nothing of its answer")]
struct GivenUp;

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = match &mut this.body {
            Taken::Plain(body) => Pin::new(body).poll_frame(cx),
            Taken::Shared(unread) => unread.poll(this.busy.as_ref().map_or(0, Busy::tick), cx),
        };
        let over = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.is_end_stream(),
            _ => false,
        };
        if over && let Some(busy) = &mut self.busy {
            busy.over();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Taken::Plain(body) => body.is_end_stream(),
            Taken::Shared(unread) => unread.waiting().body.as_ref().is_some_and(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Taken::Plain(body) => body.size_hint(),
            Taken::Shared(unread) => unread.waiting().body.as_ref().map(Body::size_hint).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn unread(body: Body) -> Unread {
        Unread(Mutex::new(Waiting { body: Some(body), since: Some(0) }))
    }

    #[tokio::test]
    async fn an_answer_nobody_asks_for_is_given_up_and_one_that_is_waited_for_is_not() {
        let answer = unread(Body::from("x"));
        assert!(!answer.give_up(5, 5));
        assert!(answer.give_up(6, 5));
        assert!(!answer.give_up(99, 5), "once");

        let waits = unread(Body::new(http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, axum::Error>,
        >())));
        assert!(std::future::poll_fn(|cx| Poll::Ready(waits.poll(1, cx).is_pending())).await);
        assert!(!waits.give_up(99, 5), "its provider is slow, not its client");
    }

    #[tokio::test]
    async fn what_was_given_up_ends_in_an_error() {
        let shared = Arc::new(unread(Body::from("x")));
        assert!(shared.give_up(9, 5));
        let answer = Answer { body: Taken::Shared(shared), busy: None };
        assert!(answer.collect().await.is_err());
    }
}
