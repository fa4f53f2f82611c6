//! In what order are the targets of an alias tried for one request?

use std::sync::Arc;

use rand::RngExt;
use tokio::time::Instant;

use super::Gateway;
use super::respond::Trace;
use crate::domain::ids::AliasIdx;
use crate::live::decisions::Ranking;
use crate::live::{Caller, View};
use crate::routing::{Narrowing, Plan, Query, RequestFacts, chance, rank};
use crate::upstream::call::Call;

/// What every decision for one request depends on.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What all requests share.
    pub gateway: &'a Gateway,
    /// What the request began with.
    pub view: &'a Arc<View>,
    /// Who asks.
    pub caller: &'a Caller,
    /// What.
    pub call: &'a Call,
    /// What the caller excludes or prefers.
    pub narrowing: &'a Narrowing,
}

impl Ask<'_> {
    /// Puts the endpoints of an alias in order. Returns also what that was made from.
    pub fn decide(&self, idx: AliasIdx, facts: RequestFacts, trace: &mut Trace) -> (Box<Ranking>, Plan) {
        let Self { gateway, view, caller, narrowing, .. } = *self;
        let alias = view.catalog.alias(idx);
        trace.strategy = Some(alias.strategy.as_str());
        trace.open.served_by(alias.strategy.as_str());
        let begun = Instant::now();
        let at = gateway.live.clock.at(begun);
        let snapshot = view.snapshot(idx, &facts, caller, at);
        let query = Query { catalog: &view.catalog, alias, facts: &facts, narrowing, now: at };
        let seed = rand::rng().random();
        let plan = rank(&query, &snapshot, &mut chance(seed));
        gateway.live.telemetry.metrics.decided(begun.elapsed().as_secs_f64());
        view.alias(idx).stats.earn(alias.adaptivity.explore, alias.adaptivity.hedge, plan.promising);
        let order = plan.candidates.iter().map(|candidate| candidate.endpoint).collect();
        (Box::new(Ranking { alias: idx, at, facts, snapshot, seed, order }), plan)
    }
}
