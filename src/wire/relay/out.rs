//! What waits for the client: handed on as it came, where one frame is all of it.

use bytes::{BufMut, Bytes, BytesMut};

/// What waits for the client. A single frame, as most come, is handed on without a copy.
#[derive(Debug, Default)]
pub(super) struct Out {
    only: Bytes,
    /// Where there is more than one piece: all of them.
    joined: BytesMut,
}

impl Out {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.only.len() + self.joined.len()
    }

    /// A whole frame.
    pub(super) fn frame(&mut self, frame: &Bytes) {
        if self.len() == 0 {
            self.only = frame.clone();
        } else {
            self.put(frame);
        }
    }

    /// Some bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if !self.only.is_empty() {
            self.joined.put_slice(&std::mem::take(&mut self.only));
        }
        self.joined.put_slice(bytes);
    }

    /// All of it.
    pub(super) fn take(&mut self) -> Bytes {
        if self.joined.is_empty() { std::mem::take(&mut self.only) } else { self.joined.split().freeze() }
    }
}
