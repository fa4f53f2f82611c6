//! Where does the body of an answer end, and which bytes of the connection are the body's?

use bytes::{Buf, Bytes, BytesMut};

use super::head::Malformed;

/// What may be written around chunks: extensions, and fields after the last one, in bytes.
const MAX_AROUND: usize = 16 * 1024;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes, of those that are still to come.
    Sized(u64),
    /// In chunks.
    Chunked(Chunks),
    /// To the end of the connection.
    UntilClose,
}

/// What was found in the bytes that have come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Some of the body.
    Data(Bytes),
    /// Nothing before more has come.
    More,
    /// The body is whole.
    End,
}

impl Framing {
    /// Whether nothing more belongs to the body.
    pub fn ended(&self) -> bool {
        matches!(self, Self::Sized(0) | Self::Chunked(Chunks { at: At::End, .. }))
    }

    /// How many bytes are to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Sized(left) => Some(*left),
            Self::Chunked(_) if self.ended() => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next bytes of the body out of the buffer.
    ///
    /// # Errors
    /// If it is not written as it should be.
    pub fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        match self {
            Self::Sized(0) => Ok(Step::End),
            Self::Sized(_) | Self::UntilClose if buffer.is_empty() => Ok(Step::More),
            Self::UntilClose => Ok(Step::Data(buffer.split().freeze())),
            Self::Sized(left) => Ok(Step::Data(up_to(buffer, left))),
            Self::Chunked(chunks) => chunks.step(buffer),
        }
    }
}

/// The next bytes, no more than `left`, which becomes less by as many.
fn up_to(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    // A number of bytes that are in memory fits both types.
    let taken = (*left).min(buffer.len() as u64);
    *left -= taken;
    if taken == buffer.len() as u64 { buffer.split().freeze() } else { buffer.split_to(taken as usize).freeze() }
}

