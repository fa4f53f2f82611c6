//! A client's socket that does not wait for ever: who takes nothing of its answer is cut off, and
//! who is refused while it still sends hears so before the connection is closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::connections::{Held, PIECE};

/// What a client sends after its refusal is read for so long, and thrown away. Closing a socket
/// with unread bytes in it resets the connection, which can take the answer away that is on its
/// way to the client.
const LINGER: Duration = Duration::from_secs(2);

/// And no more bytes than that.
const LINGER_BYTES: usize = 256 << 20;

/// The socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    held: Arc<Held>,
    /// How long the client may take nothing.
    patience: Duration,
    /// Runs while it does not.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Runs after the last byte of ours, where somebody may still be sending.
    lingering: Option<Lingering>,
}

/// How much more is read and thrown away.
#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
    /// Runs until the next piece may be.
    turn: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    fn new() -> Self {
        Self { until: Box::pin(tokio::time::sleep(LINGER)), left: LINGER_BYTES, turn: None }
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, held: Arc<Held>, patience: Duration) -> Self {
        Self { stream, held, patience, blocked: None, lingering: None }
    }

    /// What became of a write: one that has to wait may wait for its time.
    fn written(&mut self, outcome: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.blocked = None;
            return outcome;
        }
        let patience = self.patience;
        let blocked = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(blocked.as_mut().poll(cx));
        self.held.all.stalled.fetch_add(1, Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }

    /// Reads on until the client has closed, too, or has had its time.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Lingering { until, left, turn } = self.lingering.get_or_insert_with(Lingering::new);
        let mut rubbish = [0; PIECE];
        loop {
            if until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(waiting) = turn {
                ready!(waiting.as_mut().poll(cx));
                *turn = None;
            } else {
                // Asked for first, so that only what has come is counted.
                if ready!(self.stream.poll_read_ready(cx)).is_err() {
                    return Poll::Ready(());
                }
                let wait = self.held.all.rubbish_after(PIECE, LINGER);
                if !wait.is_zero() {
                    *turn = Some(Box::pin(tokio::time::sleep(wait)));
                    continue;
                }
            }
            match self.stream.try_read(&mut rubbish) {
                Ok(count) if count > 0 && count <= *left => *left -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.held.partial.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.held.linger.load(Relaxed) {
            ready!(self.linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
