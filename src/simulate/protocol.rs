//! Which protocol's code writes this? One place that knows all three; the rest of the simulator
//! speaks to an [`Endpoint`].

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::answer::{Answer, Ask, Tally};
use super::playback::{Framing, Script};
use super::quota::Allowances;
use super::refusal::{Refusal, Written};
use super::words::id;
use super::{anthropic, gemini, openai};
use crate::domain::provider::Protocol;

/// One kind of path of one protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    OpenAi(openai::Endpoint),
    Anthropic(anthropic::Endpoint),
    Gemini(gemini::Endpoint),
}

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Route {
    pub endpoint: Endpoint,
    /// The model in the path, for protocols that have it there.
    pub model: Option<String>,
    /// The query string.
    pub query: String,
}

/// What every written answer needs beside its content.
pub(super) struct Meta<'a> {
    /// The provider's name.
    pub name: &'a str,
    /// The number of the call.
    pub serial: u64,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// Usage is reported.
    pub usage: bool,
    pub tally: Tally,
    /// The only models there are.
    pub models: Option<&'a [String]>,
}

impl Meta<'_> {
    /// An id with this prefix, the same for the same call.
    pub fn id(&self, prefix: &str) -> String {
        id(prefix, self.serial)
    }
}

/// Finds the endpoint of a path.
pub(super) fn route(protocol: Protocol, method: &Method, path: &str, query: &str) -> Option<Route> {
    let (endpoint, model) = match protocol {
        Protocol::OpenAi => openai::route(method, path).map(|(e, m)| (Endpoint::OpenAi(e), m)),
        Protocol::Anthropic => anthropic::route(method, path).map(|(e, m)| (Endpoint::Anthropic(e), m)),
        Protocol::Gemini => gemini::route(method, path).map(|(e, m)| (Endpoint::Gemini(e), m)),
    }?;
    Some(Route { endpoint, model, query: query.to_owned() })
}

/// Writes a refusal in the protocol's form.
pub(super) fn refuse(protocol: Protocol, refusal: &Refusal, serial: u64) -> Written {
    match protocol {
        Protocol::OpenAi => openai::error::refuse(refusal),
        Protocol::Anthropic => anthropic::error::refuse(refusal, serial),
        Protocol::Gemini => gemini::error::refuse(refusal),
    }
}

/// The headers with which the protocol labels every answer, with its rate limits.
pub(super) fn headers(protocol: Protocol, serial: u64, allowances: &Allowances, unix_s: u64) -> HeaderMap {
    match protocol {
        Protocol::OpenAi => openai::error::headers(serial, allowances),
        Protocol::Anthropic => anthropic::error::headers(serial, allowances, unix_s),
        Protocol::Gemini => HeaderMap::new(),
    }
}

/// Checks the key that came with a request.
pub(super) fn check_key(protocol: Protocol, headers: &HeaderMap, query: &str, key: &str) -> Result<(), Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let in_query = || query.split('&').find_map(|pair| pair.strip_prefix("key="));
    let sent = match protocol {
        Protocol::OpenAi => bearer().or(header("api-key")),
        Protocol::Anthropic => header("x-api-key").or(bearer()),
        Protocol::Gemini => header("x-goog-api-key").or_else(in_query).or(bearer()),
    };
    match sent {
        Some(sent) if sent == key => Ok(()),
        Some(_) => Err(Refusal::new(super::refusal::Reason::KeyWrong)),
        None => Err(Refusal::new(super::refusal::Reason::KeyMissing)),
    }
}

/// The words in which the protocol refuses a prompt that is too long, if it is.
pub(super) fn context_problem(protocol: Protocol, prompt: u64, output: u64, window: u64) -> Option<String> {
    match protocol {
        Protocol::OpenAi => openai::error::context_problem(prompt, output, window),
        Protocol::Anthropic => anthropic::error::context_problem(prompt, output, window),
        Protocol::Gemini => gemini::error::context_problem(prompt, window),
    }
}

