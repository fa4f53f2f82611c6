//! Whatever a provider sends over HTTP/1.1, it is the same answer however its bytes are cut, no
//! longer than what came; and where a connection is used again, another client sees it end in the
//! same place.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "the tasks of one try end with its runtime")]

use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use pointsman::transport::http1::Connection;
use pointsman::transport::payload::Payload;
use pointsman::transport::pool::Pool;
use pointsman::transport::stream::Stream;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// The most pieces; each costs a few calls of the system.
const PIECES: usize = 64;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| match Builder::new_current_thread().enable_all().build() {
    Ok(runtime) => runtime,
    Err(error) => panic!("{error}"),
});
/// One for all, since each has a task that lives for long.
static POOL: LazyLock<Pool> = LazyLock::new(Pool::default);

/// What came of an answer.
#[derive(PartialEq, Debug)]
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// It came to its end.
    whole: bool,
}

async fn collected<B: Body<Data = Bytes> + Unpin>(answer: http::Response<B>) -> Seen {
    let (head, mut rest) = answer.into_parts();
    let mut seen = Seen { status: head.status.as_u16(), headers: head.headers, body: Vec::new(), whole: true };
    while let Some(frame) = rest.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => seen.body.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => seen.whole = false,
        }
    }
    seen
}

async fn settle() {
    // Sockets are looked at when nothing else is to be done; who is woken by them comes afterwards.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// What our client makes of it, and whether it would use the connection again.
async fn ours(pieces: &[&[u8]]) -> std::io::Result<(Option<Seen>, bool)> {
    let (near, mut far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let near = TcpStream::from_std(OwnedFd::from(near).into())?;
    let (request, ()) = Request::get("/").body(()).unwrap_or_default().into_parts();
    let connection = Connection::new(Stream::Clear(near));
    let answering = tokio::spawn(async move {
        let host = HeaderValue::from_static("h");
        match connection.exchange(&request, "/", &host, Payload::default(), POOL.clone()).await {
            Ok(answer) => Some(collected(answer).await),
            Err(_) => None,
        }
    });
    for piece in pieces {
        // Whoever has read enough has closed it.
        if far.write_all(piece).is_err() {
            break;
        }
        settle().await;
    }
    settle().await;
    let again = answering.is_finished() && POOL.take().await.is_some();
    far.shutdown(Shutdown::Write)?;
    let seen = answering.await?;
    // One that has been closed is not used.
    assert!(POOL.take().await.is_none());
    Ok((seen, again))
}

/// What another client makes of it.
async fn theirs(bytes: &[u8]) -> Option<Seen> {
    let (near, mut far) = tokio::io::duplex(bytes.len() + 1024);
    let mut client = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = client.max_headers(200).handshake(TokioIo::new(near)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/").header("host", "h").body(Empty::<Bytes>::new()).ok()?;
    let answer = tokio::spawn(sender.send_request(request));
    settle().await;
    far.write_all(bytes).await.ok()?;
    far.shutdown().await.ok()?;
    let seen = match answer.await {
        Ok(Ok(answer)) => Some(collected(answer).await),
        _ => None,
    };
    connection.abort();
    seen
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    RUNTIME.block_on(async {
        let (Ok(whole), Ok(pieces)) = (
            ours(&[bytes]).await,
            ours(&bytes.chunks((usize::from(size) + 1).max(bytes.len() / PIECES)).collect::<Vec<_>>()).await,
        ) else {
            panic!("no sockets")
        };
        assert_eq!(whole, pieces);
        let (Some(seen), again) = whole else { return };
        assert!(seen.body.len() <= bytes.len() && seen.headers.len() <= 128);
        if again
            && let Some(other) = theirs(bytes).await
            && other.whole
        {
            assert_eq!((seen.status, seen.body, seen.whole), (other.status, other.body, true));
        }
    });
});
