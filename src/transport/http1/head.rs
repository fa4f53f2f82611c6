//! The heads of HTTP/1.1: how is a request's written, and what does an answer's say of the
//! body that follows?
//!
//! What can be read in two ways is refused (RFC 9112, section 6): a connection on which both
//! ends disagree about where an answer ends must not be used for another one.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use memchr::memchr_iter;

use super::framing::{Chunks, Framing};

/// The longest head, interim answers included, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// The most headers of an answer.
const MAX_HEADERS: usize = 128;

/// An answer that is no HTTP/1.1, or more of it than there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// It cannot be read.
    #[error("the answer is not HTTP: {0}")]
    Head(httparse::Error),
    /// It begins as no answer does.
    #[error("the answer is not HTTP")]
    Foreign,
    /// Its head has no end.
    #[error("the head of the answer is longer than {MAX_HEAD} bytes")]
    TooLong,
    /// Its body could end in two places.
    #[error("the answer does not say clearly how long it is")]
    Length,
    /// It wants to speak another protocol, which nobody asked for.
    #[error("the answer changes to another protocol")]
    Upgrade,
    /// Its body is not written as it should be.
    #[error("the answer is not chunked as it should be")]
    Chunk,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// How its body is written.
    pub framing: Framing,
    /// Whether the connection may be used again.
    pub keep: bool,
}

/// Writes the head of a request whose body has so many bytes. `host` is told where the request
/// does not name one itself.
pub fn write(request: &Parts, target: &str, host: &HeaderValue, body: usize) -> Bytes {
    let headers = &request.headers;
    let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(length + target.len() + host.len() + 80);
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(request.method.as_str().as_bytes());
    put(b" ");
    put(target.as_bytes());
    put(b" HTTP/1.1\r\n");
    if !headers.contains_key(HOST) {
        put(b"host: ");
        put(host.as_bytes());
        put(b"\r\n");
    }
    for (name, value) in headers {
        // How long the body is, we know ourselves.
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            put(name.as_str().as_bytes());
            put(b": ");
            put(value.as_bytes());
            put(b"\r\n");
        }
    }
    if body > 0 || request.method != Method::GET {
        put(b"content-length: ");
        put(HeaderValue::from(body).as_bytes());
        put(b"\r\n");
    }
    put(b"\r\n");
    out.into()
}

/// Whether there is the end of a head in these bytes, of which those before `from` have been
/// looked at.
pub fn has_end(bytes: &[u8], from: usize) -> bool {
    let rest = &bytes[from.saturating_sub(3).min(bytes.len())..];
    memchr_iter(b'\n', rest).any(|at| matches!(&rest[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Whether these bytes cannot become an answer, however many follow: whoever speaks another protocol
/// may wait for us to go on, and never end what would be a head.
pub fn is_foreign(bytes: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"HTTP/";
    // Blank lines before it are borne.
    let begun = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    !bytes[begun..].iter().zip(BEGINNING).all(|(byte, expected)| byte == expected)
}

/// Takes the head of an answer out of the buffer; interim answers before it are passed over.
/// `None` while it has not come whole.
///
/// # Errors
/// If it cannot be read, or in two ways.
pub fn read(buffer: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    loop {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut answer, buffer, &mut fields)
            .map_err(Malformed::Head)?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Malformed::Head(httparse::Error::Status))?;
        match status.as_u16() {
            101 => return Err(Malformed::Upgrade),
            100..200 => {
                buffer.advance(length);
                continue;
            }
            _ => {}
        }
        let old = answer.version == Some(0);
        let start = buffer.as_ptr() as usize;
        // Where names and values stand, so that the head is shared and not copied.
        let spans: smallvec::SmallVec<[(HeaderName, usize, usize); 16]> = answer
            .headers
            .iter()
            .map(|field| {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let name = name.map_err(|_| Malformed::Head(httparse::Error::HeaderName))?;
                Ok((name, field.value.as_ptr() as usize - start, field.value.len()))
            })
            .collect::<Result<_, Malformed>>()?;
        let head = buffer.split_to(length).freeze();
        let mut headers = HeaderMap::with_capacity(spans.len());
        for (name, at, length) in spans {
            // An empty value may stand anywhere.
            let value = if length == 0 { Bytes::new() } else { head.slice(at..at + length) };
            let value = HeaderValue::from_maybe_shared(value);
            headers.append(name, value.map_err(|_| Malformed::Head(httparse::Error::HeaderValue))?);
        }
        let (framing, clear) = framing(status, &headers, old)?;
        let keep = clear && framing != Framing::UntilClose && stays_open(&headers, old);
        return Ok(Some(Head { status, headers, framing, keep }));
    }
}

/// How the body is written (RFC 9112, section 6.3), and whether that is beyond doubt: `old` servers
/// know of no chunks, and whoever stands between us and one may not have seen any.
fn framing(status: StatusCode, headers: &HeaderMap, old: bool) -> Result<(Framing, bool), Malformed> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok((Framing::Sized(0), true));
    }
    let length = content_length(headers)?;
    if headers.contains_key(TRANSFER_ENCODING) {
        let last = tokens(headers, &TRANSFER_ENCODING).last();
        return Ok(match last {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => {
                (Framing::Chunked(Chunks::default()), length.is_none() && !old)
            }
            _ => (Framing::UntilClose, false),
        });
    }
    Ok((length.map_or(Framing::UntilClose, Framing::Sized), true))
}

