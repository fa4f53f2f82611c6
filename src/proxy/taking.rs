//! A request's body on its way in: within its time, never silent for long, and within the room
//! that all bodies have together.
//!
//! Small bodies need no room of that kind, so that a flood of large ones leaves the way free
//! for what most requests are.

use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// So much of each body is free.
pub(super) const FREE: usize = 32 * 1024;

/// The room that bodies have together.
#[derive(Debug, Default)]
pub struct Room {
    taken: AtomicUsize,
}

/// Room that a body has; dropping it gives it back.
#[derive(Debug)]
pub struct Space<'a> {
    room: &'a Room,
    bytes: usize,
    taken: usize,
}

impl Room {
    /// Bytes of bodies that are held now, their free parts apart.
    pub fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// None yet.
    pub(super) fn space(&self) -> Space<'_> {
        Space { room: self, bytes: 0, taken: 0 }
    }
}

impl Space<'_> {
    /// Whether there is room for more of the body, where all may take `most`.
    fn more(&mut self, bytes: usize, most: usize) -> bool {
        self.bytes += bytes;
        let more = self.bytes.saturating_sub(FREE) - self.taken;
        if more == 0 {
            return true;
        }
        let fits = self.room.taken.fetch_add(more, Relaxed).saturating_add(more) <= most;
        self.taken += more;
        fits
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.room.taken.fetch_sub(self.taken, Relaxed);
        }
    }
}

/// What a body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From its first to its last byte.
    pub(super) time: Duration,
    /// Without a byte.
    pub(super) idle: Duration,
    /// Bytes of all bodies together.
    pub(super) room: usize,
}

/// Why it is not read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("it broke off")]
    Broken,
    #[error("it came too slowly")]
    Slow,
    #[error("there is no room for it")]
    NoRoom,
}

/// The body.
#[derive(Debug)]
pub(super) struct Taking<'s, 'r, B> {
    body: B,
    limits: Limits,
    space: &'s mut Space<'r>,
    /// Runs from the first time that it is waited for, which most bodies never are.
    timer: Option<Timer>,
    /// Set with the error.
    pub(super) stopped: Option<Stopped>,
}

#[derive(Debug)]
struct Timer {
    sleep: Pin<Box<Sleep>>,
    end: Instant,
}

impl<'s, 'r, B> Taking<'s, 'r, B> {
    pub(super) fn new(body: B, limits: Limits, space: &'s mut Space<'r>) -> Self {
        Self { body, limits, space, timer: None, stopped: None }
    }

    fn stop(&mut self, why: Stopped) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        self.stopped = Some(why);
        Poll::Ready(Some(Err(why)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Taking<'_, '_, B> {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let this = &mut *self;
        let Limits { time, idle, room } = this.limits;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(Timer { sleep, end }) = &mut this.timer {
                    let now = Instant::now();
                    if now >= *end {
                        return this.stop(Stopped::Slow);
                    }
                    sleep.as_mut().reset((now + idle).min(*end));
                }
                if frame.data_ref().is_some_and(|data| !this.space.more(data.len(), room)) {
                    return this.stop(Stopped::NoRoom);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => this.stop(Stopped::Broken),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| {
                    let now = Instant::now();
                    let end = now + time;
                    Timer { sleep: Box::pin(tokio::time::sleep_until((now + idle).min(end))), end }
                });
                ready!(timer.sleep.as_mut().poll(cx));
                this.stop(Stopped::Slow)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::StreamExt;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    const LIMITS: Limits = Limits { time: Duration::from_secs(60), idle: Duration::from_secs(10), room: usize::MAX };

    /// How a body ends of which a byte comes after each of these times, and when.
    async fn taken(pauses: &[u64], limits: Limits) -> (Option<Stopped>, u64) {
        let pieces = futures_util::stream::iter(pauses.to_vec()).then(async |pause| {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
        });
        let (room, begun) = (Room::default(), Instant::now());
        let mut space = room.space();
        let whole = Taking::new(StreamBody::new(Box::pin(pieces)), limits, &mut space).collect().await;
        (whole.err(), begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_silent_and_not_for_ever() {
        assert_eq!(taken(&[9; 6], LIMITS).await, (None, 54));
        assert_eq!(taken(&[5, 11, 1], LIMITS).await, (Some(Stopped::Slow), 15));
        assert_eq!(taken(&[9; 100], LIMITS).await, (Some(Stopped::Slow), 60), "however busy it is");
    }

    #[test]
    fn bodies_share_room_but_for_their_first_bytes() {
        let room = Room::default();
        let (mut one, mut other, mut small) = (room.space(), room.space(), room.space());
        assert!(one.more(FREE, 100) && one.more(60, 100) && room.taken() == 60);
        assert!(!other.more(FREE + 41, 100));
        assert!(small.more(FREE, 100), "what most requests are still finds room");
        drop(other);
        assert!(one.more(40, 100) && !one.more(1, 100));
        drop(one);
        assert_eq!(room.taken(), 0);
    }

    #[tokio::test]
    async fn a_body_without_room_is_told_apart_from_one_that_broke() {
        let room = Room::default();
        let mut space = room.space();
        let limits = Limits { room: 10, ..LIMITS };
        let body = Full::new(Bytes::from(vec![0; FREE + 11]));
        assert_eq!(Taking::new(body, limits, &mut space).collect().await.unwrap_err(), Stopped::NoRoom);
    }
}
