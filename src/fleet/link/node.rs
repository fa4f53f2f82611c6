//! One server: its connection, whether it is worth using, and the task that renews it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::dial::Dialed;
use super::gate::Gate;
use super::request::{Reply, Request};
use super::server_time::ServerClock;
use super::socket::Place;
use super::state::{State, StateCell};
use super::{Shared, heartbeat, sentinel};
use crate::clock::Clock;
use crate::config::redis::HostPort;
use crate::fleet::error::LinkError;

/// A connection that has lived so long was worth making: after it, the waits begin anew.
const PROVEN: Duration = Duration::from_secs(2);

/// A server that turns out to be a replica is left for the one that is the master now, but
/// not more often than this where nobody says that there is one.
const REPLICA_PATIENCE: Duration = Duration::from_secs(30);

/// How a server is found.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// It is always there.
    Fixed(Place),
    /// It is a node of a cluster.
    OfCluster(Place),
    /// Sentinels know it.
    Sentinels { sentinels: Vec<HostPort>, master: String },
}

/// A server.
#[derive(Debug)]
pub(super) struct Node {
    origin: Origin,
    live: ArcSwapOption<Live>,
    pub(super) state: Arc<StateCell>,
    pub(super) server: ServerClock,
}

/// A connection in use.
#[derive(Debug)]
struct Live {
    connection: MultiplexedConnection,
    place: Place,
    gate: Gate,
    since: Instant,
    /// Why it is given up.
    given_up: OnceLock<Arc<str>>,
    told: Notify,
}

impl Live {
    /// The first reason counts.
    fn give_up(&self, why: impl Into<Arc<str>>) {
        if self.given_up.set(why.into()).is_ok() {
            self.told.notify_one();
        }
    }
}

/// Calls.
impl Node {
    pub(super) fn new(origin: Origin, state: Arc<StateCell>, clock: Clock) -> Self {
        Self { origin, live: ArcSwapOption::empty(), state, server: ServerClock::new(clock) }
    }

    /// Where it is connected to now.
    pub(super) fn place(&self) -> Option<Place> {
        self.live.load().as_ref().map(|live| live.place.clone())
    }

    /// Whether it is the server that listens there.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        matches!(&self.origin, Origin::Fixed(at) | Origin::OfCluster(at) if at == place)
    }

    /// Asks within a limit.
    pub(super) async fn call(
        &self,
        shared: &Shared,
        request: Request<'_>,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        let Some(live) = self.live.load_full() else { return Err(self.why_down()) };
        live.gate.admit(limit)?;
        let reply = self.send(shared, &live, request, limit, false).await?;
        if reply.is_read_only() && live.since.elapsed() >= self.replica_patience() {
            self.give_up(shared, &live, "it has become a replica");
        }
        Ok(reply)
    }

    fn why_down(&self) -> LinkError {
        match self.state.get() {
            State::Down { why, .. } => LinkError::Down(why),
            // It came up between two looks; the next call will find it.
            State::Up => LinkError::Down("it is being connected".into()),
        }
    }

    fn replica_patience(&self) -> Duration {
        match self.origin {
            Origin::Sentinels { .. } => sentinel::ASK_EVERY / 2,
            Origin::Fixed(_) | Origin::OfCluster(_) => REPLICA_PATIENCE,
        }
    }

    async fn send(
        &self,
        shared: &Shared,
        live: &Live,
        request: Request<'_>,
        limit: Duration,
        is_heartbeat: bool,
    ) -> Result<Reply, LinkError> {
        let mut connection = live.connection.clone();
        let owed = live.gate.send();
        match tokio::time::timeout(limit, request.send(&mut connection)).await {
            Ok(Ok(reply)) => {
                let took = owed.answered();
                if is_heartbeat {
                    shared.counters.round_trip(took);
                }
                Ok(reply)
            }
            Ok(Err(error)) => match said(&error) {
                // A transaction that the server refused.
                Some(reply) => {
                    owed.answered();
                    Ok(reply)
                }
                None => {
                    let why: Arc<str> = error.to_string().into();
                    self.give_up(shared, live, Arc::clone(&why));
                    Err(LinkError::Lost(why))
                }
            },
            Err(_) => {
                if let Some(why) = owed.late(limit, &shared.timing) {
                    self.give_up(shared, live, why);
                }
                Err(LinkError::Timeout(limit))
            }
        }
    }

    /// Stops using a connection, at once for everybody, unless another has taken its place.
    fn give_up(&self, shared: &Shared, live: &Live, why: impl Into<Arc<str>>) {
        let why: Arc<str> = format!("{}: {}", live.place, why.into()).into();
        live.give_up(Arc::clone(&why));
        let current = self.live.load();
        if current.as_ref().is_some_and(|current| std::ptr::eq(&**current, live)) {
            let before = self.live.compare_and_swap(&*current, None);
            if before.as_ref().is_some_and(|before| std::ptr::eq(&**before, live)) {
                self.down(shared, why);
            }
        }
    }

    fn down(&self, shared: &Shared, why: Arc<str>) {
        if self.state.down(Arc::clone(&why), shared.clock.now()) {
            tracing::warn!("Redis is out of reach: {why}");
        }
    }
}

