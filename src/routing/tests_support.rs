//! A small fleet for the tests of this room.

use std::time::Duration;

use http::HeaderName;

use super::facts::{EndpointState, Fit, Narrowing, RequestFacts, Snapshot};
use super::rank::{Candidate, Plan, Query, Why, rank};
use crate::domain::alias::{Adaptivity, Alias, FallbackPolicy, ParamOverrides, RequestLimits, Strategy, Target};
use crate::domain::budget::Budgets;
use crate::domain::catalog::{Catalog, Endpoint, Model};
use crate::domain::feature::FeatureSet;
use crate::domain::ids::{AliasName, EndpointId, EndpointIdx, ModelId, ModelIdx, ProviderId, ProviderIdx};
use crate::domain::provider::{Auth, Limits, OpenAiQuirks, OutputLimitField, Protocol, Provider, UrlStyle};
use crate::domain::time::UnixMillis;
use crate::health::HealthReading;
use crate::stats::share::FleetReading;
use crate::stats::{AliasStats, EndpointStats, Purpose, Reading};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A catalog of `p0`…, an alias over all of it in order, and the plan of that order.
pub(crate) struct Case {
    pub catalog: Catalog,
    pub alias: Alias,
    pub plan: Plan,
    pub facts: RequestFacts,
    pub narrowing: Narrowing,
}

/// One provider with one model for each context window.
pub(crate) fn fleet(windows: &[Option<u64>]) -> Case {
    let mut catalog = Catalog::default();
    let mut targets = Vec::new();
    let mut plan = Plan::default();
    for (i, window) in (0u32..).zip(windows) {
        catalog.providers.push(Provider {
            private_addresses: true,
            budgets: Budgets::NONE,
            id: ProviderId::new(format!("p{i}")),
            protocol: Protocol::OpenAi,
            base_url: "http://localhost".into(),
            auth: Auth::None,
            headers: Vec::new(),
            url_style: UrlStyle::Plain,
            quirks: OpenAiQuirks {
                responses_api: false,
                stream_usage: true,
                output_limit: OutputLimitField::MaxTokens,
            },
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(1),
            enabled: true,
            unusable: None,
            forward_headers: Vec::<HeaderName>::new(),
        });
        catalog.models.push(Model {
            hidden: false,
            id: ModelId::new(format!("m{i}")),
            context_window: *window,
            max_output_tokens: None,
            lacks: FeatureSet::EMPTY,
            endpoints: vec![EndpointIdx(i)],
        });
        catalog.endpoints.push(Endpoint {
            id: EndpointId::new(format!("m{i}@p{i}")),
            model: ModelIdx(i),
            provider: ProviderIdx(i),
            upstream_model: format!("m{i}"),
            prices: None,
            limits: Limits::default(),
        });
        targets.push(Target {
            budgets: Budgets::NONE,
            model: ModelIdx(i),
            endpoints: vec![EndpointIdx(i)],
            ordered: 0,
            rank: i,
            weight: 1.0,
            last_resort: false,
            enabled: true,
            params: ParamOverrides::default(),
            first_token_timeout: None,
        });
        plan.candidates.push(Candidate {
            endpoint: EndpointIdx(i),
            target: i as usize,
            why: Why::Rank(i),
            purpose: Purpose::Usual,
            score: None,
            predicted_s: (0.0, 0.0),
            give_up_s: None,
            hedge_s: None,
            seen_sent_at: UnixMillis(0),
        });
    }
    let alias = Alias {
        projects: None,
        budgets: Budgets::NONE,
        name: AliasName::new("a"),
        strategy: Strategy::Priority { within: None },
        targets,
        limits: RequestLimits::default(),
        fallback: FallbackPolicy::default(),
        max_price: None,
        adaptivity: Adaptivity::default(),
        direct: false,
        drop_unsupported: false,
        group: None,
    };
    let all = Some(FeatureSet::EMPTY);
    let fit = Fit { openai: all, openai_responses: all, anthropic: all, gemini: all };
    Case { catalog, alias, plan, facts: RequestFacts { fit, ..Default::default() }, narrowing: Narrowing::default() }
}

impl Case {
    pub(crate) const NOW: UnixMillis = UnixMillis(1_000_000);

    /// A snapshot of endpoints of which nothing but their state is known.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = EndpointState { reading: unmeasured(), ..EndpointState::default() };
        let endpoints = self.alias.targets.iter().flat_map(|target| &target.endpoints).map(|_| state).collect();
        Snapshot { endpoints, alias: AliasStats::default().reading(None), fleet: FleetReading::default(), home: None }
    }

    /// The plan with some endpoints, by position, in a given state (the rest is well).
    pub(crate) fn rank(&self, states: &[HealthReading], seed: u64) -> Plan {
        let mut snapshot = self.snapshot();
        let order = self.alias.targets.iter().flat_map(|target| &target.endpoints);
        for (state, endpoint) in snapshot.endpoints.iter_mut().zip(order) {
            if let Some(health) = states.get(endpoint.get()) {
                state.reading.health = *health;
            }
        }
        self.rank_with(&snapshot, seed)
    }

    pub(crate) fn rank_with(&self, snapshot: &Snapshot, seed: u64) -> Plan {
        let Self { catalog, alias, facts, narrowing, .. } = self;
        let query = Query { catalog, alias, facts, narrowing, now: Self::NOW };
        rank(&query, snapshot, &mut StdRng::seed_from_u64(seed))
    }
}

/// What is known of an endpoint that was never used.
pub(crate) fn unmeasured() -> Reading {
    EndpointStats::new(Limits::default()).reading(Case::NOW)
}

/// What is known of one that was used a hundred times, the last time just now.
pub(crate) fn measured(first_s: f64, token_s: f64) -> Reading {
    Reading {
        first_s,
        first_mean: first_s.ln(),
        first_variance: 0.01,
        first_noise: 0.04,
        first_at: Case::NOW,
        token_s,
        token_variance: 0.01,
        token_noise: 0.02,
        token_at: Case::NOW,
        slope: 0.0,
        samples: 100,
        window: 100.0,
        peak: 10.0,
        potential: first_s.ln(),
        sent_at: Case::NOW,
        ..unmeasured()
    }
}

/// Positions of the endpoints of a plan.
pub(crate) fn order(plan: &Plan) -> Vec<usize> {
    plan.candidates.iter().map(|candidate| candidate.endpoint.get()).collect()
}
