//! What happens to one call? Key, fault, checks, limits, queue, then the answer in its time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;
use tokio::time::sleep;

use super::answer::{Ask, Author, Tally};
use super::behaviour::{Behaviour, Spread};
use super::cache::{Glance, Key, Ready};
use super::engine::{Draws, Engine};
use super::failing;
use super::fault::FaultKind;
use super::playback::{End, Framing, Pace, Reply};
use super::protocol::{self, Endpoint, Meta, Route};
use super::quota::{Allowances, Exceeded};
use super::refusal::{Reason, Refusal};
use super::servers::Busy;
use super::stats::Flight;
use super::words::prompt_tokens;

/// One call and all that goes with it.
pub(super) struct Call<'a> {
    pub engine: &'a Engine,
    pub behaviour: Arc<Behaviour>,
    pub route: Route,
    pub parts: &'a Parts,
    pub serial: u64,
    pub allowances: Allowances,
    pub flight: Flight,
}

/// What becomes of a call.
pub(super) enum Fate {
    /// This answer.
    Answer(Response<Reply>),
    /// The connection is reset.
    Reset,
}

/// Answers a call to a path that exists.
pub(super) async fn serve(engine: &Engine, route: Route, parts: &Parts, body: Bytes) -> Fate {
    let mut call = Call {
        engine,
        behaviour: engine.behaviour(),
        parts,
        serial: engine.next_serial(),
        allowances: Allowances::default(),
        flight: engine.counters.begin(route.endpoint.path()),
        route,
    };
    let key = call.behaviour.api_key.as_deref();
    let key = key.map_or(Ok(()), |key| protocol::check_key(engine.protocol, &parts.headers, &call.route.query, key));
    if let Err(refusal) = key {
        return Fate::Answer(call.refuse(&refusal));
    }
    if call.route.endpoint.lists_models() {
        return Fate::Answer(call.plain(&Value::Null).unwrap_or_else(|refused| refused.0.refuse(&refused.1)));
    }
    let mut draws = engine.draw(&call.behaviour);
    let fault = draws.fault.take();
    if let Some(fault) = &fault {
        call.flight.outcome(failing::outcome(&fault.kind));
        sleep(super::behaviour::millis(fault.delay_ms)).await;
        match &fault.kind {
            FaultKind::Reset => {
                call.flight.done();
                return Fate::Reset;
            }
            FaultKind::Hang => std::future::pending::<()>().await,
            FaultKind::SlowHeaders { ms } => sleep(super::behaviour::millis(*ms)).await,
            _ => {}
        }
    }
    let kind = fault.map(|fault| fault.kind);
    let answer = match kind {
        None => call.answer(body, draws).await,
        Some(kind) => match failing::without_reading(call, &kind) {
            Ok(response) => Ok(response),
            Err(call) => call.answer_parsed(body, draws, Some(&kind)).await,
        },
    };
    Fate::Answer(answer.unwrap_or_else(|refused| refused.0.refuse(&refused.1)))
}

/// A call that turned out to be refused.
pub(super) type Refused<'a> = Box<(Call<'a>, Refusal)>;

