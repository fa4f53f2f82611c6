//! A streamed answer on its way from a provider to a client, as a pure state machine:
//! bytes in, bytes out, and what was learned on the way.
//!
//! Nothing comes out before the first real content has gone in (the *commit point*), so
//! that a failure before it is invisible to the client. Only whole events come out, so
//! that an error can follow at any time.

mod out;

use bytes::Bytes;

use self::out::Out;
use super::chat::Finish;
use super::error::{ErrorBody, Malformed, ProviderError};
use super::event::Event;
use super::meta::ReplyMeta;
use super::native::{Seen, Signal, named_model, told_model};
use super::sse::{self, Framer};
use super::{Dialect, anthropic, gemini, openai, responses};
use crate::domain::provider::Protocol;

/// Bytes that a provider may send before its first content.
const MAX_BEFORE_CONTENT: usize = 1 << 20;

/// Why a stream cannot go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamFailure {
    /// The provider said so.
    Provider(ProviderError),
    /// It is not of the protocol. The words may quote it.
    Malformed(String),
    /// It ended too early, or is too large.
    Broken(String),
}

impl From<Malformed> for StreamFailure {
    fn from(Malformed(message): Malformed) -> Self {
        Self::Malformed(message)
    }
}

/// Which answers pass through.
#[derive(Debug)]
enum Inspector {
    Chat(openai::Inspector),
    Completions(openai::completions::Inspector),
    Messages(anthropic::Inspector),
    Responses(responses::Inspector),
}

#[derive(Debug)]
enum Decoder {
    OpenAi(openai::StreamDecoder),
    Anthropic(anthropic::StreamDecoder),
    Gemini(gemini::StreamDecoder),
}

/// Writes a stream in the client's dialect.
#[derive(Debug)]
enum Encoder {
    Chat(openai::StreamEncoder),
    Messages(anthropic::StreamEncoder),
    Responses(Box<responses::StreamEncoder>),
}

#[derive(Debug)]
enum Lane {
    Native { inspector: Inspector, hide_usage: bool },
    Translated(Box<Translation>),
}

#[derive(Debug)]
struct Translation {
    decoder: Decoder,
    encoder: Encoder,
    events: Vec<Event>,
    seen: Seen,
}

/// The state machine.
#[derive(Debug)]
pub struct Relay {
    framer: Framer,
    lane: Lane,
    out: Out,
    committed: bool,
    /// The protocol's own end has come.
    ended: bool,
    /// Somebody asks which model the answer names.
    asks_model: bool,
    model: Option<String>,
}

impl Relay {
    /// For a stream that passes through. `hide_usage`: usage chunks were asked for by us
    /// and are kept from the client.
    pub fn native(dialect: Dialect, max_event: usize, hide_usage: bool) -> Self {
        let inspector = match dialect {
            Dialect::ChatCompletions => Inspector::Chat(openai::Inspector::new()),
            Dialect::Messages => Inspector::Messages(anthropic::Inspector::new()),
            Dialect::Responses => Inspector::Responses(responses::Inspector::new()),
        };
        Self::new(Lane::Native { inspector, hide_usage }, max_event)
    }

    /// For a stream of text completions that passes through.
    pub fn completions(max_event: usize, hide_usage: bool) -> Self {
        let inspector = Inspector::Completions(openai::completions::Inspector::new());
        Self::new(Lane::Native { inspector, hide_usage }, max_event)
    }

    /// For a stream that is translated. `echo` is what a Responses client wants repeated.
    pub fn translated(
        protocol: Protocol,
        dialect: Dialect,
        meta: ReplyMeta,
        echo: Option<responses::RequestEcho>,
        max_event: usize,
    ) -> Self {
        let decoder = match protocol {
            Protocol::OpenAi => Decoder::OpenAi(openai::StreamDecoder::new()),
            Protocol::Anthropic => Decoder::Anthropic(anthropic::StreamDecoder::new()),
            Protocol::Gemini => Decoder::Gemini(gemini::StreamDecoder::new()),
        };
        let encoder = match dialect {
            Dialect::ChatCompletions => Encoder::Chat(openai::StreamEncoder::new(meta)),
            Dialect::Messages => Encoder::Messages(anthropic::StreamEncoder::new(meta)),
            Dialect::Responses => {
                Encoder::Responses(Box::new(responses::StreamEncoder::new(meta, echo.unwrap_or_default())))
            }
        };
        let translation = Translation { decoder, encoder, events: Vec::new(), seen: Seen::default() };
        Self::new(Lane::Translated(Box::new(translation)), max_event)
    }

