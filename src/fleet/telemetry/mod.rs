//! How do statistics get from one replica to the others? Over one channel that all listen to,
//! and for those that come later or were away from what is kept beside it.
//!
//! | when | what | operations |
//! |---|---|---|
//! | every second | what happened at each endpoint | 1 |
//! | at once, at most every 20 ms | that an endpoint is to be left alone, is being probed, is back | 1 |
//! | every 5 s | slices, kept for a quarter of an hour | 1 |
//! | every 10 s, a second after an event, before the end | what is believed, kept for an hour | 1 |
//!
//! One operation for each 32 KiB of messages, which depend on how many endpoints did something
//! and never on how many requests they had. While Redis is away nothing is waited for: what
//! happens is not told, slices wait for as long as they are in anybody's window, and once Redis
//! is back everything that is believed is told again.
//!
//! What is said and what is made of it is [`Sharing`]'s; here it is only carried.

mod kept;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

#[doc(hidden)]
pub use self::kept::unpacked;
use self::kept::{Kept, Measured, SLICES};
use super::error::LinkError;
use super::keys::Keys;
use super::link::{Link, Signal, or_never};
use crate::live::{Live, Sharing, SharingStanding};

/// How often it is told what happened.
const PULSES: Duration = Duration::from_secs(1);
/// How often slices are told.
const SLICES_EVERY: Duration = Duration::from_secs(5);
/// How often it is told what is believed.
const KNOWLEDGE_EVERY: Duration = Duration::from_secs(10);
/// Between two pieces of slices: what has waited through an outage comes at 256 KiB a second.
const PACE: Duration = Duration::from_millis(250);
/// What is told at the end has this long.
const LAST: Duration = Duration::from_secs(3);
/// Between two messages that all have to know at once.
const BREATH: Duration = Duration::from_millis(20);
/// What is read again is read from so long before the last message that was heard.
const SURE: Duration = Duration::from_secs(10);
/// After what cannot be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Carries what one process tells and hears. A clone is the same.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    channel: String,
    kept: Kept,
    sharing: Arc<Sharing>,
    live: Arc<Live>,
    /// What others have kept was read.
    warm: watch::Sender<bool>,
}

impl Telemetry {
    /// Nothing is told or heard before it [`run`](Self::run)s.
    pub fn new(link: &Link, keys: Keys, sharing: Arc<Sharing>, live: Arc<Live>) -> Self {
        let me = format!("{:016x}", sharing.origin().replica);
        let (channel, kept) = (keys.told(), Kept::new(link, keys, me));
        Self(Arc::new(Inner { link: link.clone(), channel, kept, sharing, live, warm: watch::Sender::new(false) }))
    }

    /// Tells and hears until `stop` says so; then tells the last of it. The link has to run for
    /// longer.
    pub async fn run(self, stop: CancellationToken) {
        let inner = &self.0;
        tokio::select! {
            () = stop.cancelled() => {}
            () = inner.tell_regularly() => {}
            () = inner.tell_slices() => {}
            () = inner.tell_at_once() => {}
            () = inner.listen() => {}
        }
        match timeout(LAST, inner.tell_the_last()).await {
            Ok(done) => note(done),
            Err(_) => tracing::debug!("Redis is too slow for what happened last"),
        }
    }

    /// Who speaks, how old the latest words are, and what waits to be told.
    pub fn standing(&self) -> SharingStanding {
        self.0.sharing.standing()
    }

    /// Waits until what others have kept was read, for `limit` at most, and not at all if Redis
    /// is away.
    pub async fn warmed_up(&self, limit: Duration) {
        let (mut warm, mut state) = (self.0.warm.subscribe(), self.0.link.changes());
        tokio::select! {
            _ = warm.wait_for(|warm| *warm) => {}
            _ = state.wait_for(|state| !state.is_up()) => {}
            () = sleep(limit) => {}
        }
    }
}

impl Inner {
    /// What happens and what is believed, each in its turn.
    async fn tell_regularly(&self) {
        let (mut pulses, mut knowledge) = (every(PULSES), every(KNOWLEDGE_EVERY));
        let (mut state, mut warm) = (self.link.changes(), self.warm.subscribe());
        let mut told = self.sharing.alarms();
        loop {
            let done = tokio::select! {
                _ = pulses.tick() => {
                    let alarms = self.sharing.alarms();
                    match self.pulses().await {
                        // Whoever starts now should know of them as well.
                        Ok(()) if alarms != told => {
                            told = alarms;
                            self.knowledge().await
                        }
                        other => other,
                    }
                }
                _ = knowledge.tick() => self.knowledge().await,
                Ok(()) = warm.changed() => self.knowledge().await,
                // Redis is back; or it is gone, and this is refused.
                Ok(()) = state.changed() => self.knowledge().await,
            };
            note(done);
        }
    }

