//! How does this process talk to Redis without ever waiting for one that is not there?
//!
//! A [`Link`] holds one connection to each server it needs, and everybody's calls share it.
//! Each call has a limit on its time. While there is no connection, calls are refused at once
//! and a single task tries again, at growing distances; so a Redis that is gone, mute or slow
//! costs a caller nothing, or once its limit. [`Link::state`] says how it stands.
//!
//! [`Link::run`] does the work behind: whoever makes a link spawns it. Before it runs, the link
//! is down.

mod backoff;
mod cluster;
mod dial;
mod figures;
mod gate;
mod heard;
mod heartbeat;
mod node;
mod request;
mod sentinel;
mod server_time;
mod socket;
mod state;
mod subscription;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use figures::Figures;
#[doc(hidden)]
pub use heard::{Heard, heard};
pub use server_time::ServerTime;
pub use state::State;
pub use subscription::{Signal, Subscription};
pub use tls::OpenError;

use self::cluster::Cluster;
use self::dial::Dial;
use self::figures::Counters;
use self::node::{Node, Origin};
use self::request::{Reply, Request};
use self::socket::Place;
use self::state::StateCell;
use super::error::LinkError;
use super::script::ScriptCall;
use crate::clock::Clock;
use crate::config::SharedConfig;
use crate::config::redis::Topology;

/// How long things may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// What a call may take unless it says otherwise; also how long a server may be silent that
    /// owes an answer.
    pub call: Duration,
    /// What it may take to have a connection, TLS and password included.
    pub connect: Duration,
    /// How often the server is asked whether it is there, and what time it has.
    pub heartbeat: Duration,
    /// So many calls in a row without an answer, and the connection is given up.
    pub failures: u32,
    /// The first wait before another attempt to connect; it doubles.
    pub first_wait: Duration,
    /// The longest.
    pub longest_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            call: Duration::from_millis(500),
            connect: Duration::from_secs(1),
            heartbeat: Duration::from_millis(500),
            failures: 3,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(2),
        }
    }
}

/// The way to Redis. A clone is the same link.
#[derive(Clone, Debug)]
pub struct Link {
    shared: Arc<Shared>,
    limit: Duration,
}

/// What everything that belongs to a link knows.
#[derive(Debug)]
struct Shared {
    dial: Dial,
    timing: Timing,
    state: Arc<StateCell>,
    counters: Arc<Counters>,
    clock: Clock,
    servers: Servers,
    /// Where the address leads, for people.
    shown: String,
}

/// The servers behind the address.
#[derive(Debug)]
enum Servers {
    One(Node),
    Cluster(Cluster),
}

impl Servers {
    /// A server that is there now.
    fn place(&self) -> Option<Place> {
        match self {
            Self::One(node) => node.place(),
            Self::Cluster(cluster) => cluster.place(),
        }
    }

    /// Whether another server has taken the place of that one.
    fn has_left(&self, place: &Place) -> bool {
        match self {
            Self::One(node) => node.place().is_some_and(|other| other != *place),
            Self::Cluster(cluster) => cluster.has_left(place),
        }
    }
}

impl Link {
    /// A link that is down until [`run`](Self::run) has connected it.
    ///
    /// # Errors
    /// If the certificates of those who are trusted cannot be read.
    pub fn new(config: &SharedConfig, clock: Clock) -> Result<Self, OpenError> {
        Self::with_timing(config, clock, Timing::default())
    }

