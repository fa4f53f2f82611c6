//! The body of a streamed answer: pulls from the provider when the client can take more,
//! and settles the account when it ends, however it ends.
//!
//! Nothing is read ahead, so a slow reader holds back the provider through two sockets'
//! buffers and one chunk. When the client goes away hyper drops this body, which drops
//! the provider's connection at once.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use crate::domain::failure::FailureKind;
use crate::domain::usage::TokenUsage;
use crate::live::{Flight, FlightEnd};
use crate::transport::answer::AnswerBody;
use crate::wire::chat::Finish;
use crate::wire::error::{ErrorBody, ErrorKind};
use crate::wire::native::Seen;
use crate::wire::peek::{clip, estimate_tokens};
use crate::wire::relay::{Relay, StreamFailure};

/// After the answer's own end, how long the provider may take to close the exchange. Only
/// an exchange that was read to its end leaves a connection that can be used again.
const LINGER: Duration = Duration::from_secs(1);

/// A committed stream.
#[derive(Debug)]
pub struct RelayBody {
    upstream: Option<AnswerBody>,
    relay: Relay,
    timer: Pin<Box<Sleep>>,
    last_chunk: Instant,
    idle: Duration,
    deadline: Instant,
    /// Who answered, for the words of an in-stream error.
    served_by: String,
    prompt_tokens: u64,
    flight: Option<Box<Flight>>,
}

/// What a stream may take.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Silence.
    pub idle: Duration,
    /// The end of it all.
    pub deadline: Instant,
}

impl RelayBody {
    /// Goes on with a stream whose first content has come.
    pub fn new(
        upstream: AnswerBody,
        relay: Relay,
        limits: StreamLimits,
        served_by: String,
        prompt_tokens: u64,
        flight: Box<Flight>,
    ) -> Self {
        let now = Instant::now();
        let StreamLimits { idle, deadline } = limits;
        let mut body = Self {
            upstream: Some(upstream),
            relay,
            timer: Box::pin(tokio::time::sleep_until(deadline.min(now + idle))),
            last_chunk: now,
            idle,
            deadline,
            served_by,
            prompt_tokens,
            flight: Some(flight),
        };
        if body.relay.ended() {
            body.complete();
        }
        body
    }

    /// The answer is whole.
    fn complete(&mut self) {
        self.settle(FlightEnd::Success);
        self.deadline = self.deadline.min(Instant::now() + LINGER);
        self.timer.as_mut().reset(self.deadline);
    }

    /// The answer broke in the middle. `quotes`: the words may quote it.
    fn broken(&mut self, why: &str, quotes: bool) {
        self.upstream = None;
        // Without one it was whole already; what comes afterwards is nobody's loss.
        let Some(flight) = &self.flight else { return };
        let words = flight.request().words(why, quotes);
        tracing::warn!(
            target: "pointsman::upstream",
            endpoint = %self.served_by, why = clip(&words, 300),
            "a stream broke after content had been sent"
        );
        self.settle(FlightEnd::Failure { kind: FailureKind::BrokenStream, retry_at: None });
        self.relay.fail(&ErrorBody {
            status: 502,
            kind: ErrorKind::BadGateway,
            message: format!("the stream from {} broke: {why}", self.served_by),
            code: Some("broken_stream"),
            param: None,
        });
    }

    fn settle(&mut self, end: FlightEnd) {
        if let Some(flight) = self.accounted() {
            flight.end(end);
        }
    }

    /// The account, with what is known of the answer by now.
    fn accounted(&mut self) -> Option<Box<Flight>> {
        let mut flight = self.flight.take()?;
        let seen = self.relay.seen();
        let (usage, estimated) = settled_usage(seen, self.prompt_tokens);
        flight.used(usage, estimated, seen.pieces);
        flight.answer_is(self.relay.model(), seen.finish.as_ref().map(Finish::as_str));
        Some(flight)
    }

    /// Whether the time is up; arms the timer for the next moment at which it could be.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let until = self.deadline.min(self.last_chunk + self.idle);
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
    }
}

