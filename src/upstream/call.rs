//! A client's request, and how it is written for one endpoint: passed through with a few
//! bytes changed, or translated.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use serde_json::{Value, json};

use super::headers::request_headers;
use super::lane::{Lane, Operation, lane};
use super::target_url::target_url;
use crate::domain::alias::{Alias, Target};
use crate::domain::ids::EndpointIdx;
use crate::domain::provider::{OutputLimitField, Protocol, Provider};
use crate::live::View;
use crate::transport::payload::Payload;
use crate::wire::chat::{ChatRequest, SEAL_PREFIX};
use crate::wire::error::{BadRequest, Unsupported};
use crate::wire::meta::{EncodeFor, ReplyMeta};
use crate::wire::peek::{Peek, has_token};
use crate::wire::{Dialect, anthropic, gemini, openai, responses, splice};

/// A body of more bytes is long. One that is nothing but brackets takes 2.5 ns a byte to look through,
/// so a shorter one keeps whoever shares its thread waiting for a third of a millisecond at most.
pub const LONG: usize = 128 * 1024;

/// To translate a value takes as long as to look through so many bytes.
const VALUE: usize = 240;

/// What stays the same over all attempts of a request.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub operation: Operation,
    /// The client's headers.
    pub headers: HeaderMap,
    /// The client's body.
    pub body: Bytes,
    /// Its content type.
    pub content_type: HeaderValue,
    /// What was read of it.
    pub peek: Peek,
    /// What a translated answer says of itself.
    pub meta: ReplyMeta,
    /// The whole request, once a candidate needs it, unless that is long.
    decoded: OnceLock<Result<ChatRequest, BadRequest>>,
}

/// The request could not even be written for this endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unwritable {
    /// It is not of its own dialect.
    Bad(BadRequest),
    /// The endpoint's protocol cannot say it.
    Unsupported(Unsupported),
}

/// A request as one endpoint gets it.
#[derive(Debug)]
pub struct Prepared {
    /// It.
    pub request: Request<Payload>,
    /// How the endpoint serves it.
    pub lane: Lane,
    /// Usage chunks in the stream are ours alone.
    pub hide_usage: bool,
}

impl Call {
    /// A call that was peeked at.
    pub fn new(
        operation: Operation,
        headers: HeaderMap,
        body: Bytes,
        content_type: HeaderValue,
        peek: Peek,
        meta: ReplyMeta,
    ) -> Self {
        Self { operation, headers, body, content_type, peek, meta, decoded: OnceLock::new() }
    }

    /// Whether the answer is a stream whose content is understood.
    pub fn is_stream(&self) -> bool {
        self.peek.stream && matches!(self.operation, Operation::Chat(_) | Operation::Completions)
    }

    /// Whether it takes long to write it for an endpoint.
    pub fn is_long_for(&self, view: &View, endpoint: EndpointIdx) -> bool {
        let provider = view.catalog.provider(view.catalog.endpoint(endpoint).provider);
        match lane(&self.operation, provider) {
            Some(Lane::Translated(_)) => self.is_long_to_translate(),
            _ => self.body.len() > LONG,
        }
    }

    fn is_long_to_translate(&self) -> bool {
        self.body.len().max(self.peek.values as usize * VALUE) > LONG
    }

    fn decode(&self) -> Result<ChatRequest, BadRequest> {
        match &self.operation {
            Operation::Chat(Dialect::ChatCompletions) => openai::decode_request(&self.body),
            Operation::Chat(Dialect::Responses) => responses::decode_request(&self.body),
            _ => anthropic::decode_request(&self.body),
        }
    }