/// The one length that is told, however often.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut told = None;
    for text in tokens(headers, &CONTENT_LENGTH) {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).ok().filter(|_| digits);
        let length = text.and_then(|text| text.parse::<u64>().ok()).ok_or(Malformed::Length)?;
        if told.is_some_and(|told| told != length) {
            return Err(Malformed::Length);
        }
        told = Some(length);
    }
    Ok(told)
}

fn stays_open(headers: &HeaderMap, old: bool) -> bool {
    let says = |word: &[u8]| tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(word));
    if old { says(b"keep-alive") } else { !says(b"close") }
}

/// The members of a list, over all headers of that name.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Malformed> {
        read(&mut BytesMut::from(text))
    }

    fn framed(text: &str) -> (Framing, bool) {
        let head = head(&format!("HTTP/1.1 200 OK\r\n{text}\r\n")).unwrap().unwrap();
        (head.framing, head.keep)
    }

    #[test]
    fn a_head_is_taken_off_and_what_follows_stays() {
        let mut buffer = BytesMut::from(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi",
        );
        let head = read(&mut buffer).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.headers["x-a"].as_bytes()), (404, b"b".as_slice()));
        assert_eq!((head.framing, head.keep), (Framing::Sized(2), true));
        assert_eq!(&buffer[..], b"hi");
        assert!(read(&mut BytesMut::from("HTTP/1.1 200 OK\r\nX-A")).unwrap().is_none());
    }

    #[test]
    fn what_cannot_become_an_answer_is_known_by_its_first_bytes() {
        for answer in ["", "H", "HTTP/", "HTTP/1.1 200 OK\r\n", "\r\n\r\nHTTP/1.1", "\r\n"] {
            assert!(!is_foreign(answer.as_bytes()), "{answer:?}");
        }
        for foreign in ["SSH-2.0-x", "220 mail", "\x16\x03\x01", "HTCPCP/1.0", "\r\nhello"] {
            assert!(is_foreign(foreign.as_bytes()), "{foreign:?}");
        }
    }

    #[test]
    fn how_long_an_answer_is_has_to_be_clear() {
        let chunked = Framing::Chunked(Chunks::default());
        assert_eq!(framed("Content-Length: 5\r\n"), (Framing::Sized(5), true));
        assert_eq!(framed("Content-Length: 5\r\ncontent-length: 5, 5\r\n"), (Framing::Sized(5), true));
        assert_eq!(framed("Transfer-Encoding: gzip, Chunked\r\n"), (chunked, true));
        // Both at once come from somebody who wants to be read in two ways.
        assert_eq!(framed("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), (chunked, false));
        assert_eq!(framed("Transfer-Encoding: gzip\r\n"), (Framing::UntilClose, false));
        assert_eq!(framed(""), (Framing::UntilClose, false));
        for bad in ["5\r\nContent-Length: 6", "5, 6", "-1", "+5", "", "0x5", "99999999999999999999"] {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {bad}\r\n\r\n");
            assert_eq!(head(&text).unwrap_err(), Malformed::Length, "{bad}");
        }
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().framing, Framing::Sized(0));
    }

    #[test]
    fn a_connection_is_kept_as_far_as_both_want_it() {
        assert!(!framed("Content-Length: 0\r\nConnection: x, Close\r\n").1);
        let old =
            |more: &str| head(&format!("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{more}\r\n")).unwrap().unwrap().keep;
        assert!(!old("") && old("Connection: keep-alive\r\n"));
        // Chunks came with HTTP/1.1 (RFC 9112, section 6.1).
        let chunked = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
        assert!(!head(chunked).unwrap().unwrap().keep);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bad in ["HTTP/2 200 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"] {
            assert!(matches!(head(bad), Err(Malformed::Head(_))), "{bad}");
        }
        assert_eq!(head("HTTP/1.1 101 Switching\r\n\r\n").unwrap_err(), Malformed::Upgrade);
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let error = head(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).unwrap_err();
        assert_eq!(error, Malformed::Head(httparse::Error::TooManyHeaders));
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_were_cut() {
        let text = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        for from in 0..text.len() {
            assert!(has_end(text, from), "{from}");
        }
        assert!(!has_end(&text[..text.len() - 1], 0) && has_end(b"HTTP/1.1 200 OK\n\n", 0));
    }

    #[test]
    fn a_request_says_where_it_goes_and_how_long_it_is() {
        let written = |request: http::Request<()>, body| {
            let host = HeaderValue::from_static("h:1");
            String::from_utf8(write(&request.into_parts().0, "/a?b", &host, body).to_vec()).unwrap()
        };
        let post = http::Request::post("/").header("x-a", "b").header("content-length", "9").body(()).unwrap();
        assert_eq!(written(post, 3), "POST /a?b HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\ncontent-length: 3\r\n\r\n");
        assert_eq!(
            written(http::Request::get("/").header("host", "o").body(()).unwrap(), 0),
            "GET /a?b HTTP/1.1\r\nhost: o\r\n\r\n"
        );
    }
}
