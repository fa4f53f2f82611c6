//! How many descriptors may this process have, and are they enough for what it lets in?
//!
//! The soft limit of a service is often 1024, which is 500 streams: one descriptor for the
//! client and one for the provider. The hard limit is what the system means.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What everything but connections of callers and their providers may need: the store, the log,
/// the admin listener, Redis.
const OTHERS: u64 = 512;

/// Raises the soft limit to the hard one. `None` is no limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems have a limit of their own below the hard one.
        Err(_) => limit.current,
    }
}

/// The connections that so many descriptors are enough for, where each may need one to a
/// provider as well; `wanted` if that is all the same.
pub fn enough_for(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let others = OTHERS.min(limit / 2);
    wanted.min(usize::try_from((limit - others) / 2).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_in_leaves_descriptors_for_everything_else() {
        assert_eq!(enough_for(20_000, None), 20_000);
        assert_eq!(enough_for(20_000, Some(1 << 20)), 20_000);
        assert_eq!(enough_for(20_000, Some(20_512)), 10_000);
        assert_eq!(enough_for(20_000, Some(1024)), 256);
        assert_eq!(enough_for(20_000, Some(100)), 25);
        assert_eq!(enough_for(20_000, Some(0)), 1);
        assert_eq!(enough_for(5, Some(1024)), 5);
    }

    #[test]
    fn the_limit_of_this_process_is_raised() {
        let raised = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(raised, limit.current);
    }
}
