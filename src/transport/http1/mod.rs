//! HTTP/1.1 towards a provider: one exchange at a time on a connection that the request's own
//! task reads and writes.
//!
//! A general client has a task for each connection and channels to it, which wake each other for
//! every request and every piece of its answer. Here whoever waits for the answer holds the
//! connection, and gives it back when the answer is whole.

mod framing;
mod head;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWrite};

use self::framing::{Framing, Step};
use self::head::{MAX_HEAD, Malformed};
use super::payload::Payload;
use super::pool::Pool;
use super::stream::Stream;

/// What is read at once in the beginning, and at most where much comes, in bytes.
const READ: usize = 4 * 1024;
const MOST_READ: usize = 128 * 1024;

/// Within so many bytes an answer has said that it is one.
const LONGEST_BEGINNING: usize = 64;

/// A connection between exchanges.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// What has come and belongs to nobody yet.
    buffer: BytesMut,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection broke.
    #[error("the connection broke before the answer: {0}")]
    Io(#[from] io::Error),
    /// It was closed.
    #[error("the connection was closed before the answer")]
    Closed,
    /// What came is no answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// An exchange that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: ExchangeError,
    /// Nothing of the request was sent: it may go another way.
    pub unsent: bool,
}

/// Why an answer is not whole.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was closed.
    #[error("the connection was closed within the answer")]
    Closed,
    /// It is not written as it should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Connection {
    /// A connection that was just made.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Whether a connection that has waited can be used: the provider has neither closed it nor
    /// said anything that nobody asked for.
    pub async fn is_quiet(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.buffer.is_empty() && self.poll_read(READ, cx).is_pending())).await
    }

    fn poll_read(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.reserve(room);
        pin!(self.stream.read_buf(&mut self.buffer)).poll(cx)
    }

    /// Sends a request and waits for the head of its answer. The body gives the connection back
    /// to the pool.
    ///
    /// # Errors
    /// If the connection broke before, or what came is no answer.
    pub async fn exchange(
        self,
        request: &Parts,
        target: &str,
        host: &HeaderValue,
        payload: Payload,
        pool: Pool,
    ) -> Result<Response<AnswerBody>, Failed> {
        let head = head::write(request, target, host, payload.len());
        let mut sending = Sending { connection: self, head, payload, begun: false, failed: None };
        let answer = poll_fn(|cx| sending.poll_answer(cx)).await;
        let Sending { connection, head, payload, begun, failed } = sending;
        let answer = answer.map_err(|error| Failed { error, unsent: !begun })?;
        let rest = (!head.is_empty() || !payload.is_empty()).then_some((head, payload));
        let keep = answer.keep && failed.is_none();
        let mut body =
            AnswerBody { connection: Some(connection), rest, framing: answer.framing, keep, room: READ, pool };
        // An answer without a body has ended already.
        body.release();
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// A request on its way out.
struct Sending {
    connection: Connection,
    head: Bytes,
    payload: Payload,
    /// Some of it has left.
    begun: bool,
    /// It cannot be sent to the end. What the provider has to say of it may still come.
    failed: Option<io::Error>,
}

impl Sending {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<head::Head, ExchangeError>> {
        if self.failed.is_none() {
            match poll_send(&mut self.connection.stream, &mut self.head, &mut self.payload, &mut self.begun, cx) {
                // The answer may come before the provider has read all of the request.
                Poll::Ready(Ok(())) | Poll::Pending => {}
                Poll::Ready(Err(error)) if !self.begun => return Poll::Ready(Err(error.into())),
                Poll::Ready(Err(error)) => self.failed = Some(error),
            }
        }
        loop {
            let before = self.connection.buffer.len();
            let size = match ready!(self.connection.poll_read(READ, cx)) {
                Ok(size) => size,
                Err(error) => return Poll::Ready(Err(self.failed.take().unwrap_or(error).into())),
            };
            if size == 0 {
                let error = self.failed.take().map_or(ExchangeError::Closed, ExchangeError::Io);
                return Poll::Ready(Err(error));
            }
            let buffer = &mut self.connection.buffer;
            if before < LONGEST_BEGINNING && head::is_foreign(buffer) {
                return Poll::Ready(Err(Malformed::Foreign.into()));
            }
            if head::has_end(buffer, before)
                && let Some(head) = head::read(buffer)?
            {
                return Poll::Ready(Ok(head));
            }
            if buffer.len() > MAX_HEAD {
                return Poll::Ready(Err(Malformed::TooLong.into()));
            }
        }
    }
}

/// Sends what is left of a request.
fn poll_send(
    stream: &mut Stream,
    head: &mut Bytes,
    payload: &mut Payload,
    begun: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if head.is_empty() && payload.is_empty() {
        return Pin::new(stream).poll_flush(cx);
    }
    while !head.is_empty() || !payload.is_empty() {
        let [first, second, third] = payload.slices();
        let slices = [io::IoSlice::new(head), first, second, third];
        let sent = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *begun = true;
        let of_head = sent.min(head.len());
        head.advance(of_head);
        payload.advance(sent - of_head);
    }
    Pin::new(stream).poll_flush(cx)
}

/// The body of an answer, on its way in.
#[derive(Debug)]
pub struct AnswerBody {
    /// Until the body is whole.
    connection: Option<Connection>,
    /// What is still to be sent of the request.
    rest: Option<(Bytes, Payload)>,
    framing: Framing,
    keep: bool,
    /// How much is read at once.
    room: usize,
    pool: Pool,
}

impl AnswerBody {
    /// Gives the connection back, if nothing more belongs to the body.
    fn release(&mut self) {
        if !self.framing.ended() {
            return;
        }
        if let Some(connection) = self.connection.take()
            && self.keep
            && self.rest.is_none()
            && connection.buffer.is_empty()
        {
            self.pool.put(connection);
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) {
        let (Some(connection), Some((head, payload))) = (&mut self.connection, &mut self.rest) else { return };
        match poll_send(&mut connection.stream, head, payload, &mut true, cx) {
            Poll::Ready(Ok(())) => self.rest = None,
            Poll::Ready(Err(_)) => {
                // The provider has answered without wanting to know the rest.
                self.rest = None;
                self.keep = false;
            }
            Poll::Pending => {}
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        this.poll_rest(cx);
        loop {
            let Some(connection) = &mut this.connection else { return Poll::Ready(None) };
            match this.framing.step(&mut connection.buffer) {
                Ok(Step::Data(data)) => {
                    // The end often comes with the last of it, and others wait for the connection.
                    if let Framing::Chunked(chunks) = &mut this.framing
                        && chunks.skip(&mut connection.buffer).is_err()
                    {
                        this.keep = false;
                    }
                    this.release();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Step::End) => {
                    this.release();
                    return Poll::Ready(None);
                }
                Ok(Step::More) => {}
                Err(error) => {
                    this.connection = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
            match ready!(connection.poll_read(this.room, cx)) {
                // Where the buffer was filled, more waits behind it.
                Ok(size) if size >= this.room => this.room = (this.room * 2).min(MOST_READ),
                Ok(0) => {
                    this.connection = None;
                    let whole = this.framing == Framing::UntilClose;
                    return Poll::Ready(if whole { None } else { Some(Err(BrokenOff::Closed)) });
                }
                Ok(_) => {}
                Err(error) => {
                    this.connection = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing.left().map(SizeHint::with_exact).unwrap_or_default()
    }
}