    fn new(lane: Lane, max_event: usize) -> Self {
        Self {
            framer: Framer::new(max_event),
            lane,
            out: Out::default(),
            committed: false,
            ended: false,
            asks_model: false,
            model: None,
        }
    }

    /// Looks for the model that the answer names, too.
    pub fn ask_model(&mut self) {
        self.asks_model = true;
    }

    /// The model that the answer names, if that was asked and it does.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether real content has come.
    pub fn committed(&self) -> bool {
        self.committed
    }

    /// Whether the answer is complete; further bytes mean nothing.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// What is known of the answer so far.
    pub fn seen(&self) -> &Seen {
        match &self.lane {
            Lane::Native { inspector, .. } => inspector.seen(),
            Lane::Translated(translation) => &translation.seen,
        }
    }

    /// Bytes for the client, if there are any. Empty until the commit point.
    pub fn take_out(&mut self) -> Option<Bytes> {
        (self.committed && self.out.len() > 0).then(|| self.out.take())
    }

    /// Bytes came from the provider.
    ///
    /// # Errors
    /// If the stream cannot go on. What came before stays good.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), StreamFailure> {
        if self.ended {
            return Ok(());
        }
        self.framer.push(chunk);
        while let Some(frame) = self.framer.next_frame().map_err(|e| StreamFailure::Broken(e.to_string()))? {
            self.frame(&frame)?;
            if self.ended {
                break;
            }
        }
        if !self.committed && self.out.len() > MAX_BEFORE_CONTENT {
            return Err(StreamFailure::Broken("more than 1 MiB came before any content".into()));
        }
        Ok(())
    }

    /// The provider has closed the stream.
    ///
    /// # Errors
    /// If the answer was not complete.
    pub fn eof(&mut self) -> Result<(), StreamFailure> {
        if self.ended {
            return Ok(());
        }
        // Some servers leave out the blank line after their last event. Half an event is
        // told by its data: it is no JSON.
        let rest = self.framer.take_rest();
        let event = sse::parse(&rest);
        if let Some(data) = &event.data {
            if data.trim_ascii() != b"[DONE]" && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_err() {
                return Err(StreamFailure::Broken("the stream ended within an event".into()));
            }
            self.frame(&Bytes::from([&rest, b"\n\n".as_slice()].concat()))?;
        }
        if self.ended {
            return Ok(());
        }
        match &mut self.lane {
            Lane::Native { inspector, .. } => {
                if !inspector.ended() {
                    return Err(StreamFailure::Broken("the stream ended before the answer did".into()));
                }
                // The answer is whole, but the client waits for the dialect's own end.
                if matches!(inspector, Inspector::Chat(_) | Inspector::Completions(_)) {
                    self.out.put(b"data: [DONE]\n\n");
                }
            }
            Lane::Translated(translation) => {
                let ended = translation.decoder.end(&mut translation.events);
                ended.map_err(|Malformed(why)| StreamFailure::Broken(why))?;
            }
        }
        self.drain_events()?;
        self.end()
    }

    /// The stream broke after content had come: tells the client in its own dialect.
    pub fn fail(&mut self, error: &ErrorBody) {
        let mut out = Vec::new();
        match &mut self.lane {
            Lane::Translated(translation) => translation.encoder.error(error, &mut out),
            Lane::Native { inspector, .. } => inspector.encoder().error(error, &mut out),
        }
        self.ended = true;
        self.out.put(&out);
    }

    fn frame(&mut self, frame: &Bytes) -> Result<(), StreamFailure> {
        match &mut self.lane {
            Lane::Native { inspector, hide_usage } => {
                // What the inspector passes over reaches the client as it is.
                if std::str::from_utf8(frame).is_err() {
                    return Err(StreamFailure::Malformed("the stream is not UTF-8".into()));
                }
                if self.asks_model && self.model.is_none() && !self.committed {
                    self.model = named_model(sse::parse(frame).data());
                }
                let signal = match inspector.inspect(frame)? {
                    Signal::Error(error) => return Err(StreamFailure::Provider(error)),
                    Signal::UsageOnly if *hide_usage => return Ok(()),
                    signal => signal,
                };
                self.out.frame(frame);
                self.committed |= signal == Signal::Content;
                if signal == Signal::End { self.end() } else { Ok(()) }
            }
            Lane::Translated(translation) => {
                translation.decoder.decode(frame, &mut translation.events)?;
                let done = translation.decoder.done();
                self.drain_events()?;
                if done { self.end() } else { Ok(()) }
            }
        }
    }

    /// Writes what was decoded.
    fn drain_events(&mut self) -> Result<(), StreamFailure> {
        let Lane::Translated(translation) = &mut self.lane else { return Ok(()) };
        let Translation { encoder, events, seen, .. } = &mut **translation;
        let mut out = Vec::new();
        let mut failure = None;
        for event in events.drain(..) {
            match &event {
                Event::Error(error) => {
                    failure = Some(StreamFailure::Provider(error.clone()));
                    break;
                }
                Event::Start { model, .. } if self.asks_model => self.model = told_model(model),
                Event::Usage(usage) => seen.usage = seen.usage.max_of(usage),
                Event::Finish(finish) => seen.finish = Some(finish.clone()),
                _ => {}
            }
            if event.commits() {
                self.committed = true;
                seen.pieces += 1;
            }
            encoder.encode(&event, &mut out);
        }
        self.out.put(&out);
        failure.map_or(Ok(()), Err)
    }

    /// The answer is complete. One without any content is a failure, unless the model
    /// really generated something that is not shown or was cut off.
    fn end(&mut self) -> Result<(), StreamFailure> {
        self.ended = true;
        if !self.committed {
            let seen = self.seen();
            let cut = matches!(seen.finish, Some(Finish::Length | Finish::ContentFilter | Finish::Refusal));
            if !cut && seen.usage.output == 0 {
                return Err(StreamFailure::Broken("the answer is empty".into()));
            }
            self.committed = true;
        }
        if let Lane::Translated(translation) = &mut self.lane {
            let mut out = Vec::new();
            translation.encoder.end(&mut out);
            self.out.put(&out);
        }
        Ok(())
    }
}