    async fn pulses(&self) -> Result<(), LinkError> {
        for message in self.sharing.pulses(&self.live.view(), self.live.clock.now()) {
            self.kept.tell(&message).await?;
        }
        Ok(())
    }

    async fn knowledge(&self) -> Result<(), LinkError> {
        // What an earlier process of this replica has kept is not replaced before it was read.
        if !*self.warm.borrow() {
            return Ok(());
        }
        self.kept.keep(&self.sharing.knowledge(&self.live.view(), self.live.clock.now())).await
    }

    /// What was measured.
    async fn tell_slices(&self) {
        let mut due = every(SLICES_EVERY);
        let mut state = self.link.changes();
        loop {
            tokio::select! {
                _ = due.tick() => {}
                Ok(()) = state.changed() => {}
            }
            note(self.slices(PACE).await);
        }
    }

    /// All that has to be told, piece by piece.
    async fn slices(&self, pace: Duration) -> Result<(), LinkError> {
        loop {
            // However long the last piece took, none that has been closed since is missed.
            let now = self.live.clock.now();
            self.sharing.collect_slices(&self.live.view(), now);
            if !self.link.is_up() {
                return Ok(());
            }
            let (number, messages) = self.sharing.slices(now);
            if messages.is_empty() {
                return Ok(());
            }
            self.kept.append(&messages).await?;
            self.sharing.arrived(number);
            sleep(pace).await;
        }
    }

    async fn tell_the_last(&self) -> Result<(), LinkError> {
        self.sharing.close_slices(&self.live.view(), self.live.clock.now());
        self.slices(Duration::ZERO).await?;
        self.knowledge().await?;
        self.pulses().await
    }

    /// What all must know at once.
    async fn tell_at_once(&self) {
        loop {
            self.sharing.rung().await;
            for message in self.sharing.events(&self.live.view(), self.live.clock.now()) {
                note(self.kept.tell(&message).await);
            }
            // However many there are, there are so many operations at most.
            sleep(BREATH).await;
        }
    }

    /// Hears what others tell, and reads what it may have missed.
    async fn listen(&self) {
        let mut subscription = self.link.subscribe([self.channel.clone()]);
        // All that was told before this was heard…
        let mut complete: Option<Instant> = None;
        // …once what was told before it listened again has been read.
        let mut reading: Option<BoxFuture<'_, ()>> = None;
        let mut last = Instant::now();
        loop {
            tokio::select! {
                signal = subscription.next() => {
                    last = Instant::now();
                    match signal {
                        Signal::Listening => reading = Some(self.catch_up(complete).boxed()),
                        Signal::Message { payload, .. } => self.hear(&payload, Duration::ZERO),
                    }
                }
                () = or_never(&mut reading) => {
                    reading = None;
                    self.warm.send_if_modified(|warm| !std::mem::replace(warm, true));
                }
            }
            if reading.is_none() {
                complete = Some(last);
            }
        }
    }

    /// Reads what is kept, as often as it takes; `since` is when nothing had been missed yet.
    async fn catch_up(&self, since: Option<Instant>) {
        while let Err(error) = self.read(since).await {
            tracing::debug!("what other replicas have kept cannot be read: {error}");
            sleep(TRY_AGAIN).await;
        }
    }

    async fn read(&self, since: Option<Instant>) -> Result<(), LinkError> {
        let believed = self.kept.believed().await?;
        for replica in &believed {
            replica.messages.iter().for_each(|message| self.hear(message, replica.age));
        }
        for replica in &believed {
            let mut page: Vec<Measured> = Vec::new();
            loop {
                let oldest = since.map_or(SLICES, |since| (since.elapsed() + SURE).min(SLICES));
                page = self.kept.measured(&replica.replica, page.last(), oldest).await?;
                if page.is_empty() {
                    break;
                }
                page.iter().for_each(|measured| self.hear(&measured.message, measured.age));
            }
        }
        Ok(())
    }

    fn hear(&self, message: &[u8], aged: Duration) {
        let (now, jitter) = (self.live.clock.now(), rand::rng().random());
        if let Err(error) = self.sharing.hear(&self.live.view(), message, aged, now, jitter) {
            tracing::debug!("a message of another replica is not read: {error}");
        }
    }
}

/// What is not told is told later, or not missed.
fn note(done: Result<(), LinkError>) {
    if let Err(error) = done {
        tracing::debug!("statistics are not told: {error}");
    }
}

/// Every so often, from now on.
fn every(time: Duration) -> Interval {
    let mut interval = interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