/// A chunked body (RFC 9112, section 7.1) on its way in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chunks {
    at: At,
    around: usize,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// Digits of a chunk's size, of which there were so many.
    Size {
        size: u64,
        digits: u8,
    },
    /// Space behind the size.
    Space {
        size: u64,
    },
    /// What follows the size on its line.
    Extension {
        size: u64,
    },
    /// The end of that line.
    SizeEnd {
        size: u64,
    },
    /// The chunk itself.
    Data {
        left: u64,
    },
    /// The line's end that follows it: its first byte, its second.
    DataCr,
    DataLf,
    /// The beginning of a line after the last chunk.
    Trailer,
    /// Within such a line.
    TrailerLine,
    /// Its end.
    TrailerLineEnd,
    /// The end of the blank line that ends it all.
    TrailerEnd,
    /// Nothing.
    End,
    /// Nobody knows.
    Lost,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            if let At::Data { left } = &mut self.at {
                if buffer.is_empty() {
                    return Ok(Step::More);
                }
                let data = up_to(buffer, left);
                if *left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Step::Data(data));
            }
            if self.at == At::End {
                return Ok(Step::End);
            }
            if !self.skip(buffer)? {
                return Ok(Step::More);
            }
        }
    }

    /// Takes what stands between chunks out of the buffer, up to the next one or the end.
    /// Returns whether that has been reached.
    ///
    /// # Errors
    /// If it is not written as it should be; nothing can be read from then on.
    pub fn skip(&mut self, buffer: &mut BytesMut) -> Result<bool, Malformed> {
        let there = |at: At| matches!(at, At::Data { .. } | At::End);
        let mut used = 0;
        for byte in buffer.iter() {
            if there(self.at) {
                break;
            }
            used += 1;
            match self.after(*byte) {
                Ok(at) => self.at = at,
                Err(error) => {
                    self.at = At::Lost;
                    return Err(error);
                }
            }
        }
        buffer.advance(used);
        Ok(there(self.at))
    }

    fn after(&mut self, byte: u8) -> Result<At, Malformed> {
        Ok(match (self.at, byte) {
            (At::Size { size, digits }, byte) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                At::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::Size { size, digits: 1.. } | At::Space { size } | At::Extension { size }, b'\r') => {
                At::SizeEnd { size }
            }
            (At::Size { size, digits: 1.. } | At::Space { size }, b';') => At::Extension { size },
            // Nothing but an extension stands behind it: more digits would be another size.
            (At::Size { size, digits: 1.. } | At::Space { size }, b' ' | b'\t') => {
                self.around()?;
                At::Space { size }
            }
            (At::Extension { size }, byte) if byte != b'\n' => {
                self.around()?;
                At::Extension { size }
            }
            (At::SizeEnd { size: 0 }, b'\n') => At::Trailer,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::default(),
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerLine, b'\r') => At::TrailerLineEnd,
            (At::TrailerLineEnd, b'\n') => At::Trailer,
            // Some read on over a line's end that is half of one.
            (At::Trailer | At::TrailerLine, byte) if byte != b'\n' => {
                self.around()?;
                At::TrailerLine
            }
            (At::TrailerEnd, b'\n') => At::End,
            _ => return Err(Malformed::Chunk),
        })
    }

    fn around(&mut self) -> Result<(), Malformed> {
        self.around += 1;
        if self.around > MAX_AROUND { Err(Malformed::Chunk) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body, if it came whole, and what was left over.
    fn read(mut framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Step::Data(data) = framing.step(&mut buffer)? {
                body.extend_from_slice(&data);
            }
        }
        Ok((body, framing.ended(), buffer.to_vec()))
    }

    fn chunked(text: &str) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        read(Framing::Chunked(Chunks::default()), &[text.as_bytes()])
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        assert_eq!(read(Framing::Sized(3), &[b"ab", b"cd"]).unwrap(), (b"abc".to_vec(), true, b"d".to_vec()));
        assert_eq!(read(Framing::UntilClose, &[b"ab", b"cd"]).unwrap(), (b"abcd".to_vec(), false, vec![]));
        let text = "2\r\nab\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
        assert_eq!(chunked(text).unwrap(), (b"ab0123456789".to_vec(), true, b"next".to_vec()));
    }

    #[test]
    fn chunks_that_can_be_read_in_two_ways_are_refused() {
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            " 1\r\na",
            "1\na",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\r\na",
            "1 \n",
            "0\r\n\rx",
            "11111111111111111\r\n",
            "2;x\nab\r\n",
            "1 5\r\na\r\n0\r\n\r\n",
            "1\t5\r\na\r\n0\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\n\nX: y\r\n\r\n",
            "0\r\nX: y\rz\r\n\r\n",
        ] {
            assert_eq!(chunked(bad).unwrap_err(), Malformed::Chunk, "{bad:?}");
        }
        assert_eq!(chunked("1 \t ;x\r\na\r\n0 \r\n\r\n").unwrap(), (b"a".to_vec(), true, vec![]));
        assert!(!chunked("0\r\n").unwrap().1 && !chunked("0\r\nX: y\r\n").unwrap().1);
    }

    #[test]
    fn what_stands_around_chunks_is_bounded() {
        let long = "x".repeat(MAX_AROUND + 1);
        assert_eq!(chunked(&format!("1;{long}")).unwrap_err(), Malformed::Chunk);
        assert_eq!(chunked(&format!("0\r\n{long}")).unwrap_err(), Malformed::Chunk);
        assert_eq!(chunked(&"1;xyz\r\na\r\n".repeat(MAX_AROUND)).unwrap_err(), Malformed::Chunk);
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_body(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\nrest");
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let whole = (chunks.concat(), true, b"rest".to_vec());
            prop_assert_eq!(read(Framing::Chunked(Chunks::default()), &pieces).unwrap(), whole);
        }

        #[test]
        fn any_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let _ = read(Framing::Chunked(Chunks::default()), &pieces);
            let _ = super::super::head::read(&mut BytesMut::from(&bytes[..]));
        }
    }
}
