//! Who else is there? Each process writes itself down once a second, for a few seconds, and
//! reads who else has.
//!
//! While Redis is away everybody goes on with the number it knew last: half a fleet that
//! believes to be alone would take the whole of every limit.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::error::LinkError;
use super::keys::Keys;
use super::link::Link;
use super::script::Script;
use crate::domain::time::UnixMillis;

/// How often a replica writes itself down.
pub const EVERY: Duration = Duration::from_secs(1);

/// A replica that has not written itself down for so long counts as gone.
pub const LIVES: Duration = Duration::from_secs(5);

static BEAT: Script = Script::new(include_str!("lua/replica_beat.lua"));
static LEAVE: Script = Script::new(include_str!("lua/replica_leave.lua"));

/// One that has not said that it ended is remembered for so long, since it may still serve
/// what it knew.
pub const REMEMBERED: Duration = Duration::from_secs(600);

/// What a replica says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Replica {
    /// Drawn at the start of the process; never seen again after its end.
    #[serde(default)]
    pub id: String,
    /// Its name, for people; two may have the same.
    #[serde(default)]
    pub name: String,
    /// Where its admin listener is.
    #[serde(default)]
    pub address: String,
    /// When it started, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub started_ms: u64,
    /// Its version of Pointsman.
    #[serde(default)]
    pub version: String,
    /// The revision of the configuration that it serves.
    #[serde(default)]
    pub revision: u64,
    /// The last step of the journal that it serves.
    #[serde(default)]
    pub step: u64,
    /// Why it cannot serve the next one, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Replica {
    /// This process, with an id that no other has. Without a name it is called after its host.
    pub fn this(name: Option<&str>, address: &str, started: UnixMillis) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        let name = name.map_or_else(|| format!("{}-{}", host_name(), &id[..4]), str::to_owned);
        Self {
            id,
            name,
            address: address.to_owned(),
            started_ms: started.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: 0,
            step: 0,
            trouble: None,
        }
    }
}

fn host_name() -> String {
    let read = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
    let name = read.unwrap_or_default().trim().to_owned();
    if name.is_empty() { "replica".to_owned() } else { name }
}

/// The replicas as this one knows them. A clone is the same.
#[derive(Clone, Debug)]
pub struct Replicas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    keys: Keys,
    this: ArcSwap<Replica>,
    /// This one first.
    living: watch::Sender<Arc<[Replica]>>,
    missing: watch::Sender<Arc<[Replica]>>,
}

impl Replicas {
    /// This replica, which knows of no other yet.
    pub fn new(link: Link, keys: Keys, this: Replica) -> Self {
        let living = watch::Sender::new([this.clone()].into());
        let missing = watch::Sender::new([].into());
        Self(Arc::new(Inner { link, keys, this: ArcSwap::from_pointee(this), living, missing }))
    }

    /// This replica.
    pub fn this(&self) -> Arc<Replica> {
        self.0.this.load_full()
    }

    /// Notes what this replica serves; the others hear of it with the next
    /// [`beat`](Self::beat).
    pub fn serves(&self, step: u64, revision: u64) {
        self.0.this.rcu(|this| Replica { step, revision, trouble: None, ..Replica::clone(this) });
    }

    /// Notes why this replica cannot serve what it should.
    pub fn cannot_serve(&self, why: &str) {
        self.0.this.rcu(|this| Replica { trouble: Some(why.to_owned()), ..Replica::clone(this) });
    }

    /// Those that have not said that they ended, and have not been heard of for a while.
    pub fn missing(&self) -> Arc<[Replica]> {
        Arc::clone(&self.0.missing.borrow())
    }

    /// Those that lived when Redis answered last, this one first.
    pub fn living(&self) -> Arc<[Replica]> {
        Arc::clone(&self.0.living.borrow())
    }

    /// How many there are: never less than one.
    pub fn count(&self) -> usize {
        self.0.living.borrow().len().max(1)
    }

    /// The living ones, and every change of them.
    pub fn changes(&self) -> watch::Receiver<Arc<[Replica]>> {
        self.0.living.subscribe()
    }

    /// Writes this replica down now, and reads who else lives.
    ///
    /// # Errors
    /// See [`LinkError`]; what was known stays.
    pub async fn beat(&self) -> Result<Arc<[Replica]>, LinkError> {
        let Inner { link, keys, .. } = &*self.0;
        let this = self.this();
        let text = serde_json::to_string(&*this).map_err(|error| LinkError::Refused(error.to_string().into()))?;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (replicas, until) = (keys.replicas(), keys.replicas_until());
        let call = BEAT.on(&[&replicas, &until]).arg(&this.id).arg(text).arg(ms(LIVES)).arg(ms(REMEMBERED));
        let all: Vec<(String, String, i64)> = link.eval(&call).await?;
        let (living, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|(.., left)| *left > 0);
        let [living, missing] = [living, missing]
            .map(|some| some.into_iter().map(|(id, text, _)| read(id, &text)).collect::<Arc<[Replica]>>());
        self.0.missing.send_replace(missing);
        self.0.living.send_if_modified(|known| {
            let changed = *known != living;
            *known = Arc::clone(&living);
            changed
        });
        Ok(living)
    }

    /// Says that this replica has ended.
    ///
    /// # Errors
    /// See [`LinkError`]; the others will notice by themselves.
    pub async fn leave(&self) -> Result<(), LinkError> {
        let Inner { link, keys, .. } = &*self.0;
        let (replicas, until) = (keys.replicas(), keys.replicas_until());
        link.eval(&LEAVE.on(&[&replicas, &until]).arg(&self.this().id)).await
    }

    /// Writes this replica down again and again, until `stop` says so; then takes it out. The
    /// link has to run for longer.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = self.0.link.changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
                // As soon as Redis is back the others should know.
                changed = state.changed() => if changed.is_err() { break },
            }
            if let Err(error) = self.beat().await {
                tracing::debug!("this replica is not written down: {error}");
            }
        }
        if let Err(error) = self.leave().await {
            tracing::debug!("this replica is not taken out: {error}");
        }
    }
}

/// What cannot be read was written by another version; it counts all the same.
fn read(id: String, text: &str) -> Replica {
    let read: Replica = serde_json::from_str(text).unwrap_or_default();
    Replica { id, ..read }
}
