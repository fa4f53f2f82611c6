//! A whole body, no longer than it may be.
//!
//! Bytes are gathered into one buffer as they come. Keeping the chunks and joining them at
//! the end, as body libraries do, would let a sender of one-byte chunks make us hold
//! thirty times what it sent.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// Bytes that are made room for because they were announced; beyond that, as many as have come.
const AHEAD: usize = 4 << 20;

/// Why a body could not be read whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CollectError {
    /// It is longer than the limit.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// It broke off.
    #[error("it broke off")]
    Broken,
}

/// Reads a body to its end. One that comes in a single piece is not copied.
///
/// # Errors
/// If it is longer than `limit` bytes, or breaks off.
pub async fn collect(mut body: impl Body<Data = Bytes> + Unpin, limit: usize) -> Result<Bytes, CollectError> {
    let mut only: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are of no use to anyone here.
        let Ok(chunk) = frame.map_err(|_| CollectError::Broken)?.into_data() else { continue };
        if whole.len() + only.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
            return Err(CollectError::TooLong { limit });
        }
        match (only.take(), whole.is_empty()) {
            (None, true) => only = Some(chunk),
            (first, _) => {
                let first = first.unwrap_or_default();
                // What is announced for the rest saves growing step by step.
                let rest = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit);
                // But nobody gets memory for announcing much.
                let rest = rest.min(whole.len().max(AHEAD));
                whole.reserve(first.len() + chunk.len() + rest);
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(only.unwrap_or_else(|| whole.freeze()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    async fn collected(chunks: &[&'static str], limit: usize) -> Result<Bytes, CollectError> {
        let frames = chunks.iter().map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from_static(chunk.as_bytes()))));
        collect(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())), limit).await
    }

    #[tokio::test]
    async fn pieces_are_joined_and_a_single_one_is_not_copied() {
        assert_eq!(collected(&[], 0).await.unwrap(), "");
        assert_eq!(collected(&["ab", "", "c", "d"], 4).await.unwrap(), "abcd");
        let one = Bytes::from_static(b"abc");
        let body = http_body_util::Full::new(one.clone());
        assert_eq!(collect(body, 3).await.unwrap().as_ptr(), one.as_ptr());
    }

    #[tokio::test]
    async fn the_limit_holds_over_all_pieces() {
        assert_eq!(collected(&["abc"], 2).await, Err(CollectError::TooLong { limit: 2 }));
        assert_eq!(collected(&["a", "b", "c"], 2).await, Err(CollectError::TooLong { limit: 2 }));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"a"))), Err("gone")];
        assert_eq!(collect(StreamBody::new(stream::iter(frames)), 9).await, Err(CollectError::Broken));
    }
}
