//! Who is logged in at the dashboard? Sessions in the memory of this process, each opened by
//! an admin token.
//!
//! The browser has 256 random bits in a cookie that no script can read. Here only their
//! digest is kept, and that of the token: whether the token still holds is asked anew with
//! each request. What a change has to carry beside the cookie is made from the same bits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::time::UnixMillis;

/// After this a session is over, whatever happens.
pub const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// Unused for so long, it is over before.
pub const IDLE: Duration = Duration::from_secs(3600);

/// So many may be open; the one that was unused for longest makes room. Each takes a token to
/// open, so this is no way to put others out.
const MOST: usize = 1000;

/// The digest of an admin token.
pub type TokenDigest = [u8; 32];

/// The sessions that are open.
#[derive(Debug, Default)]
pub struct Sessions {
    by_digest: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    token: TokenDigest,
    begun: UnixMillis,
    used: UnixMillis,
}

impl Session {
    fn holds(&self, now: UnixMillis) -> bool {
        now.since(self.begun) < LONGEST && now.since(self.used) < IDLE
    }
}

/// A session, as whoever shows its id is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entered {
    digest: [u8; 32],
    /// The token that opened it.
    pub token: TokenDigest,
    /// When it ends at the latest.
    pub ends: UnixMillis,
    csrf: String,
}

impl Entered {
    fn new(id: &str, digest: [u8; 32], session: &Session) -> Self {
        let csrf = hex::encode(Sha256::new().chain_update("csrf ").chain_update(id).finalize());
        Self { digest, token: session.token, ends: session.begun + LONGEST, csrf }
    }

    /// What a change has to carry, which another site's page cannot know.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a change carries it.
    pub fn is_csrf(&self, shown: &[u8]) -> bool {
        self.csrf.as_bytes().ct_eq(shown).into()
    }
}

impl Sessions {
    /// Opens one, and returns its id.
    pub fn open(&self, token: TokenDigest, now: UnixMillis) -> (String, Entered) {
        let bits: [u8; 32] = rand::rng().random();
        let id = hex::encode(bits);
        let session = Session { token, begun: now, used: now };
        let mut all = self.all();
        all.retain(|_, session| session.holds(now));
        if all.len() >= MOST
            && let Some(unused) = all.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest)
        {
            all.remove(&unused);
        }
        let digest = digest(&id);
        all.insert(digest, session);
        let entered = Entered::new(&id, digest, &session);
        (id, entered)
    }

    /// The session of an id that is shown, which is used by that.
    pub fn enter(&self, id: &str, now: UnixMillis) -> Option<Entered> {
        let digest = digest(id);
        let mut all = self.all();
        let session = all.get_mut(&digest)?;
        if !session.holds(now) {
            all.remove(&digest);
            return None;
        }
        session.used = now;
        Some(Entered::new(id, digest, session))
    }

    /// Whether a session is still open. It is not used by that.
    pub fn still_open(&self, entered: &Entered, now: UnixMillis) -> bool {
        self.all().get(&entered.digest).is_some_and(|session| session.holds(now))
    }

    /// Ends one.
    pub fn close(&self, entered: &Entered) {
        self.all().remove(&entered.digest);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.by_digest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(id: &str) -> [u8; 32] {
    Sha256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_id_is_a_session_and_nothing_else_is() {
        let sessions = Sessions::default();
        let (id, opened) = sessions.open([1; 32], NOW);
        assert_eq!(id.len(), 64);
        let entered = sessions.enter(&id, NOW).unwrap();
        assert_eq!(entered, opened);
        assert_eq!((entered.token, entered.ends), ([1; 32], NOW + LONGEST));
        let (other, _) = sessions.open([1; 32], NOW);
        assert_ne!(id, other);
        for wrong in ["", "0", &id[1..], &id.to_uppercase(), &hex::encode(entered.digest)] {
            assert_eq!(sessions.enter(wrong, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn a_change_carries_what_only_its_own_page_knows() {
        let sessions = Sessions::default();
        let (id, one) = sessions.open([1; 32], NOW);
        let (_, other) = sessions.open([1; 32], NOW);
        assert!(one.is_csrf(one.csrf().as_bytes()));
        assert_eq!(sessions.enter(&id, NOW).unwrap().csrf(), one.csrf());
        for wrong in [other.csrf(), id.as_str(), "", &one.csrf()[1..]] {
            assert!(!one.is_csrf(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn an_unused_session_ends_after_an_hour() {
        let sessions = Sessions::default();
        let (id, entered) = sessions.open([1; 32], NOW);
        let used = NOW + 59 * MINUTE;
        assert!(sessions.enter(&id, used).is_some());
        assert!(sessions.enter(&id, used + 59 * MINUTE).is_some(), "it was used meanwhile");
        let over = used + 59 * MINUTE + IDLE;
        assert!(sessions.still_open(&entered, over - Duration::from_millis(1)), "looking does not use it");
        assert!(!sessions.still_open(&entered, over));
        assert_eq!(sessions.enter(&id, over), None);
        assert_eq!(sessions.enter(&id, NOW), None, "what has ended stays so");
    }

    #[test]
    fn a_used_session_ends_after_half_a_day() {
        let sessions = Sessions::default();
        let (id, _) = sessions.open([1; 32], NOW);
        let mut now = NOW;
        while now < NOW + LONGEST {
            assert!(sessions.enter(&id, now).is_some(), "{now:?}");
            now = now + 30 * MINUTE;
        }
        assert_eq!(sessions.enter(&id, now), None);
    }

    #[test]
    fn whoever_logs_out_is_out() {
        let sessions = Sessions::default();
        let ((id, entered), (other, _)) = (sessions.open([1; 32], NOW), sessions.open([1; 32], NOW));
        sessions.close(&entered);
        assert!(!sessions.still_open(&entered, NOW));
        assert_eq!(sessions.enter(&id, NOW), None);
        assert!(sessions.enter(&other, NOW).is_some());
    }

    #[test]
    fn there_are_only_so_many() {
        let sessions = Sessions::default();
        let (first, _) = sessions.open([1; 32], NOW);
        let (second, _) = sessions.open([1; 32], NOW + MINUTE);
        assert!(sessions.enter(&first, NOW + 2 * MINUTE).is_some());
        for _ in 2..=MOST {
            sessions.open([2; 32], NOW + 3 * MINUTE);
        }
        assert_eq!(sessions.all().len(), MOST);
        assert!(sessions.enter(&first, NOW + 3 * MINUTE).is_some());
        assert_eq!(sessions.enter(&second, NOW + 3 * MINUTE), None, "unused for longest");
    }
}
