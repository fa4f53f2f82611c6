//! How does an OpenAI server answer? Paths, and which file speaks for each.

pub(super) mod chat;
mod chat_check;
pub(super) mod completions;
pub(super) mod error;
pub(super) mod plain;
pub(super) mod responses;
mod responses_check;
mod responses_stream;
mod schema_check;

use http::Method;
use serde_json::Value;

use super::answer::{Answer, Ask};
use super::playback::Script;
use super::protocol::Meta;
use super::refusal::Refusal;

/// The kinds of path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    Chat,
    Responses,
    Completions,
    Embeddings,
    Images,
    Moderations,
    Speech,
    Rerank,
    Models,
    Model,
}

impl Endpoint {
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Images => "/v1/images/generations",
            Self::Moderations => "/v1/moderations",
            Self::Speech => "/v1/audio/speech",
            Self::Rerank => "/v1/rerank",
            Self::Models => "/v1/models",
            Self::Model => "/v1/models/{model}",
        }
    }

    pub fn generates(self) -> bool {
        matches!(self, Self::Chat | Self::Responses | Self::Completions)
    }
}

/// Finds the endpoint, with the model where the path names it: Azure's deployments, one model's description.
pub(super) fn route(method: &Method, path: &str) -> Option<(Endpoint, Option<String>)> {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let (path, deployment) = match path.strip_prefix("/openai") {
        Some(azure) => match azure.strip_prefix("/deployments/").and_then(|rest| rest.split_once('/')) {
            Some((deployment, _)) => (azure.get("/deployments/".len() + deployment.len()..)?, Some(deployment)),
            None => (azure.strip_prefix("/v1").unwrap_or(azure), None),
        },
        None => (path, None),
    };
    if method == Method::GET {
        return match path.strip_prefix("/models")? {
            "" => Some((Endpoint::Models, None)),
            model => Some((Endpoint::Model, Some(model.strip_prefix('/')?.to_owned()))),
        };
    }
    let endpoint = match path {
        "/chat/completions" => Endpoint::Chat,
        "/responses" => Endpoint::Responses,
        "/completions" => Endpoint::Completions,
        "/embeddings" => Endpoint::Embeddings,
        "/images/generations" => Endpoint::Images,
        "/moderations" => Endpoint::Moderations,
        "/audio/speech" => Endpoint::Speech,
        "/rerank" => Endpoint::Rerank,
        _ => return None,
    };
    (method == Method::POST).then(|| (endpoint, deployment.map(str::to_owned)))
}

/// Reads a request for text.
pub(super) fn read(
    endpoint: Endpoint,
    deployment: Option<&str>,
    mut body: Value,
    validate: bool,
) -> Result<Ask, Refusal> {
    // Azure's path names the deployment, and the model in the body may be missing.
    if let (Some(deployment), Some(fields)) = (deployment, body.as_object_mut()) {
        fields.insert("model".to_owned(), deployment.into());
    }
    match endpoint {
        Endpoint::Responses => {
            if validate {
                responses_check::check(&body)?;
            }
            Ok(responses::read(body))
        }
        Endpoint::Completions => completions::read(body, validate),
        _ => {
            if validate {
                chat_check::check(&body)?;
            }
            Ok(chat::read(body))
        }
    }
}

/// Writes a whole answer.
pub(super) fn write(endpoint: Endpoint, ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Value {
    match endpoint {
        Endpoint::Responses => responses::write(ask, answers.first(), meta),
        Endpoint::Completions => completions::write(ask, answers, meta),
        _ => chat::write(ask, answers, meta),
    }
}

/// Writes a streamed answer.
pub(super) fn stream(endpoint: Endpoint, ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Script {
    match endpoint {
        Endpoint::Responses => responses_stream::stream(ask, answers.first(), meta),
        Endpoint::Completions => completions::stream(ask, answers, meta),
        _ => chat::stream(ask, answers, meta),
    }
}

/// Text of a field that may be missing.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a field that may be missing.
fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// One stop sequence or a list of them.
fn stops(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Media type of a data URL, or the address of any other.
fn image_label(url: &str) -> String {
    match url.strip_prefix("data:") {
        Some(data) => data.split([';', ',']).next().unwrap_or_default().to_owned(),
        None => url.to_owned(),
    }
}

/// Whether a model is named like one that reasons: `o3`, `gpt-5-mini`, with any prefix up to a slash.
fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let version = |prefix: &str| {
        name.strip_prefix(prefix).and_then(|rest| rest.chars().next()).and_then(|digit| digit.to_digit(10))
    };
    version("o").is_some() || (version("gpt-").is_some_and(|major| major >= 5) && !name.contains("chat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_azure_paths_lead_to_the_same_endpoints() {
        let post = |path| route(&Method::POST, path);
        assert_eq!(post("/v1/chat/completions"), Some((Endpoint::Chat, None)));
        let azure = Some((Endpoint::Chat, Some("gpt-x".to_owned())));
        assert_eq!(post("/openai/deployments/gpt-x/chat/completions"), azure);
        assert_eq!(post("/v1/openai/deployments/gpt-x/chat/completions"), azure);
        assert_eq!(post("/openai/v1/responses"), Some((Endpoint::Responses, None)));
        assert_eq!(post("/v1/messages"), None);
        assert_eq!(route(&Method::GET, "/v1/models/a/b"), Some((Endpoint::Model, Some("a/b".to_owned()))));
        assert_eq!(route(&Method::GET, "/v1/chat/completions"), None);
    }

    #[test]
    fn reasoning_models_are_known_by_name() {
        for name in ["o1", "o3-mini", "gpt-5", "gpt-5.5", "openai/gpt-6-sol"] {
            assert!(reasons(name), "{name}");
        }
        for name in ["gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "omni-moderation", "llama-4"] {
            assert!(!reasons(name), "{name}");
        }
    }
}
