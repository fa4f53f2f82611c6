//! What of the statistics is in Redis, and for how long? Messages as they are, with the time
//! at which Redis got them, so that whoever reads one knows its age whatever the clocks say.
//!
//! What a replica believes is kept in one place for all, and takes the place of what it
//! believed before. What it has measured is a stream of its own, a quarter of an hour long.

use std::time::Duration;

use redis::{FromRedisValue, Value, cmd};

use crate::fleet::error::LinkError;
use crate::fleet::keys::Keys;
use crate::fleet::link::Link;
use crate::fleet::script::Script;

static KEEP: Script = Script::new(include_str!("../lua/knowledge_keep.lua"));
static READ: Script = Script::new(include_str!("../lua/knowledge_read.lua"));
static APPEND: Script = Script::new(include_str!("../lua/slices_append.lua"));
static READ_SLICES: Script = Script::new(include_str!("../lua/slices_read.lua"));

/// A replica that has ended is remembered for so long.
const KNOWLEDGE: Duration = Duration::from_secs(3600);

/// Slices are in somebody's window for so long: a quarter of an hour, and the minute that the
/// oldest of them is a part of.
pub(super) const SLICES: Duration = Duration::from_secs(960);

/// A replica keeps so many messages with slices at most, of mostly 32 KiB: a hundred
/// endpoints make two every five seconds, however many requests they get.
const MOST_MESSAGES: u32 = 1024;

/// So many are read at once.
const PAGE: u32 = 32;

/// What is asked for, and may be long, has this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// What replicas keep for each other.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    link: Link,
    keys: Keys,
    /// This replica.
    me: String,
}

/// What a replica believed some time ago.
#[derive(Debug)]
pub(super) struct Believed {
    pub replica: String,
    pub age: Duration,
    pub messages: Vec<Vec<u8>>,
}

/// A message with slices.
#[derive(Debug)]
pub(super) struct Measured {
    id: String,
    pub age: Duration,
    pub message: Vec<u8>,
}

impl Kept {
    pub(super) fn new(link: &Link, keys: Keys, me: String) -> Self {
        Self { link: link.within(PATIENCE), keys, me }
    }

    /// Tells something that nobody has to keep.
    pub(super) async fn tell(&self, message: &[u8]) -> Result<(), LinkError> {
        let mut publish = cmd("PUBLISH");
        publish.arg(self.keys.told()).arg(message);
        self.link.call::<u64>(&publish).await.map(drop)
    }

    /// Keeps what this replica believes, and tells it.
    pub(super) async fn keep(&self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        let (knowledge, at) = (self.keys.knowledge(), self.keys.knowledge_at());
        let call = KEEP.on(&[&knowledge, &at]).arg(&self.me).arg(millis(KNOWLEDGE)).arg(packed(messages));
        let call = messages.iter().fold(call.arg(self.keys.told()), |call, message| call.arg(message.as_slice()));
        self.link.eval::<u64>(&call).await.map(drop)
    }

    /// What every replica believes, this one included.
    pub(super) async fn believed(&self) -> Result<Vec<Believed>, LinkError> {
        let (knowledge, at) = (self.keys.knowledge(), self.keys.knowledge_at());
        let all: Vec<(String, u64, Bytes)> = self.link.eval(&READ.on(&[&knowledge, &at])).await?;
        let believed = |(replica, ms, Bytes(packed))| Believed {
            replica,
            age: Duration::from_millis(ms),
            messages: unpacked(&packed),
        };
        Ok(all.into_iter().map(believed).collect())
    }

    /// Puts slices where others find them, and tells them. Where it fails they may be there all
    /// the same.
    pub(super) async fn append(&self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        let key = self.keys.slices(&self.me);
        let call = APPEND.on(&[&key]).arg(millis(SLICES)).arg(MOST_MESSAGES).arg(self.keys.told());
        let call = messages.iter().fold(call, |call, message| call.arg(message.as_slice()));
        self.link.eval::<u64>(&call).await.map(drop)
    }

    /// Some of what a replica has measured, the newest first: that before a message, or the
    /// newest of all. Nothing where there is no more that is this young.
    pub(super) async fn measured(
        &self,
        replica: &str,
        before: Option<&Measured>,
        oldest: Duration,
    ) -> Result<Vec<Measured>, LinkError> {
        let key = self.keys.slices(replica);
        let newest = before.map_or("+".to_owned(), |message| before_id(&message.id));
        let call = READ_SLICES.on(&[&key]).arg(newest).arg(millis(oldest)).arg(PAGE);
        let page: Vec<(String, u64, Bytes)> = self.link.eval(&call).await?;
        let measured = |(id, ms, Bytes(message))| Measured { id, age: Duration::from_millis(ms), message };
        Ok(page.into_iter().map(measured).collect())
    }
}

/// The highest id that is below another. `(` would say that, but only to servers from 6.2 on.
fn before_id(id: &str) -> String {
    let (ms, number) = id.split_once('-').unwrap_or((id, "0"));
    match (ms.parse::<u64>(), number.parse::<u64>()) {
        (Ok(ms), Ok(0)) => ms.saturating_sub(1).to_string(),
        (Ok(ms), Ok(number)) => format!("{ms}-{}", number - 1),
        // No server names an entry like that; there is nothing before it.
        _ => "-".to_owned(),
    }
}

/// A text that need not be one.
struct Bytes(Vec<u8>);

impl FromRedisValue for Bytes {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        Vec::from_redis_value(value).map(Self)
    }
}

/// Messages one after another, each behind its length.
fn packed(messages: &[Vec<u8>]) -> Vec<u8> {
    let length = |message: &Vec<u8>| u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes();
    messages.iter().flat_map(|message| length(message).into_iter().chain(message.iter().copied())).collect()
}

/// What can be read of them: another version may have written something else.
pub fn unpacked(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk()
        && let Ok(length) = usize::try_from(u32::from_le_bytes(*length))
        && let Some((message, rest)) = rest.split_at_checked(length)
    {
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_what_makes_no_sense_is_left() {
        let messages = vec![b"one".to_vec(), Vec::new(), vec![7; 300]];
        let mut bytes = packed(&messages);
        assert_eq!(unpacked(&bytes), messages);
        bytes.extend([9, 0, 0, 0, 1]);
        assert_eq!(unpacked(&bytes), messages);
        assert_eq!(unpacked(b"xyz"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn before_an_id_is_the_highest_below_it() {
        assert_eq!(before_id("17-3"), "17-2");
        assert_eq!(before_id("17-0"), "16");
        assert_eq!(before_id("nonsense"), "-");
    }
}
