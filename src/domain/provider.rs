//! A provider: where requests go, in which protocol, with which credential and limits.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::budget::Budgets;
use super::ids::ProviderId;

/// The wire protocol a provider speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Protocol {
    /// OpenAI's HTTP API and every server compatible with it.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API (`generateContent`).
    Gemini,
}

impl Protocol {
    /// The names as the configuration spells them.
    pub const ALL: [(&'static str, Self); 3] =
        [("openai", Self::OpenAi), ("anthropic", Self::Anthropic), ("gemini", Self::Gemini)];

    /// The name as the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// How the credential is sent.
#[derive(Clone, Debug)]
pub enum Auth {
    /// The provider wants none.
    None,
    /// `Authorization: Bearer …` (OpenAI and most compatible servers).
    Bearer(SecretString),
    /// The key in a header of this name (`x-api-key`, `x-goog-api-key`, Azure's `api-key`).
    Header(HeaderName, SecretString),
}

/// How paths are built from the base URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UrlStyle {
    /// `{base}/chat/completions`.
    Plain,
    /// Azure OpenAI by deployment: `{base}/openai/deployments/{model}/chat/completions?api-version=…`.
    AzureDeployment {
        /// The `api-version` query parameter.
        api_version: String,
    },
}

/// The field in which an OpenAI-compatible server takes the output limit of a chat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputLimitField {
    /// `max_tokens`: understood by nearly every compatible server.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's own name; its reasoning models refuse the older one.
    MaxCompletionTokens,
}

/// Deviations of an OpenAI-compatible server that translation has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenAiQuirks {
    /// Serves `/responses` itself; otherwise Responses requests are translated to chat.
    pub responses_api: bool,
    /// Understands `stream_options.include_usage`.
    pub stream_usage: bool,
    /// Where the output limit goes.
    pub output_limit: OutputLimitField,
}

/// Our own limits towards a provider or one of its endpoints; `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Prompt and output tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests under way at once.
    pub max_in_flight: Option<u32>,
}

/// One provider, checked and complete.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name.
    pub id: ProviderId,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// `http` or `https`, without a slash at the end.
    pub base_url: String,
    /// The credential and how it travels.
    pub auth: Auth,
    /// Headers sent with every request; they win over ours.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How paths are built.
    pub url_style: UrlStyle,
    /// Deviations from OpenAI's own server; only read for [`Protocol::OpenAi`].
    pub quirks: OpenAiQuirks,
    /// Our own limits, over all its endpoints.
    pub limits: Limits,
    /// How long a connection may take to be established, TLS included.
    pub connect_timeout: Duration,
    /// A switched-off provider serves nothing.
    pub enabled: bool,
    /// Why it cannot be used as it is configured, for people: its key variable is not set.
    pub unusable: Option<String>,
    /// Its host may have an address of this machine or of a private network.
    pub private_addresses: bool,
    /// What may be spent there.
    pub budgets: Budgets,
    /// Names of client headers that are passed on to it, beside those of its protocol.
    pub forward_headers: Vec<HeaderName>,
}