/// The task.
impl Node {
    /// Keeps a connection, until `stop` says so.
    pub(super) async fn run(&self, shared: &Shared, stop: &CancellationToken) {
        let mut backoff = Backoff::new(&shared.timing);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                lived = self.connect_and_keep(shared) => {
                    if lived.is_some_and(|lived| lived >= PROVEN) {
                        backoff.reset();
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        }
        self.live.store(None);
        self.state.down("it was told to stop", shared.clock.now());
    }

    /// How long there was a connection; `None` if there was none.
    async fn connect_and_keep(&self, shared: &Shared) -> Option<Duration> {
        let (live, mut driver) = match self.connect(shared).await {
            Ok(connected) => connected,
            Err(error) => {
                self.down(shared, reason(&error));
                return None;
            }
        };
        let proven = tokio::select! {
            () = &mut driver => Err("it closed the connection".into()),
            proven = self.heartbeat(shared, &live) => proven,
        };
        if let Err(why) = proven {
            self.down(shared, format!("{}: {why}", live.place).into());
            return None;
        }
        self.live.store(Some(Arc::clone(&live)));
        if self.state.up() {
            tracing::info!("Redis answers: {}", live.place);
        }
        tokio::select! {
            () = driver => self.give_up(shared, &live, "it closed the connection"),
            () = live.told.notified() => {}
            why = self.watch(shared, &live) => self.give_up(shared, &live, why),
            why = self.follow(shared, &live) => self.give_up(shared, &live, why),
        }
        Some(live.since.elapsed())
    }

    async fn connect(&self, shared: &Shared) -> Result<(Arc<Live>, impl Future<Output = ()> + Unpin), LinkError> {
        let place = match &self.origin {
            Origin::Fixed(place) | Origin::OfCluster(place) => place.clone(),
            Origin::Sentinels { sentinels, master } => sentinel::master(&shared.dial, sentinels, master).await?,
        };
        let Dialed { connection, driver, received } = shared.dial.connect(&place, None).await?;
        self.server.another_server();
        let (given_up, told) = (OnceLock::new(), Notify::new());
        let gate = Gate::new(received);
        Ok((Arc::new(Live { connection, place, gate, since: Instant::now(), given_up, told }), driver))
    }

    /// Asks for the time again and again. Returns why the connection has to end.
    async fn watch(&self, shared: &Shared, live: &Live) -> String {
        let mut tick = tokio::time::interval(shared.timing.heartbeat);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        loop {
            tick.tick().await;
            if let Err(why) = self.heartbeat(shared, live).await {
                return why;
            }
        }
    }

    /// Asks the sentinels again and again. Returns when they name another master.
    async fn follow(&self, shared: &Shared, live: &Live) -> String {
        let Origin::Sentinels { sentinels, master } = &self.origin else { return std::future::pending().await };
        loop {
            tokio::time::sleep(sentinel::ASK_EVERY).await;
            // Sentinels that do not answer say nothing about the master.
            if let Ok(place) = sentinel::master(&shared.dial, sentinels, master).await
                && place != live.place
            {
                return format!("the sentinels name another master, {place}");
            }
        }
    }

    /// One heartbeat. An answer that is late alone does not end the connection; the gate counts
    /// those. `Err` says why it has to end.
    async fn heartbeat(&self, shared: &Shared, live: &Live) -> Result<(), String> {
        let question = heartbeat::question(&self.origin);
        let begun = Instant::now();
        match self.send(shared, live, Request::Many(&question), shared.timing.call, true).await {
            Ok(Reply::Many(answers)) => {
                let took = begun.elapsed();
                if let Some(time) = heartbeat::read(&self.origin, answers)? {
                    self.server.heard(time, took);
                }
                Ok(())
            }
            Ok(Reply::One(_)) => Ok(()),
            Err(LinkError::Timeout(limit)) if self.is_used(live) => {
                tracing::debug!("{} did not answer a heartbeat within {} ms", live.place, limit.as_millis());
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn is_used(&self, live: &Live) -> bool {
        self.live.load().as_ref().is_some_and(|current| std::ptr::eq(&**current, live))
    }
}

/// What the server itself said, where the library has made an error of it.
fn said(error: &RedisError) -> Option<Reply> {
    let (_, first) = error.clone().into_server_errors()?.first()?.clone();
    Some(Reply::One(Value::ServerError(first)))
}

/// Without saying twice that it is out of reach.
pub(super) fn reason(error: &LinkError) -> Arc<str> {
    match error {
        LinkError::Down(why) => Arc::clone(why),
        other => other.to_string().into(),
    }
}