    /// Writes the request for one endpoint.
    ///
    /// # Errors
    /// If it cannot be said in the endpoint's protocol, or is not of its own.
    pub fn prepare(
        &self,
        view: &View,
        alias: &Alias,
        target: &Target,
        endpoint: EndpointIdx,
    ) -> Result<Prepared, Unwritable> {
        let at = view.catalog.endpoint(endpoint);
        let provider = view.catalog.provider(at.provider);
        let Some(lane) = lane(&self.operation, provider) else {
            return Err(Unwritable::Bad(BadRequest::at("body", "the provider has no such operation")));
        };
        let mut hide_usage = false;
        let mut body = match lane {
            Lane::Native => {
                hide_usage = self.asks_usage_for_us(provider);
                self.native_body(provider, &at.upstream_model, hide_usage).map_err(Unwritable::Bad)?
            }
            Lane::Translated(protocol) => {
                let to = EncodeFor {
                    model: &at.upstream_model,
                    max_output_tokens: view.catalog.model(at.model).max_output_tokens,
                    quirks: provider.quirks,
                    drop_unsupported: alias.drop_unsupported,
                };
                self.translated_body(protocol, &to)?.into()
            }
        };
        if !target.params.is_empty() {
            body = splice::merge(&body.joined(), &target.params.set).map_err(Unwritable::Bad)?.into();
        }
        let stream = self.peek.stream;
        let content_type = match lane {
            Lane::Native => self.content_type.clone(),
            Lane::Translated(_) => HeaderValue::from_static("application/json"),
        };
        let url = target_url(provider, &at.upstream_model, &self.operation, lane, stream);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_maybe_shared(url.into_bytes())
            .map_err(|_| Unwritable::Bad(BadRequest::at("model", format!("`{}` makes no valid URL", at.id))))?;
        *request.headers_mut() = request_headers(provider, lane, &self.headers, content_type, stream);
        Ok(Prepared { request, lane, hide_usage })
    }

    /// Whether usage at the end of a stream has to be asked for although the client did
    /// not: without it an answer could not be accounted for.
    fn asks_usage_for_us(&self, provider: &Provider) -> bool {
        let reports_on_demand =
            matches!(self.operation, Operation::Chat(Dialect::ChatCompletions) | Operation::Completions);
        reports_on_demand && self.peek.stream && !self.peek.stream_usage && provider.quirks.stream_usage
    }

    fn native_body(&self, provider: &Provider, upstream_model: &str, ask_usage: bool) -> Result<Payload, BadRequest> {
        if self.content_type.as_bytes().starts_with(b"multipart/") {
            return Ok(splice::replace_span(&self.body, &self.peek.model_span, upstream_model.as_bytes()).into());
        }
        let mut source = self.body.clone();
        let mut span = self.peek.model_span.clone();
        if let Some(stripped) = self.without_foreign_state(provider)? {
            source = Bytes::from(stripped);
            span = splice::model_span(&source)?;
        }
        if !ask_usage {
            return Ok(splice::replace_model(&source, &span, upstream_model).into());
        }
        if has_token(&source, "stream_options") {
            let patch = json!({"model": upstream_model, "stream_options": {"include_usage": true}});
            let Value::Object(patch) = patch else { return Ok(source.into()) };
            return Ok(splice::merge(&source, &patch)?.into());
        }
        let added = br#""stream_options":{"include_usage":true}"#;
        Ok(splice::replace_model_and_add(&source, &span, upstream_model, added).into())
    }

    /// The body without what other providers have left in its history and this one would
    /// refuse; `None` where there is nothing of it.
    fn without_foreign_state(&self, provider: &Provider) -> Result<Option<Vec<u8>>, BadRequest> {
        let sealed = || memchr::memmem::find(&self.body, SEAL_PREFIX.as_bytes()).is_some();
        match &self.operation {
            Operation::Chat(Dialect::Messages) if sealed() => anthropic::strip_foreign_seals(&self.body),
            Operation::Chat(Dialect::Responses) if sealed() => responses::strip_foreign_seals(&self.body),
            // Only OpenAI's own models, wherever they are served, are that strict.
            Operation::Chat(Dialect::ChatCompletions)
                if provider.quirks.output_limit == OutputLimitField::MaxCompletionTokens =>
            {
                openai::strip_foreign_fields(&self.body)
            }
            _ => Ok(None),
        }
    }

