//! An attempt failed: what next? One table for all strategies and protocols.

use std::time::Duration;

use super::rank::{Candidate, Plan};
use crate::domain::alias::FallbackPolicy;
use crate::domain::catalog::Catalog;
use crate::domain::failure::FailureKind;
use crate::domain::ids::ModelIdx;

/// What to do after a failed attempt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum NextStep {
    /// Try the candidate at this position of the plan.
    Next(usize),
    /// Try the same one again after a pause. Costs a token of the retry budget.
    Same {
        /// The pause.
        after: Duration,
    },
    /// Tell the caller.
    GiveUp,
}

/// Where a request stands after a failed attempt.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The decision that is walked.
    pub plan: &'a Plan,
    /// Position in it of the candidate that failed.
    pub position: usize,
    /// The candidate was tried twice already.
    pub repeated: bool,
    /// How it failed.
    pub kind: FailureKind,
    /// What the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// Upstream calls that may still be made.
    pub attempts_left: u32,
    /// Time left until the request's deadline.
    pub time_left: Duration,
    /// What the alias allows beyond the table.
    pub policy: FallbackPolicy,
    /// In [0, 1): spreads retries.
    pub jitter: f64,
}

/// Waiting longer than this for an endpoint that is out is the caller's decision to make: it
/// gets a `Retry-After` instead.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The pause before a server error is tried again at the same endpoint.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Decides by the class of the failure. Another candidate is always preferred to the same
/// one again: a second call to an endpoint that just failed is the likeliest to fail too.
pub fn next_step(progress: &Progress<'_>, catalog: &Catalog) -> NextStep {
    if progress.attempts_left == 0 || progress.time_left.is_zero() {
        return NextStep::GiveUp;
    }
    let next = |fits: &dyn Fn(&Candidate) -> bool| {
        let rest = progress.plan.candidates.iter().enumerate().skip(progress.position + 1);
        rest.filter(|(_, candidate)| fits(candidate)).map(|(i, _)| NextStep::Next(i)).next()
    };
    let any = |_: &Candidate| true;
    match progress.kind {
        // Whoever comes next may have a connection that waits.
        FailureKind::NoSocket
        | FailureKind::Connect
        | FailureKind::Timeout
        | FailureKind::Credential
        | FailureKind::ModelGone
        | FailureKind::Malformed => next(&any).unwrap_or(NextStep::GiveUp),
        FailureKind::ServerError => next(&any).unwrap_or_else(|| {
            let pause = RETRY_PAUSE.mul_f64(0.5 + progress.jitter).max(progress.retry_after.unwrap_or_default());
            same(progress, pause)
        }),
        FailureKind::RateLimited => next(&any).unwrap_or_else(|| match progress.retry_after {
            Some(wait) => same(progress, wait),
            None => NextStep::GiveUp,
        }),
        FailureKind::ContextTooLong => {
            let model = |candidate: &Candidate| catalog.endpoint(candidate.endpoint).model;
            let failed = progress.plan.candidates.get(progress.position).map(model);
            let larger =
                |candidate: &Candidate| failed.is_none_or(|failed| is_larger(catalog, model(candidate), failed));
            next(&larger).unwrap_or(NextStep::GiveUp)
        }
        FailureKind::CallerMistake if progress.policy.any_error => next(&any).unwrap_or(NextStep::GiveUp),
        FailureKind::ContentPolicy if progress.policy.content_policy => next(&any).unwrap_or(NextStep::GiveUp),
        FailureKind::CallerMistake
        | FailureKind::ContentPolicy
        | FailureKind::BrokenStream
        | FailureKind::ClientGone
        | FailureKind::Superseded => NextStep::GiveUp,
    }
}

/// Whether a prompt that was too long for one model may fit into another: an unknown window
/// may be larger; a known one has to be.
pub fn is_larger(catalog: &Catalog, model: ModelIdx, failed: ModelIdx) -> bool {
    match (catalog.model(model).context_window, catalog.model(failed).context_window) {
        (Some(window), Some(failed)) => window > failed,
        _ => true,
    }
}

/// Whether the failure of a plan's last candidate is worth asking somebody who is not in it.
pub fn may_go_elsewhere(progress: &Progress<'_>) -> bool {
    let worth = match progress.kind {
        FailureKind::NoSocket
        | FailureKind::Connect
        | FailureKind::Timeout
        | FailureKind::Credential
        | FailureKind::ModelGone
        | FailureKind::Malformed
        | FailureKind::ServerError
        | FailureKind::RateLimited
        | FailureKind::ContextTooLong => true,
        FailureKind::CallerMistake => progress.policy.any_error,
        FailureKind::ContentPolicy => progress.policy.content_policy,
        FailureKind::BrokenStream | FailureKind::ClientGone | FailureKind::Superseded => false,
    };
    worth && progress.attempts_left > 0 && !progress.time_left.is_zero()
}

/// Once more at the same endpoint, if that was not done already and the pause leaves time.
fn same(progress: &Progress<'_>, after: Duration) -> NextStep {
    if progress.repeated || after >= progress.time_left.min(LONGEST_WAIT) {
        NextStep::GiveUp
    } else {
        NextStep::Same { after }
    }
}

