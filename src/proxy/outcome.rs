//! How has a request ended that ends in an error? In a word, for metrics, logs and traces.

use super::error::{GatewayError, all, is_callers};
use crate::domain::failure::FailureKind;
use crate::domain::outcome::RequestOutcome;
use crate::limits::Limit;

impl GatewayError {
    /// How the request has ended, for those who watch.
    pub(super) fn outcome(&self) -> RequestOutcome {
        use RequestOutcome as O;
        match self {
            Self::Denied(_) | Self::Guessing { .. } => O::Denied,
            Self::NoRoom => O::Unavailable,
            Self::Limited(refusal) if matches!(refusal.limit, Limit::Budget(_)) => O::OverBudget,
            Self::Limited(_) => O::RateLimited,
            Self::OverBudget { .. } => O::OverBudget,
            Self::Forbidden { .. } => O::Forbidden,
            Self::UnknownModel { .. } | Self::AmbiguousModel { .. } => O::UnknownModel,
            Self::Bad(_) | Self::NoSuchPath | Self::WrongMethod => O::InvalidRequest,
            Self::TooLarge { .. } => O::TooLarge,
            Self::SlowBody => O::SlowBody,
            Self::NoneFit { unavailable: true, .. } => O::Unavailable,
            Self::NoneFit { .. } => O::InvalidRequest,
            Self::NoneReady { limited: true, .. } => O::UpstreamRateLimited,
            Self::NoneReady { .. } => O::Unavailable,
            Self::AllFailed { attempts, .. } => match () {
                () if attempts.iter().any(|(_, error)| is_callers(error.kind)) => O::InvalidRequest,
                () if all(attempts, FailureKind::RateLimited) => O::UpstreamRateLimited,
                () if all(attempts, FailureKind::Timeout) => O::UpstreamTimeout,
                () if all(attempts, FailureKind::NoSocket) => O::Unavailable,
                () => O::UpstreamFailed,
            },
        }
    }
}
