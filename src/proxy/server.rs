//! Accepting connections: TCP_NODELAY, TLS, HTTP/1.1 and HTTP/2, limits, and an orderly
//! end.
//!
//! Whoever connects always gets in: when all places are taken, connections that idle make room.
//! What a client does wrong on its own connection ends that connection, no more.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use super::connections::Connections;
use super::connections::{Held, Order, Place};
use super::socket::Socket;
use super::tls::TlsConfig;
use super::watched::Watched;

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at once; when there are more, those that idle make room.
    pub max_connections: usize,
    /// Connections of one address at once; `None` is as many as there are.
    pub max_per_address: Option<usize>,
    /// A request's head, in bytes.
    pub max_header_bytes: usize,
    /// Until a request's head has come, the idle time of a kept-alive connection included.
    pub head_timeout: Duration,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// For requests under way when the end comes.
    pub drain: Duration,
}

/// Pause after the system could not accept, which is most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// That the system cannot accept is told no more often.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// While everybody is busy, how often it is seen whether somebody idles.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Times between two looks at all connections.
const SHORTEST_TICK: Duration = Duration::from_millis(10);
const LONGEST_TICK: Duration = Duration::from_millis(250);

/// Serves until `stop`, then lets requests under way finish within the drain time. `service`
/// makes what serves a connection from this address.
pub async fn serve<S>(
    listener: TcpListener,
    tls: Option<Arc<TlsConfig>>,
    service: impl Fn(IpAddr) -> S,
    limits: ServerLimits,
    connections: Arc<Connections>,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send,
{
    let builder = Arc::new(builder(&limits));
    let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let tasks = TaskTracker::new();
    let accepting = async {
        let mut told: Option<Instant> = None;
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                // It was gone before its turn came, which is nobody else's business.
                Err(error) if is_of_one_client(&error) => continue,
                Err(error) => {
                    connections.not_accepted.fetch_add(1, Relaxed);
                    // Most often it is for want of descriptors, which idle connections have.
                    let evicted = connections.evict();
                    if told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
                        tracing::warn!(%error, evicted, "connections cannot be accepted");
                        told = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let address = peer.ip().to_canonical();
            let Some(place) = connections.enter(address, limits.max_per_address) else { continue };
            let Some(permit) = room(&places, &connections).await else { return };
            // Without this a small answer waits for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            let service = Watched::new(service(address), Arc::clone(&place.held));
            tasks.spawn(connection(stream, place, permit, tls.clone(), Arc::clone(&builder), service, limits));
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accepting => {}
        () = sweeping(&connections, &limits) => {}
    }
    drop(listener);
    tasks.close();
    connections.finish();
    if tokio::time::timeout(limits.drain, tasks.wait()).await.is_err() {
        tracing::warn!("the drain time is over; the remaining requests are cut off");
    }
}

/// Whether a connection that could not be accepted was ended by its client.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Looks at all connections again and again.
async fn sweeping(connections: &Connections, limits: &ServerLimits) {
    let tick = (limits.head_timeout.min(limits.write_timeout) / 4).clamp(SHORTEST_TICK, LONGEST_TICK);
    let ticks = |time: Duration| u64::try_from(time.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u64::MAX / 4);
    let (idle, unread) = (ticks(limits.head_timeout), ticks(limits.write_timeout));
    let mut due = tokio::time::interval(tick);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        connections.sweep(idle, unread);
    }
}

/// A place for one that was accepted: where all are taken, those that idle make room. `None` is
/// the end of the listener.
async fn room(places: &Arc<Semaphore>, connections: &Connections) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
            return Some(permit);
        }
        connections.evict();
        if let Ok(permit) = tokio::time::timeout(LOOK_AGAIN, Arc::clone(places).acquire_owned()).await {
            return permit.ok();
        }
    }
}

async fn connection<S>(
    stream: TcpStream,
    place: Place,
    permit: OwnedSemaphorePermit,
    tls: Option<Arc<TlsConfig>>,
    builder: Arc<Builder<TokioExecutor>>,
    service: Watched<S>,
    limits: ServerLimits,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send,
{
    let _permit = permit;
    let held = &place.held;
    let socket = Socket::new(stream, Arc::clone(held), limits.write_timeout);
    match tls {
        None => drive(socket, &builder, service, held).await,
        Some(tls) => match tls.accept(socket, limits.head_timeout).await {
            Ok(stream) => {
                held.partial.store(false, Relaxed);
                drive(stream, &builder, service, held).await;
            }
            Err(error) => {
                held.all.handshakes_failed.fetch_add(1, Relaxed);
                tracing::debug!(%error, "a TLS handshake failed");
            }
        },
    }
}

/// Serves what comes on a connection until it ends or is told to.
async fn drive<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    builder: &Builder<TokioExecutor>,
    service: Watched<S>,
    held: &Arc<Held>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send,
{
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut finishing = false;
    let ended = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            match held.hears(cx.waker()) {
                Order::End => return Poll::Ready(None),
                Order::Finish if !finishing => {
                    finishing = true;
                    serving.as_mut().graceful_shutdown();
                }
                _ => return Poll::Pending,
            }
        }
    });
    if let Some(Err(error)) = ended.await {
        tracing::debug!(%error, "a connection ended in an error");
        // What was told to end has been counted.
        if held.order() == Order::Stay {
            count(&*error, held);
        }
    }
}

/// Counts a connection that a client ended badly.
fn count(error: &(dyn Error + 'static), held: &Held) {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    if causes.clone().any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)) {
        held.all.count_silent(held);
    } else if causes.all(|cause| !cause.is::<io::Error>()) {
        // Neither the network nor our own limit on its patience.
        held.all.malformed.fetch_add(1, Relaxed);
    }
}

fn builder(limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The sweep knows who is late; a timer of hyper's for each request would tell the same.
        .header_read_timeout(None)
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