/// How long one attempt may take: its own limit, but no more than an even part of the time
/// left for all attempts that may still come.
pub fn attempt_limit(own: Duration, time_left: Duration, attempts_left: u32) -> Duration {
    own.min(time_left / attempts_left.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests_support::{Case, fleet};

    fn step(kind: FailureKind, change: impl FnOnce(&mut Progress<'_>)) -> NextStep {
        let Case { catalog, plan, .. } = fleet(&[Some(1000), Some(1000), None, Some(5000)]);
        let mut progress = Progress {
            plan: &plan,
            position: 0,
            repeated: false,
            kind,
            retry_after: None,
            attempts_left: 2,
            time_left: Duration::from_secs(10),
            policy: FallbackPolicy::default(),
            jitter: 0.5,
        };
        change(&mut progress);
        next_step(&progress, &catalog)
    }

    fn last(progress: &mut Progress<'_>) {
        progress.position = 3;
    }

    #[test]
    fn failures_of_the_provider_go_to_the_next_candidate() {
        use FailureKind as F;
        for kind in [F::Connect, F::Timeout, F::RateLimited, F::ServerError, F::Credential, F::ModelGone, F::Malformed]
        {
            assert_eq!(step(kind, |_| {}), NextStep::Next(1), "{kind}");
        }
    }

    #[test]
    fn the_callers_mistakes_go_nowhere_unless_the_alias_says_so() {
        assert_eq!(step(FailureKind::CallerMistake, |_| {}), NextStep::GiveUp);
        assert_eq!(step(FailureKind::CallerMistake, |p| p.policy.any_error = true), NextStep::Next(1));
        assert_eq!(step(FailureKind::ContentPolicy, |p| p.policy.any_error = true), NextStep::GiveUp);
        assert_eq!(step(FailureKind::ContentPolicy, |p| p.policy.content_policy = true), NextStep::Next(1));
        assert_eq!(step(FailureKind::BrokenStream, |_| {}), NextStep::GiveUp);
        assert_eq!(step(FailureKind::ClientGone, |_| {}), NextStep::GiveUp);
    }

    #[test]
    fn a_prompt_too_long_goes_only_to_larger_or_unknown_windows() {
        assert_eq!(step(FailureKind::ContextTooLong, |_| {}), NextStep::Next(2));
        assert_eq!(step(FailureKind::ContextTooLong, |p| p.position = 2), NextStep::Next(3));
        assert_eq!(step(FailureKind::ContextTooLong, last), NextStep::GiveUp);
    }

    #[test]
    fn the_last_one_is_tried_again_once_after_a_server_error() {
        assert_eq!(step(FailureKind::ServerError, last), NextStep::Same { after: Duration::from_millis(200) });
        let again = |p: &mut Progress<'_>| {
            last(p);
            p.repeated = true;
        };
        assert_eq!(step(FailureKind::ServerError, again), NextStep::GiveUp);
        assert_eq!(step(FailureKind::Connect, last), NextStep::GiveUp);
    }

    #[test]
    fn a_rate_limit_at_the_last_one_is_waited_for_if_it_ends_in_time() {
        let wait = |seconds| {
            move |p: &mut Progress<'_>| {
                last(p);
                p.retry_after = Some(Duration::from_secs(seconds));
            }
        };
        assert_eq!(step(FailureKind::RateLimited, wait(3)), NextStep::Same { after: Duration::from_secs(3) });
        assert_eq!(step(FailureKind::RateLimited, wait(6)), NextStep::GiveUp);
        assert_eq!(step(FailureKind::RateLimited, last), NextStep::GiveUp);
    }

    #[test]
    fn nothing_is_tried_beyond_the_budgets() {
        assert_eq!(step(FailureKind::Connect, |p| p.attempts_left = 0), NextStep::GiveUp);
        assert_eq!(step(FailureKind::Connect, |p| p.time_left = Duration::ZERO), NextStep::GiveUp);
    }

    /// Somebody who is not in the plan is asked exactly where somebody in it would be.
    #[test]
    fn whoever_stands_behind_is_asked_where_the_next_one_would_be() {
        let policies = [
            FallbackPolicy::default(),
            FallbackPolicy { any_error: true, ..Default::default() },
            FallbackPolicy { content_policy: true, ..Default::default() },
        ];
        for (kind, policy) in FailureKind::ALL.iter().flat_map(|kind| policies.map(|policy| (*kind, policy))) {
            for (attempts_left, seconds) in [(2, 10), (0, 10), (2, 0)] {
                let mut elsewhere = false;
                let next = step(kind, |progress| {
                    progress.policy = policy;
                    progress.attempts_left = attempts_left;
                    progress.time_left = Duration::from_secs(seconds);
                    elsewhere = may_go_elsewhere(progress);
                });
                assert_eq!(elsewhere, matches!(next, NextStep::Next(_)), "{kind} {policy:?}");
            }
        }
    }

    #[test]
    fn an_attempt_gets_an_even_part_of_what_is_left() {
        let s = Duration::from_secs;
        assert_eq!(attempt_limit(s(30), s(60), 3), s(20));
        assert_eq!(attempt_limit(s(30), s(600), 3), s(30));
        assert_eq!(attempt_limit(s(30), s(10), 0), s(10));
    }
}
