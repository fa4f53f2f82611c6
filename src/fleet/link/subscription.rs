//! What do others tell? A subscription to channels that renews itself, and says when it may
//! have missed something: Redis keeps no message for whoever is away.
//!
//! It has a connection of its own and no task: the connection lives in the waiting of
//! whoever reads.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value, cmd};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::dial::Dialed;
use super::socket::Place;
use super::{Shared, or_never};
use crate::fleet::error::LinkError;

/// What is heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signal {
    /// It listens from now on, and has not for a while, or never before: what was told in
    /// between is lost. Whoever needs it looks for itself.
    Listening,
    /// Somebody told something.
    Message {
        /// Where.
        channel: String,
        /// What.
        payload: Vec<u8>,
    },
}

/// A subscription to some channels.
pub struct Subscription {
    shared: Arc<Shared>,
    channels: Arc<[String]>,
    backoff: Backoff,
    stage: Stage,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// Kept between two waitings, so that dropping one loses nothing.
enum Stage {
    /// It connects, the first time at once, later after a while.
    Connecting(BoxFuture<'static, Result<Ear, LinkError>>),
    Listening(Ear),
}

/// A connection that listens.
struct Ear {
    place: Place,
    connection: MultiplexedConnection,
    driver: BoxFuture<'static, ()>,
    heard: UnboundedReceiver<PushInfo>,
    /// A question whether the server is there.
    ping: Option<BoxFuture<'static, Result<(), LinkError>>>,
    next_ping: Instant,
    since: Instant,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, channels: Vec<String>) -> Self {
        let (backoff, channels) = (Backoff::new(&shared.timing), Arc::from(channels));
        let stage = connecting(&shared, &channels, Duration::ZERO);
        Self { shared, channels, backoff, stage }
    }

    /// What is heard next. It waits for as long as Redis is away. Dropping the waiting loses
    /// nothing.
    pub async fn next(&mut self) -> Signal {
        loop {
            let why = match &mut self.stage {
                Stage::Connecting(connecting) => match connecting.await {
                    Ok(ear) => {
                        self.stage = Stage::Listening(ear);
                        return Signal::Listening;
                    }
                    Err(why) => why,
                },
                Stage::Listening(ear) => match ear.next(&self.shared).await {
                    Ok(signal) => return signal,
                    Err(why) => {
                        if ear.since.elapsed() >= self.shared.timing.longest_wait {
                            self.backoff.reset();
                        }
                        why
                    }
                },
            };
            tracing::debug!("a subscription does not hear: {why}");
            self.stage = connecting(&self.shared, &self.channels, self.backoff.wait());
        }
    }
}

fn connecting(shared: &Arc<Shared>, channels: &Arc<[String]>, after: Duration) -> Stage {
    let (shared, channels) = (Arc::clone(shared), Arc::clone(channels));
    Stage::Connecting(Box::pin(async move {
        tokio::time::sleep(after).await;
        let place = somewhere(&shared).await;
        let (told, heard) = unbounded_channel();
        let Dialed { mut connection, mut driver, .. } = shared.dial.connect(&place, Some(told)).await?;
        let limit = shared.timing.call;
        let asked = tokio::time::timeout(limit, connection.subscribe(&*channels));
        tokio::select! {
            () = &mut driver => return Err(closed()),
            asked = asked => asked.map_err(|_| LinkError::Timeout(limit))?.map_err(|error| LinkError::of(&error))?,
        }
        let since = Instant::now();
        let next_ping = since + shared.timing.heartbeat;
        Ok(Ear { place, connection, driver, heard, ping: None, next_ping, since })
    }))
}

/// A server that the link has found to be there, as soon as there is one.
async fn somewhere(shared: &Shared) -> Place {
    let mut state = shared.state.changes();
    loop {
        if let Some(place) = shared.servers.place() {
            return place;
        }
        tokio::select! {
            // The link holds the sender.
            _ = state.changed() => {}
            // In a cluster one of several may have come back, which is no change of the whole.
            () = tokio::time::sleep(shared.timing.first_wait) => {}
        }
    }
}

fn closed() -> LinkError {
    LinkError::Lost("it closed the connection".into())
}

impl Ear {
    async fn next(&mut self, shared: &Shared) -> Result<Signal, LinkError> {
        loop {
            tokio::select! {
                biased;
                heard = self.heard.recv() => {
                    if let Some(signal) = signal(heard.ok_or_else(closed)?) {
                        return Ok(signal);
                    }
                }
                () = &mut self.driver => return Err(closed()),
                answered = or_never(&mut self.ping) => {
                    answered?;
                    if shared.servers.has_left(&self.place) {
                        return Err(LinkError::Lost("it is not the server any more".into()));
                    }
                    self.ping = None;
                    self.next_ping = Instant::now() + shared.timing.heartbeat;
                }
                () = tokio::time::sleep_until(self.next_ping), if self.ping.is_none() => {
                    self.ping = Some(Box::pin(ping(self.connection.clone(), shared.timing.call)));
                }
            }
        }
    }
}

async fn ping(mut connection: MultiplexedConnection, limit: Duration) -> Result<(), LinkError> {
    let question = cmd("PING");
    match tokio::time::timeout(limit, connection.send_packed_command(&question)).await {
        // An error is an answer as well.
        Ok(answer) => answer.map(drop).map_err(|error: RedisError| LinkError::of(&error)),
        Err(_) => Err(LinkError::Timeout(limit)),
    }
}

/// What a push says to us; confirmations say nothing.
pub(super) fn signal(push: PushInfo) -> Option<Signal> {
    if push.kind != PushKind::Message {
        return None;
    }
    let [channel, payload]: [Value; 2] = push.data.try_into().ok()?;
    let channel = redis::from_redis_value(channel).ok()?;
    let payload = redis::from_redis_value(payload).ok()?;
    Some(Signal::Message { channel, payload })
}
