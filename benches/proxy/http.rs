//! HTTP/1.1 by hand, as little as a load generator needs: requests written once as bytes,
//! answers read as they come, events of a stream counted.

use memchr::memmem;

/// A `POST` with a JSON body, whole.
pub fn post(path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         accept: application/json\r\nuser-agent: bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Length of a head with its blank line, if all of it has come.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The value of a header in a head, without the spaces around it.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// The `content-length` of a head.
pub fn content_length(head: &[u8]) -> Option<usize> {
    std::str::from_utf8(header(head, "content-length")?).ok()?.parse().ok()
}

/// One answer on its way in.
#[derive(Debug, Default)]
pub struct Answer {
    state: State,
    /// What has come of the head.
    head: Vec<u8>,
    /// Of the body, without its framing.
    pub body_bytes: usize,
    /// Events of a stream so far.
    pub events: usize,
    /// The last byte of the body was a line's end.
    after_newline: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Sized {
        left: usize,
    },
    ChunkSize {
        size: usize,
    },
    Chunk {
        left: usize,
    },
    /// The line's end after a chunk.
    ChunkEnd,
    /// The blank line after the last chunk; trailers are not expected.
    Trailer,
    Done,
}

impl Answer {
    /// Takes the next bytes; `true` once the answer is whole.
    ///
    /// # Errors
    /// If the status is not 200 or the framing cannot be read.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<bool, String> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Head => {
                    let before = self.head.len();
                    self.head.extend_from_slice(bytes);
                    let Some(length) = head_length(&self.head) else { return Ok(false) };
                    self.head.truncate(length);
                    bytes = &bytes[length - before..];
                    self.read_head()?;
                }
                State::Sized { left } | State::Chunk { left } => {
                    let size = bytes.len().min(*left);
                    *left -= size;
                    let whole = *left == 0;
                    let (data, rest) = bytes.split_at(size);
                    bytes = rest;
                    self.count(data);
                    if whole {
                        let sized = matches!(self.state, State::Sized { .. });
                        self.state = if sized { State::Done } else { State::ChunkEnd };
                    }
                }
                State::ChunkSize { size } => {
                    let byte = bytes[0];
                    bytes = &bytes[1..];
                    match byte {
                        b'\n' => self.state = if *size == 0 { State::Trailer } else { State::Chunk { left: *size } },
                        b'\r' => {}
                        digit => {
                            let digit = char::from(digit).to_digit(16).ok_or("a chunk without a size")?;
                            *size = *size * 16 + digit as usize;
                        }
                    }
                }
                State::ChunkEnd | State::Trailer => {
                    if bytes[0] == b'\n' {
                        let last = matches!(self.state, State::Trailer);
                        self.state = if last { State::Done } else { State::ChunkSize { size: 0 } };
                    }
                    bytes = &bytes[1..];
                }
                State::Done => return Err("bytes after the answer's end".into()),
            }
        }
        Ok(matches!(self.state, State::Done))
    }

    fn read_head(&mut self) -> Result<(), String> {
        if self.head.get(9..12) != Some(b"200") {
            return Err(String::from_utf8_lossy(&self.head).into_owned());
        }
        self.state = match content_length(&self.head) {
            Some(0) => State::Done,
            Some(left) => State::Sized { left },
            None if header(&self.head, "transfer-encoding") == Some(b"chunked") => State::ChunkSize { size: 0 },
            None => return Err("an answer without a length".into()),
        };
        Ok(())
    }

    fn count(&mut self, data: &[u8]) {
        self.body_bytes += data.len();
        self.events += usize::from(self.after_newline && data.first() == Some(&b'\n'));
        self.events += memmem::find_iter(data, b"\n\n").count();
        self.after_newline = data.last() == Some(&b'\n') && !data.ends_with(b"\n\n");
    }
}
