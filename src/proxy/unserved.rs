//! Nobody could even be asked to serve a request: what does its caller need to know?

use std::time::Duration;

use super::error::GatewayError;
use crate::domain::alias::Alias;
use crate::domain::catalog::Catalog;
use crate::domain::time::UnixMillis;
use crate::routing::Skipped;
use crate::routing::eligibility::SkipReason;

/// A request without a candidate, and why.
#[derive(Clone, Copy, Debug)]
pub struct Unserved<'a> {
    /// What its endpoints are called by.
    pub catalog: &'a Catalog,
    /// Its alias.
    pub alias: &'a Alias,
    /// Endpoints that were passed over.
    pub skipped: &'a [Skipped],
    /// Endpoints whose protocol turned out to be unable to say the request.
    pub unsaid: &'a [(String, String)],
}

impl Unserved<'_> {
    /// What its caller is told.
    pub fn error(&self, now: UnixMillis) -> GatewayError {
        let (alias, reasons) = (self.alias.name.to_string(), self.reasons(now));
        if self.all(|reason| !reason.is_soft()) {
            if let Some(until) = self.budget_back() {
                return GatewayError::OverBudget { alias, reasons, retry_after: until.map(|until| until.since(now)) };
            }
            let said = self.unsaid.is_empty();
            let too_long = |reason: &SkipReason| matches!(reason, SkipReason::ContextWindow { .. });
            let by_configuration = |reason: &SkipReason| {
                matches!(reason, SkipReason::Disabled | SkipReason::Unusable(_) | SkipReason::Drained)
            };
            return GatewayError::NoneFit {
                alias,
                reasons,
                too_long: said && self.all(too_long),
                unavailable: said && self.all(by_configuration),
            };
        }
        let back = self.skipped.iter().filter_map(|skipped| match skipped.reason {
            SkipReason::RateLimited { until } | SkipReason::CoolingDown { until, .. } => Some(until.since(now)),
            SkipReason::AtLimit | SkipReason::Probing => Some(Duration::from_secs(1)),
            _ => None,
        });
        let limited = |reason: &SkipReason| {
            !reason.is_soft() || matches!(reason, SkipReason::RateLimited { .. } | SkipReason::AtLimit)
        };
        GatewayError::NoneReady { alias, reasons, retry_after: back.min(), limited: self.all(limited) }
    }

    /// When the first budget that was in the way would allow it, if ever; `None` if none was.
    fn budget_back(&self) -> Option<Option<UnixMillis>> {
        let over = self.skipped.iter().filter_map(|skipped| match skipped.reason {
            SkipReason::OverBudget(over) => Some(over.until),
            _ => None,
        });
        // What never comes is later than anything.
        over.min_by_key(|until| until.map_or(u64::MAX, |until| until.0))
    }

    fn all(&self, test: impl Fn(&SkipReason) -> bool) -> bool {
        self.skipped.iter().all(|skipped| test(&skipped.reason))
    }

    /// Each endpoint and its reason. Those that may not serve this caller are none of its
    /// business.
    pub fn reasons(&self, now: UnixMillis) -> Vec<(String, String)> {
        let skipped = self.skipped.iter().filter(|skipped| skipped.reason != SkipReason::Forbidden);
        let told = skipped
            .map(|skipped| (self.catalog.endpoint(skipped.endpoint).id.to_string(), skipped.reason.describe(now)));
        let mut reasons: Vec<(String, String)> = Vec::new();
        for reason in told.chain(self.unsaid.iter().cloned()) {
            // An endpoint may be in several lists for the same reason.
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }
}
