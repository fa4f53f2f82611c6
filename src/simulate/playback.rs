//! How does an answer travel? As a script of frames, each written to the socket on its own and
//! at its time, with whatever end the fault of the call demands.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame as BodyFrame, SizeHint};
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep_until};

use super::behaviour::Spread;
use super::servers::Busy;
use super::stats::Flight;

/// One write.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub bytes: Bytes,
    pub beat: Beat,
}

/// When a frame goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beat {
    /// At once: before the first token.
    Head,
    /// When the next token is due.
    Token,
    /// At once: what belongs to tokens already sent, or follows the last one.
    Follow,
}

/// How events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// Server-sent events.
    Sse,
    /// Gemini's other form: one JSON array, element by element.
    Array,
}

/// The frames of a streamed answer, in order.
#[derive(Debug)]
pub(super) struct Script {
    pub frames: Vec<Frame>,
    framing: Framing,
    buffer: BytesMut,
}

impl Script {
    pub fn new(framing: Framing) -> Self {
        Self { frames: Vec::new(), framing, buffer: BytesMut::new() }
    }

    /// Adds an event.
    pub fn event(&mut self, beat: Beat, name: Option<&str>, data: &Value) {
        match self.framing {
            Framing::Sse => {
                if let Some(name) = name {
                    self.buffer.put_slice(b"event: ");
                    self.buffer.put_slice(name.as_bytes());
                    self.buffer.put_slice(b"\n");
                }
                self.buffer.put_slice(b"data: ");
            }
            Framing::Array => self.buffer.put_slice(if self.frames.is_empty() { b"[" } else { b",\r\n" }),
        }
        self.buffer.put_slice(data.to_string().as_bytes());
        if self.framing == Framing::Sse {
            self.buffer.put_slice(b"\n\n");
        }
        self.take(beat);
    }

    /// Adds bytes as they are.
    pub fn raw(&mut self, beat: Beat, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
        self.take(beat);
    }

    fn take(&mut self, beat: Beat) {
        let bytes = self.buffer.split().freeze();
        self.frames.push(Frame { bytes, beat });
    }

    /// Keeps the head and this many tokens with what follows each, and returns the first frame left out.
    pub fn keep_tokens(&mut self, count: usize) -> Option<Frame> {
        let mut seen = 0;
        let end = self.frames.iter().position(|frame| {
            seen += usize::from(frame.beat == Beat::Token);
            // The closing frames after the last token are left out even if there were too few tokens.
            seen > count
        });
        let end = end.unwrap_or_else(|| self.after_last_token());
        let left_out = self.frames.get(end).cloned();
        self.frames.truncate(end);
        left_out
    }

    /// The position behind the last token.
    pub fn after_last_token(&self) -> usize {
        self.frames.iter().rposition(|frame| frame.beat == Beat::Token).map_or(self.frames.len(), |at| at + 1)
    }

    /// Keeps only the frames before the first token.
    pub fn keep_head(&mut self) {
        let head = self.frames.iter().position(|frame| frame.beat != Beat::Head).unwrap_or(self.frames.len());
        self.frames.truncate(head);
    }
}

/// What follows the last frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The proper end of the body.
    Proper,
    /// The connection closes without it.
    Cut,
    /// Nothing, ever.
    Silence,
    /// The frames from this one on, again and again.
    Repeat(usize),
}

/// The pace of one answer.
pub(super) struct Pace {
    /// From now to the first token.
    pub first: Duration,
    /// Between tokens, in milliseconds.
    pub token: Spread,
    /// For the draws of a spread that is not fixed.
    pub rng: StdRng,
}

/// The body of any response of the simulator.
pub(super) enum Reply {
    /// All at once.
    Whole(Option<Bytes>),
    /// Frame by frame.
    Play(Box<Playback>),
}

/// An answer on its way.
pub(super) struct Playback {
    frames: Arc<[Frame]>,
    next: usize,
    end: End,
    pace: Pace,
    due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The frame before must reach the socket before the next is handed over.
    flush: bool,
    flight: Flight,
    _busy: Option<Busy>,
}

impl Reply {
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    pub fn play(frames: Arc<[Frame]>, end: End, pace: Pace, flight: Flight, busy: Option<Busy>) -> Self {
        let playback =
            Playback { frames, next: 0, end, pace, due: None, timer: None, flush: false, flight, _busy: busy };
        Self::Play(Box::new(playback))
    }
}

/// The simulated provider breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the simulated provider cuts the answer here")]
pub(super) struct CutHere;

impl Playback {
    /// Ready when the frame at `next` may go.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = match self.due {
            Some(due) => due,
            None => {
                // The first frame of a kind sets the time; pace is kept against that clock, not against
                // the last write, so that many short waits add up to the right length.
                let due = Instant::now() + self.pace.first;
                self.due = Some(due);
                due
            }
        };
        if self.timer.is_none() && due <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timer = None;
        Poll::Ready(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, CutHere>>> {
        if self.flush {
            // Pending once makes the connection write out what it has before it asks again.
            self.flush = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(frame) = self.frames.get(self.next) else {
            return match self.end {
                End::Repeat(from) if from < self.frames.len() => {
                    self.next = from;
                    self.poll(cx)
                }
                End::Proper | End::Repeat(_) => {
                    self.flight.done();
                    Poll::Ready(None)
                }
                End::Cut => {
                    self.flight.done();
                    Poll::Ready(Some(Err(CutHere)))
                }
                End::Silence => Poll::Pending,
            };
        };
        let bytes = frame.bytes.clone();
        if self.due.is_none() && self.pace.first.is_zero() && self.pace.token == Spread::Fixed(0.0) {
            self.flight.tokens(u64::from(frame.beat == Beat::Token));
        } else if frame.beat == Beat::Token {
            std::task::ready!(self.poll_due(cx));
            self.flight.tokens(1);
            let gap = self.pace.token.draw_ms(&mut self.pace.rng);
            self.due = self.due.map(|due| due + gap);
        } else if self.due.is_none() {
            // The clock for the first token starts when the head goes out.
            self.due = Some(Instant::now() + self.pace.first);
        }
        self.next += 1;
        self.flush = true;
        Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = CutHere;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(BodyFrame::data(bytes)))),
            Self::Play(playback) => playback.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Play(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Play(_) => SizeHint::default(),
        }
    }
}