impl Endpoint {
    /// The kind of path, for counting.
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAi(endpoint) => endpoint.path(),
            Self::Anthropic(endpoint) => endpoint.path(),
            Self::Gemini(endpoint) => endpoint.path(),
        }
    }

    /// Whether it makes text, perhaps streamed.
    pub fn generates(self) -> bool {
        match self {
            Self::OpenAi(endpoint) => endpoint.generates(),
            Self::Anthropic(endpoint) => endpoint == anthropic::Endpoint::Messages,
            Self::Gemini(endpoint) => endpoint.generates(),
        }
    }

    /// Whether it only lists models, which costs nothing and never fails.
    pub fn lists_models(self) -> bool {
        match self {
            Self::OpenAi(endpoint) => matches!(endpoint, openai::Endpoint::Models | openai::Endpoint::Model),
            Self::Anthropic(endpoint) => matches!(endpoint, anthropic::Endpoint::Models | anthropic::Endpoint::Model),
            Self::Gemini(endpoint) => matches!(endpoint, gemini::Endpoint::Models | gemini::Endpoint::Model),
        }
    }

    /// How the endpoint streams, if the path alone tells (Gemini), with its framing.
    pub fn framing(self, ask: &Ask) -> Framing {
        match self {
            Self::Gemini(_) if !ask.flag => Framing::Array,
            _ => Framing::Sse,
        }
    }

    /// Whether this path streams, where the path decides.
    pub fn streams_by_path(self) -> Option<bool> {
        match self {
            Self::Gemini(endpoint) => Some(endpoint == gemini::Endpoint::StreamGenerate),
            Self::OpenAi(_) | Self::Anthropic(_) => None,
        }
    }

    /// Reads a request that asks for text, checking it if `validate`.
    pub fn read(self, route: &Route, headers: &HeaderMap, body: Value, validate: bool) -> Result<Ask, Refusal> {
        match self {
            Self::OpenAi(endpoint) => openai::read(endpoint, route.model.as_deref(), body, validate),
            Self::Anthropic(_) => anthropic::read(headers, body, validate),
            Self::Gemini(endpoint) => gemini::read(endpoint, route, body, validate),
        }
    }

    /// Writes a whole answer; no answers at all make an empty one.
    pub fn write(self, ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Value {
        match self {
            Self::OpenAi(endpoint) => openai::write(endpoint, ask, answers, meta),
            Self::Anthropic(_) => anthropic::messages::write(ask, answers.first(), meta),
            Self::Gemini(_) => gemini::generate::write(ask, answers, meta),
        }
    }

    /// Writes a streamed answer.
    pub fn stream(self, ask: &Ask, answers: &[Answer], meta: &Meta<'_>) -> Script {
        match self {
            Self::OpenAi(endpoint) => openai::stream(endpoint, ask, answers, meta),
            Self::Anthropic(_) => anthropic::messages::stream(ask, answers.first(), meta),
            Self::Gemini(_) => gemini::generate::stream(ask, answers, meta, self.framing(ask)),
        }
    }

    /// Adds the event with which a stream tells of an error.
    pub fn error_event(self, script: &mut Script, refusal: &Refusal) {
        match self {
            Self::OpenAi(endpoint) => openai::error::event(endpoint, script, refusal),
            Self::Anthropic(_) => anthropic::error::event(script, refusal),
            Self::Gemini(_) => gemini::error::event(script, refusal),
        }
    }

    /// Answers a call that makes no text: content type and body.
    pub fn plain(
        self,
        route: &Route,
        headers: &HeaderMap,
        body: &Value,
        validate: bool,
        meta: &Meta<'_>,
    ) -> Result<(&'static str, Bytes), Refusal> {
        match self {
            Self::OpenAi(endpoint) => {
                openai::plain::answer(endpoint, route.model.as_deref(), headers, body, validate, meta)
            }
            Self::Anthropic(endpoint) => {
                anthropic::plain(endpoint, route.model.as_deref(), headers, body, validate, meta)
            }
            Self::Gemini(endpoint) => gemini::plain::answer(endpoint, route, body, validate, meta),
        }
    }
}