impl<'a> Call<'a> {
    fn refused<T>(self, refusal: Refusal) -> Result<T, Refused<'a>> {
        Err(Box::new((self, refusal)))
    }

    /// A healthy call.
    async fn answer(self, body: Bytes, draws: Draws) -> Result<Response<Reply>, Refused<'a>> {
        let dictated = !self.behaviour.validate && self.behaviour.answer.is_some();
        if !(dictated && self.route.endpoint.generates()) {
            return self.answer_parsed(body, draws, None).await;
        }
        let Ok(glance) = serde_json::from_slice::<Glance<'_>>(&body) else {
            return self.answer_parsed(body, draws, None).await;
        };
        let by_path = self.route.endpoint.streams_by_path();
        let key = Key {
            path: self.route.endpoint.path(),
            model: self.route.model.clone().or(glance.model.map(|m| m.into_owned())).unwrap_or_default(),
            stream: by_path.or(glance.stream).unwrap_or(false),
            flag: if by_path.is_some() {
                self.route.query.split('&').any(|pair| pair == "alt=sse")
            } else {
                glance.stream_options.and_then(|options| options.include_usage).unwrap_or(false)
            },
            prompt_tokens: prompt_tokens(body.len()),
        };
        if let Some(problem) = self.model_problem(&key.model) {
            return self.refused(problem);
        }
        let (call, busy) = self.admit(key.prompt_tokens).await?;
        let ready = match call.engine.cache.get(&key) {
            Some(ready) => ready,
            None => {
                let ask = Ask {
                    model: key.model.clone(),
                    stream: key.stream,
                    flag: key.flag,
                    prompt_bytes: body.len(),
                    ..Ask::default()
                };
                let ready = call.ready(&ask, 0, key.prompt_tokens);
                call.engine.cache.put(key.clone(), ready.clone());
                ready
            }
        };
        let first = call.engine.first_token(&call.behaviour, &draws, key.prompt_tokens);
        Ok(call
            .send(ready, if key.flag || by_path.is_none() { Framing::Sse } else { Framing::Array }, first, draws, busy)
            .await)
    }

    /// A call that is read in full, and may meet a fault after that.
    async fn answer_parsed(
        self,
        body: Bytes,
        draws: Draws,
        fault: Option<&FaultKind>,
    ) -> Result<Response<Reply>, Refused<'a>> {
        let endpoint = self.route.endpoint;
        let body = match serde_json::from_slice::<Value>(&body) {
            Ok(body) => body,
            Err(error) => return self.refused(self::unreadable(endpoint, &error)),
        };
        if !endpoint.generates() {
            let model = self.route.model.as_deref().or(body.get("model").and_then(Value::as_str)).unwrap_or_default();
            if let Some(problem) = self.model_problem(model) {
                return self.refused(problem);
            }
            let (call, _busy) = self.admit(prompt_tokens(body.to_string().len())).await?;
            sleep(draws.ttft).await;
            return call.plain(&body);
        }
        let ask = match endpoint.read(&self.route, &self.parts.headers, body, self.behaviour.validate) {
            Ok(ask) => ask,
            Err(refusal) => return self.refused(refusal),
        };
        if let Some(problem) = self.model_problem(&ask.model) {
            return self.refused(problem);
        }
        let prompt = ask.prompt_tokens();
        let protocol = self.engine.protocol;
        if let Some(window) = self.behaviour.context_window
            && let Some(problem) = protocol::context_problem(protocol, prompt, ask.max_tokens.unwrap_or(0), window)
        {
            return self.refused(Refusal { message: Some(problem), ..Refusal::new(Reason::Context) });
        }
        let (call, busy) = self.admit(prompt + ask.max_tokens.unwrap_or(0)).await?;
        let first = call.engine.first_token(&call.behaviour, &draws, prompt);
        if let Some(kind) = fault.filter(|kind| failing::after_reading(kind)) {
            return Ok(call.fail(&ask, kind, first, draws, busy).await);
        }
        let ready = call.ready(&ask, draws.length, prompt);
        Ok(call.send(ready, endpoint.framing(&ask), first, draws, busy).await)
    }

    fn model_problem(&self, model: &str) -> Option<Refusal> {
        let served = self.behaviour.models.as_ref()?;
        (!served.iter().any(|m| m == model))
            .then(|| Refusal { model: model.to_owned(), ..Refusal::new(Reason::NoModel) })
    }

    /// Passes the allowances and the queue.
    async fn admit(mut self, tokens: u64) -> Result<(Self, Option<Busy>), Refused<'a>> {
        let (taken, allowances) = self.engine.take_quota(&self.behaviour, tokens);
        self.allowances = allowances;
        if let Err(exceeded) = taken {
            let (reason, wait) = match exceeded {
                Exceeded::Requests(wait) => (Reason::RequestRate, wait),
                Exceeded::Tokens(wait) => (Reason::TokenRate, wait),
            };
            let refusal = Refusal { retry_after: Some(wait.as_secs_f64()), ..Refusal::new(reason) };
            return self.refused(refusal);
        }
        if self.behaviour.servers.is_none() {
            return Ok((self, None));
        }
        match self.engine.servers.acquire(self.behaviour.max_queue).await {
            Ok(busy) => Ok((self, Some(busy))),
            Err(_) => self.refused(Refusal::new(Reason::Overloaded)),
        }
    }

    /// Who writes the answers of this call.
    pub fn author(&self, length: u64) -> Author<'_> {
        Author {
            name: &self.engine.name,
            seed: self.engine.seed,
            serial: self.serial,
            fixed: self.behaviour.answer.as_deref(),
            length,
        }
    }

    /// What is written beside an answer.
    pub fn meta(&self, prompt: u64, answers: &[super::answer::Answer]) -> Meta<'_> {
        Meta {
            name: &self.engine.name,
            serial: self.serial,
            created: self.engine.unix_now().as_secs(),
            usage: self.behaviour.usage,
            tally: Tally {
                prompt,
                // A cast from a float saturates.
                cached: (prompt as f64 * self.behaviour.cached_share) as u64,
                output: answers.iter().map(super::answer::Answer::output_tokens).sum(),
                reasoning: answers.iter().map(|answer| answer.reasoning.len() as u64).sum(),
            },
            models: self.behaviour.models.as_deref(),
        }
    }

    fn ready(&self, ask: &Ask, length: u64, prompt: u64) -> Ready {
        let author = self.author(length);
        let answers: Vec<_> = (0..ask.count.max(1)).map(|index| author.answer(ask, index)).collect();
        let meta = self.meta(prompt, &answers);
        if ask.stream {
            Ready::Stream(self.route.endpoint.stream(ask, &answers, &meta).frames.into())
        } else {
            let whole = self.route.endpoint.write(ask, &answers, &meta);
            Ready::Whole(whole.to_string().into(), meta.tally.output)
        }
    }

    /// Sends a healthy answer in its time.
    async fn send(
        self,
        ready: Ready,
        framing: Framing,
        first: Duration,
        mut draws: Draws,
        busy: Option<Busy>,
    ) -> Response<Reply> {
        match ready {
            Ready::Whole(bytes, tokens) => {
                wait_whole(first, self.behaviour.token_ms, tokens, &mut draws).await;
                self.flight.tokens(tokens);
                self.whole("application/json", bytes)
            }
            Ready::Stream(frames) => {
                let pace = Pace { first, token: self.behaviour.token_ms, rng: draws.rng };
                self.play(content_type(framing), frames, End::Proper, pace, busy)
            }
        }
    }

    fn plain(self, body: &Value) -> Result<Response<Reply>, Refused<'a>> {
        let meta = self.meta(0, &[]);
        let Route { endpoint, .. } = self.route;
        match endpoint.plain(&self.route, &self.parts.headers, body, self.behaviour.validate, &meta) {
            Ok((content_type, bytes)) => Ok(self.whole(content_type, bytes)),
            Err(refusal) => self.refused(refusal),
        }
    }

    /// A whole success.
    pub fn whole(mut self, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Reply> {
        self.flight.done();
        self.response(StatusCode::OK, content_type, Reply::whole(bytes))
    }

    /// A success that takes its time.
    pub fn play(
        self,
        content_type: &'static str,
        frames: Arc<[super::playback::Frame]>,
        end: End,
        pace: Pace,
        busy: Option<Busy>,
    ) -> Response<Reply> {
        let mut response = self.response(StatusCode::OK, content_type, Reply::whole(Bytes::new()));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        *response.body_mut() = Reply::play(frames, end, pace, self.flight, busy);
        response
    }

    fn response(&self, status: StatusCode, content_type: &'static str, reply: Reply) -> Response<Reply> {
        let unix_s = self.engine.unix_now().as_secs();
        let mut response = Response::new(reply);
        *response.status_mut() = status;
        *response.headers_mut() = protocol::headers(self.engine.protocol, self.serial, &self.allowances, unix_s);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// Refuses the call in the protocol's own form.
    pub fn refuse(mut self, refusal: &Refusal) -> Response<Reply> {
        let written = protocol::refuse(self.engine.protocol, refusal, self.serial);
        self.flight.outcome(format!("status {}", written.status.as_u16()));
        self.flight.done();
        let mut response = self.response(written.status, "application/json", Reply::whole(written.body));
        response.headers_mut().extend(written.headers);
        response
    }
}

/// Waits as long as a whole answer of so many tokens takes.
pub(super) async fn wait_whole(first: Duration, token: Spread, tokens: u64, draws: &mut Draws) {
    // The first token comes with `first`; the pace is between tokens.
    let gaps = tokens.saturating_sub(1);
    let rest = match token {
        Spread::Fixed(ms) => super::behaviour::millis(ms * gaps as f64),
        Spread::Lognormal(_) => (0..gaps).map(|_| token.draw_ms(&mut draws.rng)).sum(),
    };
    let wait = first + rest;
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

/// The content type of a stream.
pub(super) fn content_type(framing: Framing) -> &'static str {
    match framing {
        Framing::Sse => "text/event-stream; charset=utf-8",
        Framing::Array => "application/json; charset=UTF-8",
    }
}

/// The refusal of a body that is not JSON.
fn unreadable(endpoint: Endpoint, error: &serde_json::Error) -> Refusal {
    match endpoint {
        Endpoint::OpenAi(_) => Refusal::invalid(format!(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
             library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON: {error})"
        )),
        Endpoint::Anthropic(_) => Refusal::invalid(format!("The request body is not valid JSON: {error}")),
        Endpoint::Gemini(_) => Refusal::invalid(format!("Invalid JSON payload received. {error}")),
    }
}

/// Adds a header whose value is plain ASCII.
pub(super) fn put(headers: &mut http::HeaderMap, name: &'static str, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
