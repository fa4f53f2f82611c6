//! How much of a minute's allowance is left? A bucket that holds one minute's worth and refills
//! evenly, for requests and for tokens.

use std::time::Duration;

use tokio::time::Instant;

/// One allowance.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

/// The state of one allowance as the rate limit headers tell it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allowance {
    /// Per minute.
    pub limit: u32,
    /// Left now.
    pub remaining: u32,
    /// Until it is full again.
    pub reset: Duration,
}

/// Both allowances after a call was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Allowances {
    pub requests: Option<Allowance>,
    pub tokens: Option<Allowance>,
}

/// Which allowance is used up, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exceeded {
    Requests(Duration),
    Tokens(Duration),
}

/// The allowances of one simulated provider.
#[derive(Debug, Default)]
pub(super) struct Quota {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl Bucket {
    fn refill(bucket: &mut Option<Self>, limit: u32, now: Instant) -> &mut Self {
        let bucket = bucket.get_or_insert(Self { level: f64::from(limit), at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * f64::from(limit) / 60.0;
        bucket.level = (bucket.level + gained).min(f64::from(limit));
        bucket.at = now;
        bucket
    }

    fn wait_for(&self, amount: f64, limit: u32) -> Duration {
        // More than a whole bucket never fits: a full one will have to do.
        let missing = amount.min(f64::from(limit)) - self.level;
        Duration::from_secs_f64((missing.max(0.0) * 60.0 / f64::from(limit)).max(0.0))
    }

    fn allowance(&self, limit: u32) -> Allowance {
        let full = Duration::from_secs_f64((f64::from(limit) - self.level).max(0.0) * 60.0 / f64::from(limit));
        // A cast from a float saturates.
        Allowance { limit, remaining: self.level.max(0.0) as u32, reset: full }
    }
}

impl Quota {
    /// Counts a call of so many tokens, if both allowances (per minute; `None`: no limit) have room for it.
    pub fn take(
        &mut self,
        requests_limit: Option<u32>,
        tokens_limit: Option<u32>,
        tokens: u64,
        now: Instant,
    ) -> (Result<(), Exceeded>, Allowances) {
        let tokens = tokens as f64;
        let mut exceeded = None;
        let requests = requests_limit.map(|limit| (Bucket::refill(&mut self.requests, limit, now), limit));
        let token = tokens_limit.map(|limit| (Bucket::refill(&mut self.tokens, limit, now), limit));
        // A millionth of slack for the rounding of refills.
        if let Some((bucket, limit)) = &token
            && bucket.level + 1e-6 < tokens.min(f64::from(*limit))
        {
            exceeded = Some(Exceeded::Tokens(bucket.wait_for(tokens, *limit)));
        }
        if let Some((bucket, limit)) = &requests
            && bucket.level + 1e-6 < 1.0
        {
            exceeded = Some(Exceeded::Requests(bucket.wait_for(1.0, *limit)));
        }
        let counts = if exceeded.is_none() { (1.0, tokens) } else { (0.0, 0.0) };
        let allowances = Allowances {
            requests: requests.map(|(bucket, limit)| {
                bucket.level -= counts.0;
                bucket.allowance(limit)
            }),
            tokens: token.map(|(bucket, limit)| {
                bucket.level = (bucket.level - counts.1).max(0.0);
                bucket.allowance(limit)
            }),
        };
        (exceeded.map_or(Ok(()), Err), allowances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_passes_at_once_and_then_one_at_a_time() {
        let mut quota = Quota::default();
        let mut take = || quota.take(Some(60), None, 1, Instant::now()).0;
        assert!((0..60).all(|_| take().is_ok()));
        assert_eq!(take(), Err(Exceeded::Requests(Duration::from_secs(1))));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(take().is_ok());
        assert!(take().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn refused_calls_use_up_nothing() {
        let mut quota = Quota::default();
        let (ok, left) = quota.take(Some(10), Some(100), 90, Instant::now());
        assert!(ok.is_ok());
        assert_eq!(left.requests.unwrap().remaining, 9);
        assert_eq!(left.tokens.unwrap().remaining, 10);
        let (refused, left) = quota.take(Some(10), Some(100), 20, Instant::now());
        assert_eq!(refused, Err(Exceeded::Tokens(Duration::from_secs(6))));
        assert_eq!(left.requests.unwrap().remaining, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_larger_than_the_bucket_passes_when_it_is_full() {
        let mut quota = Quota::default();
        assert!(quota.take(None, Some(100), 500, Instant::now()).0.is_ok());
        assert!(quota.take(None, Some(100), 500, Instant::now()).0.is_err());
    }
}
