//! Who says something, and of what?

use sha2::{Digest, Sha256};

use crate::domain::ids::EndpointId;
use crate::domain::time::UnixMillis;

/// A process that tells and hears: a replica, from one start to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    /// The replica: the first eight bytes of the SHA-256 of the name of its store, which is the
    /// same after a restart and another for every store.
    pub replica: u64,
    /// Grows with each start of that replica. What an earlier process of a replica said last is
    /// forgotten once a later one speaks, except for what has really happened in it.
    pub epoch: u64,
}

impl Origin {
    /// The process that has this store and started then.
    pub fn of(store: &str, started: UnixMillis) -> Self {
        Self { replica: short(store), epoch: started.0 }
    }
}

fn short(name: &str) -> u64 {
    Sha256::digest(name.as_bytes()).iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// An endpoint, as replicas name it to each other: the first eight bytes of the SHA-256 of
/// `model@provider`. Positions in a catalog differ between replicas while a change spreads.
/// Among ten thousand endpoints two share a key once in 4 · 10¹¹ configurations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndpointKey(pub u64);

impl EndpointKey {
    /// That of this endpoint. A hash: to be kept, not made for every message.
    pub fn of(id: &EndpointId) -> Self {
        Self(short(id.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_the_name_and_always_the_same() {
        let key = |name: &str| EndpointKey::of(&EndpointId::new(name));
        assert_eq!(key("openai/gpt-4o@openai"), key("openai/gpt-4o@openai"));
        assert_ne!(key("openai/gpt-4o@openai"), key("openai/gpt-4o@azure"));
        // Replicas of different versions have to agree.
        assert_eq!(key("abc"), EndpointKey(0xba78_16bf_8f01_cfea));
    }
}