    /// A link with other times.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_timing(config: &SharedConfig, clock: Clock, timing: Timing) -> Result<Self, OpenError> {
        let counters = Arc::new(Counters::default());
        let dial = Dial::new(config, timing.connect, Arc::clone(&counters))?;
        let state = Arc::new(StateCell::new(clock.now()));
        let one = |origin| Servers::One(Node::new(origin, Arc::clone(&state), clock));
        let servers = match config.address.topology.clone() {
            Topology::Single(at) => one(Origin::Fixed(Place::Tcp(at))),
            Topology::Unix(path) => one(Origin::Fixed(Place::Unix(path))),
            Topology::Sentinel { sentinels, master } => one(Origin::Sentinels { sentinels, master }),
            Topology::Cluster(seeds) => Servers::Cluster(Cluster::new(seeds, &config.prefix)),
        };
        let shown = config.address.to_string();
        let shared = Arc::new(Shared { dial, timing, state, counters, clock, servers, shown });
        Ok(Self { shared, limit: timing.call })
    }

    /// The same link for calls that may take no longer than `limit`. If Redis is known to
    /// answer later than that, they are refused at once.
    pub fn within(&self, limit: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), limit }
    }

    /// Connects, sees to it that there is a connection, and ends when `stop` says so.
    pub async fn run(self, stop: CancellationToken) {
        match &self.shared.servers {
            Servers::One(node) => node.run(&self.shared, &stop).await,
            Servers::Cluster(cluster) => cluster.run(&self.shared, &stop).await,
        }
    }

    /// One command; never one that blocks, such as `BLPOP`: all others would wait for it.
    ///
    /// # Errors
    /// See [`LinkError`]; within the limit in any case.
    pub async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LinkError> {
        match self.ask(Request::One(command)).await? {
            Reply::One(value) => read(value),
            Reply::Many(values) => read(Value::Array(values)),
        }
    }

    /// Several commands in one round trip; what each answers, in order, but for those that are
    /// marked to be ignored. A server may do other clients' commands between them, unless the
    /// pipeline is atomic. In a cluster each goes to the node of its key, and the limit holds
    /// for all together; an atomic one has all its keys in one slot.
    ///
    /// # Errors
    /// See [`LinkError`]. The first command that failed counts; the others may have been done.
    pub async fn pipe<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, LinkError> {
        if pipeline.is_empty() {
            return read(Value::Array(Vec::new()));
        }
        let mut answered = request::Answered(match self.ask(Request::Many(pipeline)).await? {
            // A transaction that was refused.
            Reply::One(refused) => return read(refused),
            Reply::Many(values) => values,
        });
        pipeline.query_async(&mut answered).await.map_err(|error| LinkError::of_first(&error))
    }

    /// A script. Only its digest is sent, and its text if the server does not know it.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn eval<T: FromRedisValue>(&self, call: &ScriptCall<'_>) -> Result<T, LinkError> {
        let begun = tokio::time::Instant::now();
        match self.call(&call.by_digest()).await {
            Err(LinkError::Refused(said)) if said.starts_with("NOSCRIPT") => {
                self.within(self.limit.saturating_sub(begun.elapsed())).call(&call.by_text()).await
            }
            other => other,
        }
    }

    async fn ask(&self, request: Request<'_>) -> Result<Reply, LinkError> {
        let asked = match &self.shared.servers {
            Servers::One(node) => node.call(&self.shared, request, self.limit).await,
            Servers::Cluster(cluster) => cluster.call(&self.shared, request, self.limit).await,
        };
        self.shared.counters.ended(&asked);
        asked
    }

    /// How it stands. `Up` says that Redis answers, not that it takes every write.
    pub fn state(&self) -> State {
        self.shared.state.get()
    }

    /// Whether Redis answers.
    pub fn is_up(&self) -> bool {
        self.shared.state.is_up()
    }

    /// The state, and every change of it.
    pub fn changes(&self) -> watch::Receiver<State> {
        self.shared.state.changes()
    }

    /// What has happened so far.
    pub fn figures(&self) -> Figures {
        self.shared.counters.figures()
    }

    /// What time it is at Redis, so that processes whose clocks differ agree; `None` before the
    /// first answer. In a cluster it is the node with what is configured that counts. While
    /// Redis is away it goes on by our own clock.
    pub fn server_time(&self) -> Option<ServerTime> {
        match &self.shared.servers {
            Servers::One(node) => node.server.now(),
            Servers::Cluster(cluster) => cluster.home()?.server.now(),
        }
    }

    /// Listens to channels. Nothing is heard before its [`next`](Subscription::next) is awaited.
    pub fn subscribe(&self, channels: impl IntoIterator<Item = String>) -> Subscription {
        Subscription::new(Arc::clone(&self.shared), channels.into_iter().collect())
    }

    /// Where it leads, without the password.
    pub fn address(&self) -> &str {
        &self.shared.shown
    }
}

/// What a future comes to, if there is one.
pub(super) async fn or_never<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, LinkError> {
    let value = value.extract_error().map_err(|error| LinkError::of(&error))?;
    Ok(redis::from_redis_value(value)?)
}
