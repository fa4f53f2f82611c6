//! How a caller's request ended, as that caller saw it: in metrics, logs and traces.

use std::fmt;

use super::failure::FailureKind;

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum RequestOutcome {
    /// With a whole answer.
    Ok,
    /// Its caller went away.
    ClientGone,
    /// The stream broke after content had been sent.
    BrokenStream,
    /// It showed no valid key.
    Denied,
    /// Its key may not use the alias.
    Forbidden,
    /// Its `model` leads nowhere.
    UnknownModel,
    /// Its caller made a mistake.
    InvalidRequest,
    /// Its body is too large.
    TooLarge,
    /// Its body did not come in time.
    SlowBody,
    /// A limit of its key or project is reached.
    RateLimited,
    /// A budget has less left than it may cost.
    OverBudget,
    /// Every target is at a limit.
    UpstreamRateLimited,
    /// Every target took too long.
    UpstreamTimeout,
    /// Every target failed.
    UpstreamFailed,
    /// No target can be asked now.
    Unavailable,
}

impl RequestOutcome {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// Every outcome, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Ok,
        Self::ClientGone,
        Self::BrokenStream,
        Self::Denied,
        Self::Forbidden,
        Self::UnknownModel,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::SlowBody,
        Self::RateLimited,
        Self::OverBudget,
        Self::UpstreamRateLimited,
        Self::UpstreamTimeout,
        Self::UpstreamFailed,
        Self::Unavailable,
    ];

    /// The stable name in metrics, logs and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientGone => "client_gone",
            Self::BrokenStream => "broken_stream",
            Self::Denied => "denied",
            Self::Forbidden => "forbidden",
            Self::UnknownModel => "unknown_model",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "too_large",
            Self::SlowBody => "slow_body",
            Self::RateLimited => "rate_limited",
            Self::OverBudget => "over_budget",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamFailed => "upstream_failed",
            Self::Unavailable => "unavailable",
        }
    }

    /// How a request ends whose answer had begun, by how the attempt ended that gave it.
    pub fn of_answer(failure: Option<FailureKind>) -> Self {
        match failure {
            None => Self::Ok,
            Some(FailureKind::ClientGone | FailureKind::Superseded) => Self::ClientGone,
            Some(_) => Self::BrokenStream,
        }
    }

    /// Whether it is the gateway's or the providers' fault that the caller has no whole answer.
    pub fn is_our_failure(self) -> bool {
        matches!(
            self,
            Self::BrokenStream
                | Self::UpstreamRateLimited
                | Self::UpstreamTimeout
                | Self::UpstreamFailed
                | Self::Unavailable
        )
    }
}

impl fmt::Display for RequestOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions_and_names_are_unique() {
        for (at, outcome) in RequestOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
        let names: std::collections::HashSet<&str> =
            RequestOutcome::ALL.into_iter().map(RequestOutcome::as_str).collect();
        assert_eq!(names.len(), RequestOutcome::COUNT);
    }
}
