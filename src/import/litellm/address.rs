//! How does an `api_base` become a `base_url`? LiteLLM adds more to one than we do, for some
//! vendors, and takes whole paths of operations for others.

use crate::config::is_base_url;

/// From what the file says to our base URL; `None` if it is none.
pub(super) type Address = fn(&str) -> Option<String>;

/// The path of Azure's surface that needs no version.
pub(super) const AZURE_V1: &str = "/openai/v1";

/// Paths that are added by whoever calls.
const OPERATIONS: [&str; 5] = ["/chat/completions", "/completions", "/responses", "/embeddings", "/messages"];

/// As it stands, but for the path of an operation.
pub(super) fn plain(text: &str) -> Option<String> {
    let mut text = text.trim().trim_end_matches('/');
    while let Some(shorter) = OPERATIONS.iter().find_map(|path| text.strip_suffix(path)) {
        text = shorter.trim_end_matches('/');
    }
    is_base_url(text).then(|| text.to_owned())
}

/// LiteLLM adds `/v1/messages`, we add `/messages`.
pub(super) fn anthropic(text: &str) -> Option<String> {
    plain(text).map(|url| if url.ends_with("/v1") { url } else { format!("{url}/v1") })
}

/// LiteLLM adds `/api/chat`; the OpenAI-compatible interface is below `/v1`.
pub(super) fn ollama(text: &str) -> Option<String> {
    let url = plain(text)?;
    let url =
        ["/api/chat", "/api/generate", "/api", "/v1"].iter().find_map(|path| url.strip_suffix(path)).unwrap_or(&url);
    Some(format!("{}/v1", url.trim_end_matches('/')))
}

/// Only the resource: deployment and version belong elsewhere. Its newer surface is kept.
pub(super) fn azure(text: &str) -> Option<String> {
    let text = text.trim().split('?').next().unwrap_or_default();
    let url = plain(text)?;
    if let Some((resource, _)) = url.split_once(AZURE_V1) {
        return Some(format!("{resource}{AZURE_V1}"));
    }
    let resource = url.split_once("/openai/deployments").map_or(url.as_str(), |(resource, _)| resource);
    let resource = resource.strip_suffix("/openai").unwrap_or(resource).trim_end_matches('/');
    is_base_url(resource).then(|| resource.to_owned())
}

/// The deployment that an Azure address names, if it names one.
pub(super) fn azure_deployment(text: &str) -> Option<&str> {
    let (_, path) = text.split_once("/openai/deployments/")?;
    path.split(['/', '?']).next().filter(|name| !name.is_empty())
}

/// What is left of a host's name when it is to name a provider: `gpu-box` of
/// `http://gpu-box.local:8000/v1`. `None` where it would say nothing.
pub(super) fn host_name(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let is_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') || authority.starts_with('[');
    if is_address {
        let local = ["127.0.0.1", "0.0.0.0", "::1"].contains(&host);
        return (!local).then(|| host.replace(['.', ':'], "-").trim_matches('-').to_owned());
    }
    if host == "localhost" {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let keep = if labels.len() > 1 { &labels[..labels.len() - 1] } else { &labels[..] };
    // Azure's own names say nothing; the resource's does.
    let keep = match keep {
        [resource, "openai", "azure"] => &[*resource][..],
        other => other,
    };
    let mut words = keep.iter().copied().filter(|label| !["www", "api", ""].contains(label));
    let first = words.next()?;
    // A short word says more with the next.
    let name = words.next().filter(|_| first.len() < 8).map_or(first.to_owned(), |next| format!("{first}-{next}"));
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let name = name.trim_matches('-').to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_path_of_an_operation_is_ours_to_add() {
        assert_eq!(plain("http://gpu:8000/v1/chat/completions/"), some("http://gpu:8000/v1"));
        assert_eq!(plain("http://gpu:8000/v1/"), some("http://gpu:8000/v1"));
        assert_eq!(anthropic("https://x.example/anthropic"), some("https://x.example/anthropic/v1"));
        assert_eq!(anthropic("https://api.anthropic.com/v1/messages"), some("https://api.anthropic.com/v1"));
        assert_eq!(ollama("http://box:11434/api/chat"), some("http://box:11434/v1"));
        assert_eq!(ollama("http://box:11434/v1"), some("http://box:11434/v1"));
        for text in ["<your-endpoint>", "", "https://me:pw@x/v1", "https://x/v1?key=1", "gpu:8000"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn of_azure_only_the_resource_counts() {
        let resource = "https://my-eu.openai.azure.com";
        for path in ["", "/", "/openai", "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"] {
            assert_eq!(azure(&format!("{resource}{path}")), some(resource), "{path}");
        }
        assert_eq!(azure(&format!("{resource}/openai/v1/")), Some(format!("{resource}/openai/v1")));
        assert_eq!(azure_deployment("https://x/openai/deployments/our-gpt/chat"), Some("our-gpt"));
        assert_eq!(azure_deployment("https://x/openai"), None);
    }

    #[test]
    fn hosts_name_providers() {
        let name = |url| host_name(url).unwrap_or_default();
        assert_eq!(name("http://gpu-box.local:8000/v1"), "gpu-box");
        assert_eq!(name("https://llm.example.com/v1"), "llm-example");
        assert_eq!(name("https://api.example.com"), "example");
        assert_eq!(name("https://my-eu.openai.azure.com"), "my-eu");
        assert_eq!(name("http://10.0.0.7:8000"), "10-0-0-7");
        assert_eq!(name("http://vllm/v1"), "vllm");
        assert_eq!(name("https://our-own-endpoint.up.example.app"), "our-own-endpoint");
        assert_eq!(name("http://[fd00::1]:8000/v1"), "fd00--1");
        for url in ["http://localhost:11434", "http://127.0.0.1", "http://[::1]:1"] {
            assert_eq!(host_name(url), None, "{url}");
        }
    }
}
