//! A request from its body to its answer: resolve, tell the category, rank, walk the plan.

use std::sync::Arc;

use axum::response::Response;
use tokio::time::Instant;

use super::decide::Ask;
use super::error::GatewayError;
use super::facts::facts_of;
use super::respond::{AttemptNote, Trace};
use super::walk::Walk;
use super::{Gateway, admission, category, narrowing};
use crate::classifier::Judge;
use crate::domain::catalog::Catalog;
use crate::domain::grouping::{Grouping, OnExhausted};
use crate::domain::ids::{AliasIdx, EndpointIdx};
use crate::live::decisions::Decision;
use crate::live::sorting::{Reason, Verdict};
use crate::live::{Caller, UsedBy, View};
use crate::routing::Plan;
use crate::stats::traffic::Fate;
use crate::upstream::call::{Call, LONG};

/// Serves one request, which had come whole when it `started`.
///
/// # Errors
/// If no target could serve it; nothing has reached the client then.
pub async fn serve(
    gateway: &Gateway,
    view: &Arc<View>,
    caller: &Caller,
    call: &Call,
    trace: &mut Trace,
    started: Instant,
) -> Result<Response, GatewayError> {
    trace.revision = Some(view.revision);
    trace.open.read(started, call.is_stream(), &call.body);
    let metrics = &gateway.live.telemetry.metrics;
    trace.open.of_caller(caller.key_name(), caller.project_name(), caller.project.meters(metrics));
    let named = admission::resolve(view, caller, &call.peek.model)?;
    let alias = view.catalog.alias(named);
    let meters = view.alias(named).meters(metrics, &alias.name);
    trace.alias = Some(alias.name.to_string());
    trace.strategy = Some(alias.strategy.as_str());
    trace.open.resolved(Arc::clone(meters), alias.strategy.as_str());
    gateway.retries(crate::health::RetryBudget::deposit);

    let narrowing = narrowing::narrowing(&call.headers)?;
    let tightening = narrowing::tightening(&call.headers)?;
    let hint = alias.grouping().map(|grouping| category::hinted(&call.headers, grouping)).transpose()?.flatten();
    // Whoever is not let in does not make the classifier work.
    let first = alias.grouping().map_or(named, |grouping| grouping.default);
    let facts = facts_of(&gateway.long_bodies, call, view.catalog.alias(first)).await;
    let permit = admission::admit(gateway, view, caller, first, &facts, trace).await?;
    let sorted = match alias.grouping() {
        Some(grouping) => Some(sorted(gateway, view, named, grouping, hint, call, trace).await),
        None => None,
    };
    let idx = sorted.as_ref().map_or(named, |sorted| sorted.group);
    let alias = view.catalog.alias(idx);
    let facts = if idx == first { facts } else { facts_of(&gateway.long_bodies, call, alias).await };
    let ask = Ask { gateway, view, caller, call, narrowing: &narrowing };
    let (ranking, mut plan) = ask.decide(idx, facts, trace);
    let mut walk = Walk {
        ask,
        alias,
        live: view.alias(idx),
        meters,
        facts,
        expected_output: ranking.snapshot.alias.expected_output,
        permit,
        limits: tightening.of(alias.limits),
        started,
        behind: sorted.as_ref().and_then(|sorted| sorted.behind(&plan, &view.catalog)),
        turned: false,
        skipped: Vec::new(),
        unsaid: Vec::new(),
        failed: Vec::new(),
    };
    let counted = gateway.live.ledger.request(UsedBy::new(caller, alias, None));
    let mut behind = None;
    let served = walk.run(&mut plan, trace, &mut behind).await;
    counted.over(trace.target.clone());
    // Where everything was out for a while, the time was spent waiting.
    let served_at = Instant::now();
    let waited = served_at.saturating_duration_since(started);
    if let [only] = &trace.attempts[..]
        && !only.last_resort
    {
        metrics.overhead(waited.saturating_sub(only.took).as_secs_f64());
    }
    let fate = Fate { served_by: trace.target.as_ref(), stream: facts.stream, waited };
    let failed = trace.attempts.iter().filter_map(|note| Some((&note.endpoint, note.failure?)));
    view.alias(named).traffic(|traffic| traffic.record(gateway.live.clock.at(served_at), fate, failed));
    gateway.decisions.record(Decision {
        request: trace.id.clone(),
        revision: view.catalog_revision,
        asked: named,
        category: sorted.map(|sorted| sorted.verdict),
        narrowing,
        ranking,
        behind,
        chosen: trace.target.clone(),
        attempts: trace.attempts.iter().map(AttemptNote::for_the_record).collect(),
    });
    served.map(|reply| trace.respond(reply))
}

/// The category of a request, and who serves it.
struct Sorted {
    verdict: Verdict,
    group: AliasIdx,
    /// Who serves it where nobody of its category can.
    default: Option<AliasIdx>,
}

impl Sorted {
    /// Default, where it may help out and has somebody who is not asked anyway.
    fn behind(&self, plan: &Plan, catalog: &Catalog) -> Option<AliasIdx> {
        let default = self.default?;
        let mut others = catalog.alias(default).targets.iter().flat_map(|target| &target.endpoints);
        let asked = |idx: &EndpointIdx| plan.candidates.iter().any(|candidate| candidate.endpoint == *idx);
        others.any(|idx| !asked(idx)).then_some(default)
    }
}

/// Finds the category of a request, and tells it.
async fn sorted(
    gateway: &Gateway,
    view: &View,
    named: AliasIdx,
    grouping: &Grouping,
    hint: Option<Verdict>,
    call: &Call,
    trace: &mut Trace,
) -> Sorted {
    let verdict = match (hint, view.sorting(named)) {
        (Some(hint), _) => hint,
        (None, Some(sorting)) => {
            let look = || category::conversation(call, grouping);
            let said = if call.body.len() > LONG { gateway.long_bodies.read(look).await } else { look() };
            gateway.desk.sort(sorting, said, grouping.pin).await
        }
        (None, None) => Verdict::default(Reason::Broken),
    };
    let group = grouping.group(verdict.category);
    let name = grouping.name(verdict.category);
    let reason = verdict.reason.map_or("match", Reason::as_str);
    let judgement = verdict.judgement.as_ref();
    let metrics = &gateway.live.telemetry.metrics;
    let meters = view.alias(named).meters(metrics, &view.catalog.alias(named).name);
    meters.sorted(name.as_str(), reason, judgement.map(|judgement| judgement.confidence));
    if let Some(judgement) = judgement {
        metrics.sorted(judgement.by == Judge::Strong, verdict.took.as_secs_f64());
    }
    tracing::debug!(
        target: "pointsman::routing",
        request = %trace.id, alias = trace.alias, category = %name,
        confidence = verdict.judgement.as_ref().map(|judgement| judgement.confidence),
        reason = verdict.reason.map(Reason::as_str),
        us = u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX),
        "told the category"
    );
    trace.category = Some(name.to_string());
    trace.category_reason = verdict.reason.map(Reason::as_str);
    let helped = view.catalog.alias(group).group.as_ref().is_some_and(|of| of.on_exhausted == OnExhausted::Default);
    let default = Some(grouping.default).filter(|default| helped && *default != group);
    Sorted { verdict, group, default }
}
