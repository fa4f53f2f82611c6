//! What is a connection to a server made of? A socket, perhaps encrypted, whose bytes are
//! counted.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::figures::Counters;
use crate::config::redis::HostPort;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Place {
    Tcp(HostPort),
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(at) => at.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Anything that bytes go through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A socket whose bytes are counted.
pub(super) struct Socket {
    wire: Box<dyn Wire>,
    counters: Arc<Counters>,
    received: Arc<AtomicU64>,
}

/// Opens one. `received` counts what comes in on this one alone; `limit` is how long it may take.
pub(super) async fn open(
    place: &Place,
    tls: Option<&TlsConnector>,
    counters: Arc<Counters>,
    received: Arc<AtomicU64>,
    limit: Duration,
) -> io::Result<Socket> {
    let wire: Box<dyn Wire> = match place {
        Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Place::Tcp(HostPort { host, port }) => {
            let tcp = connect(host, *port, limit).await?;
            tcp.set_nodelay(true)?;
            match tls {
                None => Box::new(tcp),
                Some(tls) => {
                    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                    Box::new(tls.connect(name, tcp).await?)
                }
            }
        }
    };
    Ok(Socket { wire, counters, received })
}

/// Tries every address that a name has, each for its share of the time.
async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut why = io::Error::other("the name has no address");
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => why = error,
            Err(_) => why = io::Error::other(format!("{} does not answer", address.ip())),
        }
    }
    Err(why)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.wire).poll_read(cx, into))?;
        let bytes = into.filled().len() - before;
        self.counters.received(bytes);
        self.received.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.wire).poll_write(cx, bytes))?;
        self.counters.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