    fn translated_body(&self, protocol: Protocol, to: &EncodeFor<'_>) -> Result<Bytes, Unwritable> {
        if self.operation == Operation::Embeddings {
            let request = openai::embeddings::decode_embeddings(&self.body).map_err(Unwritable::Unsupported)?;
            return Ok(gemini::encode_embeddings(&request.inputs, request.dimensions, to.model).into());
        }
        // What a long one consists of would take many times its bytes as long as the answer takes, and be
        // given up in the end where others wait for it. It is rare that there is more than one attempt.
        if self.is_long_to_translate() {
            let chat = self.decode().map_err(Unwritable::Bad)?;
            let encoded = self.encode(&chat, protocol, to);
            chat.give_up();
            return encoded;
        }
        match self.decoded.get_or_init(|| self.decode()) {
            Ok(chat) => self.encode(chat, protocol, to),
            Err(bad) => Err(Unwritable::Bad(bad.clone())),
        }
    }

    fn encode(&self, chat: &ChatRequest, protocol: Protocol, to: &EncodeFor<'_>) -> Result<Bytes, Unwritable> {
        let encoded = match protocol {
            _ if self.operation == Operation::CountTokens => gemini::encode_count_tokens(chat, to),
            Protocol::OpenAi => openai::encode_request(chat, to),
            Protocol::Anthropic => anthropic::encode_request(chat, to),
            Protocol::Gemini => gemini::encode_request(chat, to),
        };
        encoded.map(Bytes::from).map_err(Unwritable::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::provider::OpenAiQuirks;
    use crate::domain::time::UnixMillis;
    use crate::wire::turn::in_turns;

    fn call_of(dialect: Dialect, body: Bytes, peek: Peek) -> Call {
        let json = HeaderValue::from_static("application/json");
        let meta =
            ReplyMeta { id: "i".into(), created: UnixMillis(0).as_secs(), model: "m".into(), stream_usage: false };
        Call::new(Operation::Chat(dialect), HeaderMap::new(), body, json, peek, meta)
    }

    fn call(messages: usize) -> Call {
        let messages = vec![json!({"role": "user", "content": "a"}); messages];
        let body = Bytes::from(json!({"model": "m", "max_tokens": 1, "messages": messages}).to_string());
        let peek = openai::peek(&body).unwrap();
        assert_eq!(peek.values as usize, 3 * messages.len() + 3);
        call_of(Dialect::ChatCompletions, body, peek)
    }

    #[test]
    fn many_small_messages_are_long_to_translate_though_they_are_few_bytes() {
        assert!(!call(100).is_long_to_translate());
        assert!(call(200).is_long_to_translate() && call(200).body.len() < LONG / 10);
    }

    /// Where a stage had no steps its thread would go on until the system's slice is over, and there would be
    /// fewer turns than these.
    #[test]
    fn whoever_translates_a_long_body_lets_others_have_turns_all_along() {
        const MANY: usize = 10_000;
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxTokens };
        let to = EncodeFor { model: "claude-sonnet-4-5", max_output_tokens: None, quirks, drop_unsupported: false };
        for dialect in [Dialect::ChatCompletions, Dialect::Messages, Dialect::Responses] {
            let (list, text, decoded) = match dialect {
                Dialect::ChatCompletions => ("messages", "text", 150),
                Dialect::Messages => ("messages", "text", 190),
                Dialect::Responses => ("input", "input_text", 75),
            };
            let part = json!({"type": text, "text": "a"});
            let many_messages = vec![json!({"role": "user", "content": "a"}); MANY];
            let many_parts = vec![json!({"role": "user", "content": vec![part; MANY]})];
            for messages in [many_messages, many_parts] {
                let body = json!({"model": "m", "max_tokens": 1, list: messages}).to_string();
                let call = call_of(dialect, body.into(), Peek::default());
                let (chat, decoding) = in_turns(|| call.decode().unwrap());
                assert!(decoding >= decoded, "{dialect:?} is decoded: {decoding}");
                for (protocol, written) in [(Protocol::OpenAi, 95), (Protocol::Anthropic, 250), (Protocol::Gemini, 50)]
                {
                    let (encoded, encoding) = in_turns(|| call.encode(&chat, protocol, &to));
                    assert!(encoded.unwrap().len() > MANY);
                    assert!(encoding >= written, "{dialect:?} as {protocol:?}: {encoding}");
                }
                let ((), giving_up) = in_turns(|| chat.give_up());
                assert!(giving_up >= 35, "{dialect:?} is given up: {giving_up}");
            }
        }
    }
}
