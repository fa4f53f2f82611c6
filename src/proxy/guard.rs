//! Who shows keys that nobody knows? An address may do so a number of times a minute. Beyond
//! that it is told to wait, each of its guesses waits for a while before it is answered, and its
//! connection is closed.
//!
//! Whoever shows a valid key is let in all the same: behind one address there may be many, and
//! none of them is to be locked out by another.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;

/// Addresses are told apart by so many cells. Two of them may share one, which nobody with a
/// valid key notices; however many there are, it is no more memory.
const CELLS: usize = 1 << 14;

/// How long the answer to a guess too many is held back.
const HELD_BACK: Duration = Duration::from_secs(1);

/// And how many of them at once, so that they are not a load themselves.
const MOST_HELD_BACK: usize = 1024;

/// That somebody guesses is told no more often.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Who is at the other end of a request's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub IpAddr);

/// How often addresses have shown what is no key.
#[derive(Debug)]
pub struct Guesses {
    cells: Box<[AtomicU64]>,
    hash: RandomState,
    began: Instant,
    held_back: AtomicUsize,
    /// When it was told last, in seconds since it began, plus one.
    told: AtomicU64,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
            hash: RandomState::new(),
            began: Instant::now(),
            held_back: AtomicUsize::new(0),
            told: AtomicU64::new(0),
        }
    }
}

impl Guesses {
    /// An address has shown a key or a token that nobody knows. Returns at once while it has
    /// done so no more often than `per_minute`, where 0 is as often as it likes; otherwise only
    /// after a while.
    ///
    /// # Errors
    /// If it was too often: how long it should wait.
    pub async fn wrong(&self, peer: IpAddr, per_minute: u32) -> Result<(), Duration> {
        let Some(every) = Duration::from_secs(60).checked_div(per_minute) else { return Ok(()) };
        let bucket = Bucket { burst: per_minute, every };
        let cell = self.hash.hash_one(whole_of(peer)) as usize % CELLS;
        let Err(wait) = bucket.take(&self.cells[cell], self.began.elapsed()) else { return Ok(()) };
        self.tell(peer, per_minute);
        if self.held_back.fetch_add(1, Relaxed) < MOST_HELD_BACK {
            let _back = HeldBack(&self.held_back);
            tokio::time::sleep(HELD_BACK).await;
        } else {
            self.held_back.fetch_sub(1, Relaxed);
        }
        Err(wait)
    }

    fn tell(&self, peer: IpAddr, per_minute: u32) {
        let now = self.began.elapsed().as_secs() + 1;
        let told = self.told.load(Relaxed);
        let due = told == 0 || now >= told + TELL_AGAIN.as_secs();
        if due && self.told.compare_exchange(told, now, Relaxed, Relaxed).is_ok() {
            tracing::warn!(%peer, per_minute, "keys are guessed: more wrong ones than that come from this address");
        }
    }
}

/// One answer that is held back.
struct HeldBack<'a>(&'a AtomicUsize);

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// One customer of a provider has a whole network of IPv6 addresses.
fn whole_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(guesses: &Guesses, peer: &str, times: u32) -> u32 {
        let mut refused = 0;
        for _ in 0..times {
            refused += u32::from(guesses.wrong(peer.parse().unwrap(), 60).await.is_err());
        }
        refused
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_be_wrong_so_often_a_minute() {
        let guesses = Guesses::default();
        assert_eq!(refused(&guesses, "10.0.0.1", 60).await, 0);
        let before = Instant::now();
        let wait = guesses.wrong("10.0.0.1".parse().unwrap(), 60).await.unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(before.elapsed(), HELD_BACK, "and waits for that");
        assert_eq!(refused(&guesses, "::ffff:10.0.0.1", 2).await, 1, "one a second, however it is written");
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(refused(&guesses, "10.0.0.1", 60).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_address_and_others_have_their_own() {
        let guesses = Guesses::default();
        assert_eq!(refused(&guesses, "2001:db8::1", 60).await, 0);
        assert!(guesses.wrong("2001:db8::ffff:1".parse().unwrap(), 60).await.is_err());
        assert!(guesses.wrong("2001:db8:0:1::1".parse().unwrap(), 60).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_there_is_no_limit_or_too_many_wait() {
        let guesses = Guesses::default();
        let peer = "10.0.0.1".parse().unwrap();
        for _ in 0..1000 {
            assert!(guesses.wrong(peer, 0).await.is_ok());
        }
        assert!(guesses.wrong(peer, 1).await.is_ok());
        guesses.held_back.store(MOST_HELD_BACK, Relaxed);
        let before = Instant::now();
        assert!(guesses.wrong(peer, 1).await.is_err());
        assert_eq!((before.elapsed(), guesses.held_back.load(Relaxed)), (Duration::ZERO, MOST_HELD_BACK));
    }
}
