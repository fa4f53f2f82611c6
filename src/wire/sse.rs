//! Server-sent events: where one ends, and what it says.
//!
//! [`Framer`] cuts a byte stream into whole events as they come, without copying where an
//! event arrives in one piece; [`parse`] reads one. Both follow the WHATWG specification
//! ("9.2.6 Interpreting an event stream"): lines end with LF, CR or CRLF, a blank line
//! ends an event, lines that begin with a colon are comments.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// An event is longer than the framer's limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a stream event is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

/// Cuts a byte stream into events; holds at most one unfinished event of limited length.
#[derive(Debug)]
pub struct Framer {
    /// What was pushed and not yet looked at.
    chunk: Bytes,
    /// The beginning of an event whose end has not come.
    partial: BytesMut,
    /// The current line has bytes in it.
    line_has_bytes: bool,
    /// The last byte looked at was a CR, so an LF that follows belongs to it.
    after_cr: bool,
    limit: usize,
}

impl Framer {
    /// A framer that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { chunk: Bytes::new(), partial: BytesMut::new(), line_has_bytes: false, after_cr: false, limit }
    }

    /// Adds bytes. Take every event out with [`next_frame`](Self::next_frame) before the
    /// next push; what is left then is the beginning of an event.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "events are taken out before more is pushed");
        self.chunk = chunk;
    }

    /// The next whole event with the blank line that ends it, as it came.
    ///
    /// # Errors
    /// If an event grows beyond the limit; the stream cannot be followed further.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, TooLong> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(None);
        }
        let end = self.scan(&chunk);
        if self.partial.len() + end.unwrap_or(chunk.len()) > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.partial.extend_from_slice(&chunk);
            return Ok(None);
        };
        let mut chunk = chunk;
        let head = chunk.split_to(end);
        self.chunk = chunk;
        if self.partial.is_empty() {
            return Ok(Some(head));
        }
        self.partial.extend_from_slice(&head);
        Ok(Some(self.partial.split().freeze()))
    }

    /// What has come of an event whose end never did. Some servers leave out the last
    /// blank line; most often this is a broken stream.
    pub fn take_rest(&mut self) -> Bytes {
        self.line_has_bytes = false;
        self.after_cr = false;
        self.partial.split().freeze()
    }

    /// Position after the blank line that ends the current event, if it is in `bytes`.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut pos = 0;
        if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
            pos = 1;
        }
        while let Some(offset) = memchr2(b'\n', b'\r', &bytes[pos..]) {
            let blank = offset == 0 && !self.line_has_bytes;
            self.line_has_bytes = false;
            let at = pos + offset;
            pos = at + 1;
            if bytes[at] == b'\r' {
                match bytes.get(pos) {
                    Some(b'\n') => pos += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Some(pos);
            }
        }
        self.line_has_bytes |= pos < bytes.len();
        None
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SseEvent<'a> {
    /// The `event` field; empty where there is none.
    pub name: Cow<'a, str>,
    /// The `data` lines joined by LF; `None` for comments and other events without data.
    pub data: Option<Cow<'a, [u8]>>,
}

impl SseEvent<'_> {
    /// The data; empty where there is none.
    pub fn data(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }
}

/// Reads one event as [`Framer`] cuts them. Never fails: what is not a field is ignored,
/// as the specification says.
pub fn parse(frame: &[u8]) -> SseEvent<'_> {
    let mut event = SseEvent::default();
    // The rest of the blank line before it, where the bytes were cut within that.
    let frame = frame.strip_prefix(b"\n").unwrap_or(frame);
    let frame = frame.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(frame);
    for line in frame.split(|b| *b == b'\n' || *b == b'\r') {
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut event.data {
                None => event.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    let data = data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            b"event" => event.name = String::from_utf8_lossy(value),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut framer = Framer::new(1 << 20);
        let mut out = Vec::new();
        for chunk in chunks {
            framer.push(Bytes::copy_from_slice(chunk));
            while let Some(frame) = framer.next_frame().unwrap() {
                out.push(frame.to_vec());
            }
        }
        out.push(framer.take_rest().to_vec());
        out
    }

    /// What a reader sees: events that have data, and their names.
    fn seen(frames: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
        frames
            .iter()
            .map(|frame| parse(frame))
            .filter(|event| event.data.is_some())
            .map(|event| (event.name.to_string(), event.data().to_vec()))
            .collect()
    }

    #[test]
    fn an_event_ends_with_a_blank_line_of_any_kind() {
        for blank in ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n"] {
            let text = format!("event: ping{}data: x{blank}data: y", &blank[..blank.len() / 2]);
            let got = seen(&frames(&[text.as_bytes()]));
            assert_eq!(got[0].1, b"x", "{blank:?}");
            assert_eq!(got.len(), 2, "{blank:?}");
        }
    }

    #[test]
    fn a_frame_in_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let mut framer = Framer::new(100);
        framer.push(chunk.clone());
        let first = framer.next_frame().unwrap().unwrap();
        assert_eq!(first.as_ptr(), chunk.as_ptr());
        assert_eq!(framer.next_frame().unwrap().unwrap(), "data: 2\n\n");
        assert_eq!(framer.next_frame().unwrap(), None);
    }

    #[test]
    fn data_lines_are_joined_and_one_space_is_stripped() {
        let event = parse(b": hello\nevent: a\ndata:  x\ndata:y\nid: 7\ndata\n\n");
        assert_eq!(event.name, "a");
        assert_eq!(event.data(), b" x\ny\n");
        assert_eq!(parse(b": only a comment\n\n").data, None);
    }

    #[test]
    fn an_endless_event_is_refused_at_the_limit() {
        let mut framer = Framer::new(10);
        framer.push(Bytes::from_static(b"data: 12345"));
        assert_eq!(framer.next_frame(), Err(TooLong { limit: 10 }));
        let mut framer = Framer::new(10);
        for _ in 0..2 {
            framer.push(Bytes::from_static(b"data:"));
            assert_eq!(framer.next_frame(), Ok(None));
        }
        framer.push(Bytes::from_static(b"x"));
        assert!(framer.next_frame().is_err());
    }

    #[test]
    fn a_mark_of_the_byte_order_is_none_of_a_field_wherever_the_bytes_were_cut() {
        let bytes = b"data: a\r\r\n\xEF\xBB\xBFdata: b\n\n";
        let whole = seen(&frames(&[bytes]));
        assert_eq!(whole.len(), 2);
        for at in 0..bytes.len() {
            assert_eq!(seen(&frames(&[&bytes[..at], &bytes[at..]])), whole, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(
            lines in prop::collection::vec("(data: ?[a-z:]{0,6}|event: ?[a-z]{0,3}|:[a-z]{0,3}|)", 0..24),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 24),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), *end]).collect();
            let bytes = text.as_bytes();
            let whole = seen(&frames(&[bytes]));
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(seen(&frames(&pieces)), whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(seen(&frames(&single)), seen(&frames(&[bytes])));
        }

        #[test]
        fn nothing_is_lost_or_added(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(frames(&pieces).concat(), bytes);
        }
    }
}
