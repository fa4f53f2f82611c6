//! The body of a request, in pieces that are sent one after the other: what changes in a long
//! one stands between slices of what the client sent, and nothing is copied.

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

/// As many pieces there may be; what is changed stands between two.
pub const PIECES: usize = 3;

/// What is sent. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload([Bytes; PIECES]);

impl Payload {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// In one piece; copied where it is in several.
    pub fn joined(&self) -> Bytes {
        match self.0.iter().filter(|piece| !piece.is_empty()).count() {
            0 | 1 => self.0.iter().find(|piece| !piece.is_empty()).cloned().unwrap_or_default(),
            _ => self.0.concat().into(),
        }
    }

    /// What is left of it, as slices; empty ones stand for nothing.
    pub(super) fn slices(&self) -> [IoSlice<'_>; PIECES] {
        self.0.each_ref().map(|piece| IoSlice::new(piece))
    }

    /// So many bytes were sent.
    pub(super) fn advance(&mut self, mut sent: usize) {
        for piece in &mut self.0 {
            let here = sent.min(piece.len());
            piece.advance(here);
            sent -= here;
        }
    }
}

impl From<Bytes> for Payload {
    fn from(whole: Bytes) -> Self {
        Self([whole, Bytes::new(), Bytes::new()])
    }
}

impl From<[Bytes; PIECES]> for Payload {
    fn from(pieces: [Bytes; PIECES]) -> Self {
        Self(pieces)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_gone_from_whichever_piece_it_was_in() {
        let whole = || Payload::from(["ab", "", "cde"].map(|piece| Bytes::copy_from_slice(piece.as_bytes())));
        for sent in 0..=5 {
            let mut payload = whole();
            payload.advance(sent);
            assert_eq!(payload.joined(), b"abcde"[sent..], "{sent}");
            assert_eq!((payload.len(), payload.is_empty()), (5 - sent, sent == 5));
        }
    }

    #[test]
    fn a_single_piece_is_not_copied() {
        let piece = Bytes::from_static(b"abc");
        assert_eq!(Payload::from(piece.clone()).joined().as_ptr(), piece.as_ptr());
    }
}
