//! Where would a request go, and why? And where did the latest ones go?
//!
//! Both run [`rank`], the very function that routes: the first on what is observed now, the
//! second on what was observed then, with the same seed.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use rand::RngExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asker::Asker;
use super::category;
use super::error::AdminError;
use super::input::{Asked, Json, at_most};
use crate::api::decision::{
    AttemptReport, BehindReport, CandidateReport, DecisionReport, ExplainRequest, ExploringReport, RecordedDecision,
    RequestReport, SkippedReport,
};
use crate::api::error::ErrorReport;
use crate::control::{Control, ControlError};
use crate::domain::alias::{Alias, Scoring, ThroughputMetric};
use crate::domain::conversation::Conversation;
use crate::domain::feature::FeatureSet;
use crate::domain::ids::{AliasIdx, EndpointIdx};
use crate::domain::names::NameError;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::live::decisions::{Decision, Ranking};
use crate::live::sorting::{Reason, Verdict};
use crate::live::{Caller, View};
use crate::proxy::Gateway;
use crate::proxy::category::turns;
use crate::routing::facts::{EndpointState, Narrowing, RequestFacts, Snapshot};
use crate::routing::{Candidate, Plan, Query, Why, chance, rank};
use crate::stats::Purpose;
use crate::store::record::Role;
use crate::upstream::lane::{Operation, fit};
use crate::wire::Dialect;
use crate::wire::conversation::of_chat;
use crate::wire::peek::estimate_tokens;

/// At most so many decisions are listed.
const MOST: u32 = 200;

/// Says what would be decided for such a chat now.
#[utoipa::path(
    post, path = "/admin/v1/explain", operation_id = "explain", tag = "traffic",
    responses((status = 200, body = DecisionReport), (status = "4XX", body = ErrorReport))
)]
pub async fn explain(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    State(control): State<Arc<Control>>,
    Json(asked): Json<ExplainRequest>,
) -> Result<Answer<DecisionReport>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let view = match asked.document {
        None => gateway.live.view(),
        Some(fields) => Arc::new(control.view_with_alias(asker.author(), &asked.alias, fields).await?),
    };
    let alias = view.catalog.resolve(&asked.alias).map_err(|error| unknown(&asked.alias, error))?;
    let caller = caller(&view, &control, asked.key.as_deref())?;
    let messages = asked.messages.map(|messages| serde_json::json!({ "messages": messages }).to_string());
    let text = messages.as_ref().unwrap_or(&asked.prompt);
    let facts = RequestFacts {
        fit: fit(&Operation::Chat(Dialect::ChatCompletions), FeatureSet::EMPTY),
        prompt_tokens: estimate_tokens(text.len()),
        max_output_tokens: asked.max_tokens,
        stream: asked.stream,
        ..RequestFacts::default()
    };
    let grouping = view.catalog.alias(alias).grouping();
    let category = match (grouping, view.sorting(alias)) {
        (Some(grouping), Some(sorting)) => {
            let conversation = match &messages {
                Some(body) => of_chat(Dialect::ChatCompletions, body.as_bytes(), turns(grouping)),
                None => Some(Conversation::prompt(&asked.prompt)).filter(|_| !asked.prompt.trim().is_empty()),
            };
            Some(gateway.desk.sort(sorting, conversation, grouping.pin).await)
        }
        (Some(_), None) => Some(Verdict::default(Reason::Broken)),
        (None, _) => None,
    };
    let serving = match (grouping, &category) {
        (Some(grouping), Some(verdict)) => grouping.group(verdict.category),
        _ => alias,
    };
    let now = gateway.live.clock.now();
    let made = Made {
        view: &view,
        asked: alias,
        category: category.as_ref(),
        alias: serving,
        facts: &facts,
        narrowing: &Narrowing::default(),
        snapshot: &view.snapshot(serving, &facts, &caller, now),
        at: now,
        seed: rand::rng().random(),
    };
    Ok(Answer(made.report("")))
}

/// Whoever would ask.
///
/// # Errors
/// If there is no such key.
pub fn caller(view: &View, control: &Control, key: Option<&str>) -> Result<Caller, AdminError> {
    let Some(name) = key else { return Ok(view.operator()) };
    let caller = control.live_key(name)?.and_then(|key| view.caller_with(key));
    Ok(caller.ok_or_else(|| ControlError::no_key(name))?)
}

/// Which decisions are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those of this alias.
    alias: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 20)]
    last: Option<u32>,
}

