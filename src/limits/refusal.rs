//! Why may a request not come in, and when may it try again?

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use thiserror::Error;

use super::account::Account;
use super::owner::Owner;
use crate::domain::budget::Budget;

/// When what was refused would pass, if nothing else came. The worse is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wait {
    /// For nothing, perhaps: what this replica holds of a limit that all replicas share is not
    /// enough, and more of it has to be asked for.
    Ask,
    /// When others have ended, which may be at any time.
    Others,
    /// After this time, in whole milliseconds, and not before.
    For(Duration),
    /// Never: it asks for more than the whole limit.
    Never,
}

/// A limit that was reached, and what it allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Requests per minute.
    Requests(NonZeroU32),
    /// Tokens per minute.
    Tokens(NonZeroU32),
    /// Tokens per minute, of which this request alone wants more than there are.
    TooLarge {
        /// What the limit allows in a minute.
        per_minute: NonZeroU32,
        /// What was asked for.
        tokens: u64,
    },
    /// Requests under way at once.
    InFlight(u32),
    /// A budget.
    Budget(Budget),
}

impl Limit {
    /// A number for each, from zero.
    pub fn number(&self) -> usize {
        match self {
            Self::Requests(_) => 0,
            Self::Tokens(_) => 1,
            Self::TooLarge { .. } => 2,
            Self::InFlight(_) => 3,
            Self::Budget(_) => 4,
        }
    }

    /// One word for it, for metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requests(_) => "requests",
            Self::Tokens(_) => "tokens",
            Self::TooLarge { .. } => "too_large",
            Self::InFlight(_) => "in_flight",
            Self::Budget(_) => "budget",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(limit) => write!(f, "{limit} requests per minute"),
            Self::Tokens(limit) => write!(f, "{limit} tokens per minute"),
            Self::TooLarge { per_minute, tokens } => {
                write!(f, "{per_minute} tokens per minute, and this request alone may need {tokens}")
            }
            Self::InFlight(limit) => write!(f, "{limit} requests at once"),
            Self::Budget(budget) => budget.fmt(f),
        }
    }
}

/// A request may not come in, or an attempt not be made.
///
/// Where several limits refuse, it is the one that would let it pass last.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{owner} is limited to {limit}")]
pub struct Refusal {
    /// Whose limit it is.
    pub owner: Owner,
    /// Which limit.
    pub limit: Limit,
    /// When it would pass.
    pub wait: Wait,
}

impl Refusal {
    /// The time after which the very same request would pass if nothing else came. `None`
    /// if time alone helps nothing: it is too large, or others have to end first.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.wait {
            Wait::For(time) => Some(time),
            Wait::Ask | Wait::Others | Wait::Never => None,
        }
    }
}

/// A limit that is in the way of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    pub(super) limit: Limit,
    pub(super) wait: Wait,
}

impl Lack {
    /// The refusal of something that `account` lacks.
    pub(super) fn of(self, account: &Account) -> Refusal {
        Refusal { owner: account.owner().clone(), limit: self.limit, wait: self.wait }
    }
}

pub(super) fn no_place(max: u32, wait: Wait) -> Lack {
    Lack { limit: Limit::InFlight(max), wait }
}

pub(super) fn tokens_lack(per_minute: NonZeroU32, tokens: u64, wait: Wait) -> Lack {
    let limit = if wait == Wait::Never { Limit::TooLarge { per_minute, tokens } } else { Limit::Tokens(per_minute) };
    Lack { limit, wait }
}

/// Of the lacks of several accounts the worst, the first of them where some are equally bad.
pub(super) fn worst<'a>(lacks: impl Iterator<Item = (&'a Account, Lack)>) -> Option<(&'a Account, Lack)> {
    lacks.reduce(|worst, next| if next.1.wait > worst.1.wait { next } else { worst })
}