impl Inspector {
    /// An encoder of the same dialect, for the last word of a stream that it did not write.
    fn encoder(&self) -> Encoder {
        let meta = ReplyMeta { id: String::new(), created: 0, model: String::new(), stream_usage: false };
        match self {
            Self::Chat(_) | Self::Completions(_) => Encoder::Chat(openai::StreamEncoder::new(meta)),
            Self::Messages(_) => Encoder::Messages(anthropic::StreamEncoder::new(meta)),
            Self::Responses(_) => {
                Encoder::Responses(Box::new(responses::StreamEncoder::new(meta, responses::RequestEcho::default())))
            }
        }
    }

    fn inspect(&mut self, frame: &[u8]) -> Result<Signal, Malformed> {
        match self {
            Self::Chat(inspector) => inspector.inspect(frame),
            Self::Completions(inspector) => inspector.inspect(frame),
            Self::Messages(inspector) => inspector.inspect(frame),
            Self::Responses(inspector) => inspector.inspect(frame),
        }
    }

    fn seen(&self) -> &Seen {
        match self {
            Self::Chat(inspector) => inspector.seen(),
            Self::Completions(inspector) => inspector.seen(),
            Self::Messages(inspector) => inspector.seen(),
            Self::Responses(inspector) => inspector.seen(),
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::Chat(inspector) => inspector.ended(),
            Self::Completions(inspector) => inspector.ended(),
            Self::Messages(inspector) => inspector.ended(),
            Self::Responses(inspector) => inspector.ended(),
        }
    }
}

impl Decoder {
    fn decode(&mut self, frame: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(decoder) => decoder.decode(frame, out),
            Self::Anthropic(decoder) => decoder.decode(frame, out),
            Self::Gemini(decoder) => decoder.decode(frame, out),
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(decoder) => decoder.end(out),
            Self::Anthropic(decoder) => decoder.end(out),
            Self::Gemini(decoder) => decoder.end(out),
        }
    }

    fn done(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.done(),
            Self::Anthropic(decoder) => decoder.done(),
            Self::Gemini(decoder) => decoder.done(),
        }
    }
}

impl Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.encode(event, out),
            Self::Messages(encoder) => encoder.encode(event, out),
            Self::Responses(encoder) => encoder.encode(event, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.end(out),
            Self::Messages(encoder) => encoder.end(out),
            Self::Responses(encoder) => encoder.end(out),
        }
    }

    fn error(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.error(error, out),
            Self::Messages(encoder) => encoder.error(error, out),
            Self::Responses(encoder) => encoder.error(error, out),
        }
    }
}

#[cfg(test)]
mod tests;
