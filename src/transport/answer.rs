//! The body of a provider's answer, whichever version of HTTP brings it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{http1, http2};

/// It comes as it is asked for; dropped before its end, it ends the exchange.
#[derive(Debug)]
pub struct AnswerBody(Version);

#[derive(Debug)]
enum Version {
    One(http1::AnswerBody),
    Two(http2::AnswerBody),
}

/// The answer is not whole.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    /// It came by HTTP/1.1.
    #[error(transparent)]
    One(#[from] http1::BrokenOff),
    /// It came by HTTP/2.
    #[error(transparent)]
    Two(#[from] hyper::Error),
}

impl From<http1::AnswerBody> for AnswerBody {
    fn from(body: http1::AnswerBody) -> Self {
        Self(Version::One(body))
    }
}

impl From<http2::AnswerBody> for AnswerBody {
    fn from(body: http2::AnswerBody) -> Self {
        Self(Version::Two(body))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.0 {
            Version::One(body) => Pin::new(body).poll_frame(cx).map_err(BrokenOff::One),
            Version::Two(body) => Pin::new(body).poll_frame(cx).map_err(BrokenOff::Two),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Version::One(body) => body.is_end_stream(),
            Version::Two(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Version::One(body) => body.size_hint(),
            Version::Two(body) => body.size_hint(),
        }
    }
}
