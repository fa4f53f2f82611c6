//! What do others tell? A subscription to channels that renews itself, and says when it may
//! have missed something: Redis keeps no message for whoever is away.
//!
//! It has a connection of its own and no task: the connection lives in the waiting of
//! whoever reads.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value, cmd};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::dial::Dialed;
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
    channels: Vec<String>,
    backoff: Backoff,
    /// Not before this is another connection made.
    not_before: Option<Instant>,
    ear: Option<Ear>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// A connection that listens.
struct Ear {
    connection: MultiplexedConnection,
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    heard: UnboundedReceiver<PushInfo>,
    /// A question whether the server is there.
    ping: Option<Pin<Box<dyn Future<Output = Result<(), LinkError>> + Send>>>,
    next_ping: Instant,
    since: Instant,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, channels: Vec<String>) -> Self {
        let backoff = Backoff::new(&shared.timing);
        Self { shared, channels, backoff, not_before: None, ear: None }
    }

    /// What is heard next. It waits for as long as Redis is away. Dropping the waiting loses
    /// nothing.
    pub async fn next(&mut self) -> Signal {
        loop {
            let Some(ear) = &mut self.ear else {
                if self.listen().await {
                    return Signal::Listening;
                }
                continue;
            };
            match ear.next(self.shared.timing.call, self.shared.timing.heartbeat).await {
                Ok(signal) => return signal,
                Err(why) => {
                    tracing::debug!("a subscription broke: {why}");
                    if ear.since.elapsed() >= self.shared.timing.longest_wait {
                        self.backoff.reset();
                    }
                    self.ear = None;
                }
            }
        }
    }

    /// Connects, once the link has found the server to be there.
    async fn listen(&mut self) -> bool {
        if let Some(not_before) = self.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let mut state = self.shared.state.changes();
        let place = loop {
            if let Some(place) = self.shared.servers.place() {
                break place;
            }
            tokio::select! {
                // The link holds the sender.
                _ = state.changed() => {}
                // In a cluster one of several may have come back.
                () = tokio::time::sleep(self.shared.timing.longest_wait) => {}
            }
        };
        self.not_before = Some(Instant::now() + self.backoff.wait());
        let (told, heard) = unbounded_channel();
        let made = async {
            let Dialed { mut connection, mut driver, .. } = self.shared.dial.connect(&place, Some(told)).await?;
            tokio::select! {
                () = &mut driver => Err(LinkError::Lost("it closed the connection".into())),
                asked = asked(&mut connection, &self.channels, self.shared.timing.call) => asked,
            }?;
            Ok::<_, LinkError>((connection, driver))
        };
        match made.await {
            Ok((connection, driver)) => {
                let now = Instant::now();
                let next_ping = now + self.shared.timing.heartbeat;
                self.ear = Some(Ear { connection, driver, heard, ping: None, next_ping, since: now });
                true
            }
            Err(error) => {
                tracing::debug!("cannot subscribe at {place}: {error}");
                false
            }
        }
    }
}

async fn asked(connection: &mut MultiplexedConnection, channels: &[String], limit: Duration) -> Result<(), LinkError> {
    let asked = tokio::time::timeout(limit, connection.subscribe(channels)).await;
    asked.map_err(|_| LinkError::Timeout(limit))?.map_err(|error| LinkError::of(&error))
}

impl Ear {
    async fn next(&mut self, limit: Duration, every: Duration) -> Result<Signal, LinkError> {
        loop {
            tokio::select! {
                biased;
                heard = self.heard.recv() => match heard {
                    None => return Err(LinkError::Lost("it closed the connection".into())),
                    Some(push) => if let Some(signal) = signal(push) {
                        return Ok(signal);
                    }
                },
                () = &mut self.driver => return Err(LinkError::Lost("it closed the connection".into())),
                answered = or_never(&mut self.ping) => {
                    answered?;
                    self.ping = None;
                    self.next_ping = Instant::now() + every;
                }
                () = tokio::time::sleep_until(self.next_ping), if self.ping.is_none() => {
                    self.ping = Some(Box::pin(ping(self.connection.clone(), limit)));
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
fn signal(push: PushInfo) -> Option<Signal> {
    if push.kind != PushKind::Message {
        return None;
    }
    let [channel, payload]: [Value; 2] = push.data.try_into().ok()?;
    let channel = redis::from_redis_value(channel).ok()?;
    let payload = redis::from_redis_value(payload).ok()?;
    Some(Signal::Message { channel, payload })
}
