//! What may a caller do at most? Requests, tokens, calls at once and money.

use std::num::NonZeroU32;

use super::budget::Budgets;
use super::period::Period;

/// The limits of a caller's key, or of a project of several keys; `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallerLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Prompt and output tokens per minute.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Requests under way at once; 0 lets none in.
    pub max_in_flight: Option<u32>,
    /// What may be spent.
    pub budgets: Budgets,
}

impl CallerLimits {
    /// Nothing is limited.
    pub const NONE: Self =
        Self { requests_per_minute: None, tokens_per_minute: None, max_in_flight: None, budgets: Budgets::NONE };

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The name of the first field that allows more than `other` does, if one does.
    ///
    /// A field without limit exceeds nothing: the limits of a project hold for its keys as
    /// well, so that only a number that could never be reached is a mistake. Budgets are
    /// compared where both have one for the same period.
    pub fn exceeds(&self, other: &Self) -> Option<&'static str> {
        let budget_exceeds = |period: Period| above(self.budgets.get(period), other.budgets.get(period));
        [
            ("requests_per_minute", above(self.requests_per_minute, other.requests_per_minute)),
            ("tokens_per_minute", above(self.tokens_per_minute, other.tokens_per_minute)),
            ("max_in_flight", above(self.max_in_flight, other.max_in_flight)),
            ("budget", Period::ALL.into_iter().any(budget_exceeds)),
        ]
        .into_iter()
        .find_map(|(field, exceeds)| exceeds.then_some(field))
    }
}

fn above<T: PartialOrd>(own: Option<T>, other: Option<T>) -> bool {
    own.zip(other).is_some_and(|(own, other)| own > other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests: u32, tokens: u32, in_flight: u32, budgets: &[&str]) -> CallerLimits {
        let mut limits = CallerLimits {
            requests_per_minute: NonZeroU32::new(requests),
            tokens_per_minute: NonZeroU32::new(tokens),
            max_in_flight: Some(in_flight),
            budgets: Budgets::NONE,
        };
        budgets.iter().for_each(|budget| limits.budgets.insert(budget.parse().unwrap()).unwrap());
        limits
    }

    #[test]
    fn none_is_the_default() {
        assert_eq!(CallerLimits::default(), CallerLimits::NONE);
        assert!(CallerLimits::NONE.is_empty());
        assert!(!limits(0, 0, 0, &[]).is_empty());
        assert!(!CallerLimits { budgets: limits(0, 0, 0, &["$1/day"]).budgets, ..CallerLimits::NONE }.is_empty());
    }

    #[test]
    fn the_first_field_above_the_others_is_named() {
        let project = limits(60, 1000, 5, &["$10/day", "$100/month"]);
        assert_eq!(project.exceeds(&project), None);
        assert_eq!(limits(61, 1001, 5, &[]).exceeds(&project), Some("requests_per_minute"));
        assert_eq!(limits(60, 1001, 6, &[]).exceeds(&project), Some("tokens_per_minute"));
        assert_eq!(limits(60, 1000, 6, &["$11/day"]).exceeds(&project), Some("max_in_flight"));
        assert_eq!(limits(60, 1000, 5, &["$100.01/month"]).exceeds(&project), Some("budget"));
    }

    #[test]
    fn what_only_one_limits_exceeds_nothing() {
        let project = limits(60, 1000, 5, &["$10/day"]);
        assert_eq!(CallerLimits::NONE.exceeds(&project), None);
        assert_eq!(project.exceeds(&CallerLimits::NONE), None);
        assert_eq!(limits(60, 1000, 5, &["$500/week"]).exceeds(&project), None);
    }
}