/// Lists the latest decisions, newest first, each decided again.
#[utoipa::path(
    get, path = "/admin/v1/decisions", operation_id = "list_decisions", tag = "traffic", params(Which),
    responses((status = 200, body = Vec<RecordedDecision>), (status = "4XX", body = ErrorReport))
)]
pub async fn decisions(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Vec<RecordedDecision>>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let most = at_most("last", which.last.unwrap_or(20), MOST)?;
    let view = gateway.live.view();
    let alias = which.alias.as_deref();
    let alias = alias.map(|name| view.catalog.resolve(name).map_err(|error| unknown(name, error))).transpose()?;
    // Indexes mean what they meant only on the same catalog.
    let wanted = |decision: &Decision| {
        decision.revision == view.catalog_revision && alias.is_none_or(|alias| alias == decision.asked)
    };
    let latest = gateway.decisions.latest(most, wanted);
    Ok(Answer(latest.iter().map(|decision| recorded(&view, decision)).collect()))
}

fn recorded(view: &View, decision: &Decision) -> RecordedDecision {
    let of = |ranking: &Ranking| -> (DecisionReport, bool) {
        let made = Made {
            view,
            asked: decision.asked,
            category: decision.category.as_ref(),
            alias: ranking.alias,
            facts: &ranking.facts,
            narrowing: &decision.narrowing,
            snapshot: &ranking.snapshot,
            at: ranking.at,
            seed: ranking.seed,
        };
        let again = made.plan();
        let same = again.candidates.iter().map(|candidate| candidate.endpoint).eq(ranking.order.iter().copied());
        (made.report(&decision.request), same)
    };
    let attempt = |attempt: &crate::live::decisions::Attempt| AttemptReport {
        target: attempt.endpoint.to_string(),
        outcome: attempt.failure.map_or("ok", |kind| kind.as_str()).to_owned(),
        status: attempt.status,
        ttft_ms: attempt.failure.is_none().then(|| whole_ms(attempt.took)),
        elapsed_ms: Some(whole_ms(attempt.took)),
    };
    let (report, same) = of(&decision.ranking);
    let behind = decision.behind.as_deref().map(of);
    RecordedDecision {
        report,
        replayed: same && behind.as_ref().is_none_or(|(_, same)| *same),
        behind: behind.map(|(DecisionReport { strategy, candidates, skipped, .. }, _)| BehindReport {
            strategy,
            candidates,
            skipped,
        }),
        attempts: decision.attempts.iter().map(attempt).collect(),
        chosen: decision.chosen.as_ref().map(ToString::to_string),
    }
}

/// Nobody, or more than one, has a name.
pub fn unknown(name: &str, error: NameError) -> AdminError {
    let (message, nearest) = match error {
        NameError::Unknown { nearest } => (format!("there is no alias or model `{name}`"), nearest),
        NameError::Ambiguous { candidates } => (format!("`{name}` can mean several models"), candidates),
    };
    AdminError::NotFound { message, nearest }
}

fn whole_ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A decision and what it was made from.
struct Made<'a> {
    view: &'a View,
    /// What was asked.
    asked: AliasIdx,
    /// What it was taken for, where that is of categories.
    category: Option<&'a Verdict>,
    /// Whose targets are ordered.
    alias: AliasIdx,
    facts: &'a RequestFacts,
    narrowing: &'a Narrowing,
    snapshot: &'a Snapshot,
    at: UnixMillis,
    seed: u64,
}

