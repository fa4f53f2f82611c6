//! Where does a request go at its provider?

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::domain::provider::{Protocol, Provider, UrlStyle};
use crate::wire::{Dialect, gemini};

use super::lane::{Lane, Operation};

/// The whole URL of a call.
pub fn target_url(
    provider: &Provider,
    upstream_model: &str,
    operation: &Operation,
    lane: Lane,
    stream: bool,
) -> String {
    let path = path(provider.protocol, upstream_model, operation, lane, stream);
    match &provider.url_style {
        UrlStyle::Plain => [provider.base_url.as_str(), &path].concat(),
        // Azure's newer surface (`/openai/v1`) is a plain base URL; this is the older one,
        // where the path names the deployment.
        UrlStyle::AzureDeployment { api_version } => format!(
            "{}/openai/deployments/{}{path}?api-version={}",
            provider.base_url,
            escape(upstream_model),
            escape(api_version),
        ),
    }
}

fn path(protocol: Protocol, model: &str, operation: &Operation, lane: Lane, stream: bool) -> Cow<'static, str> {
    use gemini::Operation as Gemini;
    match (protocol, operation) {
        (Protocol::Gemini, Operation::Embeddings) => gemini::path(model, Gemini::BatchEmbed).into(),
        (Protocol::Gemini, Operation::CountTokens) => gemini::path(model, Gemini::CountTokens).into(),
        (Protocol::Gemini, _) if stream => gemini::path(model, Gemini::Stream).into(),
        (Protocol::Gemini, _) => gemini::path(model, Gemini::Generate).into(),
        (Protocol::Anthropic, Operation::CountTokens) => "/messages/count_tokens".into(),
        (Protocol::Anthropic, _) => "/messages".into(),
        (Protocol::OpenAi, Operation::Chat(Dialect::Responses)) if lane == Lane::Native => "/responses".into(),
        (Protocol::OpenAi, Operation::Chat(_) | Operation::CountTokens) => "/chat/completions".into(),
        (Protocol::OpenAi, Operation::Completions) => "/completions".into(),
        (Protocol::OpenAi, Operation::Embeddings) => "/embeddings".into(),
        (Protocol::OpenAi, Operation::Other(path)) => path.clone().into(),
    }
}

/// What is not unreserved (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn escape(segment: &str) -> PercentEncode<'_> {
    utf8_percent_encode(segment, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests_support::fleet;

    fn url(change: impl FnOnce(&mut Provider), operation: Operation, lane: Lane, stream: bool) -> String {
        let mut provider = fleet(&[None]).catalog.providers.remove(0);
        provider.base_url = "http://host/v1".into();
        change(&mut provider);
        target_url(&provider, "m 1", &operation, lane, stream)
    }

    #[test]
    fn each_operation_has_its_path() {
        let chat = || Operation::Chat(Dialect::Responses);
        assert_eq!(url(|_| {}, chat(), Lane::Native, true), "http://host/v1/responses");
        assert_eq!(url(|_| {}, chat(), Lane::Translated(Protocol::OpenAi), true), "http://host/v1/chat/completions");
        assert_eq!(url(|_| {}, Operation::Other("/rerank".into()), Lane::Native, false), "http://host/v1/rerank");
        assert_eq!(
            url(|p| p.protocol = Protocol::Anthropic, chat(), Lane::Translated(Protocol::Anthropic), true),
            "http://host/v1/messages"
        );
    }

    #[test]
    fn azure_names_the_deployment_in_the_path() {
        let azure = |p: &mut Provider| {
            p.base_url = "https://x.openai.azure.com".into();
            p.url_style = UrlStyle::AzureDeployment { api_version: "2024-10-21".into() };
        };
        assert_eq!(
            url(azure, Operation::Chat(Dialect::ChatCompletions), Lane::Native, false),
            "https://x.openai.azure.com/openai/deployments/m%201/chat/completions?api-version=2024-10-21"
        );
    }
}