/// Tokens as reported; where nothing was, the prompt's estimate and one token a piece.
/// The flag says which.
pub fn settled_usage(seen: &Seen, prompt_tokens: u64) -> (TokenUsage, bool) {
    let reported = seen.usage;
    // Before its end an answer has reported its output in part at best.
    let whole = seen.finish.is_some() || seen.pieces == 0;
    if reported.input > 0 && (whole && (reported.output > 0 || seen.pieces == 0)) {
        return (reported, false);
    }
    let estimate = TokenUsage { input: prompt_tokens, output: seen.pieces, ..TokenUsage::default() };
    (reported.max_of(&TokenUsage { input: if reported.input > 0 { 0 } else { estimate.input }, ..estimate }), true)
}

/// The output tokens of a whole answer that reports none: from its bytes.
pub fn estimated_output(body: &[u8]) -> u64 {
    estimate_tokens(body.len())
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.relay.take_out() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(upstream) = &mut this.upstream else {
                return Poll::Ready(None);
            };
            match Pin::new(upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    this.last_chunk = Instant::now();
                    if this.last_chunk >= this.deadline {
                        // Whoever never pauses never lets the timer run.
                        this.broken("it took too long", false);
                        continue;
                    }
                    match this.relay.push(chunk) {
                        Ok(()) if this.relay.ended() && this.flight.is_some() => this.complete(),
                        Ok(()) => {
                            if let Some(flight) = &mut this.flight {
                                flight.progress(this.relay.seen().pieces, this.last_chunk);
                            }
                        }
                        Err(failure) => {
                            this.broken(&public_reason(&failure), !matches!(failure, StreamFailure::Broken(_)))
                        }
                    }
                }
                Poll::Ready(Some(Err(_))) => this.broken("the connection was lost", false),
                Poll::Ready(None) => {
                    match this.relay.eof() {
                        Ok(()) => this.settle(FlightEnd::Success),
                        Err(failure) => {
                            this.broken(&public_reason(&failure), !matches!(failure, StreamFailure::Broken(_)))
                        }
                    }
                    this.upstream = None;
                }
                Poll::Pending => {
                    std::task::ready!(this.poll_expired(cx));
                    this.broken("it took too long", false);
                }
            }
        }
    }
}

impl Drop for RelayBody {
    fn drop(&mut self) {
        // Dropped without a word, it ends as one whose caller has left.
        drop(self.accounted());
    }
}

/// What a caller may read of a failure: the class and the code, not the provider's words,
/// which can name our account.
fn public_reason(failure: &StreamFailure) -> String {
    match failure {
        StreamFailure::Malformed(why) | StreamFailure::Broken(why) => why.clone(),
        StreamFailure::Provider(error) => match &error.code {
            Some(code) => format!("the provider reported {code}"),
            None => "the provider reported an error".into(),
        },
    }
}

/// An answer that passes through without being understood: audio, images, lists.
#[derive(Debug)]
pub struct OpaqueBody {
    upstream: Option<AnswerBody>,
    timer: Pin<Box<Sleep>>,
    limits: StreamLimits,
    last_chunk: Instant,
    flight: Option<Box<Flight>>,
}

/// The provider's connection broke, so ours has to break too: there is no other way to
/// tell a client that bytes are missing.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub struct BrokenOff;

impl OpaqueBody {
    /// Passes a body on.
    pub fn new(upstream: AnswerBody, limits: StreamLimits, flight: Box<Flight>) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(limits.deadline.min(now + limits.idle)));
        Self { upstream: Some(upstream), timer, limits, last_chunk: now, flight: Some(flight) }
    }

    fn end(&mut self, end: FlightEnd) {
        self.upstream = None;
        if let Some(flight) = self.flight.take() {
            flight.end(end);
        }
    }
}

impl Body for OpaqueBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        let broken = FlightEnd::Failure { kind: FailureKind::BrokenStream, retry_at: None };
        let Some(upstream) = &mut this.upstream else {
            return Poll::Ready(None);
        };
        match Pin::new(upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.last_chunk = Instant::now();
                if this.last_chunk >= this.limits.deadline {
                    this.end(broken);
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                this.end(broken);
                Poll::Ready(Some(Err(BrokenOff)))
            }
            Poll::Ready(None) => {
                this.end(FlightEnd::Success);
                Poll::Ready(None)
            }
            Poll::Pending => loop {
                std::task::ready!(this.timer.as_mut().poll(cx));
                let until = this.limits.deadline.min(this.last_chunk + this.limits.idle);
                if Instant::now() >= until {
                    this.end(broken);
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
                this.timer.as_mut().reset(until);
            },
        }
    }
}