impl Made<'_> {
    fn alias(&self) -> &Alias {
        self.view.catalog.alias(self.alias)
    }

    fn plan(&self) -> Plan {
        let catalog = &self.view.catalog;
        let query = Query { catalog, alias: self.alias(), facts: self.facts, narrowing: self.narrowing, now: self.at };
        rank(&query, self.snapshot, &mut chance(self.seed))
    }

    fn name(&self, endpoint: EndpointIdx) -> String {
        self.view.catalog.endpoint(endpoint).id.to_string()
    }

    fn report(&self, id: &str) -> DecisionReport {
        let plan = self.plan();
        let exploring = plan.candidates.first().filter(|first| first.purpose == Purpose::Explore);
        DecisionReport {
            decision: id.to_owned(),
            at_ms: self.at.0,
            revision: self.view.revision.0,
            alias: self.alias().name.to_string(),
            category: self.category.map(|verdict| category::report(self.view.catalog.alias(self.asked), verdict)),
            strategy: self.alias().strategy.as_str().to_owned(),
            request: RequestReport {
                prompt_tokens: self.facts.prompt_tokens,
                // A float of at most a few million.
                expected_output: self.snapshot.alias.expected_output.round() as u64,
                max_output_tokens: self.facts.max_output_tokens,
                stream: self.facts.stream,
            },
            exploring: exploring.map(|first| ExploringReport {
                target: self.name(first.endpoint),
                instead_of: plan.candidates.get(1).map(|second| self.name(second.endpoint)).unwrap_or_default(),
                excess: Some(plan.excess),
                budget: Some(self.snapshot.alias.explore),
            }),
            candidates: plan.candidates.iter().map(|candidate| self.candidate(candidate)).collect(),
            skipped: plan
                .skipped
                .iter()
                .map(|skipped| SkippedReport {
                    target: self.name(skipped.endpoint),
                    class: skipped.reason.to_string(),
                    reason: skipped.reason.describe(self.at),
                })
                .collect(),
        }
    }

    /// What was observed of an endpoint. An alias may name one twice; the first is meant.
    fn state(&self, endpoint: EndpointIdx) -> EndpointState {
        let order = self.alias().targets.iter().flat_map(|target| &target.endpoints);
        order
            .zip(&self.snapshot.endpoints)
            .find(|(at, _)| **at == endpoint)
            .map(|(_, state)| *state)
            .unwrap_or_default()
    }

    fn candidate(&self, candidate: &Candidate) -> CandidateReport {
        let state = self.state(candidate.endpoint);
        let reading = &state.reading;
        let known = !reading.is_cold();
        let (first_s, total_s) = candidate.predicted_s;
        let prices = self.view.catalog.endpoint(candidate.endpoint).prices.as_ref();
        let cached = (self.facts.prompt_tokens as f64 * reading.cached.min(1.0)) as u64;
        let usage = TokenUsage {
            input: self.facts.prompt_tokens,
            cached_input: cached,
            output: self.snapshot.alias.expected_output as u64,
            ..TokenUsage::default()
        };
        CandidateReport {
            target: self.name(candidate.endpoint),
            why: describe(candidate.why),
            purpose: candidate.purpose.as_str().to_owned(),
            score: candidate.score,
            unit: unit(self.alias()).to_owned(),
            predicted_ttft_ms: known.then_some(first_s * 1e3),
            ttft_p95_ms: (reading.first_p95_s > 0.0).then_some(reading.first_p95_s * 1e3),
            tokens_per_second: known.then_some(1.0 / reading.token_s),
            predicted_total_ms: known.then_some(total_s * 1e3),
            failure_rate: Some(reading.failure_rate(self.at)),
            in_flight: Some(reading.in_flight),
            window: reading.queued.then_some(reading.window),
            samples: Some(u64::from(reading.samples)),
            age_ms: (reading.samples > 0).then(|| whole_ms(reading.age(self.at))),
            usage_share: (!reading.limit_used.is_nan()).then_some(reading.limit_used),
            expected_cost_usd: prices.map(|prices| prices.cost(&usage).as_usd()),
            give_up_after_ms: candidate.give_up_s.map(|s| s * 1e3),
            hedge_after_ms: candidate.hedge_s.map(|s| s * 1e3),
        }
    }
}

/// What scores are counted in.
fn unit(alias: &Alias) -> &'static str {
    match alias.strategy.scoring() {
        Some(Scoring::LowestLatency(_) | Scoring::HighestThroughput(ThroughputMetric::TokensPerSecond)) => "s",
        // The utilisation, or where all are full the seconds until a place is free.
        Some(Scoring::HighestThroughput(ThroughputMetric::Requests)) => "",
        Some(Scoring::LowestPrice(_)) => "USD",
        Some(Scoring::LowestUsage(_)) | None => "",
    }
}

fn describe(why: Why) -> String {
    match why {
        Why::CallerOrder => "the caller's order".into(),
        Why::Rank(rank) => format!("rank {rank}"),
        Why::Draw { weight } => format!("drawn, weight {weight}"),
        Why::Score => "its score".into(),
        Why::Home => "its conversation's cache".into(),
        Why::SlowStart { share } => format!("comes back slowly, at {:.0} % of its traffic", share * 100.0),
        Why::Failing { share } => format!("fails {:.0} % of the time, far more than its peers", share * 100.0),
        Why::Slow { factor } => format!("{factor:.1} times slower than usual"),
        Why::Cold => "never measured".into(),
        Why::Explore => "due to be looked at again".into(),
        Why::Probe => "finds out whether it works again".into(),
        Why::LastResort => "last resort".into(),
    }
}
