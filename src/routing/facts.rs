//! What a decision is made from: facts of the request, and what is observed of endpoints.

use crate::domain::feature::FeatureSet;
use crate::domain::ids::EndpointIdx;
use crate::domain::provider::{Protocol, Provider};
use crate::domain::time::UnixMillis;
use crate::stats::share::FleetReading;
use crate::stats::{AliasReading, Reading, Usage};

/// What is known of a request before it is sent anywhere.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct RequestFacts {
    /// What it needs of the model.
    pub needs: FeatureSet,
    /// What each kind of API could not say of it.
    pub fit: Fit,
    /// Estimated prompt length in tokens.
    pub prompt_tokens: u64,
    /// The longest answer asked for, in tokens.
    pub max_output_tokens: Option<u64>,
    /// The answer is to be streamed.
    pub stream: bool,
    /// A hash of who or which conversation asks, where the alias wants to know.
    pub identity: Option<u64>,
}

/// For each kind of provider API: `None` where it has nothing like this request at all,
/// otherwise the features of the request that it cannot express.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Fit {
    /// OpenAI-compatible servers.
    pub openai: Option<FeatureSet>,
    /// OpenAI-compatible servers that serve the Responses API themselves.
    pub openai_responses: Option<FeatureSet>,
    /// Anthropic's.
    pub anthropic: Option<FeatureSet>,
    /// Gemini.
    pub gemini: Option<FeatureSet>,
}

impl Fit {
    /// What this provider could not express.
    pub fn of(&self, provider: &Provider) -> Option<FeatureSet> {
        match provider.protocol {
            Protocol::OpenAi if provider.quirks.responses_api => self.openai_responses,
            Protocol::OpenAi => self.openai,
            Protocol::Anthropic => self.anthropic,
            Protocol::Gemini => self.gemini,
        }
    }
}

/// How the caller itself narrows the choice, by provider ids or endpoint ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Narrowing {
    /// If not empty: only these.
    pub only: Vec<String>,
    /// Never these.
    pub ignore: Vec<String>,
    /// These first, in this order.
    pub order: Vec<String>,
}

/// What is observed of one endpoint at this moment.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct EndpointState {
    /// What is known of it.
    pub reading: Reading,
    /// A limit of ours towards its provider is reached.
    pub full: bool,
    /// The caller may not be served by it.
    pub forbidden: bool,
    /// A budget has less left than the request is expected to cost here.
    pub over_budget: Option<OverBudget>,
    /// Usage by the key or project that asks, where the alias counts by it.
    pub by_caller: Option<Usage>,
}

/// A budget that has less left than a request is expected to cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverBudget {
    /// Whose it is, in a word such as `key`.
    pub whose: &'static str,
    /// When it would allow the request; `None` if the whole of it would not.
    pub until: Option<UnixMillis>,
}

/// Everything observed that a decision depends on.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// Of each endpoint of the alias: targets in order, and their endpoints in order.
    pub endpoints: Vec<EndpointState>,
    /// Of the alias.
    pub alias: AliasReading,
    /// Of the other replicas.
    pub fleet: FleetReading,
    /// Where this conversation was served last, and its prompt is likely cached.
    pub home: Option<EndpointIdx>,
}
