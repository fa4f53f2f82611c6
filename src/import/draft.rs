//! What will the new configuration say? Providers, models, aliases and keys while they are
//! put together, before they are written down.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

/// A configuration to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The name of the file that it comes from.
    pub(super) source: String,
    pub(super) server: ServerDraft,
    pub(super) providers: Vec<ProviderDraft>,
    pub(super) models: Vec<ModelDraft>,
    pub(super) aliases: Vec<AliasDraft>,
    pub(super) keys: Vec<KeyDraft>,
}

/// The lines of the source that something comes from.
pub(super) type Lines = BTreeSet<usize>;

/// `[server]`, as far as it is not as usual.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerDraft {
    /// Whether callers may name models too, not only aliases.
    pub(super) direct_models: bool,
    pub(super) max_body_mib: Option<u64>,
    pub(super) max_answer_mib: Option<u64>,
}

/// How a key travels, where that is not as usual for the protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum AuthDraft {
    Usual,
    None,
    Header(&'static str),
}

/// One of `[[providers]]`; what is `None` comes from the catalogue, or is not needed.
#[derive(Clone, Debug)]
pub(super) struct ProviderDraft {
    pub(super) id: String,
    pub(super) lines: Lines,
    pub(super) protocol: Option<&'static str>,
    pub(super) base_url: Option<String>,
    /// Why the URL has to be replaced by hand, if it has to.
    pub(super) placeholder: Option<String>,
    pub(super) azure_api_version: Option<String>,
    pub(super) api_key_env: Option<String>,
    pub(super) auth: AuthDraft,
    pub(super) headers: Vec<(String, String)>,
    /// Where a server deviates from what is usual: `responses_api`, `stream_usage` and
    /// `output_limit_field`.
    pub(super) quirks: Vec<(&'static str, Json)>,
}

/// What a model can do, as far as something was said of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct FactsDraft {
    pub(super) context_window: Option<u64>,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) input_modalities: Option<Vec<&'static str>>,
    pub(super) tools: Option<bool>,
    pub(super) structured_output: Option<bool>,
}

impl FactsDraft {
    /// These, and where they say nothing the others.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            context_window: self.context_window.or(others.context_window),
            max_output_tokens: self.max_output_tokens.or(others.max_output_tokens),
            input_modalities: self.input_modalities.or(others.input_modalities),
            tools: self.tools.or(others.tools),
            structured_output: self.structured_output.or(others.structured_output),
        }
    }
}

/// US dollars per million tokens.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct RatesDraft {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cached_input: Option<f64>,
    pub(super) cache_write: Option<f64>,
}

/// What an endpoint costs, and what it costs beyond so many tokens of prompt.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PricesDraft {
    pub(super) base: RatesDraft,
    pub(super) tiers: Vec<(u64, RatesDraft)>,
}

/// Our own limits for an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct LimitsDraft {
    pub(super) requests_per_minute: Option<u64>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) max_in_flight: Option<u64>,
}

/// One of a model's `endpoints`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct EndpointDraft {
    pub(super) provider: String,
    /// `None` is as the catalogue has it.
    pub(super) upstream_model: Option<String>,
    pub(super) prices: Option<PricesDraft>,
    pub(super) limits: LimitsDraft,
}

/// One of `[[models]]`.
#[derive(Clone, Debug)]
pub(super) struct ModelDraft {
    pub(super) id: String,
    pub(super) lines: Lines,
    pub(super) facts: FactsDraft,
    pub(super) endpoints: Vec<EndpointDraft>,
}

/// Limits on the time of a request, in seconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct TimesDraft {
    pub(super) first_token: Option<f64>,
    pub(super) answer: Option<f64>,
    pub(super) deadline: Option<f64>,
    pub(super) total: Option<f64>,
}

/// One of `[[aliases]]`.
#[derive(Clone, Debug)]
pub(super) struct AliasDraft {
    pub(super) name: String,
    pub(super) lines: Lines,
    pub(super) strategy: &'static str,
    pub(super) within: Option<&'static str>,
    /// What `lowest-usage` counts, where that is the strategy or within it.
    pub(super) unit: Option<&'static str>,
    pub(super) max_attempts: Option<u32>,
    pub(super) times: TimesDraft,
    pub(super) on_any_error: bool,
    pub(super) on_content_policy: bool,
    pub(super) drop_unsupported: bool,
    pub(super) targets: Vec<TargetDraft>,
}

/// One of an alias's `targets`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct TargetDraft {
    pub(super) line: usize,
    pub(super) model: String,
    /// The provider, where the model has others as well.
    pub(super) only: Option<String>,
    pub(super) rank: Option<u32>,
    pub(super) weight: Option<f64>,
    pub(super) last_resort: bool,
    /// Without nulls, which the file could not say.
    pub(super) params: Map<String, Json>,
    pub(super) drop_params: Vec<String>,
    pub(super) first_token: Option<f64>,
}

/// One of `[[keys]]`.
#[derive(Clone, Debug)]
pub(super) struct KeyDraft {
    pub(super) name: String,
    pub(super) line: Option<usize>,
    pub(super) key_env: String,
}
